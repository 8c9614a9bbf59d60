"""``audiorec recall users`` and ``songs``: one space."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from audiorec.errors import InputError, SpecMismatchError
from audiorec.options import argument, chooses, reads
from audiorec_cli.shared.console import Exit, no_songs, print_document, print_json, say
from audiorec_cli.shared.inputs import InputKind, check, open_vectors
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.listening import (
    ModelArgument,
    QueryOptions,
    SoundOption,
    sound_files,
)
from audiorec_cli.shared.options import (
    ADVANCED,
    DeviceOption,
    JobsOption,
    JsonOption,
    OptionalLogOption,
    QuietOption,
    RetryFailedOption,
    out_file,
)
from audiorec_cli.shared.progress import graceful_stop, progress_display

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source
    from audiorec.recall.audio.embed import EmbeddingReport
    from audiorec.recall.contract.data import Queries
    from audiorec.recall.contract.space import SharedSpace
    from audiorec.store.embeddings import ForeignTable


def _import(table: Path, output: Path, foreign: "ForeignTable") -> dict[str, Any]:
    """Write a table from another program in audiorec's format, and return a summary."""
    from audiorec.store.embeddings import content_id, read_foreign, to_unit, write_embeddings

    ids, embeddings = read_foreign(
        table, id_column=foreign.id_column, embedding_column=foreign.embedding_column
    )
    if foreign.normalise:
        embeddings = to_unit(table, ids, embeddings)
    space = foreign.model_id or content_id(ids, embeddings)
    write_embeddings(output, ids, embeddings, kind="users", model_id=space)
    return {
        "schema": "audiorec/recall-users-import/1",
        "users": len(ids),
        "dimension": int(embeddings.shape[1]),
        "model_id": space,
        "out": str(output),
    }


@recorded("recall users", "output")
def users(
    output: Annotated[Path, out_file(metavar="FILE", help="The table of users.")],
    model: Annotated[
        Path | None, argument(metavar="[MODEL]", help="A model that recall train wrote.")
    ] = None,
    interactions: OptionalLogOption = None,
    table: Annotated[
        Path | None,
        reads(
            "--import",
            metavar="TABLE",
            help="Embeddings from another program: .parquet, .csv or .npz.",
        ),
    ] = None,
    explain: Annotated[
        bool,
        chooses("--explain", help="Describe each interest (column about)."),
    ] = False,
    id_column: Annotated[
        str, chooses(help="With --import: column of the ids.", panel=ADVANCED)
    ] = "user_id",
    embedding_column: Annotated[
        str, chooses(help="With --import: column of the embeddings.", panel=ADVANCED)
    ] = "embedding",
    normalise: Annotated[
        bool,
        chooses(help="With --import: scale every embedding to length 1.", panel=ADVANCED),
    ] = False,
    model_id: Annotated[
        str,
        chooses(
            metavar="ID",
            help="With --import: the model that made them [default: a hash of their content].",
            panel=ADVANCED,
        ),
    ] = "",
    json: JsonOption = False,
    *,
    asked: QueryOptions,
    done: JobSummary,
) -> None:
    """Embed users with a model that has one space for users and songs, or import them.

    A user without a song that the model knows is embedded from the profile alone (column
    profile_only), or left out and counted if there is no profile. Models with several interests
    write one row per interest, with its weight. Imports need no model.

    Examples
    --------
    audiorec recall users model/ --interactions plays.parquet --out users.parquet
    audiorec recall users model/ --profiles newcomers.csv --out users.parquet
    audiorec recall users --import theirs.npz --normalise --out users.parquet
    """
    from audiorec.store.embeddings import ForeignTable

    if table is not None:
        if model is not None or interactions is not None or asked.profiles is not None or explain:
            raise InputError("--import cannot be combined with MODEL, a log, profiles or --explain")
        foreign = ForeignTable(
            id_column=id_column,
            embedding_column=embedding_column,
            normalise=normalise,
            model_id=model_id,
        )
        document = _import(table, output, foreign)
        done.count(users=document["users"])
        print_document(document, json=json, title="users")
        return
    if model is None:
        raise InputError("give a MODEL that recall train wrote, or --import TABLE")
    if interactions is None and asked.profiles is None:
        raise InputError("no users given: use --interactions, --profiles or both")
    channel = in_one_space(model)
    log = asked.how.log(interactions) if interactions is not None else None
    counts = _written(output, channel, asked.queries(log, channel), explain=explain)
    if not counts["users"]:
        source = interactions or asked.profiles
        raise InputError(f"{source}: no user has a profile or has played a song that {model} knows")
    done.count(**counts)
    made = {"model_id": channel.model_id, "space": channel.space}
    if json:
        print_json({"schema": "audiorec/recall-users/1", **counts, **made, "out": str(output)})
    alone, left = counts.get("profile_only", 0), counts["left_out"]
    more = f", {counts['interests']:,} interests" if "interests" in counts else ""
    more += f", {alone:,} from their profile alone" if alone else ""
    more += f"; {left:,} left out: no known song and no profile" if left else ""
    say(f"{counts['users']:,} users{more}: {output}")
    say(f"embed songs in the same space: audiorec recall songs {model}")


