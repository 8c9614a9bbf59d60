"""``audiorec metric``: train a user-audio model, embed songs with it, and judge it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli.metric_judge import (
    JsonOption,
    LogOption,
    NewSongsOption,
    RuleOption,
    SplitSeedOption,
    StoreOption,
    TestShareOption,
    ValidShareOption,
    evaluate,
    holdout,
)
from audiorec_cli.shared.console import Exit, print_json, say
from audiorec_cli.shared.progress import progress_display
from audiorec_cli.shared.stopping import graceful_stop

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source
    from audiorec.recall.audio.data import TrainingSongs
    from audiorec.recall.audio.embed import EmbeddingReport
    from audiorec.recall.audio.model import MetricModel
    from audiorec.recall.audio.recipe import TrainingOptions

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A model from audio to the space of users: train, embed songs, judge.",
)

app.command()(evaluate)
app.command()(holdout)

LEARN = "learn"

JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=0, help="Processes; 0: all cores.")]
DeviceOption = Annotated[str, typer.Option(help="cpu or cuda.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


@app.command()
def train(
    songs: Annotated[
        Path, typer.Argument(help="features.parquet, or with --end-to-end a vecs.parquet.")
    ],
    interactions: LogOption,
    output: Annotated[Path, typer.Option("--out", "-o", help="The model's folder.")],
    users: Annotated[
        str, typer.Option("--users", "-u", help="A users.parquet, or learn: learn them along.")
    ] = LEARN,
    users_out: Annotated[
        Path | None, typer.Option(help="Where learnt users go [default: OUT.users.parquet].")
    ] = None,
    pairs_from: Annotated[
        Literal["likes", "sessions", "playlists"],
        typer.Option("--from", help="Users' likes, or songs that stand together."),
    ] = "likes",
    vectors: StoreOption = None,
    rule: RuleOption = None,
    loss: Annotated[Literal["softmax", "hinge"], typer.Option()] = "softmax",
    margin: Annotated[float, typer.Option(min=0, max=2, help="Of the hinge.")] = 0.2,
    temperature: Annotated[float, typer.Option(min=0.001, help="Of the softmax.")] = 0.2,
    negatives: Annotated[int, typer.Option(min=1, help="Songs against one liked song.")] = 20,
    popularity: Annotated[
        float, typer.Option("--alpha", min=0, max=2, help="Unheard songs by likes to this power.")
    ] = 0.5,
    semi_hard: Annotated[
        bool, typer.Option("--semi-hard", help="Of four drawn, those just below the liked song.")
    ] = False,
    pooling: Annotated[Literal["attention", "mean"], typer.Option()] = "attention",
    hidden: Annotated[int, typer.Option(min=0, help="Units beside the linear map; 0: none.")] = 64,
    dimension: Annotated[int, typer.Option(min=1, help="Numbers in an embedding.")] = 40,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="Columns of the features [default: all].")
    ] = None,
    start: Annotated[
        Literal["ridge", "random"], typer.Option(help="The closed-form map, or chance.")
    ] = "ridge",
    epochs: Annotated[int, typer.Option(min=0, help="At most; 0: the start alone.")] = 40,
    patience: Annotated[int, typer.Option(min=1, help="Epochs without gain.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs at once.")] = 128,
    learning_rate: Annotated[float, typer.Option(min=0)] = 5e-4,
    valid_share: ValidShareOption = 0.1,
    test_share: TestShareOption = 0.0,
    new_song_share: NewSongsOption = 0.0,
    split_seed: SplitSeedOption = 0,
    max_segments: Annotated[int, typer.Option(min=1, help="Of a song that are kept.")] = 30,
    end_to_end: Annotated[
        bool, typer.Option("--end-to-end", help="Train the backbone along, from the audio.")
    ] = False,
    backbone: Annotated[Literal["msd", "mtt"], typer.Option(help="With --end-to-end.")] = "msd",
    seed: Annotated[int, typer.Option(help="Same seed and data, same model.")] = 0,
    device: DeviceOption = "cpu",
    jobs: JobsOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Train a model that puts any song near the users who will like it.

    The training can be stopped or killed at any time: the same command goes on where it was.
    """
    _needs_torch()
    from audiorec.learning.negatives import NegativeRule
    from audiorec.listening.rule import Rule, load_rule
    from audiorec.recall.audio.held_out import Split
    from audiorec.recall.audio.job import train_metric
    from audiorec.recall.audio.recipe import MetricRecipe, TrainingOptions

    learnt = users == LEARN and pairs_from == "likes"
    options = TrainingOptions(
        recipe=MetricRecipe(
            loss=loss,
            margin=margin,
            temperature=temperature,
            negatives=NegativeRule(
                count=negatives, popularity_exponent=popularity, semi_hard=semi_hard
            ),
            start=start,
            batch_size=batch_size,
            learning_rate=learning_rate,
            max_epochs=epochs,
            patience=patience,
            seed=seed,
        ),
        split=Split(valid=valid_share, test=test_share, new_songs=new_song_share, seed=split_seed),
        rule=load_rule(rule) if rule else Rule(),
        pairs_from=pairs_from,
        embedding=dimension,
        hidden=hidden,
        pooling=pooling,
        inputs=tuple(inputs or ()),
        max_segments=max_segments,
    )
    learnt_users = users_out or output.with_name(f"{output.name}.users.parquet")
    with graceful_stop("what is in work is", quiet=quiet) as stop:
        report = train_metric(
            _songs(songs, options, end_to_end, backbone, jobs),
            interactions,
            out=output,
            users=None if users == LEARN or pairs_from != "likes" else users,
            users_out=learnt_users if learnt else None,
            store=vectors,
            options=options,
            device=device,
            progress=None if quiet else _epoch_line,
            stop=stop,
        )
    if not report.finished:
        say(f"stopped; the state is kept in {output}.run, the same command goes on from there")
        raise typer.Exit(Exit.INTERRUPTED)
    if json:
        print_json({"schema": "audiorec/metric-train/1", **report.to_dict(), "out": str(output)})
    _say_trained(report.to_dict(), output, learnt_users if learnt else None)


