"""``audiorec metric``: train a user-audio model, embed songs with it, and judge it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.errors import InputError
from audiorec_cli.extract import no_songs
from audiorec_cli.shared.console import FIGURE_DIGITS, Exit, print_json, print_table, say
from audiorec_cli.shared.inputs import Wanted, check, trained
from audiorec_cli.shared.options import (
    AllowFailuresOption,
    DeviceOption,
    JobsOption,
    JsonOption,
    LogOption,
    OutFileOption,
    OutFolderOption,
    QuietOption,
    RetryFailedOption,
    RuleOption,
    SeedOption,
    more,
)
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.progress import graceful_stop, progress_display, stopped
from audiorec_cli.shared.stores import open_vectors
from audiorec_cli.shared.training import Fitting, HeldOut, HeldOutForTest

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source
    from audiorec.recall.audio.data import TrainingSongs
    from audiorec.recall.audio.embed import EmbeddingReport
    from audiorec.recall.audio.model import MetricModel
    from audiorec.recall.audio.recipe import TrainingOptions

LEARN = "learn"
MODEL = Path("metric_model")
FEATURES = Path("features.parquet")

app = group(
    """Train a model from audio to the space of users, embed songs with it, and judge it.

    Examples
    --------
    audiorec metric train -i plays.csv --users users.parquet
    audiorec metric embed new/ --out embeddings.parquet
    audiorec metric evaluate metric_model/ -i plays.csv -u users.parquet
    """
)

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="The model's folder.")]
ArtistsFromOption = Annotated[
    Path | None,
    typer.Option(
        "--vectors", "-v", metavar="STORE", help="Artists: a store [default: vecs.parquet beside]."
    ),
]


@command(app)
def train(
    interactions: LogOption,
    songs: Annotated[
        Path,
        typer.Argument(
            metavar="FEATURES", help="features.parquet, or with --end-to-end a vecs.parquet."
        ),
    ] = FEATURES,
    output: OutFolderOption = MODEL,
    users: Annotated[
        str,
        typer.Option(
            "--users", "-u", metavar="FILE", help="A users.parquet, or learn: learn them along."
        ),
    ] = LEARN,
    users_out: Annotated[
        Path | None, more(help="Where learnt users go [default: OUT.users.parquet].")
    ] = None,
    pairs_from: Annotated[
        Literal["likes", "sessions", "playlists"],
        typer.Option("--from", help="Users' likes, or songs that stand together."),
    ] = "likes",
    vectors: ArtistsFromOption = None,
    rule: RuleOption = None,
    dimension: Annotated[int, more(min=1, help="Numbers in an embedding.")] = 40,
    epochs: Annotated[int, typer.Option(min=0, help="At most; 0: the start alone.")] = 40,
    end_to_end: Annotated[
        bool, typer.Option("--end-to-end", help="Train the backbone along, from the audio.")
    ] = False,
    backbone: Annotated[Literal["msd", "mtt"], more(help="With --end-to-end.")] = "msd",
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    jobs: JobsOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
    *,
    fitting: Fitting,
    held_out: HeldOut,
) -> None:
    """Train a model that puts any song near the users who will like it.

    The training can be stopped or killed at any time: the same command goes on where it was.

    Examples
    --------
    audiorec metric train -i plays.csv --users users.parquet
    audiorec metric train features.parquet -i plays.csv --out metric_model/
    audiorec metric train features.parquet -i plays.csv --from sessions
    """
    _needs_torch()
    from audiorec.listening.rule import Rule, load_rule
    from audiorec.recall.audio.job import train_metric
    from audiorec.recall.audio.recipe import TrainingOptions

    check(songs, Wanted.VECTORS if end_to_end else Wanted.FEATURES)
    check(interactions, Wanted.LOG)
    check(None if users == LEARN else Path(users), Wanted.USERS)
    check(vectors, Wanted.VECTORS)
    learnt = users == LEARN and pairs_from == "likes"
    options = TrainingOptions(
        recipe=fitting.recipe(max_epochs=epochs, seed=seed),
        split=held_out.split(),
        rule=load_rule(rule) if rule else Rule(),
        pairs_from=pairs_from,
        embedding=dimension,
        hidden=fitting.hidden,
        pooling=fitting.pooling,
        inputs=tuple(fitting.inputs or ()),
        max_segments=fitting.max_segments,
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
        raise stopped()
    if json:
        print_json({"schema": "audiorec/metric-train/1", **report.to_dict(), "out": str(output)})
    _say_trained(report.to_dict(), output, learnt_users if learnt else None)


@command(app)
def embed(
    songs: Annotated[
        list[Path],
        typer.Argument(
            metavar="SONGS", help="features.parquet, or vecs.parquet, or folders and files."
        ),
    ],
    model: Annotated[
        Path, typer.Option("--model", "-m", metavar="FOLDER", help="The model's folder.")
    ] = MODEL,
    output: OutFileOption = Path("embeddings.parquet"),
    work: Annotated[
        Path | None,
        more(metavar="FOLDER", help="Where extracted songs are kept [default: OUT.work]."),
    ] = None,
    device: DeviceOption = "cpu",
    jobs: JobsOption = 0,
    retry_failed: RetryFailedOption = False,
    allow_failures: AllowFailuresOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Turn songs into embeddings in the space of the model's users: any audio, no listeners.

    Examples
    --------
    audiorec metric embed new/
    audiorec metric embed features.parquet --model metric_model/
    audiorec metric embed new.parquet -m metric_model/ -o embeddings.parquet
    """
    from audiorec.extraction.run import RunOptions
    from audiorec.recall.audio.embed import embed_audio, embed_features
    from audiorec.recall.audio.model import MetricModel

    with trained(model, "metric"):
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


