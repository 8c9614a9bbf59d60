"""``audiorec listening``: import, check, prepare, split and correlate logs; remove a user."""

from pathlib import Path
from typing import Annotated, Literal

import click

from audiorec.errors import InputError
from audiorec.options import argument, chooses, reads
from audiorec_cli.recommend import listening_correlate, listening_graph, listening_import
from audiorec_cli.shared.console import Exit, print_json, print_table, say
from audiorec_cli.shared.engines import Engines
from audiorec_cli.shared.inputs import InputKind
from audiorec_cli.shared.inputs import check as check_file
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.listening import (
    ReadingOption,
    SoundOption,
    reading_of,
    sound_files,
)
from audiorec_cli.shared.log_check import counted_log, counted_table, flat, print_log_check
from audiorec_cli.shared.options import (
    KNOWN,
    JsonOption,
    LogArgument,
    OutFolderOption,
    QuietOption,
)
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.progress import progress_lines
from audiorec_cli.shared.settings import SettingsOption, made
from audiorec_cli.shared.stores import VectorsOption, open_vectors

FEW_SONGS = 200  # with fewer, a user meets too few new songs for a correlation

app = group(
    """Work with listening logs: import, check, prepare, correlate with sound, simulate.

    Examples
    --------
    audiorec listening check plays.csv --vectors vecs.parquet
    audiorec listening prepare plays.parquet --out prepared/
    audiorec listening simulate --out world/
    """
)

KindName = Literal["interactions", "side", "triples", "candidates", "targets"]
ByName = Literal["user", "session", "list"]


@command(app)
def check(
    file: Annotated[
        Path,
        argument(
            metavar="FILE", help="A log in Parquet, .csv or .csv.gz, or see --kind.", log=True
        ),
    ],
    vectors: Annotated[
        Path | None,
        reads("--vectors", "-v", metavar="STORE", help="A store to match song ids against."),
    ] = None,
    kind: Annotated[
        KindName | None, chooses(help="Kind of table [default: from its columns].")
    ] = None,
    reading: ReadingOption = None,
    json: JsonOption = False,
) -> None:
    """Check a log: count rows, users, songs, errors, uninformative plays, and likes by the rule.

    Also counts side information, triples, candidates and targets. Exits with 3 if rows cannot be
    used or no song id is in the store, with 4 if nothing in the file can be used.

    Examples
    --------
    audiorec listening check plays.csv
    audiorec listening check plays.parquet --vectors vecs.parquet
    audiorec listening check lists.parquet --kind candidates --json
    """
    from audiorec.listening.check import guess_kind

    rule = reading_of(reading).liking
    check_file(file, InputKind.LOG)
    check_file(vectors, InputKind.VECTORS)
    found_kind = kind or guess_kind(file)
    if reading and found_kind != "interactions":
        raise InputError(f"--reading is for a listening log; {file} was read as {found_kind}")
    store = open_vectors(vectors) if vectors else None
    ids = store.ids if store else None
    if found_kind == "interactions":
        document = counted_log(file, rule, ids)
    else:
        document = counted_table(file, found_kind, ids)
    if json:
        print_json(document)
    elif found_kind == "interactions":
        print_log_check(document)
    else:
        print_table(("what", "value"), list(flat(document)), title=str(file))
    unknown = store is not None and document["store"]["songs_matched"] == 0
    if unknown:
        say(f"no song id of {file} is in {vectors}; both must use the same ids")
    if document.get("problems") or unknown:
        raise click.exceptions.Exit(Exit.SOME_FAILED)


@command(app)
@recorded("listening prepare", "out", by_day="folder")
def prepare(
    log: LogArgument,
    out: OutFolderOption,
    buckets: Annotated[int, chooses(min=1, help="Number of files to divide users into.")] = 64,
    held_out: Annotated[
        list[str] | None,
        chooses(
            "--held-out",
            metavar="NAME=VALUE",
            help="Instead, leave held-out songs out of the log: test, valid, new_songs, seed "
            "(repeatable).",
        ),
    ] = None,
    reading: ReadingOption = None,
    vectors: SoundOption = None,
    side: Annotated[
        Path | None, reads(metavar="FILE", help="Song metadata: artist.", panel=KNOWN)
    ] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
    *,
    engines: Engines,
    done: JobSummary,
) -> None:
    r"""Turn a log larger than memory into play sequences, in buckets of users.

    The same command resumes an interrupted job. With --held-out, it writes the log without the
    songs of held-out artists (shares test and valid) and other held-out songs (new_songs): to
    train the embeddings of users for recall train user-audio, with the same shares and seed (--set)
    there.

    Examples
    --------
    audiorec listening prepare plays.parquet --out prepared/
    audiorec listening prepare plays.csv --out prepared/ --reading filter=looped
    audiorec listening prepare plays.csv --held-out test=0.2 -v vecs.parquet \
        --out known.parquet
    """
    from audiorec.listening.prepare import PrepareSpec
    from audiorec.listening.prepare import prepare as prepare_log

    check_file(log, InputKind.LOG)
    if held_out:
        _write_held_out(log, out, held_out, vectors, side, json=json)
        return
    if vectors or side:
        raise InputError("--vectors and --side are for --held-out")
    how = reading_of(reading, histories=True)
    if how.rule is not None or how.likes:
        raise InputError("prepared listening has only plays: leave likes and rule=FILE out")
    spec = PrepareSpec(
        by=how.by or "user",
        buckets=buckets,
        filters=how.filter,
        skip_bad_rows=how.skip_bad_rows,
    )
    with engines.work(quiet=quiet) as work:
        tell = progress_lines(quiet=quiet)
        manifest = prepare_log(log, out, spec, progress=tell, engine=work.engine)
    counted = ("rows_read", "rows_left_out", "owners", "plays", "songs", "buckets")
    done.count(**{name: manifest[name] for name in counted})
    if json:
        print_json({"schema": "audiorec/prepared/1", "out": str(out), **manifest})
    else:
        print_table(("what", "count"), [(n, manifest[n]) for n in counted], title=str(out))


