"""Add what was played on a server to a listening log, once.

    plays.parquet, `PlayerSong`s by user ──continued──▶ the log with the events that are new

Servers count plays and tell the time of the last one. The log is its own memory: the plays of a
user and a song that it already has from this server (column ``entry``) are subtracted from the
count, and the rest becomes one row with that ``weight``, at the time of the last play. So nothing
is counted twice, and a sync that was killed has no trace. Likes and dislikes are what they are on
the server now: one that was taken back leaves the log.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import LogColumns
from audiorec.distribution import created_by
from audiorec.errors import InputError
from audiorec.files.user_files import read_table
from audiorec.listening.events import MICROSECONDS
from audiorec.listening.imports.job import FORMAT_VERSION, PLAYS
from audiorec.listening.interactions import MAX_WEIGHT
from audiorec.players.contract import PlayerSong
from audiorec.store.schema import METADATA_KEY

VERDICTS = ("like", "dislike")


@dataclass(frozen=True, slots=True)
class ContinuedLog:
    """A log after a sync: the table, and what is new in it."""

    table: Any
    plays: int
    skips: int
    verdicts: int
    withdrawn: int

    @property
    def is_new(self) -> bool:
        """Whether the log differs from what it was."""
        return any((self.plays, self.skips, self.verdicts, self.withdrawn))


def read_log(path: Path) -> Any:
    """Return the log that a sync continues; an empty one if there is none yet.

    Raises `InputError` if it has columns that a sync would lose.
    """
    if not path.exists():
        about = {"kind": "interactions", "format_version": FORMAT_VERSION, "source": "sync"}
        content = json.dumps({**about, "created_by": created_by()}, sort_keys=True)
        return PLAYS.with_metadata({METADATA_KEY: content.encode()}).empty_table()
    found = read_table(path, "cannot be continued", needed=PLAYS.names, wanted=None)
    if found.column_names != PLAYS.names:
        raise InputError(
            f"{path}: is not a log of audiorec sync or listening import; choose another with --out"
        )
    return found.cast(PLAYS.with_metadata(found.schema.metadata))


def continued(
    log: Any,
    server: str,
    heard: Mapping[str, Iterable[tuple[str, PlayerSong]]],
    *,
    now_s: float | None = None,
) -> ContinuedLog:
    """Return a log with the events of a server that it does not have yet.

    Parameters
    ----------
    log : pyarrow.Table
        As `read_log` returns it.
    server : str
        The `entry` of its events.
    heard : mapping of str to iterable of (str, PlayerSong)
        By user: songs with their ids in the store.
    now_s : float, optional
        The time of what the server gives no time for; by default the present.
    """
    now = time.time() if now_s is None else now_s
    mine = pc.equal(log.column("entry"), server).fill_null(False)
    had = (
        log.filter(mine)
        .group_by([LogColumns.USER, LogColumns.SONG, LogColumns.EVENT])
        .aggregate([(LogColumns.WEIGHT, "sum")])
    )
    known = {
        (user, song, event): round(weight or 0)
        for user, song, event, weight in zip(*(c.to_pylist() for c in had.columns), strict=True)
    }
    states = {(user, song): s for user, songs in heard.items() for song, s in _states(songs)}
    rows: list[tuple[str, str, float, str, int]] = []
    for (user, song), state in states.items():
        for event, n, at in (
            ("play", state.plays, state.played_s),
            ("skip", state.skips, state.skipped_s),
        ):
            if (new := n - known.get((user, song, event), 0)) > 0:
                rows.append((user, song, at or now, event, min(new, int(MAX_WEIGHT))))
        if state.verdict and (user, song, state.verdict) not in known:
            rows.append((user, song, state.verdict_s or now, state.verdict, 1))
    gone = {
        (user, song, event)
        for user, song, event in known
        if event in VERDICTS and (user, song) in states and states[user, song].verdict != event
    }
    kept = _without(log, mine, gone)
    table = pa.concat_tables([kept, _table(rows, server, log.schema)])
    count = Counter("verdict" if row[3] in VERDICTS else row[3] for row in rows)
    return ContinuedLog(table, count["play"], count["skip"], count["verdict"], len(log) - len(kept))


def _states(songs: Iterable[tuple[str, PlayerSong]]) -> Iterable[tuple[str, PlayerSong]]:
    """Return what an account did with each song of the store, over all its copies on the server."""
    found: dict[str, PlayerSong] = {}
    for name, one in songs:
        had = found.get(name)
        found[name] = one if had is None else _joined(had, one)
    return found.items()


def _joined(one: PlayerSong, other: PlayerSong) -> PlayerSong:
    said = one if one.verdict == "like" or not other.verdict else other
    return replace(
        said,
        plays=one.plays + other.plays,
        skips=one.skips + other.skips,
        played_s=_later(one.played_s, other.played_s),
        skipped_s=_later(one.skipped_s, other.skipped_s),
    )


def _later(one: float | None, other: float | None) -> float | None:
    return max((t for t in (one, other) if t is not None), default=None)


def _without(log: Any, mine: Any, gone: set[tuple[str, str, str]]) -> Any:
    if not gone:
        return log
    names = (LogColumns.USER, LogColumns.SONG, LogColumns.EVENT)
    keys = zip(*(log.column(name).to_pylist() for name in names), strict=True)
    stays = [not (own and key in gone) for own, key in zip(mine.to_pylist(), keys, strict=True)]
    return log.filter(pa.array(stays, pa.bool_()))


def _table(rows: list[tuple[str, str, float, str, int]], server: str, schema: Any) -> Any:
    rows = sorted(rows, key=lambda row: (row[2], row[:2]))
    columns = {
        LogColumns.USER: [row[0] for row in rows],
        LogColumns.SONG: [row[1] for row in rows],
        LogColumns.TIME: [round(row[2] * MICROSECONDS) for row in rows],
        LogColumns.EVENT: [row[3] for row in rows],
        LogColumns.PLAYED_RATIO: [None] * len(rows),
        LogColumns.WEIGHT: [float(row[4]) for row in rows],
        "entry": [server] * len(rows),
    }
    return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
