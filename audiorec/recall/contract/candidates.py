"""Candidates: the ranked songs of a channel for each query, why, and their tables.

    song (Q, k), similarity, cold, evidence  ──to_table──▶  user_id, song_id, channel, rank, ...
    log, entry, profiles ──DefaultList.of──▶ songs for users without a history, by recent plays
    candidates.parquet   ──read_candidates──▶ `Lists`: ranked songs of each user
    targets.parquet      ──read_targets─────▶ `Sequences` of wanted songs, and groups of queries

Tables may have been written by other tools.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.errors import DamagedFileError, InputError, ShapeError
from audiorec.files.arrow import integers
from audiorec.files.tables import TableFile
from audiorec.files.user_files import column_names, read_table
from audiorec.files.visible import ShownAsTable, TableView
from audiorec.listening.events import Interactions
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import DAY_S, Sequences, is_finished
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, string_array


class ReasonKind(StrEnum):
    """Reason why a song is proposed."""

    POPULAR = "popular"
    POPULAR_NOW = "popular_now"  # for users without a history
    REPLAY = "replay"  # the user often replays it
    FOLLOWS = "follows"  # often played after the last plays
    LISTENERS = "listeners"  # played by listeners of the same songs
    LIKED = "liked"  # similar to songs liked in the last days
    SOUND = "sound"
    ARTIST = "artist"
    TASTE = "taste"  # near the user in a learnt space
    EXTERNAL = "external"


SCHEMA = pa.schema(
    [
        pa.field(ListColumns.USER, pa.string(), nullable=False),
        pa.field(ListColumns.SONG, pa.string(), nullable=False),
        pa.field("channel", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),  # from 1; cold songs are ranked separately
        pa.field("similarity", pa.float32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("evidence", pa.string()),  # the song of the history behind the reason
        pa.field("interest", pa.int32()),
        pa.field("cold", pa.bool_(), nullable=False),
        pa.field("model_id", pa.string(), nullable=False),
    ]
)


SHOWN, SHOWN_SONGS = 10, 5  # queries, and songs of each, in a notebook


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Candidates(ShownAsTable):
    """Ranked songs for Q queries, best first; cold songs after the others.

    Attributes
    ----------
    song_ids : tuple of str, length S
    song : ndarray, shape (Q, k), int64
        Positions in `song_ids`; -1 where a list is shorter than k.
    similarity : ndarray, shape (Q, k), float32
        Not comparable between channels. NaN where there is no song.
    evidence : ndarray, shape (Q, k), int64
        The song of the user's history that explains the candidate; -1 for none.
    cold : ndarray, shape (Q, k), bool
        Whether the song was never played; such songs are ranked separately.
    reason : ReasonKind
    interest : ndarray, shape (Q, k), int64, optional
        The user's interest that the song was found by, from 0; -1 for none.
    """

    song_ids: tuple[str, ...]
    song: Int64Array
    similarity: FloatArray
    evidence: Int64Array
    cold: BoolArray
    reason: ReasonKind
    interest: Int64Array | None = None

    def __post_init__(self) -> None:
        arrays = (self.song, self.similarity, self.evidence, self.cold, self.interest)
        shapes = {a.shape for a in arrays if a is not None}
        if len(shapes) != 1:
            raise ShapeError(f"candidates must have one shape (Q, k), got {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.song)

    def of(self, row: int) -> list[str]:
        """Return the song ids of one list, best first."""
        return [self.song_ids[song] for song in self.song[row].tolist() if song >= 0]

    def _view(self) -> TableView:
        rows = [
            (row, ", ".join(self.of(row)[:SHOWN_SONGS])) for row in range(min(SHOWN, len(self)))
        ]
        title = f"{(self.song >= 0).sum():,} candidates of {len(self):,} queries"
        return TableView(title, ("query", "songs"), rows, len(self))

    def to_table(self, user_ids: Sequence[str], *, channel: str = "", model_id: str = "") -> Any:
        """Return the rows of ``candidates.parquet`` as a `pyarrow.Table`, by query and rank."""
        there = self.song >= 0
        query = np.nonzero(there)[0]
        n = len(query)
        warm, cold = (there & side for side in (~self.cold, self.cold))
        rank = np.where(self.cold, np.cumsum(cold, axis=1), np.cumsum(warm, axis=1))
        ids = string_array(self.song_ids)
        evidence = self.evidence[there]
        interest = np.full(n, -1) if self.interest is None else self.interest[there]
        columns = {
            ListColumns.USER: string_array(user_ids).take(integers(query)),
            ListColumns.SONG: ids.take(integers(self.song[there])),
            "channel": pa.repeat(pa.scalar(channel), n),
            "rank": integers(rank[there]),
            "similarity": pa.array(np.ascontiguousarray(self.similarity[there])),
            "reason": pa.repeat(pa.scalar(str(self.reason)), n),
            "evidence": ids.take(pa.array(evidence, mask=evidence < 0)),
            "interest": pa.array(interest, mask=interest < 0),
            "cold": pa.array(self.cold[there]),
            "model_id": pa.repeat(pa.scalar(model_id), n),
        }
        arrays = [columns[field.name].cast(field.type) for field in SCHEMA]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)


DEFAULT = "default"  # channel of its rows
BATCH_ROWS = 1 << 16
HALF_LIFE_DAYS = 7.0  # a play of the last week counts twice one of the week before


PLACES = ("country", "language")  # of a profile, the first that the table has
FEWEST_USERS = 20  # with finished plays; a smaller group has no list of its own


@dataclass(frozen=True, slots=True, eq=False)
class DefaultList:
    """Songs that are popular now, best first.

    Its rows, of channel ``default``, yield to those of every channel: they count only where no
    channel proposes a song by what is known of the user (`audiorec.recall.serving.fuse`).

    Attributes
    ----------
    song_ids : pyarrow.StringArray, length n
    weight : ndarray, shape (n,), float32
        Finished plays, each halved for every week of its age; never increasing.
    of_place : mapping of str to DefaultList
        The lists of countries or languages: ``country=SE``.
    place_of : mapping of str to str
        The country or language of users; all others get this list.
    """

    song_ids: Any
    weight: FloatArray
    of_place: Mapping[str, "DefaultList"] = field(default_factory=dict)
    place_of: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.weight)

    @classmethod
    def of(
        cls, log: Interactions, entry: str = "", people: Profiles | None = None
    ) -> "DefaultList":
        """Rank the songs of a log by recent finished plays in one product.

        Songs that nobody finished in the product follow, by plays in all products; so do all songs
        if the log does not say where plays came from. Songs of equal weight are sorted by id. Plays
        without a time count as new. Where `people` says which country or language users have, each
        has a list that begins with what its own users play, if they are `FEWEST_USERS`.
        """
        weight = np.where(is_finished(log), _freshness(log.timestamp), 0.0)
        whole = _ranked(log, weight, weight * _is_of(log, entry))
        place_of = _places(people)
        places = [place_of.get(user, "") for user in log.user_ids]
        heard = np.bincount(log.user, weight, len(places)) > 0
        result = {}
        for place in sorted(set(places) - {""}):
            there = np.array([one == place for one in places], np.bool_)
            if (there & heard).sum() >= FEWEST_USERS:
                result[place] = _ranked(log, weight, weight * there[log.user])
        return cls(*whole, {p: cls(*of) for p, of in result.items()}, place_of if result else {})

    def among(self, allowed: Collection[str]) -> "DefaultList":
        """Keep only the given songs."""
        kept = np.array([song in allowed for song in self.song_ids.to_pylist()], np.bool_)
        lists = {place: of.among(allowed) for place, of in self.of_place.items()}
        songs = self.song_ids.filter(pa.array(kept))
        return DefaultList(songs, self.weight[kept], lists, self.place_of)

    def of_people(self, people: Profiles) -> "DefaultList":
        """Return the same lists for other users."""
        columns = {place.partition("=")[0] for place in self.of_place}
        known = {name: of for name, of in people.categories.items() if name in columns}
        return replace(self, place_of=_places(replace(people, categories=known)))

    def rows(self, user_ids: Sequence[str], k: int) -> Any:
        """Return the first `k` songs for each user, as a table of candidates."""
        if not self.place_of:
            return self._rows(user_ids, k)
        own: dict[str, list[str]] = {}
        for user in user_ids:
            own.setdefault(self.place_of.get(user, ""), []).append(user)
        parts = [self.of_place.get(place, self)._rows(users, k) for place, users in own.items()]
        both = pa.concat_tables([SCHEMA.empty_table(), *parts])
        at = {user: n for n, user in enumerate(user_ids)}
        order = np.array([at[user] for user in both.column(ListColumns.USER).to_pylist()], np.int64)
        return both.take(integers(np.argsort(order, kind="stable")))

    def _rows(self, user_ids: Sequence[str], k: int) -> Any:
        """Return the same list for each user."""
        shape = (len(user_ids), min(k, len(self)))
        return Candidates(
            song_ids=self.song_ids,
            song=np.broadcast_to(np.arange(shape[1]), shape),
            similarity=np.broadcast_to(self.weight[: shape[1]], shape),
            evidence=np.full(shape, -1),
            cold=np.zeros(shape, np.bool_),
            reason=ReasonKind.POPULAR_NOW,
        ).to_table(user_ids, channel=DEFAULT, model_id="")


def _ranked(log: Interactions, weight: Float64Array, first: Float64Array) -> tuple[Any, FloatArray]:
    """Return songs by the sum of `first` over their events, then by that of `weight`; both (P,)."""
    n = len(log.song_ids)
    every, own = np.bincount(log.song, weight, n), np.bincount(log.song, first, n)
    order = np.lexsort((np.arange(n), -every, -own))
    order = order[every[order] > 0]
    songs = string_array(log.song_ids).take(integers(order))
    # A song that comes first weighs more than any other.
    shown = np.where(own > 0, own + every.max(initial=0.0), every)
    return songs, shown[order].astype(np.float32)


def _places(people: Profiles | None) -> dict[str, str]:
    """Return the country or language of the users of whom it is known."""
    known = {} if people is None else people.categories
    name = next((name for name in PLACES if name in known), None)
    if people is None or name is None:
        return {}
    return {
        user: f"{name}={of}" for user, of in zip(people.user_ids, known[name], strict=True) if of
    }


def default_users(path: Path) -> int:
    """Return the number of users with a default list in a file of lists."""
    return sum(_counted(path))


def _counted(path: Path) -> Iterator[int]:
    with TableFile.open(path) as file:
        for table in file.batches(BATCH_ROWS, ["channel", "rank"]):
            first = pc.and_(
                pc.equal(table.column("channel"), DEFAULT), pc.equal(table.column("rank"), 1)
            )
            yield int(pc.sum(first).as_py() or 0)


def _freshness(time: Float64Array) -> Float64Array:
    """Return the weight of plays by age, from the newest one."""
    age = np.nan_to_num(np.nanmax(time, initial=0.0) - time) / DAY_S
    return np.asarray(np.exp2(-age / HALF_LIFE_DAYS), np.float64)


def _is_of(log: Interactions, entry: str) -> Any:
    """Return which events came from a product."""
    label = log.labels.get("entry")
    if label is None or entry not in label.texts:
        return np.zeros(len(log.song), np.bool_)
    return label.number == label.texts.index(entry)


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
            for name in (ListColumns.USER, ListColumns.SONG)
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
    users, songs = (table.column(n).to_pylist() for n in (ListColumns.USER, ListColumns.SONG))
    ranked = _grouped(users, songs)
    if len(np.unique(ranked.pair)) < len(ranked.song):
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
    has_group = ListColumns.GROUP in column_names(path, FAILURE)
    table = _with_ids(path, _read_ids(path, (ListColumns.GROUP,) if has_group else ()))
    users, songs = (table.column(n).to_pylist() for n in (ListColumns.USER, ListColumns.SONG))
    wanted = _grouped(users, songs)
    if not has_group:
        return wanted, np.arange(len(wanted))
    group_of: dict[str, str] = {}
    for user, group in zip(users, table.column(ListColumns.GROUP).to_pylist(), strict=True):
        if group_of.setdefault(user, group) != group:
            raise DamagedFileError(f"{path}: user {user!r} is in two groups")
    _, groups = np.unique([str(group_of[user]) for user in wanted.owner_ids], return_inverse=True)
    return wanted, groups.astype(np.int64)


def _read_ids(path: Path, others: Collection[str]) -> Any:
    """Read ids and other columns; ids of a CSV are read as strings, so that 007 keeps its zeros."""
    types = dict.fromkeys(
        (ListColumns.USER, ListColumns.SONG, ListColumns.GROUP, "channel"), pa.string()
    )
    needed = (ListColumns.USER, ListColumns.SONG, *others)
    kept = {name: kind for name, kind in types.items() if name in needed}
    return read_table(path, FAILURE, needed=needed, types=kept, null_values=[""])


def _with_ids(path: Path, table: Any) -> Any:
    """Cast the id columns to strings; raise `DamagedFileError` if an id is empty."""
    for name in [
        n
        for n in (ListColumns.USER, ListColumns.SONG, ListColumns.GROUP)
        if n in table.column_names
    ]:
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
