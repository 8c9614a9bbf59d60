"""``audiorec sync SERVER``: pull what was played on a music server, and keep lists there."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from audiorec.options import argument, chooses
from audiorec_cli.shared.console import Exit, counted, print_json, print_table, say
from audiorec_cli.shared.inputs import VectorsOption, open_vectors
from audiorec_cli.shared.jobs import JobSummary, MetricsOption, job
from audiorec_cli.shared.options import JsonOption, QuietOption, out_file

if TYPE_CHECKING:
    from audiorec.players.sync import ServerReport

MOST_REASONS = 5  # printed


def sync(
    servers: Annotated[
        list[str], argument(metavar="SERVER", help="Names of servers in your settings.")
    ],
    vectors: VectorsOption = None,
    out: Annotated[Path, out_file(metavar="LOG", help="The log to continue.")] = Path(
        "plays.parquet"
    ),
    config: Annotated[
        Path | None,
        chooses(
            "--config", "-c", metavar="TOML", help="Settings with [players], instead of your own."
        ),
    ] = None,
    dry_run: Annotated[
        bool, chooses("--dry-run", help="Only ask the servers, and say what would change.")
    ] = False,
    undo: Annotated[
        bool, chooses("--undo", help="Restore the songs that the lists had before.")
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    metrics_textfile: MetricsOption = None,
) -> None:
    """Pull plays and likes from music servers into a log, and keep lists there.

    SERVER is a table [players.SERVER] of your own settings, ~/.config/audiorec/audiorec.toml. It
    has kind ("subsonic", "mpd", or a player of an installed package), url, and members, each as
    { user = "ana", secret = "env:ANA_PASSWORD" } or with secret = "file:PATH"; MPD takes a name
    alone.

    Songs are matched with the store; those that it does not have are in
    plays.SERVER.unmatched.parquet, with the likeliest reason. Lists bear a mark, "(audiorec)", and
    are replaced in place; what a person made or edited is never touched. Exits with 3 if an account
    or a list failed.

    Examples
    --------
    audiorec sync home --dry-run
    audiorec sync home kitchen --vectors vecs.parquet --out plays.parquet
    audiorec sync home --undo
    """
    from audiorec.players.settings import read_servers
    from audiorec.players.sync import undo_sync

    store = None if undo else open_vectors(vectors, empty=False)
    result = read_servers(list(dict.fromkeys(servers)), config)
    tell = (lambda _: None) if quiet else say
    if store is None:
        _print(undo_sync(result, dry_run=dry_run, say=tell), json=json)
        return
    from audiorec.players.sync import sync as sync_player

    if dry_run:
        _print(sync_player(result, store, out, dry_run=True, say=tell), json=json)
        return
    with job("sync", out, metrics_textfile) as done:
        reports = sync_player(result, store, out, say=tell)
        _count(done, reports)
        _print(reports, json=json)


def _count(done: JobSummary, reports: "Sequence[ServerReport]") -> None:
    total: Counter[str] = Counter()
    for one in reports:
        total.update(one.new)
        total.update(songs=one.songs, matched=one.matched, failed=len(one.failed))
        total.update(lists=sum(map(len, one.lists.values())))
    done.count(**total)


def _print(reports: "Sequence[ServerReport]", *, json: bool) -> None:
    """Print what was done, and end with 3 if something failed."""
    if json:
        print_json({"schema": "audiorec/sync/1", "servers": list(map(asdict, reports))})
    else:
        rows = [
            (one.server, member, change.name, change.action, change.songs, change.why)
            for one in reports
            for member, lists in one.lists.items()
            for change in lists
        ]
        print_table(("server", "member", "list", "what", "songs", "why"), rows, title="lists")
    for one in reports:
        _say(one)
    if any(one.failed for one in reports):
        raise click.exceptions.Exit(Exit.SOME_FAILED)


def _say(one: "ServerReport") -> None:
    if one.songs:
        ways = ", ".join(f"{n:,} by {way}" for way, n in one.ways.items())
        matched = f"{one.matched:,} of {counted(one.songs, 'song')} matched"
        say(f"{one.server}: {matched}{f' ({ways})' if ways else ''}")
        say(
            f"{one.server}: new in the log: {counted(one.new['plays'], 'play row')}, "
            f"{counted(one.new['skips'], 'skip row')}, "
            f"{counted(one.new['verdicts'], 'like or dislike')}; "
            f"{one.new['withdrawn']:,} taken back"
        )
    for reason, n in list(one.reasons.items())[:MOST_REASONS]:
        say(f"  {counted(n, 'song')} not matched: {reason}")
    if one.unmatched:
        say(f"  all of them: {one.unmatched}")
    for who, why in one.failed.items():
        say(f"warning: {one.server}: {who}: {why}")
