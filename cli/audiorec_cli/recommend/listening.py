"""``audiorec listening``: import, check, prepare, correlate, simulate and forget listening."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import click

from audiorec.errors import InputError
from audiorec.options import argument, chooses, writes
from audiorec_cli.recommend import listening_correlate
from audiorec_cli.shared.console import Exit, out, print_json, print_table, say
from audiorec_cli.shared.inputs import InputKind, VectorsOption, open_vectors, usual_vectors
from audiorec_cli.shared.inputs import check as check_file
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.listening import (
    ByOption,
    FilterOption,
    RuleOption,
    SkipBadRowsOption,
    SoundOption,
    TableOptions,
    sound_files,
)
from audiorec_cli.shared.options import (
    ADVANCED,
    Engines,
    JsonOption,
    LogArgument,
    OutFolderOption,
    QuietOption,
    SeedOption,
    SideOption,
    out_file,
    store_file,
)
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.progress import due_lines, progress_lines

if TYPE_CHECKING:
    from audiorec.listening.imports.importing import Imported
    from audiorec.listening.rule import Rule
    from audiorec.recall.audio.held_out import Split

COUNTS = (
    "no timestamp: a log of counts, which has no order. Channels and splits that need one do not "
    "fit: recall evaluate als item-knn --split random"
)


def counted_log(file: Path, rule: "Rule", song_ids: tuple[str, ...] | None) -> dict[str, Any]:
    """Read a log; count its content, its matches with a store, and likes by a rule."""
    from dataclasses import asdict

    from audiorec.listening.check import count_verdicts, describe, match_songs
    from audiorec.listening.interactions import read_interactions

    log = read_interactions(file, skip_bad_rows=True)
    document = {"schema": "audiorec/interactions/1", "file": str(file), **describe(log)}
    if song_ids is not None:
        document["store"] = match_songs(log, frozenset(song_ids))
    known = None if song_ids is None else frozenset(song_ids)
    document["rule"] = asdict(count_verdicts(log, rule, song_ids=known))
    return document


@contextmanager
def as_log(file: Path, table: TableOptions) -> Iterator[tuple[Path, int]]:
    """Give a log as it is, and another table as the log that an import makes of it.

    The second value is the number of rows that the import could not read.
    """
    from audiorec.listening.imports.importing import import_history
    from audiorec.listening.imports.table import TableColumns, meaning_of, reads_as_log

    columns = table.columns("table") or TableColumns()
    if not columns.given() and reads_as_log(file):
        yield file, 0
        return
    for line in meaning_of([file], columns).lines():
        say(line)
    with TemporaryDirectory() as folder:
        log = Path(folder) / "plays.parquet"
        made = import_history("table", [file], log, columns=columns)
        for reason, rows in made.reasons.most_common():
            say(f"  rejected: {rows:,} {reason}")
        yield log, made.mistakes


def print_log_check(document: dict[str, Any]) -> None:
    """Print the result of `counted_log`."""
    plain = ("kind", "rows", "usable", "users", "songs", "first", "last")
    rows: list[tuple[str, object]] = [(name, document[name]) for name in plain]
    rows += [(f"event {name}", count) for name, count in document["events"].items()]
    rows += [
        (f"says nothing: {name}", count["rows"]) for name, count in document["says_nothing"].items()
    ]
    rows.append(("listenings with played_ratio", document["listenings_with_played_ratio"]))
    rows += [(f"deliveries: {n}", count) for n, count in document.get("deliveries", {}).items()]
    matched = document.get("store", {})
    rows += [(f"store: {n}", v) for n, v in matched.items() if not isinstance(v, list)]
    rows += [(f"rule: {name}", count) for name, count in document["rule"].items()]
    print_table(("what", "value"), rows, title=document["file"])
    for absent in matched.get("most_frequent_unmatched", ()):
        out("not in the store", absent["song_id"], absent["rows"])
    for problem in document["problems"]:
        rows_named = ", ".join(map(str, problem["rows"]))
        more = ", …" if problem["count"] > len(problem["rows"]) else ""
        of_file = f" of {problem['file']}" if "file" in problem else ""
        say(
            f"{problem['kind']}: {problem['count']} (rows {rows_named}{more}{of_file}), "
            f"for example {problem['example']!r}"
        )
    if document["kind"] == "counts":
        say(f"note: {COUNTS}")
    if kept := [name for name, count in document["says_nothing"].items() if count["rows"]]:
        flags = " ".join(f"--filter {name}" for name in kept)
        say(f"note: rows that say nothing count, unless a command has {flags}")
    if document["simulated"]:
        say("note: simulated listening")


@recorded("listening import", "out")
def import_(
    kind: Annotated[str, argument(metavar="KIND", help="The source of the history.")],
    files: Annotated[
        list[Path], argument(metavar="FILE", help="A zip, files, a folder, or a database.")
    ],
    out: Annotated[Path, out_file(metavar="LOG", help="The log to write, .parquet.")] = Path(
        "plays.parquet"
    ),
    vectors: Annotated[
        Path | None,
        store_file(help="Match songs with this store [default: as in similar, if it exists]."),
    ] = None,
    keep: Annotated[
        Literal["known", "all", "any"],
        chooses(
            help="Keep songs known to the store; all, the others by the ids of the service; or "
            "any, without a store."
        ),
    ] = "known",
    user: Annotated[str, chooses("--user", help="The user, if the history has no user.")] = "",
    report: Annotated[
        Path | None,
        writes(metavar="FILE", help="Write the unmatched songs: .csv, .parquet."),
    ] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
    *,
    table: TableOptions,
    done: JobSummary,
) -> None:
    """Import listening history from a service, a music server or a table as a log.

    KIND is listenbrainz, lastfm, spotify, yambda, navidrome, lyrion, table, or a reader of your own
    as module:function. A table is CSV, tabs, RecBole's .inter, MovieLens' u.data, also with gzip,
    or Parquet. Its columns are recognised by their names, and what they become is shown first;
    options name others, and "" leaves one out. Without a time it becomes a log of counts, and with
    ratings the rows below --least-rating are left out.
    Songs are matched by id, MusicBrainz id, ISRC, path, or artist and title. No
    row is lost: events of songs that are not in the store go to plays.unmatched.parquet beside the
    log, malformed rows and other events to plays.rejected.parquet. Exits with 3 if rows are
    malformed or no song was found.

    Examples
    --------
    audiorec listening import spotify my_spotify_data.zip
    audiorec listening import lastfm scrobbles.csv --user ana -o ana.parquet
    audiorec listening import table plays.csv --event-column event
    """
    from audiorec.listening.imports.importing import import_history

    check_file(vectors, InputKind.VECTORS)
    columns = table.columns(kind)
    if columns is not None:
        from audiorec.listening.imports.table import meaning_of

        for line in meaning_of(files, columns, user).lines():
            say(line)
    if keep == "any" or (columns is not None and vectors is None):
        vectors = None
    elif vectors is None:
        vectors = usual_vectors("matching songs with")
    store = open_vectors(vectors, empty=False) if vectors else None
    is_due = due_lines(quiet=quiet)

    def tell(rows: int) -> None:
        if is_due():
            say(f"{rows:,} rows read")

    result = import_history(
        kind,
        files,
        out,
        store=store,
        user=user,
        keep_unmatched=keep == "all",
        report=report,
        columns=columns,
        progress=tell,
    )
    done.count(rows=result.rows, plays=result.plays, users=result.users, songs=result.songs)
    done.count(unmatched=result.unmatched, rejected=result.rejected, broken=result.mistakes)
    _print(result, out, json=json)
    if columns is not None:
        say(f"next: audiorec listening check {shlex.quote(str(out))}")
    elif store is None and keep != "any":
        say("note: no store: songs keep the ids of the service; match them with --vectors STORE")
    if report is not None:
        say(f"unmatched songs: {report}")
    matched = result.rows - result.rejected - sum(result.ways[why] for why in _NOT_FOUND)
    lacking = store is not None and not matched
    raise click.exceptions.Exit(Exit.SOME_FAILED if result.mistakes or lacking else Exit.OK)


_NOT_FOUND = ("no such song", "several songs")


def _print(found: "Imported", out: Path, *, json: bool) -> None:
    from audiorec.listening.imports.importing import path_beside

    if json:
        print_json({"schema": "audiorec/listening-import/1", **found.to_dict(), "out": str(out)})
    else:
        rows: list[tuple[str, Any]] = [
            ("rows", found.rows),
            ("in the log", found.plays),
            ("of songs not found", found.unmatched),
            ("rejected", found.rejected),
            ("malformed", found.mistakes),
            ("songs", found.songs),
            ("songs not found", found.unmatched_songs),
            ("users", found.users),
            ("first", _day(found.first_s)),
            ("last", _day(found.last_s)),
            *((f"by {way}", n) for way, n in found.ways.most_common() if way not in _NOT_FOUND),
        ]
        print_table(("what", "count"), rows, title=str(out))
    for reason, rows_of in found.reasons.most_common():
        say(f"  rejected: {rows_of:,} {reason}")
    for what, n in (("unmatched", found.unmatched), ("rejected", found.rejected)):
        if n:
            say(f"  {n:,} rows in {path_beside(out, what)}")
    say(f"log: {out}")


def _day(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


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


@command(app)
def check(
    file: Annotated[
        Path,
        argument(metavar="FILE", help="A log in Parquet, .csv or .csv.gz.", log=True),
    ],
    vectors: Annotated[Path | None, store_file(help="A store to match song ids against.")] = None,
    rule: RuleOption = None,
    json: JsonOption = False,
    *,
    table: TableOptions,
) -> None:
    """Check a log: count rows, users, songs, errors, uninformative plays, and likes by the rule.

    A table with other columns is checked as the log that listening import table would make of it.

    Exits with 3 if rows cannot be used or no song id is in the store, with 4 if nothing in the file
    can be used.

    Examples
    --------
    audiorec listening check plays.csv
    audiorec listening check plays.parquet --vectors vecs.parquet
    audiorec listening check plays.csv --time-column timestamp
    """
    from audiorec.listening.reading import LogReading

    liking = LogReading(rule=rule).liking
    check_file(vectors, InputKind.VECTORS)
    store = open_vectors(vectors) if vectors else None
    with as_log(file, table) as (log, mistakes):
        document = counted_log(log, liking, store.ids if store else None)
    document["file"] = str(file)
    if json:
        print_json(document)
    else:
        print_log_check(document)
    unknown = store is not None and document["store"]["songs_matched"] == 0
    if unknown:
        say(f"no song id of {file} is in {vectors}; both must use the same ids")
    if document.get("problems") or mistakes or unknown:
        raise click.exceptions.Exit(Exit.SOME_FAILED)


@command(app)
@recorded("listening prepare", "out", by_day="folder")
def prepare(
    log: LogArgument,
    out: OutFolderOption,
    buckets: Annotated[int, chooses(min=1, help="Number of files to divide users into.")] = 64,
    held_out: Annotated[
        float | None,
        chooses(
            "--held-out",
            metavar="SHARE",
            min=0,
            max=1,
            help="Instead, leave the songs of this share of artists out of the log, for a test.",
        ),
    ] = None,
    valid: Annotated[
        float,
        chooses(
            metavar="SHARE",
            min=0,
            max=1,
            help="With --held-out: and of these artists, for validation.",
            panel=ADVANCED,
        ),
    ] = 0.1,
    new_songs: Annotated[
        float,
        chooses(
            metavar="SHARE",
            min=0,
            max=1,
            help="With --held-out: and this share of the songs of the others.",
            panel=ADVANCED,
        ),
    ] = 0.0,
    seed: SeedOption = 0,
    by: ByOption = None,
    filter: FilterOption = None,  # noqa: A002
    skip_bad_rows: SkipBadRowsOption = False,
    vectors: SoundOption = None,
    side: SideOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
    *,
    engines: Engines,
    done: JobSummary,
) -> None:
    r"""Turn a log larger than memory into play sequences, in buckets of users.

    The same command resumes an interrupted job. With --held-out, it writes the log without the
    songs of held-out artists and other held-out songs (--valid, --new-songs): to
    train the embeddings of users for recall train user-audio, with the same shares and seed (--set)
    there.

    Examples
    --------
    audiorec listening prepare plays.parquet --out prepared/
    audiorec listening prepare plays.csv --out prepared/ --filter looped
    audiorec listening prepare plays.csv --held-out 0.2 -v vecs.parquet \
        --out known.parquet
    """
    from audiorec.recall.audio.held_out import Split

    if held_out is not None:
        split = Split(valid=valid, test=held_out, new_songs=new_songs, seed=seed)
        _write_held_out(log, out, split, vectors, side, json=json)
        return
    if vectors or side:
        raise InputError("--vectors and --side are for --held-out")
    from audiorec.listening.prepare import PrepareSpec

    spec = PrepareSpec(
        by=by or "user",
        buckets=buckets,
        filters=tuple(filter or ()),
        skip_bad_rows=skip_bad_rows,
    )
    from audiorec.listening.prepare import prepare as prepare_log

    with engines.work(quiet=quiet) as work:
        tell = progress_lines(quiet=quiet)
        manifest = prepare_log(log, out, spec, progress=tell, engine=work.engine)
    counted = ("rows_read", "rows_left_out", "owners", "plays", "songs", "buckets")
    done.count(**{name: manifest[name] for name in counted})
    if json:
        print_json({"schema": "audiorec/prepared/1", "out": str(out), **manifest})
    else:
        print_table(("what", "count"), [(n, manifest[n]) for n in counted], title=str(out))


command(app, "import")(import_)


@command(app)
def forget(
    user: Annotated[str, argument(metavar="USER", help="The id of the user.")],
    files: Annotated[
        list[Path],
        writes(
            metavar="FILE",
            help="Logs, candidates, embeddings, prepared/, models, serving/.",
            argument=True,
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Remove a user from listening data in place, and list the models to retrain.

    All files are checked first: if the kind of one is unknown, no file changes. Temporary files
    that killed jobs left of them are removed, so no job may be writing them.

    Examples
    --------
    audiorec listening forget ana plays.parquet serving/
    audiorec listening forget ana plays.csv users.parquet lists.parquet
    audiorec listening forget 4711 plays.parquet model/ --json
    """
    from audiorec.listening.forget import forget as forget_user

    result = forget_user(user, files)
    if json:
        rows = [
            {
                "file": str(f.path),
                "kind": str(f.kind),
                "removed": f.removed,
                "left": f.left,
                "train_again": f.train_again,
            }
            for f in result
        ]
        print_json({"schema": "audiorec/forgotten/1", "files": rows})
    else:
        kept = [(str(f.path), str(f.kind), f.removed, f.left) for f in result if not f.note]
        if kept:
            print_table(("file", "kind", "removed", "left"), kept, title="forgotten")
    for model in result:
        if model.note:
            say(f"{model.path}: {model.note}")