@app.command()
def embed(
    songs: Annotated[
        list[Path],
        typer.Argument(help="features.parquet, or vecs.parquet, or folders and audio files."),
    ],
    model: Annotated[Path, typer.Option("--model", "-m", help="The model's folder.")],
    output: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path(
        "embeddings.parquet"
    ),
    work: Annotated[
        Path | None, typer.Option(help="Where extracted songs are kept [default: OUT.work].")
    ] = None,
    device: DeviceOption = "cpu",
    jobs: JobsOption = 0,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed before.")
    ] = False,
    allow_failures: Annotated[
        bool, typer.Option("--allow-failures", help="Exit 0 even if some songs failed.")
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Turn songs into embeddings in the space of the model's users: any audio, no listeners."""
    from audiorec.extraction.run import RunOptions
    from audiorec.recall.audio.embed import embed_audio, embed_features
    from audiorec.recall.audio.model import MetricModel

    loaded = MetricModel.load(model)
    sources = _sources(songs, loaded)
    if sources is None:
        report = embed_features(loaded, songs[0], out=output)
    else:
        if loaded.end_to_end:
            _needs_torch()
        options = RunOptions(jobs=jobs, retry_failed=retry_failed)
        with (
            graceful_stop("what is in work is", quiet=quiet) as stop,
            progress_display(quiet=quiet) as progress,
        ):
            report = embed_audio(
                loaded,
                sources,
                out=output,
                work=work,
                options=options,
                device=device,
                progress=progress,
                stop=stop,
            )
    if json:
        print_json({"schema": "audiorec/metric-embed/1", **report.to_dict()})
    raise typer.Exit(_say_embedded(report, allow_failures))


def _needs_torch() -> None:
    """Say which extra is missing before anything else is done."""
    from audiorec.errors import MissingExtraError

    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        raise MissingExtraError("training a metric model", "train", str(error)) from error


def _songs(
    path: Path,
    options: "TrainingOptions",
    end_to_end: bool,
    backbone: Literal["msd", "mtt"],
    jobs: int,
) -> "TrainingSongs":
    """Open what the training listens to."""
    from audiorec.recall.audio.inputs import FeatureSongs, LogMelSongs
    from audiorec.search.library import Library

    if not end_to_end:
        return FeatureSongs(path, options.inputs or None)
    if options.inputs:
        raise InputError("--input chooses columns of features; with --end-to-end there are none")
    return LogMelSongs(Library.open(path), backbone=backbone, jobs=jobs)


def _sources(paths: list[Path], model: "MetricModel") -> "list[Source] | None":
    """List the songs to hear; None where their features are given."""
    from audiorec.extraction.catalogue import find_songs
    from audiorec.recall.audio.embed import store_sources
    from audiorec.search.library import Library

    tables = [path for path in paths if path.suffix == ".parquet"]
    if tables and len(paths) > 1:
        raise InputError(f"{tables[0]}: a table is given alone")
    if tables and not model.end_to_end:
        return None
    if tables:
        return store_sources(Library.open(tables[0]))
    sources = find_songs([str(path) for path in paths])
    if not sources:
        say("error: no songs found: no file there looks like audio")
        raise typer.Exit(Exit.NOTHING_USABLE)
    return sources


def _epoch_line(line: dict[str, Any]) -> None:
    figure = "" if line["figure"] is None else f"  AUC on held-out artists {line['figure']:.4f}"
    if line["loss"] is None:
        say(f"start{figure}")
    else:
        say(f"epoch {line['epoch']}  loss {line['loss']:.4f}{figure}  {line['seconds']:.1f} s")


def _say_trained(report: dict[str, Any], output: Path, users: Path | None) -> None:
    counts = report["counts"]
    if counts["users_without_embedding"]:
        say(f"note: {counts['users_without_embedding']:,} users of the log have no embedding")
    if report["auc"] is None:
        say("note: too few users like a held-out artist: trained to the last epoch, unjudged")
    else:
        say(f"best after epoch {report['best_epoch']}: AUC {report['auc']:.4f}")
    say(f"model {report['model_id']}: {output}" + (f"; users: {users}" if users else ""))


def _say_embedded(report: "EmbeddingReport", allow_failures: bool) -> Exit:
    if report.stopped == "interrupted":
        say("stopped; what was extracted is kept, the same command goes on from there")
        return Exit.INTERRUPTED
    failed = f", {report.failed} failed; reasons: {report.errors}" if report.failed else ""
    if report.stopped is not None:
        say(f"stopped ({report.stopped}){failed}")
        return Exit.TOO_MANY_FAILURES
    if not report.embedded:
        say(f"no song could be used{failed}")
        return Exit.NOTHING_USABLE
    say(f"{report.embedded:,} songs embedded{failed}; embeddings: {report.out}")
    return Exit.SOME_FAILED if report.failed and not allow_failures else Exit.OK
