"""Read tables of candidates and targets, written by audiorec or by other tools.

candidates.parquet  ──read_candidates──▶ `Lists`: ranked songs of each user
targets.parquet     ──read_targets─────▶ `Sequences` of wanted songs, and groups of queries
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import DamagedFileError, InputError
from audiorec.files.user_files import column_names, read_table
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.default_list import DEFAULT
from audiorec.types import Int64Array

FAILURE = "cannot be read as a table"


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Ranked songs of U users."""

    ranked: Sequences  # best first
    channel: str  # name of the channel, or of the file if unknown

    @classmethod
    def of_table(cls, table: Any, channel: str) -> "Lists":
        """Build from a `pyarrow.Table` of candidates, sorted by user and rank."""
        users, songs = (
            table.column(name).combine_chunks().dictionary_encode()
            for name in ("user_id", "song_id")
        )
        ids = (tuple(column.dictionary.to_pylist()) for column in (users, songs))
        ranked = Sequences.from_pairs(users.indices.to_numpy(), songs.indices.to_numpy(), *ids)
        return cls(ranked, channel)


def read_candidates(path: Path) -> Lists:
    """Read candidates with columns ``user_id``, ``song_id`` and ``rank`` (default: row order).

    Raises
    ------
    InputError
        If the file is missing, lacks a column, or a user has a song twice.
    DamagedFileError
        If an id is empty, a rank is not a number, or `cold` is not a boolean.
    """
    names = column_names(path, FAILURE)
    optional = [name for name in ("rank", "channel", "cold") if name in names]
    table = _with_ids(path, _read_ids(path, optional))
    _refuse_unranked(path, table)
    if "cold" in optional:  # ranked separately, after the others
        cold = pc.cast(table.column("cold"), "int32")
        table = table.append_column("behind", cold).sort_by([("behind", "ascending")])
    if "rank" in optional:
        keys = [("behind", "ascending")] if "cold" in optional else []
        table = table.sort_by([*keys, ("rank", "ascending")])
    users, songs = (table.column(n).to_pylist() for n in ("user_id", "song_id"))
    ranked = _grouped(users, songs)
    pair = ranked.owner * max(1, len(ranked.song_ids)) + ranked.song
    if len(np.unique(pair)) < len(pair):
        raise InputError(f"{path}: some user has the same song twice; remove duplicate rows")
    channels = set(table.column("channel").to_pylist()) if "channel" in optional else set()
    channels -= {DEFAULT}
    one = channels.pop() if len(channels) == 1 else None
    return Lists(ranked, str(one) if one else path.name)


def read_targets(path: Path) -> tuple[Sequences, Int64Array]:
    """Read targets with columns ``user_id``, ``song_id`` and optionally ``group_id``.

    Queries of one group (the prefixes of one session) are not independent: intervals resample
    groups. Return the wanted songs of each user, and the number of each user's group.

    Raises
    ------
    InputError
        If the file is missing or lacks a column.
    DamagedFileError
        If an id is empty, or a user is in two groups.
    """
    has_group = "group_id" in column_names(path, FAILURE)
    table = _with_ids(path, _read_ids(path, ("group_id",) if has_group else ()))
    users, songs = (table.column(n).to_pylist() for n in ("user_id", "song_id"))
    wanted = _grouped(users, songs)
    if not has_group:
        return wanted, np.arange(len(wanted))
    group_of: dict[str, str] = {}
    for user, group in zip(users, table.column("group_id").to_pylist(), strict=True):
        if group_of.setdefault(user, group) != group:
            raise DamagedFileError(f"{path}: user {user!r} is in two groups")
    _, groups = np.unique([str(group_of[user]) for user in wanted.owner_ids], return_inverse=True)
    return wanted, groups.astype(np.int64)


def _read_ids(path: Path, others: Collection[str]) -> Any:
    """Read ids and other columns; ids of a CSV are read as strings, so that 007 keeps its zeros."""
    types = dict.fromkeys(("user_id", "song_id", "group_id", "channel"), pa.string())
    needed = ("user_id", "song_id", *others)
    kept = {name: kind for name, kind in types.items() if name in needed}
    return read_table(path, FAILURE, needed=needed, types=kept, null_values=[""])


def _with_ids(path: Path, table: Any) -> Any:
    """Cast the id columns to strings; raise `DamagedFileError` if an id is empty."""
    for name in [n for n in ("user_id", "song_id", "group_id") if n in table.column_names]:
        place = table.column_names.index(name)
        try:
            texts = table.column(name).cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            kind = table.column(name).type
            raise DamagedFileError(f"{path}: column {name!r} holds {kind}, not ids") from error
        empty = pc.fill_null(pc.equal(pc.utf8_length(texts), 0), True)
        _refuse(path, empty, f"has no {name}")
        table = table.set_column(place, name, texts)
    return table


def _refuse_unranked(path: Path, table: Any) -> None:
    """Raise `DamagedFileError` if a rank is not a number, or `cold` is not a boolean."""
    kinds = dict(zip(table.column_names, (column.type for column in table.columns), strict=True))
    rank, cold = kinds.get("rank"), kinds.get("cold")
    if rank is not None and not (pa.types.is_integer(rank) or pa.types.is_floating(rank)):
        raise DamagedFileError(f"{path}: column 'rank' holds {rank}, expected numbers")
    if cold is not None and not (pa.types.is_boolean(cold)):
        raise DamagedFileError(f"{path}: column 'cold' holds {cold}, expected true or false")
    if rank is not None:
        finite = pc.is_finite(table.column("rank").cast(pa.float64()))
        _refuse(path, pc.invert(pc.fill_null(finite, False)), "has no rank")
    if cold is not None:
        _refuse(path, pc.is_null(table.column("cold")), "does not say whether it is cold")


def _refuse(path: Path, bad: Any, what: str) -> None:
    rows = np.flatnonzero(bad.to_numpy())
    if len(rows):
        more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise DamagedFileError(f"{path}: row {rows[0] + 1} {what}{more}")


def _grouped(users: list[str], songs: list[str]) -> Sequences:
    """Group the songs by user, in order of first appearance."""
    number: dict[str, int] = {}
    owner = np.array([number.setdefault(user, len(number)) for user in users], np.int64)
    order = np.argsort(owner, kind="stable")
    song_ids, song = np.unique(np.array(songs, object).astype(str), return_inverse=True)
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(number)))])
    return Sequences(
        tuple(number),
        tuple(song_ids.tolist()),
        starts.astype(np.int64),
        song[order].astype(np.int32),
        np.full(len(song), np.nan),
    )
