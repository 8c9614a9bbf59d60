"""``audiorec listening import``: the history of a service or a server becomes a log."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec_cli.shared.console import Exit, print_json, print_table, say
from audiorec_cli.shared.inputs import Wanted, check
from audiorec_cli.shared.jobs import JobTold, recorded
from audiorec_cli.shared.options import JsonOption, QuietOption, more
from audiorec_cli.shared.progress import due_lines
from audiorec_cli.shared.stores import open_vectors, usual_vectors

if TYPE_CHECKING:
    from audiorec.listening.imports.job import Imported

KindOfHistory = Literal["listenbrainz", "lastfm", "spotify", "yambda", "navidrome", "lyrion"]


@recorded("listening import", "out")
def import_(
    kind: Annotated[
        KindOfHistory, typer.Argument(metavar="KIND", help="Where the history comes from.")
    ],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Its zip, files or folder; a database.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="LOG", help="The log to write, .parquet.")
    ] = Path("plays.parquet"),
    vectors: Annotated[
        Path | None,
        typer.Option(
            "--vectors",
            "-v",
            metavar="STORE",
            help="Whose songs the log is about [default: as in similar, if it is there].",
        ),
    ] = None,
    any_song: Annotated[
        bool, typer.Option("--any-song", help="Match with no store: keep the service's own ids.")
    ] = False,
    keep_unmatched: Annotated[
        bool,
        typer.Option("--keep-unmatched", help="Keep songs that the store does not have, too."),
    ] = False,
    user: Annotated[
        str, typer.Option("--user", help="Who listened, where the history does not say it.")
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the songs that were not found: .csv, .parquet."),
    ] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
    strict: Annotated[bool, more("--strict", help="Exit with 3 if a song was not found.")] = False,
    *,
    done: JobTold,
) -> None:
    """Turn what a service or a music server knows of your listening into a log.

    KIND is listenbrainz, lastfm, spotify, yambda, navidrome or lyrion. Songs are found by id, by
    MusicBrainz id, ISRC, path, or artist and title. Nothing is lost: events of songs that the store
    does not have go to plays.unmatched.parquet beside the log, rows that are broken or no listening
    to plays.rejected.parquet. Exits with 3 if there are broken rows or no song was found.

    Examples
    --------
    audiorec listening import spotify my_spotify_data.zip
    audiorec listening import navidrome navidrome.db --report missing.csv
    audiorec listening import lastfm scrobbles.csv --user ana -o ana.parquet
    """
    from audiorec.listening.imports.job import import_history

    check(vectors, Wanted.VECTORS)
    if any_song:
        vectors = None
    elif vectors is None:
        vectors = usual_vectors("songs of")
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
        keep_unmatched=keep_unmatched,
        report=report,
        progress=tell,
    )
    done.count(rows=found.rows, plays=found.plays, users=found.users, songs=found.songs)
    done.count(unmatched=found.unmatched, rejected=found.rejected, broken=found.mistakes)
    _print(found, out, json=json)
    if store is None and not any_song:
        say("note: no store: songs have the service's own names; --vectors finds them in one")
    if report is not None:
        say(f"songs that were not found: {report}")
    matched = found.rows - found.rejected - sum(found.ways[why] for why in _NOT_FOUND)
    lacking = store is not None and (not matched or (strict and found.unmatched_songs))
    raise typer.Exit(Exit.SOME_FAILED if found.mistakes or lacking else Exit.OK)


_NOT_FOUND = ("no such song", "several songs")


def _print(found: "Imported", out: Path, *, json: bool) -> None:
    from audiorec.listening.imports.job import beside

    if json:
        print_json({"schema": "audiorec/listening-import/1", **found.to_dict(), "out": str(out)})
    else:
        rows: list[tuple[str, Any]] = [
            ("rows", found.rows),
            ("in the log", found.plays),
            ("of songs not found", found.unmatched),
            ("set aside", found.rejected),
            ("broken", found.mistakes),
            ("songs", found.songs),
            ("songs not found", found.unmatched_songs),
            ("users", found.users),
            ("first", _day(found.first_s)),
            ("last", _day(found.last_s)),
            *((f"by {way}", n) for way, n in found.ways.most_common() if way not in _NOT_FOUND),
        ]
        print_table(("what", "count"), rows, title=str(out))
    for reason, rows_of in found.reasons.most_common():
        say(f"  set aside: {rows_of:,} {reason}")
    for what, n in (("unmatched", found.unmatched), ("rejected", found.rejected)):
        if n:
            say(f"  {n:,} rows in {beside(out, what)}")
    say(f"log: {out}")


def _day(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
