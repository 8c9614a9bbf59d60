"""The lists of several channels for some users, fused into one list each: a pure function.

    tables (one a channel), `FusionRecipe`, `SongTraits`, `Closed` ──fuse──▶ one table

1. What a user must not get goes; heard songs stay only where ``replay`` brings them.
2. A song of several channels, and copies of one recording, become one entry. It keeps the row of
   the channel that gives it most weight: that channel, its reason, evidence and interest.
3. Entries are sorted by weight, equals by song id; the dials act on this order.
4. Caps by album and artist pass over what is too much. Then warm, cold and heard songs each fill
   their share of the places, spread evenly over the list.

Similarities are never compared: those of two channels have nothing in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.files.arrow import integers
from audiorec.recall.contract.candidates import SCHEMA
from audiorec.recall.serving.rules import UNKNOWN, Closed, ClosedLists, FusionRecipe, SongTraits
from audiorec.types import BoolArray, Float64Array, Int64Array, plain_name, strings

REPLAY = "replay"
DEEPEST = 4  # so many times k entries are looked at by the dial for diversity
VARIED_BY = ("genre", "artist")
WARM, COLD, HEARD = range(3)
DIGITS = 14  # of a weight: equal sums are equal in whatever order they were added
NO_FACTS, NOTHING = SongTraits(), Closed()


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """n candidates of some users, of all channels."""

    table: Any  # as `SCHEMA`: all rows of the block
    at: Int64Array  # (n,): rows of the table
    user: Int64Array  # (n,): numbers in `user_ids`
    song: Int64Array  # (n,): numbers in `song_ids`
    source: Int64Array  # (n,): number of the table
    user_ids: Any  # a `pyarrow.StringArray`, sorted
    song_ids: Any

    @classmethod
    def of(cls, tables: Sequence[Any]) -> "_Rows":
        table = pa.concat_tables(tables).combine_chunks()
        source = np.repeat(np.arange(len(tables)), [len(t) for t in tables])
        user, user_ids = _numbered(table.column("user_id"))
        song, song_ids = _numbered(table.column("song_id"))
        return cls(table, np.arange(len(table)), user, song, source, user_ids, song_ids)

    def take(self, rows: Any) -> "_Rows":
        """Return some rows, numbers or a mask, in that order."""
        columns = (self.at[rows], self.user[rows], self.song[rows], self.source[rows])
        return _Rows(self.table, *columns, self.user_ids, self.song_ids)

    def numbers(self, name: str) -> Any:
        """Return a column of numbers or flags."""
        column = self.table.column(name).cast(pa.int64())
        return pc.fill_null(column, UNKNOWN).to_numpy()[self.at]

    @property
    def replayed(self) -> BoolArray:
        """Which rows come from the channel of songs that the user knows."""
        found = pc.equal(self.table.column("channel"), REPLAY).to_numpy().astype(np.bool_)
        return np.asarray(found[self.at], np.bool_)

    def is_among(self, closed: ClosedLists | None, names: Any = None) -> BoolArray:
        """Return which rows stand in the lists of their users.

        `names`, a `pyarrow.StringArray`, are what songs are looked up by; their ids by default.
        """
        if closed is None or not len(self.user):
            return np.zeros(len(self.user), np.bool_)
        user, number = closed.pairs_of(self.user_ids)
        song = closed.numbers_of(self.song_ids if names is None else names)[self.song]
        width = closed.width + 1
        return np.isin(self.user * width + song, user * width + number) & (song >= 0)


def fuse(
    tables: Sequence[Any],
    recipe: FusionRecipe,
    facts: SongTraits = NO_FACTS,
    closed: Closed = NOTHING,
) -> Any:
    """Fuse the candidates of some users.

    Parameters
    ----------
    tables : sequence of pyarrow.Table
        As `audiorec.recall.contract.candidates.SCHEMA`, one a channel, all rows of these users.
    recipe : FusionRecipe
    facts : SongTraits
    closed : Closed

    Returns
    -------
    table : pyarrow.Table
        Of the same schema: users sorted, ranks from 1 without gaps. ``similarity`` is the weight of
        a song as a part of the largest in the list. The same input gives the same table.

    Raises
    ------
    InputError
        If there is not one weight a table.
    """
    weights = recipe.weights_of(len(tables))
    rows = _Rows.of(tables)
    rows = rows.take((weights[rows.source] > 0) & ~_closed(rows, facts, closed))
    rows, weight, kind = _entries(rows, recipe, weights, facts)
    order = _order(rows, weight, recipe, facts)
    rows, weight, kind = rows.take(order), weight[order], kind[order]
    kept = np.flatnonzero(_under_caps(rows, recipe, facts))
    kept = kept[_in_shares(rows.user[kept], kind[kept], recipe)]
    rows, weight, kind = rows.take(kept), weight[kept], kind[kept]
    order = np.lexsort((kind, _spread(rows.user, kind), rows.user))
    rows, weight = rows.take(order), weight[order]
    return _written(rows, weight)


def _closed(rows: _Rows, facts: SongTraits, closed: Closed) -> BoolArray:
    """Return which rows their users must not get."""
    found = rows.is_among(closed.never)
    if closed.heard is not None:
        found |= rows.is_among(closed.heard) & ~rows.replayed
    artist = facts.group("artist", rows.song_ids)
    if closed.artists is not None and artist is not None and len(rows.user):
        names = strings([*map(plain_name, facts.artists), ""])
        found |= rows.is_among(closed.artists, names.take(integers(artist % len(names))))
    return found


def _entries(
    rows: _Rows, recipe: FusionRecipe, weights: Float64Array, facts: SongTraits
) -> tuple[_Rows, Float64Array, Int64Array]:
    """Return one row a user and recording, its weight, and whether it is warm, cold or heard."""
    share = weights[rows.source]
    cold, rank = rows.numbers("cold") > 0, rows.numbers("rank")
    split = rows.numbers("interest") if recipe.method == "quotas" else np.zeros_like(rank)
    lists = _key(rows.user, rows.source, cold, split)
    by_rank = np.lexsort((rows.song, rank, lists))
    place = np.empty(len(rank), np.int64)
    place[by_rank] = _nth(lists[by_rank])
    if recipe.method == "quotas":  # the i-th of a share s stands at i / s of the list
        table = _key(rows.user, rows.source, cold)
        tables, which = np.unique(table, return_inverse=True)
        interests = np.bincount(which[np.unique(lists, return_index=True)[1]], None, len(tables))
        given = share / interests[which] / (place + 0.5)
    else:
        given = share / (recipe.flatness + place + 1)
    entries, entry = np.unique(_key(rows.user, _recordings(rows, facts)), return_inverse=True)
    n = len(entries)
    order = np.lexsort((rows.source, -given, entry))
    best = order[np.unique(entry[order], return_index=True)[1]]
    sums = np.bincount(entry, given, n)
    weight = np.asarray(given[best] if recipe.method == "quotas" else sums, np.float64)
    weight = np.round(weight, DIGITS)
    kind = np.where(np.bincount(entry, ~cold, n) == 0, COLD, WARM).astype(np.int64)
    kind[np.bincount(entry, rows.replayed, n) > 0] = HEARD
    rows = rows.take(best)
    if recipe.popularity:
        plays = facts.plays_of(rows.song_ids)[rows.song]
        weight = weight / (plays + 1.0) ** recipe.popularity
    return rows, weight, kind


def _recordings(rows: _Rows, facts: SongTraits) -> Int64Array:
    """Return a number for the recording of each row; a song without one stands for itself."""
    own = np.arange(len(rows.song_ids))
    of = facts.group("recording", rows.song_ids)
    if of is None:
        return own[rows.song]
    return np.where(of == UNKNOWN, own + 1 + int(of.max(initial=0)), of)[rows.song]


def _order(
    rows: _Rows, weight: Float64Array, recipe: FusionRecipe, facts: SongTraits
) -> Int64Array:
    """Return the entries by user and weight, varied by the dial."""
    order = np.lexsort((rows.song, -weight, rows.user))
    labels = [facts.group(name, rows.song_ids) for name in VARIED_BY]
    known = [label[rows.song[order]] for label in labels if label is not None]
    if not recipe.diversity or not known or not len(order):
        return order
    return order[_varied(rows.user[order], known, recipe)]


def _varied(user: Int64Array, labels: list[Int64Array], recipe: FusionRecipe) -> Int64Array:
    """Reorder entries, sorted by user and weight: each loses by what stands before it.

    The next song of a list is the one with the highest
    ``(1 - d) (1 - place / width) - d (mean share of its labels in the list so far)``.
    """
    nth = _nth(user)
    row = np.unique(user, return_inverse=True)[1]
    width = min(int(nth.max()) + 1, DEEPEST * recipe.k)
    at = np.full((int(row.max()) + 1, width), -1, np.int64)
    inside = nth < width
    at[row[inside], nth[inside]] = np.flatnonzero(inside)
    there, d = at >= 0, recipe.diversity
    value = np.where(there, (1 - d) * (1 - np.arange(width) / width), -np.inf)
    met = np.zeros(at.shape)
    grids = [np.where(there, label[at], UNKNOWN) for label in labels]
    everyone = np.arange(len(at))
    place = nth.astype(np.float64)  # entries that are not looked at stay behind
    for turn in range(min(recipe.k, width)):
        chosen = np.argmax(value - d * met / (max(turn, 1) * len(labels)), axis=1)
        alive = value[everyone, chosen] > -np.inf
        place[at[everyone, chosen][alive]] = turn - width
        for grid in grids:
            own = grid[everyone, chosen][:, None]
            met += (grid == own) & (own != UNKNOWN)
        value[everyone, chosen] = -np.inf
    return np.lexsort((place, user))


def _under_caps(rows: _Rows, recipe: FusionRecipe, facts: SongTraits) -> BoolArray:
    """Return which entries, in their order, no cap passes over.

    Albums first: what falls to the cap of its artist takes its album along, not the reverse.
    """
    kept = np.ones(len(rows.user), np.bool_)
    for name, most in (("album", recipe.per_album), ("artist", recipe.per_artist)):
        of = facts.group(name, rows.song_ids)
        if not most or of is None:
            continue
        known = np.flatnonzero(kept & (of[rows.song] != UNKNOWN))
        kept[known] = _nth(_key(rows.user[known], of[rows.song[known]])) < most
    return kept


def _in_shares(user: Int64Array, kind: Int64Array, recipe: FusionRecipe) -> BoolArray:
    """Return which entries, in their order, fill the places of their kind."""
    if not len(user):
        return np.zeros(0, np.bool_)
    there = np.zeros((int(user.max()) + 1, 3), np.int64)
    np.add.at(there, (user, kind), 1)
    places = np.zeros_like(there)
    places[:, COLD] = np.minimum(there[:, COLD], round(recipe.k * recipe.cold_share))
    places[:, HEARD] = np.minimum(there[:, HEARD], round(recipe.k * recipe.replay_share))
    # Places that cold and heard songs cannot fill go to the others, unless those have no share.
    if recipe.cold_share + recipe.replay_share < 1:
        places[:, WARM] = np.minimum(there[:, WARM], recipe.k - places.sum(axis=1))
    return _nth(user * 3 + kind) < places[user, kind]


def _spread(user: Int64Array, kind: Int64Array) -> Float64Array:
    """Return where each entry stands in the list, 0 to 1, if each kind is spread evenly."""
    key = user * 3 + kind
    counts = np.bincount(key)
    return np.asarray((_nth(key) + 0.5) / np.maximum(counts[key], 1), np.float64)


def _written(rows: _Rows, weight: Float64Array) -> Any:
    """Return the rows with their new ranks and weights."""
    largest = np.zeros(len(rows.user_ids))
    np.maximum.at(largest, rows.user, weight)
    columns = {
        "rank": integers(_nth(rows.user) + 1),
        "similarity": pa.array((weight / largest[rows.user]).astype(np.float32)),
    }
    kept = rows.table.take(integers(rows.at))
    arrays = [columns.get(f.name, kept.column(f.name)).cast(f.type) for f in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _nth(key: Int64Array) -> Int64Array:
    """Return how many equal keys stand before each: (n,), from 0."""
    order = np.argsort(key, kind="stable")
    first = np.ones(len(key), np.bool_)
    first[1:] = np.diff(key[order]) != 0
    start = np.maximum.accumulate(np.where(first, np.arange(len(key)), 0))
    found = np.empty(len(key), np.int64)
    found[order] = np.arange(len(key)) - start
    return found


def _key(*columns: Any) -> Int64Array:
    """Return one number for each combination of whole numbers, in the order of combinations."""
    found = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
        found = found * (high - low + 1) + (column.astype(np.int64) - low)
    return found


def _numbered(texts: Any) -> tuple[Int64Array, Any]:
    """Return texts as numbers of their sorted table, a `pyarrow.StringArray`."""
    encoded = texts.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    order = pc.sort_indices(encoded.dictionary)
    place = np.empty(len(order), np.int64)
    place[order.to_numpy()] = np.arange(len(order))
    return place[encoded.indices.to_numpy()], encoded.dictionary.take(order)