def _write_held_out(
    log: Path,
    output: Path,
    split: "Split",
    vectors: Path | None,
    side: Path | None,
    *,
    json: bool,
) -> None:
    """Write a log without held-out songs, of which sound and side information are known."""
    from dataclasses import asdict

    from audiorec.recall.audio.held_out import write_training_rows
    from audiorec.recall.contract.training import read_context

    context = read_context(**sound_files(vectors), side=side)
    report = write_training_rows(context, log, out=output, split=split)
    if json:
        print_json({"schema": "audiorec/holdout/1", **asdict(report), "out": str(output)})
    songs = ", ".join(f"{n} {part.replace('_', ' ')}" for part, n in report.songs.items())
    say(f"{report.kept:,} of {report.rows:,} rows kept; songs: {songs}; log: {output}")


command(app, "correlate")(listening_correlate.correlate)


@command(app)
def simulate(
    out: OutFolderOption,
    vectors: VectorsOption = None,
    users: Annotated[int, chooses(min=1, help="Number of users.")] = 1000,
    days: Annotated[int, chooses(min=1, help="Days of listening.")] = 90,
    signal: Annotated[
        float,
        chooses(
            min=0,
            max=1,
            help="How much of a sensitive user's taste depends on the audio: 0 nothing, 1 all.",
        ),
    ] = 0.8,
    cold_songs: Annotated[
        float,
        chooses(min=0, max=1, help="Share of songs that are released late.", panel=ADVANCED),
    ] = 0.3,
    cold_users: Annotated[
        float,
        chooses(min=0, max=1, help="Share of users who join late.", panel=ADVANCED),
    ] = 0.1,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Simulate users, profiles and listening for the songs of a store, to try commands.

    Every file is marked as simulated. truth.parquet contains the planted preferences.

    Examples
    --------
    audiorec listening simulate --out world/
    audiorec listening simulate -v vecs.parquet --users 200 --out world/
    audiorec listening simulate --signal 1 --seed 7 --out clear/
    """
    from audiorec.simulation.world import NOTE, WorldSpec, simulate_world

    spec = WorldSpec(
        users=users,
        days=days,
        signal=signal,
        cold_songs=cold_songs,
        cold_users=cold_users,
        seed=seed,
    )
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
