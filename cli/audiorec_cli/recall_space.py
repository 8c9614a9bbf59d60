"""``audiorec recall users`` and ``songs``: embeddings out of a model with one space for both."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiorec.errors import InputError, SpecMismatchError
from audiorec_cli.extract import no_songs
from audiorec_cli.shared.console import Exit, print_json, say
from audiorec_cli.shared.inputs import Wanted, check
from audiorec_cli.shared.listened import (
    FeaturesOption,
    ListenedTo,
    ModelArgument,
    SoundOption,
    sound_of,
)
from audiorec_cli.shared.options import (
    AllowFailuresOption,
    DeviceOption,
    JobsOption,
    JsonOption,
    LogOption,
    OutFileOption,
    QuietOption,
    RetryFailedOption,
    more,
)
from audiorec_cli.shared.progress import graceful_stop, progress_display
from audiorec_cli.shared.stores import open_vectors

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source
    from audiorec.recall.audio.embed import EmbeddingReport
    from audiorec.recall.contract.space import SharedSpace


def users(
    model: ModelArgument,
    interactions: LogOption,
    output: OutFileOption,
    json: JsonOption = False,
    *,
    listened: ListenedTo,
) -> None:
    """Embed the users of a log with a model that puts users and songs into one space.

    Who has no history that the model knows is left out, and counted.

    Examples
    --------
    audiorec recall users model/ --interactions plays.parquet --out users.parquet
    audiorec recall users model/ -i new.csv --out users.parquet --json
    audiorec recall users model/ -i plays.csv --by session --out sessions.parquet
    """
    import numpy as np

    from audiorec.recall.contract.data import Queries
    from audiorec.store.embeddings import write_embeddings

    channel = in_one_space(model)
    plays = listened.of(interactions).among(channel.song_ids)
    plays = plays.take(plays.lengths > 0)
    embedded = channel.embed_users(Queries(plays))
    known = np.asarray(embedded.any(axis=1))
    ids = [user for user, has in zip(plays.owner_ids, known.tolist(), strict=True) if has]
    if not ids:
        raise InputError(f"{interactions}: nobody has played a song that {model} knows")
    made = {"model_id": channel.model_id, "space": channel.space}
    write_embeddings(
        output,
        ids,
        embedded[known],
        kind="users",
        model_id=channel.model_id,
        space=channel.space,
    )
    document = {"schema": "audiorec/recall-users/1", "users": len(ids), **made, "out": str(output)}
    if json:
        print_json(document)
    say(f"{len(ids):,} users: {output}; songs in their space: audiorec recall songs {model}")


def songs(
    model: ModelArgument,
    output: OutFileOption,
    audio: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SONGS", help="Folders and files [default: the songs it knows]."),
    ] = None,
    features: FeaturesOption = None,
    vectors: SoundOption = None,
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
    """Embed songs in the space of a model's users: any audio, no listeners.

    Files are extracted by a run that can be stopped, and skips what it knows when repeated.

    Examples
    --------
    audiorec recall songs model/ new/ --out embeddings.parquet
    audiorec recall songs model/ --features new.parquet --out new-songs.parquet
    audiorec recall songs model/ --vectors vecs.parquet --out embeddings.parquet
    """
    from audiorec.extraction.run import RunOptions
    from audiorec.recall.audio.embed import embed_audio, embed_stored, store_sources

    if audio and (features or vectors):
        raise InputError("songs are given as audio, or by --features or --vectors")
    channel = in_one_space(model)
    sources = _sources(audio) if audio else None
    if channel.hears == "audio" and vectors is not None:
        check(vectors, Wanted.VECTORS)
        sources = store_sources(open_vectors(vectors))
    if sources is None:
        sound = sound_of(vectors, features)
        try:
            report = embed_stored(channel, sound, out=output)
        except SpecMismatchError as error:
            hint = "; give their --features, or the songs themselves"
            raise SpecMismatchError(
                f"{error}{hint if channel.hears == 'features' and not features else ''}"
            ) from error
    else:
        options = RunOptions(jobs=jobs, retry_failed=retry_failed)
        with (
            graceful_stop("what is in work is", quiet=quiet) as stop,
            progress_display(quiet=quiet) as progress,
        ):
            report = embed_audio(
                channel,
                sources,
                out=output,
                work=work,
                options=options,
                device=device,
                progress=progress,
                stop=stop,
            )
    document = report.to_dict()
    document["songs"] = document.pop("embedded")
    if json:
        print_json({"schema": "audiorec/recall-songs/1", **document})
    raise typer.Exit(_say_embedded(report, allow_failures))


def _sources(paths: list[Path]) -> "list[Source]":
    """List the songs to hear."""
    from audiorec.extraction.catalogue import find_songs

    for path in paths:
        if path.suffix == ".parquet":
            raise InputError(f"{path}: a table is given as --features or --vectors")
    sources = find_songs([str(path) for path in paths])
    if not sources:
        raise no_songs()
    return sources


def _say_embedded(report: "EmbeddingReport", allow_failures: bool) -> Exit:
    if report.stopped == "interrupted":
        say("stopped; what was extracted is kept, the same command goes on from there")
        return Exit.INTERRUPTED
    failed = f", {report.failed:,} failed; reasons: {report.errors}" if report.failed else ""
    if report.stopped is not None:
        say(f"stopped ({report.stopped}){failed}")
        return Exit.TOO_MANY_FAILURES
    if not report.embedded:
        say(f"no song could be used{failed}")
        return Exit.NOTHING_USABLE
    without = f"; {report.without:,} have no embedding" if report.without else ""
    say(f"{report.embedded:,} songs: {report.out}{without}{failed}")
    return Exit.SOME_FAILED if report.failed and not allow_failures else Exit.OK


def in_one_space(model: Path) -> "SharedSpace":
    """Load a model that has embeddings."""
    from audiorec.recall.contract.space import SharedSpace
    from audiorec.recall.registry import load_channel

    channel = load_channel(model)
    if not isinstance(channel, SharedSpace):
        raise InputError(
            f"{model}: holds {channel.name}, which has no embeddings; "
            "youtube-dnn and user-audio have"
        )
    return channel
