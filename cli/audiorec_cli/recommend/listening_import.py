"""``audiorec listening import``: convert the history of a service or server to a log."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import click

from audiorec.options import argument, chooses, reads, writes
from audiorec_cli.shared.console import Exit, print_json, print_table, say
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.options import JsonOption, QuietOption
from audiorec_cli.shared.progress import due_lines
from audiorec_cli.shared.stores import open_vectors, usual_vectors

if TYPE_CHECKING:
    from audiorec.listening.imports.job import Imported


@recorded("listening import", "out")
def import_(
    kind: Annotated[str, argument(metavar="KIND", help="The source of the history.")],
    files: Annotated[
        list[Path], argument(metavar="FILE", help="A zip, files, a folder, or a database.")
    ],
    out: Annotated[
        Path, writes("--out", "-o", metavar="LOG", help="The log to write, .parquet.")
    ] = Path("plays.parquet"),
    vectors: Annotated[
        Path | None,
        reads(
            "--vectors",
            "-v",
            metavar="STORE",
            help="Match songs with this store [default: as in similar, if it exists].",
        ),
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
    done: JobSummary,
) -> None:
    """Import listening history from a service or a music server as a log.

    KIND is listenbrainz, lastfm, spotify, yambda, navidrome, lyrion, or a reader of your own as
    module:function. Songs are matched by id, MusicBrainz id, ISRC, path, or artist and title. No
    row is lost: events of songs that are not in the store go to plays.unmatched.parquet beside the
    log, malformed rows and other events to plays.rejected.parquet. Exits with 3 if rows are
    malformed or no song was found.

    Examples
    --------
    audiorec listening import spotify my_spotify_data.zip
    audiorec listening import navidrome navidrome.db --report missing.csv
    audiorec listening import lastfm scrobbles.csv --user ana -o ana.parquet
    """
    from audiorec.listening.imports.job import import_history

    check(vectors, InputKind.VECTORS)
    if keep == "any":
        vectors = None
    elif vectors is None:
        vectors = usual_vectors("matching songs with")
    store = open_vectors(vectors, empty=False) if vectors else None
    is_due = due_lines(quiet=quiet)

    def tell(rows: int) -> None:
        if is_due():
            say(f"{rows:,} rows read")

    found = import_history(
        kind,
        files,
        out,
        store=store,
        user=user,
        keep_unmatched=keep == "all",
        report=report,
        progress=tell,
    )
    done.count(rows=found.rows, plays=found.plays, users=found.users, songs=found.songs)
    done.count(unmatched=found.unmatched, rejected=found.rejected, broken=found.mistakes)
    _print(found, out, json=json)
    if store is None and keep != "any":
        say("note: no store: songs keep the ids of the service; match them with --vectors STORE")
    if report is not None:
        say(f"unmatched songs: {report}")
    matched = found.rows - found.rejected - sum(found.ways[why] for why in _NOT_FOUND)
    lacking = store is not None and not matched
    raise click.exceptions.Exit(Exit.SOME_FAILED if found.mistakes or lacking else Exit.OK)


_NOT_FOUND = ("no such song", "several songs")


def _print(found: "Imported", out: Path, *, json: bool) -> None:
    from audiorec.listening.imports.job import path_beside

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