command(app, "import")(listening_import.import_)
command(app, "graph", sets=listening_graph.SETTINGS)(listening_graph.graph)


@command(app)
def forget(
    user: Annotated[str, argument(metavar="USER", help="The id of the user.")],
    files: Annotated[
        list[Path],
        argument(
            metavar="FILE",
            help="Logs, candidates, embeddings, prepared/ and models.",
            remote="in place",
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Remove a user from listening data in place, and list the models to retrain.

    All files are checked first: if the kind of one is unknown, no file changes.

    Examples
    --------
    audiorec listening forget ana plays.parquet
    audiorec listening forget ana plays.csv users.parquet lists.parquet
    audiorec listening forget 4711 plays.parquet model/ --json
    """
    from audiorec.listening.forget import forget as forget_user

    found = forget_user(user, files)
    if json:
        rows = [
            {
                "file": str(f.path),
                "kind": str(f.kind),
                "removed": f.removed,
                "left": f.left,
                "train_again": f.train_again,
            }
            for f in found
        ]
        print_json({"schema": "audiorec/forgotten/1", "files": rows})
    else:
        kept = [(str(f.path), str(f.kind), f.removed, f.left) for f in found if not f.note]
        if kept:
            print_table(("file", "kind", "removed", "left"), kept, title="forgotten")
    for model in found:
        if model.note:
            say(f"{model.path}: {model.note}")


def _write_held_out(
    log: Path,
    output: Path,
    texts: list[str],
    vectors: Path | None,
    side: Path | None,
    *,
    json: bool,
) -> None:
    """Write a log without held-out songs, of which sound and side information are known."""
    from dataclasses import asdict

    from audiorec.recall.audio.held_out import Split, write_training_rows
    from audiorec.recall.contract.job import read_context

    shares = made(Split, texts, option="--held-out")
    context = read_context(**sound_files(vectors), side=side)
    report = write_training_rows(context, log, out=output, split=shares)
    if json:
        print_json({"schema": "audiorec/holdout/1", **asdict(report), "out": str(output)})
    songs = ", ".join(f"{n} {part.replace('_', ' ')}" for part, n in report.songs.items())
    say(f"{report.kept:,} of {report.rows:,} rows kept; songs: {songs}; log: {output}")


command(app, "correlate", sets=listening_correlate.SETTINGS)(listening_correlate.correlate)


@command(app, sets=("audiorec.simulation:WorldSpec",))
def simulate(
    out: OutFolderOption,
    vectors: VectorsOption = None,
    settings: SettingsOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Simulate users, profiles and listening for the songs of a store, to try commands.

    Every file is marked as simulated. truth.parquet contains the planted preferences.

    Examples
    --------
    audiorec listening simulate --out world/
    audiorec listening simulate -v vecs.parquet --set users=200 --out world/
    audiorec listening simulate --set signal=1 --set seed=7 --out clear/
    """
    from audiorec.simulation.world import NOTE, WorldSpec, simulate_world

    spec = made(WorldSpec, settings)
    store = open_vectors(vectors)
    lines = progress_lines(quiet=quiet)
    document = simulate_world(
        store, out, spec, progress=lambda done, total: lines("users", done, total)
    )
    if json:
        print_json(document)
    else:
        names = ("songs", "cold_songs", "users", "sensitive_users", "cold_users", "events")
        print_table(("what", "count"), [(n, document[n]) for n in names], title=str(out))
    if len(store) < FEW_SONGS:
        say(f"note: only {len(store)} songs; an analysis per user needs about {FEW_SONGS}")
    say(f"{NOTE} World: {out}")