@command(app)
def evaluate(
    model: ModelArgument,
    interactions: LogOption,
    users: Annotated[Path, typer.Option("--users", "-u", help="Their embeddings.")],
    features: Annotated[Path, typer.Option("--features", "-f", help="Of all songs.")] = FEATURES,
    vectors: ArtistsFromOption = None,
    embeddings: Annotated[
        Path | None, typer.Option(help="The songs', made before [default: made now].")
    ] = None,
    warm: Annotated[
        Path | None, typer.Option(help="The user model's embeddings of songs: a bound.")
    ] = None,
    rule: RuleOption = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Length of lists.")] = 10,
    all_songs: Annotated[
        bool, typer.Option("--all-songs", help="The model heard none of these songs.")
    ] = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Judge a model on artists and songs that it never heard, beside plain baselines.

    The users' embeddings must come from a log without those songs: audiorec metric holdout.

    Examples
    --------
    audiorec metric evaluate metric_model/ -i plays.csv -u users.parquet
    audiorec metric evaluate metric_model/ -i plays.csv -u users.parquet --k 50
    audiorec metric evaluate m/ -f f.parquet -i plays.csv -u u.parquet --json
    """
    from audiorec.listening.rule import load_rule
    from audiorec.recall.audio.judge import EvaluationFiles, evaluate_metric
    from audiorec.recall.audio.model import MetricModel

    with trained(model, "metric"):
        loaded = MetricModel.load(model)
    check(features, Wanted.FEATURES)
    check(interactions, Wanted.LOG)
    check(users, Wanted.USERS)
    check(vectors, Wanted.VECTORS)
    found = evaluate_metric(
        loaded,
        EvaluationFiles(
            features=features,
            interactions=interactions,
            users=users,
            store=vectors,
            embeddings=embeddings,
            warm=warm,
        ),
        rule=load_rule(rule) if rule else None,
        k=k,
        all_songs=all_songs,
        seed=seed,
    )
    if json:
        print_json({"schema": "audiorec/metric-evaluate/1", "model": str(model), **found.to_dict()})
        return
    for name, panel in found.to_dict()["panels"].items():
        _print_panel(name.replace("_", " "), panel)
    if found.simulated:
        say("simulated listening: no figure here is about real people")


@command(app)
def holdout(
    features: Annotated[
        Path, typer.Argument(metavar="FEATURES", help="features.parquet of all songs.")
    ],
    interactions: LogOption,
    output: OutFileOption,
    vectors: ArtistsFromOption = None,
    json: JsonOption = False,
    *,
    held_out: HeldOutForTest,
) -> None:
    """Write a log without the songs that a model will be judged on, to make its users of.

    Give the shares and the seed that metric train will be given.

    Examples
    --------
    audiorec metric holdout features.parquet -i plays.csv --out known.parquet
    audiorec metric holdout features.parquet -i plays.csv -o known.csv --json
    audiorec metric holdout f.parquet -i plays.csv -o known.csv --test-share 0.3
    """
    from audiorec.recall.audio.held_out import write_known

    check(features, Wanted.FEATURES)
    check(interactions, Wanted.LOG)
    check(vectors, Wanted.VECTORS)
    split = held_out.split()
    report = write_known(features, interactions, out=output, split=split, store=vectors)
    if json:
        print_json({"schema": "audiorec/metric-holdout/1", **asdict(report), "out": str(output)})
    songs = ", ".join(f"{count} {part}" for part, count in report.songs.items())
    say(f"{report.kept:,} of {report.rows:,} rows kept; songs: {songs}; log: {output}")


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

    if not end_to_end:
        return FeatureSongs(path, options.inputs or None)
    if options.inputs:
        raise InputError("--input chooses columns of features; with --end-to-end there are none")
    return LogMelSongs(open_vectors(path), backbone=backbone, jobs=jobs)


def _sources(paths: list[Path], model: "MetricModel") -> "list[Source] | None":
    """List the songs to hear; None where their features are given."""
    from audiorec.extraction.catalogue import find_songs
    from audiorec.recall.audio.embed import store_sources
    from audiorec.store.inventory import kind_said
    from audiorec.store.schema import Kind

    tables = [path for path in paths if path.suffix == ".parquet"]
    if tables and len(paths) > 1:
        raise InputError(f"{tables[0]}: a table is given alone")
    if tables and not model.end_to_end and kind_said(tables[0]) != Kind.VECTORS:
        check(tables[0], Wanted.FEATURES)
        return None
    if tables:
        check(tables[0], Wanted.VECTORS)
        return store_sources(open_vectors(tables[0]))
    sources = find_songs([str(path) for path in paths])
    if not sources:
        raise no_songs()
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


def _print_panel(name: str, panel: dict[str, Any]) -> None:
    columns = ("method", "AUC", "low", "high", "behind", "low", "high")
    rows = []
    for method, row in panel["methods"].items():
        lists = [row[name][0] for name in ("precision", "recall", "ndcg")]
        behind = row["ahead"] or ("", "", "")
        rows.append((method, *row["auc"], *behind, *lists, row["coverage"], row["popularity_bias"]))
    title = f"{name}: {panel['users']:,} users, {panel['songs']:,} songs, k = {panel['k']}"
    more = ("precision", "recall", "NDCG", "coverage", "popularity")
    print_table((*columns, *more), rows, title=title, digits=FIGURE_DIGITS)
