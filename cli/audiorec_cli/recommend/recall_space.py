"""``audiorec recall users`` and ``songs``: one space, what is near there, and portraits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from audiorec.errors import InputError, SpecMismatchError
from audiorec.options import argument, chooses, reads
from audiorec_cli.shared.console import Exit, no_songs, print_document, print_json, print_table, say
from audiorec_cli.shared.inputs import InputKind, check, open_vectors
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.listening import (
    ListeningOptions,
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
    SideOption,
    SongStoreOption,
    log_file,
    out_file,
)
from audiorec_cli.shared.progress import graceful_stop, progress_display

if TYPE_CHECKING:
    from audiorec.extraction.catalogue import Source
    from audiorec.listening.sequences import Sequences
    from audiorec.listening.side import SongSide
    from audiorec.recall.audio.embed import EmbeddingReport
    from audiorec.recall.contract.data import Queries
    from audiorec.recall.contract.space import SharedSpace
    from audiorec.recall.graph.channel import NearSong
    from audiorec.recall.serving.one_user.reasons import PortraitRecipe
    from audiorec.store.embeddings import ForeignTable


def print_near(model: Path, song: str, k: int, interactions: Path | None, *, json: bool) -> None:
    """Print the nearest songs of a song in a song2vec, eges or graphsage model."""
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.sequences import to_sequences
    from audiorec.recall.graph.channel import GraphChannel, near_song
    from audiorec.recall.registry import load_channel

    channel = load_channel(model)
    if not isinstance(channel, GraphChannel):
        raise InputError(
            f"{model}: is a model of {channel.name}; --near needs song2vec, eges or graphsage"
        )
    lists = None
    if interactions is not None:
        lists = to_sequences(read_interactions(interactions), by=channel.by)
    result = near_song(channel, song, k, lists=lists)
    if json:
        rows = [_plain(neighbour) for neighbour in result]
        document = {"schema": "audiorec/near/1", "song": song, "channel": channel.name}
        print_json({**document, "model_id": channel.model_id, "songs": rows})
        return
    cells = [(one.song_id, one.similarity, _told(one)) for one in result]
    print_table(("song", "similarity", "in common"), cells, title=f"near {song}")


def _told(neighbour: "NearSong") -> str:
    """Return in words what two songs have in common."""
    parts = [_in_words(fact) for fact in neighbour.shared]
    if neighbour.n_lists:
        more = f" and {neighbour.n_lists - 1} more" if neighbour.n_lists > 1 else ""
        parts.append(f"in list {neighbour.lists[0]}{more}")
    return "; ".join(parts) or "neighbours of neighbours"


def _in_words(fact: str) -> str:
    """Return a fact in words: ``by artist:ayla`` as ``by ayla``."""
    relation, _, entity = fact.partition(" ")
    kind, _, name = entity.partition(":")
    words = relation.replace("_", " ")
    if kind == "song":
        return f"{words} {name} as well"
    return f"{words} {name}" if name else f"{words} it" if words == "sounds like" else words


def _plain(neighbour: "NearSong") -> dict[str, Any]:
    return {
        "song_id": neighbour.song_id,
        "similarity": round(neighbour.similarity, 6),
        "cold": neighbour.cold,
        "shared": list(neighbour.shared),
        "lists": list(neighbour.lists),
        "n_lists": neighbour.n_lists,
    }


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
    output: Annotated[Path | None, out_file(metavar="FILE", help="The table of users.")] = None,
    explain: Annotated[
        bool,
        chooses("--explain", help="Describe each interest (column about)."),
    ] = False,
    portrait: Annotated[
        str | None,
        chooses(
            metavar="USER",
            help="Print a user's shares of artists, genres, languages and voices; all: put those "
            "of all users to --out.",
        ),
    ] = None,
    side: SideOption = None,
    vectors: SongStoreOption = None,
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
    long_days: Annotated[
        float,
        chooses(help="With --portrait: half-life of the long portrait, in days.", panel=ADVANCED),
    ] = 90.0,
    short_days: Annotated[
        float,
        chooses(help="With --portrait: half-life of the short portrait, in days.", panel=ADVANCED),
    ] = 3.0,
    most: Annotated[
        int,
        chooses(help="With --portrait: values of each kind, the largest.", panel=ADVANCED),
    ] = 10,
    json: JsonOption = False,
    *,
    asked: QueryOptions,
    done: JobSummary,
) -> None:
    """Embed users with a model that has one space for users and songs, or describe or import them.

    A user without a song that the model knows is embedded from the profile alone (column
    profile_only), or left out and counted if there is no profile. Models with several interests
    write one row per interest, with its weight. Portraits and imports need no model.

    Examples
    --------
    audiorec recall users model/ --interactions plays.parquet --out users.parquet
    audiorec recall users --portrait u1 -i plays.parquet --vectors vecs.parquet
    audiorec recall users --import theirs.npz --normalise --out users.parquet
    """
    from audiorec.recall.serving.one_user.reasons import PortraitRecipe

    if portrait is not None:
        if interactions is None or model is not None or table is not None:
            raise InputError(
                "--portrait needs only a log and metadata: -i LOG, and --side or --vectors"
            )
        recipe = PortraitRecipe(long_days=long_days, short_days=short_days, most=most)
        show_portraits(asked, interactions, portrait, output, (side, vectors), recipe, json=json)
        return
    if output is None:
        raise InputError("name the output table: --out FILE")
    if side is not None or vectors is not None:
        raise InputError("--side and --vectors are for --portrait")
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
    output: Annotated[Path | None, out_file(metavar="FILE", help="The table of songs.")] = None,
    audio: Annotated[
        list[Path] | None,
        argument(metavar="SONGS", help="Folders and files [default: the songs of the model]."),
    ] = None,
    near: Annotated[
        str | None,
        chooses(metavar="SONG", help="Print the songs nearest to this one in a graph model."),
    ] = None,
    k: Annotated[int, chooses("--k", "-k", min=1, help="For --near: number of songs.")] = 10,
    interactions: Annotated[
        Path | None,
        log_file(help="For --near: finds lists with both songs."),
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
    """Embed songs in the space of a model's users, from audio alone, or show a song's neighbours.

    Extraction can be interrupted; when repeated, it skips the songs that are finished.

    Examples
    --------
    audiorec recall songs model/ new/ --out embeddings.parquet
    audiorec recall songs model/ --vectors vecs.parquet --out embeddings.parquet
    audiorec recall songs graph/ --near a/one.flac -i plays.csv
    """
    if near is not None:
        if audio or output or vectors:
            raise InputError("--near needs only a model: it embeds no songs")
        print_near(model, near, k, interactions, json=json)
        return
    if output is None:
        raise InputError("name the output table: --out FILE")
    if interactions is not None:
        raise InputError("--interactions is for --near")
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
    from audiorec.recall.contract.job import read_context

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


ALL = "all"


def show_portraits(
    listening: ListeningOptions,
    log: Path,
    user: str,
    output: Path | None,
    metadata: tuple[Path | None, Path | None],
    recipe: "PortraitRecipe",
    *,
    json: bool,
) -> None:
    """Print the portrait of one user, or write those of all; `metadata` are a table and a store."""
    if (user == ALL) != (output is not None):
        raise InputError("--portrait USER prints one; --portrait all --out FILE writes all")
    known = _side(*metadata)
    plays = listening.of(log)
    if output is None:
        _print_portrait(_of_user(plays, user, log), known, recipe, json=json)
        return
    from audiorec.recall.serving.one_user.reasons import portraits, write_portraits

    table = portraits(plays, known, recipe)
    write_portraits(output, table)
    say(f"{len(table):,} rows of {len(plays):,} users: {output}")


def _of_user(plays: "Sequences", user: str, log: Path) -> "Sequences":
    import numpy as np

    if user not in plays.owner_ids:
        raise InputError(f"{log}: no user {user!r} in this log")
    return plays.take(np.array([plays.owner_ids.index(user)]))


def _print_portrait(
    plays: "Sequences",
    known: "SongSide",
    recipe: "PortraitRecipe",
    *,
    json: bool,
) -> None:
    from audiorec.recall.serving.one_user.reasons import portraits

    user = plays.owner_ids[0]
    rows = portraits(plays, known, recipe).to_pylist()
    if json:
        kept = [{n: v for n, v in row.items() if n != "user_id"} for row in rows]
        lives = {"long": recipe.long_days, "short": recipe.short_days}
        document = {"schema": "audiorec/portrait/1", "user_id": user, "half_life_days": lives}
        print_json({**document, "shares": kept})
        return
    lines = [(r["horizon"], r["kind"], r["value"], r["share"], r["plays"]) for r in rows]
    half = f"{recipe.long_days:g} days (long), {recipe.short_days:g} days (short)"
    print_table(
        ("horizon", "kind", "value", "share", "plays"),
        lines,
        title=f"{user}: a play loses half its weight after {half}",
    )


def _side(side: Path | None, vectors: Path | None) -> "SongSide":
    """Read the song metadata."""
    from audiorec.listening.side import known_side

    check(vectors, InputKind.VECTORS)
    known = known_side(side, open_vectors(vectors) if vectors else None)
    if known is None:
        raise InputError("no song metadata: give --side or --vectors")
    return known