def _written(
    output: Path, channel: "SharedSpace", queries: "Queries", *, explain: bool
) -> dict[str, int]:
    """Write the user embeddings, one row per interest or user; return the counts."""
    from audiorec.recall.contract.space import InterestSpace, write_interests, write_users

    if isinstance(channel, InterestSpace):
        return write_interests(output, channel, queries, named=explain)
    if explain:
        raise InputError(f"--explain needs a model with several interests; this is {channel.name}")
    return write_users(output, channel, queries)


@recorded("recall songs", "output")
def songs(
    model: ModelArgument,
    output: Annotated[Path, out_file(metavar="FILE", help="The table of songs.")],
    audio: Annotated[
        list[Path] | None,
        argument(metavar="SONGS", help="Folders and files [default: the songs of the model]."),
    ] = None,
    vectors: SoundOption = None,
    device: DeviceOption = "cpu",
    jobs: JobsOption = 0,
    retry_failed: RetryFailedOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    *,
    done: JobSummary,
) -> None:
    """Embed songs in the space of a model's users, from audio alone.

    Extraction can be interrupted; when repeated, it skips the songs that are finished.

    Examples
    --------
    audiorec recall songs model/ new/ --out embeddings.parquet
    audiorec recall songs model/ --vectors vecs.parquet --out embeddings.parquet
    audiorec recall songs model/ --out catalogue.parquet
    """
    report = _embedded(
        model,
        output,
        audio,
        vectors,
        device=device,
        jobs=jobs,
        retry_failed=retry_failed,
        quiet=quiet,
    )
    done.count(songs=report.embedded, failed=report.failed)
    document = report.to_dict()
    document["songs"] = document.pop("embedded")
    if json:
        print_json({"schema": "audiorec/recall-songs/1", **document})
    raise click.exceptions.Exit(_say_embedded(report))


def _embedded(
    model: Path,
    output: Path,
    audio: list[Path] | None,
    vectors: Path | None,
    *,
    device: str,
    jobs: int,
    retry_failed: bool,
    quiet: bool,
) -> "EmbeddingReport":
    """Embed the songs of files and folders, of a store, or of the model."""
    from audiorec.recall.audio.embed import embed_audio, embed_stored, store_sources
    from audiorec.recall.contract.training import read_context

    if audio and vectors:
        raise InputError("give audio files or --vectors, not both")
    channel = in_one_space(model)
    sources = _sources(audio) if audio else None
    if channel.hears == "audio" and vectors is not None:
        check(vectors, InputKind.VECTORS)
        sources = store_sources(open_vectors(vectors))
    if sources is None:
        files = sound_files(vectors)
        try:
            return embed_stored(channel, read_context(**files).sound, out=output)
        except SpecMismatchError as error:
            other = channel.hears == "features" and "features" not in files
            hint = "; give --vectors features.parquet, or the audio files" if other else ""
            raise SpecMismatchError(f"{error}{hint}") from error
    from audiorec.extraction.run import RunOptions

    with (
        graceful_stop("the songs in flight are", quiet=quiet) as stop,
        progress_display(quiet=quiet) as progress,
    ):
        return embed_audio(
            channel,
            sources,
            out=output,
            options=RunOptions(jobs=jobs, retry_failed=retry_failed),
            device=device,
            progress=progress,
            stop=stop,
        )


def _sources(paths: list[Path]) -> "list[Source]":
    """Return the songs in files and folders."""
    from audiorec.extraction.catalogue import find_songs

    for path in paths:
        if path.suffix == ".parquet":
            raise InputError(f"{path}: is a table; pass it with --vectors")
    sources = find_songs([str(path) for path in paths])
    if not sources:
        raise no_songs()
    return sources


def _say_embedded(report: "EmbeddingReport") -> Exit:
    if report.stopped == "interrupted":
        say("stopped; extracted songs are kept, run the same command to resume")
        return Exit.INTERRUPTED
    failed = f", {report.failed:,} failed; reasons: {report.errors}" if report.failed else ""
    if report.stopped is not None:
        say(f"stopped ({report.stopped}){failed}")
        return Exit.TOO_MANY_FAILURES
    if not report.embedded:
        say(f"no usable song{failed}")
        return Exit.NOTHING_USABLE
    without = f"; {report.without:,} have no embedding" if report.without else ""
    say(f"{report.embedded:,} songs: {report.out}{without}{failed}")
    return Exit.SOME_FAILED if report.failed else Exit.OK


def in_one_space(model: Path) -> "SharedSpace":
    """Load a model with a shared space for users and songs."""
    from audiorec.recall.contract.space import SharedSpace
    from audiorec.recall.registry import load_channel

    channel = load_channel(model)
    if not isinstance(channel, SharedSpace):
        raise InputError(
            f"{model}: is a model of {channel.name}, which has no embeddings; "
            "use for example youtube-dnn or user-audio"
        )
    return channel
