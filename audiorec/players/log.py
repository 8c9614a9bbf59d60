"""Add what was played on a server to a listening log, once.

    plays.parquet, `PlayerSong`s by user ──continued──▶ the log, and how many rows are new

Servers count plays and tell the time of the last one. The log is its own memory: the plays of a
user and a song that it already has from this server (column ``entry``) are subtracted from the
count, and the rest becomes one row with that ``weight``, at the time of the last play. So nothing
is counted twice, and a sync that was killed has no trace. Of servers that only tell what is played
now, a play is new if it began long enough after the last one. Likes and dislikes are what they are
on the server now: one that was taken back leaves the log.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
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
NEW = {"play": "plays", "skip": "skips", "like": "verdicts", "dislike": "verdicts"}
ONE_PLAY_S = 90.0  # a server tells the minute in which a play began
KEY = (LogColumns.USER, LogColumns.SONG, LogColumns.EVENT)
Row = tuple[str, str, str, float, int]  # user, song, event, time, weight
Known = Mapping[tuple[str, str, str], tuple[int, float]]  # the sum of weights, the last time


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
) -> tuple[Any, dict[str, int]]:
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

    Returns
    -------
    log : pyarrow.Table
    new : dict of str to int
        How many rows were added: ``plays``, ``skips``, and ``verdicts``, which are likes and
        dislikes; and how many of these were taken back, ``withdrawn``.
    """
    now = time.time() if now_s is None else now_s
    mine = pc.equal(log.column("entry"), server).fill_null(False)
    known = _known(log.filter(mine))
    states = {(user, song): s for user, songs in heard.items() for song, s in _states(songs)}
    rows = [row for key, state in states.items() for row in _rows(*key, state, known, now)]
    gone = {
        key
        for key in known
        if key[2] in VERDICTS and key[:2] in states and states[key[:2]].verdict != key[2]
    }
    kept = _without(log, mine, gone)
    new = dict.fromkeys([*NEW.values(), "withdrawn"], 0) | {"withdrawn": len(log) - len(kept)}
    for row in rows:
        new[NEW[row[2]]] += 1
    return pa.concat_tables([kept, _table(rows, server, log.schema)]), new


def _known(log: Any) -> Known:
    """Return what the log has from a server, by user, song and event."""
    times = log.column(LogColumns.TIME).cast(pa.int64())
    log = log.set_column(log.column_names.index(LogColumns.TIME), LogColumns.TIME, times)
    of = [(LogColumns.WEIGHT, "sum"), (LogColumns.TIME, "max")]
    found = log.group_by(list(KEY)).aggregate(of).select([*KEY, *(f"{c}_{how}" for c, how in of)])
    return {
        (user, song, event): (round(weight or 0), last / MICROSECONDS)
        for user, song, event, weight, last in zip(
            *(column.to_pylist() for column in found.columns), strict=True
        )
    }


def _states(songs: Iterable[tuple[str, PlayerSong]]) -> Iterable[tuple[str, PlayerSong]]:
    """Return what an account did with each song of the store, over all its copies on the server."""
    found: dict[str, PlayerSong] = {}
    for name, one in songs:
        found[name] = _joined(found[name], one) if name in found else one
    return found.items()


def _joined(one: PlayerSong, other: PlayerSong) -> PlayerSong:
    said = one if one.verdict == "like" or not other.verdict else other
    last: Any = {
        name: max(getattr(one, name) or 0.0, getattr(other, name) or 0.0) or None
        for name in ("played_s", "skipped_s", "now_s")
    }
    return replace(said, plays=one.plays + other.plays, skips=one.skips + other.skips, **last)


def _rows(user: str, song: str, state: PlayerSong, known: Known, now: float) -> Iterator[Row]:
    """Yield the events of a user and a song that are new."""
    for event, n, at in (
        ("play", state.plays, state.played_s),
        ("skip", state.skips, state.skipped_s),
    ):
        if (new := n - known.get((user, song, event), (0, 0))[0]) > 0:
            yield user, song, event, at or now, min(new, int(MAX_WEIGHT))
    _, last = known.get((user, song, "play"), (0, 0.0))
    if state.now_s and state.now_s - last > max(ONE_PLAY_S, state.song.duration_s / 2):
        yield user, song, "play", state.now_s, 1
    if state.verdict and (user, song, state.verdict) not in known:
        yield user, song, state.verdict, state.verdict_s or now, 1


def _without(log: Any, mine: Any, gone: set[tuple[str, str, str]]) -> Any:
    """Return the log without some keys of this server."""
    if not gone:
        return log
    keys = zip(*(log.column(name).to_pylist() for name in KEY), strict=True)
    stays = [not (own and key in gone) for own, key in zip(mine.to_pylist(), keys, strict=True)]
    return log.filter(pa.array(stays, pa.bool_()))


def _table(rows: list[Row], server: str, schema: Any) -> Any:
    rows = sorted(rows, key=lambda row: (row[3], row[:3]))
    users, songs, events, times, weights = zip(*rows, strict=True) if rows else [()] * 5
    columns = {
        LogColumns.USER: users,
        LogColumns.SONG: songs,
        LogColumns.TIME: [round(at * MICROSECONDS) for at in times],
        LogColumns.EVENT: events,
        LogColumns.PLAYED_RATIO: [None] * len(rows),
        LogColumns.WEIGHT: [float(n) for n in weights],
        "entry": [server] * len(rows),
    }
    return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
