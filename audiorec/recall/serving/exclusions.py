"""Read the excluded songs of users and the traits of songs from logs and tables.

Interactions, exposures        ──excluded_by──▶ `Exclusions`
side information, store, plays ──traits_of───▶ `SongTraits`
channel, queries, heard songs  ──ask_channel─▶ candidates of a block of users
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ShownColumns
from audiorec.errors import InputError
from audiorec.files.user_files import input_errors, read_table
from audiorec.listening.events import (
    ARTIST_EVENTS,
    EVENTS,
    UNITS,
    Interactions,
    is_listening,
    to_times,
)
from audiorec.listening.log_files import opened_log
from audiorec.listening.reading import to_liked
from audiorec.listening.sequences import DAY_S, Sequences
from audiorec.listening.side import SongSide
from audiorec.recall.contract.batch_recall import write_candidates
from audiorec.recall.contract.candidates import Lists
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Queries
from audiorec.recall.serving.answers import CandidatesQuestion
from audiorec.recall.serving.rules import REPLAY, UNKNOWN, Exclusions, SongTraits
from audiorec.search.copies import recordings_of
from audiorec.store.store import VectorStore
from audiorec.types import IdMap, Int64Array, entries, normalised_name, string_array

FAILURE = "cannot be read as exposures"
BATCH_ROWS = 1 << 18
NEEDED = (ShownColumns.USER, ShownColumns.SONG, ShownColumns.AT)
TEXTS = (ShownColumns.USER, ShownColumns.SONG, "entry", ShownColumns.RUN)
SHOWN = pa.schema(
    [
        pa.field(ShownColumns.USER, pa.string(), nullable=False),
        pa.field(ShownColumns.SONG, pa.string(), nullable=False),
        pa.field(ShownColumns.AT, pa.float64(), nullable=False),  # seconds since 1970
        pa.field("entry", pa.string()),
        pa.field(ShownColumns.RUN, pa.string()),
    ]
)


def excluded_by(
    log: Interactions,
    *,
    keep_heard: bool = False,
    shown: Sequences | None = None,
    facts: SongTraits | None = None,
) -> Exclusions:
    """Return the songs and artists that a log excludes for each user.

    Every song that a user played counts as heard, finished or skipped. Disliked songs (default
    interaction rule, the latest event counts), blocked songs, blocked artists and `shown` songs are
    always excluded. So are their copies, where `facts` know recordings.
    """
    heard = np.flatnonzero(is_listening(log.event))
    blocked = np.flatnonzero(log.event == EVENTS.index("block"))
    lists = [_lists(log, blocked), to_liked(log).disliked, *([shown] if shown else [])]
    names = tuple(map(normalised_name, log.artists.artist_ids))
    banned = log.artists.event == ARTIST_EVENTS.index("block")
    facts = facts or SongTraits()
    return Exclusions.of(
        heard=None if keep_heard else with_copies(_lists(log, heard), facts),
        never=with_copies(joined_sequences(lists), facts),
        artists=Sequences.from_pairs(
            log.artists.user[banned], log.artists.artist[banned], log.user_ids, names
        ),
    )


def with_copies(lists: Sequences, facts: SongTraits) -> Sequences:
    """Return lists with the other copies of their songs, as far as `facts` know recordings."""
    recording = facts.groups.get("recording", np.empty(0, np.int64))
    rows = np.flatnonzero(recording != UNKNOWN)
    rows = rows[np.argsort(recording[rows], kind="stable")]
    copied = tuple(facts.song_ids[row] for row in rows.tolist())
    at = IdMap(copied).rows(lists.song_ids)[lists.song]
    held, owner = at[at >= 0], lists.owner[at >= 0]
    if not len(held):
        return lists
    codes = recording[rows]
    first, last = (np.searchsorted(codes, codes[held], side=side) for side in ("left", "right"))
    song_ids = tuple(sorted({*lists.song_ids, *copied}))
    numbers = IdMap(song_ids)
    return Sequences.from_pairs(
        np.concatenate([lists.owner, np.repeat(owner, last - first)]),
        np.concatenate(
            [
                numbers.rows(lists.song_ids)[lists.song],
                numbers.rows(copied)[entries(first, last - first)],
            ]
        ),
        lists.owner_ids,
        song_ids,
    )


def ask_channel(
    channel: Channel, question: CandidatesQuestion, queries: Queries, heard: Sequences
) -> Any:
    """Return the candidates of a block of users as a table; `heard` are songs with copies."""
    result = channel.recall(queries, **_recall_options(channel, question, heard))
    return result.to_table(queries.user_ids, channel=channel.name, model_id=channel.model_id)


def write_asked(
    path: Path,
    channel: Channel,
    question: CandidatesQuestion,
    queries: Queries,
    heard: Sequences,
    **run: Any,
) -> int | None:
    """Write the same for any number of users; `run` are options of `write_candidates`."""
    return write_candidates(
        path, channel, queries, **_recall_options(channel, question, heard), **run
    )


def _recall_options(
    channel: Channel, question: CandidatesQuestion, heard: Sequences
) -> dict[str, Any]:
    """Return a question as `Channel.recall` takes it."""
    hidden = None if question.keep_heard or channel.name == REPLAY else heard
    return {"k": question.warm, "cold": question.cold, "exclude": hidden}


def best_copies(facts: SongTraits, song_ids: tuple[str, ...]) -> set[str]:
    """Return the songs without all copies of a recording but the most played one."""
    groups, plays = facts.columns(string_array(song_ids))
    codes = groups.get("recording", np.full(len(song_ids), UNKNOWN))
    order = np.lexsort((-plays, codes))
    ordered = codes[order]
    further = np.concatenate([[False], ordered[1:] == ordered[:-1]]) & (ordered != UNKNOWN)
    return {song_ids[n] for n in order[~further].tolist()}


def _lists(log: Interactions, rows: Int64Array) -> Sequences:
    return Sequences.from_pairs(log.user[rows], log.song[rows], log.user_ids, log.song_ids)


def joined_sequences(lists: "list[Sequences]") -> Sequences:
    """Merge sequences: the songs of each owner from all of them."""
    owner_ids = tuple(sorted({owner for one in lists for owner in one.owner_ids}))
    song_ids = tuple(sorted({song for one in lists for song in one.song_ids}))
    parts = [one.among(song_ids) for one in lists]
    owner = [IdMap(owner_ids).rows(part.owner_ids)[part.owner] for part in parts]
    return Sequences.from_pairs(
        np.concatenate([*owner, np.empty(0, np.int64)]),
        np.concatenate([*(part.song for part in parts), np.empty(0, np.int32)]),
        owner_ids,
        song_ids,
    )


def read_exposures(
    path: Path,
    *,
    days: float,
    now: float | None = None,
    ends_s: float | None = None,
) -> Sequences:
    """Read recent exposures: ``user_id``, ``song_id``, ``shown_at`` (a time in any unit).

    Parameters
    ----------
    path : path
        A table, or a folder of tables by day.
    days : float
        Age, in days, up to which an exposure counts.
    now : float, optional
        Reference time in seconds since 1970; by default the newest time in the table, so that the
        result does not depend on the clock.
    ends_s : float, optional
        Seconds since 1970: exposures at this time or later are ignored.

    Raises
    ------
    InputError
        If the table lacks a column, or a time cannot be read.
    """
    table = shown_table(path, ends_s)
    times = table.column(ShownColumns.AT).to_numpy()
    newest = now if now is not None else float(times.max(initial=0.0))
    counts = times >= newest - days * DAY_S
    return Lists.of_table(table.filter(pa.array(counts)), "").ranked


def exposures_fingerprint(path: Path, ends_s: float) -> str:
    """Return a fingerprint, sixteen hex digits, of the exposures before `ends_s`."""
    table = shown_table(path, ends_s)
    digest = hashlib.sha256(table.column(ShownColumns.AT).to_numpy().tobytes())
    for name in (ShownColumns.USER, ShownColumns.SONG, ShownColumns.RUN):
        digest.update(json.dumps(table.column(name).to_pylist()).encode())
    return digest.hexdigest()[:16]


def shown_table(path: Path, ends_s: float | None) -> Any:
    """Read the exposures of a table, or of a folder of tables, in the columns of `SHOWN`."""
    tables = []
    for one in opened_log(path).files:
        types = dict.fromkeys(TEXTS, pa.string())
        table = read_table(one.path, FAILURE, needed=NEEDED, wanted=TEXTS[2:], types=types)
        tables.append(as_shown(one.path, table, ends_s))
    return pa.concat_tables(tables)


def as_shown(path: Path, table: Any, ends_s: float | None) -> Any:
    """Return exposures in the columns of `SHOWN`; those before `ends_s`, in seconds since 1970."""
    with input_errors(path, FAILURE):
        columns = {
            name: table.column(name).cast(pa.string())
            if name in table.column_names
            else pa.chunked_array([pa.nulls(len(table), pa.string())])
            for name in TEXTS
        }
        if any(columns[name].null_count for name in NEEDED[:2]):
            raise InputError("a row has no user_id or song_id")
        times, units = to_times(table.column(ShownColumns.AT))
        bad = np.flatnonzero(units < 0)
        if len(bad):
            raise InputError(f"row {int(bad[0]) + 1} has no valid time in shown_at")
    scale = np.where((units > 0) & (units < len(UNITS)), 1000.0**units, 1.0)
    columns[ShownColumns.AT] = pa.array(times / scale)
    result = pa.table([columns[field.name] for field in SHOWN], schema=SHOWN)
    if ends_s is not None:
        result = result.filter(pc.less(result.column(ShownColumns.AT), ends_s))
    return result


def traits_of(
    plays: Sequences | None = None,
    side: SongSide | None = None,
    store: VectorStore | None = None,
) -> SongTraits:
    """Collect the traits of songs from plays, side information and a store.

    Artists are compared by plain name, albums within an artist. Copies of one recording are those
    that are kept with the store (`audiorec.search.copies`).
    """
    sources = [source for source in (plays, side) if source is not None]
    ids = {song for source in sources for song in source.song_ids}
    song_ids = tuple(sorted(ids | set(store.ids if store is not None else ())))
    groups: dict[str, Int64Array] = {}
    artists: tuple[str, ...] = ()
    if side is not None:
        named = {name: side.named(name) for name in ("artist", "album", "genre")}
        texts = {name: [of.get(song, "") for song in song_ids] for name, of in named.items()}
        artist = [normalised_name(name) for name in texts["artist"]]
        album = [f"{a}\0{b}" if b else "" for a, b in zip(artist, texts["album"], strict=True)]
        artists = tuple(sorted(set(artist) - {""}))
        groups = {"artist": _codes(artist), "album": _codes(album), "genre": _codes(texts["genre"])}
    if store is not None:
        groups["recording"] = _recordings(store, song_ids)
    counts = np.zeros(len(song_ids), np.int64)
    if plays is not None:
        counts += np.bincount(plays.among(song_ids).song, minlength=len(song_ids))
    return SongTraits(song_ids=song_ids, groups=groups, plays=counts, artists=artists)


def _codes(texts: list[str]) -> Int64Array:
    """Return the position of each text among the sorted unique ones; `UNKNOWN` if empty."""
    values, codes = np.unique(np.array([*texts, ""], object).astype(str), return_inverse=True)
    assert values[0] == ""  # noqa: S101 - it sorts first
    return codes[:-1].astype(np.int64) + UNKNOWN


def _recordings(store: VectorStore, song_ids: tuple[str, ...]) -> Int64Array:
    """Return the recording number of each song; `UNKNOWN` for a song without a copy."""
    codes = recordings_of(store).codes
    rows = IdMap(store.id_array).rows(string_array(song_ids))
    return np.append(codes, UNKNOWN)[rows].astype(np.int64)


def chance_of(name: str) -> float:
    """Return a number in [0, 1) that depends on a name alone."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
