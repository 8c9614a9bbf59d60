"""Long- and short-term shares of artists, genres, languages and voices in a user's plays.

    plays, side information ──portraits──▶ user_id, horizon, kind, value, share, plays

The kind ``number`` is for numeric side information, mostly of the sound (``energy``, ``tempo``):
its share is the mean quantile of the user's plays among all songs, 0 the lowest, 1 the highest, .5
for songs drawn at random.

The weight of a play halves every 90 days in the long portrait, every 3 days in the short one. If
plays have no times, ten of them count as a day. Only finished plays count, so portraits show what a
user stays with, not what the user tried.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.columns import ListColumns
from audiorec.errors import InputError
from audiorec.files.arrow import integers
from audiorec.files.tables import write_plain
from audiorec.listening.sequences import DAY_S, Sequences
from audiorec.listening.side import SongSide
from audiorec.types import Float64Array, FloatArray, IdMap, Int64Array, string_array

NUMBER = "number"  # numeric side information: energy, tempo and the like
KINDS = ("artist", "genre", "version", "language")
MOST = 10  # values per kind
PLAYS_A_DAY = 10.0  # assumed if plays have no times
PORTRAIT = pa.schema(
    [
        pa.field(ListColumns.USER, pa.string(), nullable=False),
        pa.field("horizon", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
        pa.field("share", pa.float32(), nullable=False),  # of the plays whose value is known
        pa.field("plays", pa.int32(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortraitRecipe:
    """Settings of portraits.

    Attributes
    ----------
    long_days, short_days : float
        Half-lives of the two portraits, in days.
    most : int
        Values kept per kind, those with the largest shares.
    """

    long_days: float = 90.0
    short_days: float = 3.0
    most: int = MOST

    def __post_init__(self) -> None:
        if self.most < 1 or not min(self.long_days, self.short_days) > 0:
            raise InputError("most must be at least 1, and half-lives above 0")


USUAL = PortraitRecipe()


def portraits(plays: Sequences, side: SongSide, recipe: PortraitRecipe = USUAL) -> Any:
    """Return the portraits of all owners as one table: a `pyarrow.Table` of `PORTRAIT`.

    Parameters
    ----------
    plays : Sequences
        Finished plays of U users.
    side : SongSide
        Artists, genres and the like, from metadata or from the heads of a store
        (`audiorec.listening.side.side_of_store`).
    recipe : PortraitRecipe

    Notes
    -----
    Rows are sorted by user, horizon, kind and share, the largest share first, ties by value.
    """
    columns: dict[str, list[Any]] = {name: [] for name in PORTRAIT.names}
    age = _ages(plays)
    song = IdMap(side.song_ids).rows(plays.song_ids)[plays.song]
    half_lives = {"long": recipe.long_days, "short": recipe.short_days}
    for horizon, half_life in half_lives.items():
        weight = np.exp2(-age / half_life)
        for kind in KINDS:
            if kind not in side.categories:
                continue
            category = side.categories[kind]
            value = np.append(category.number, -1)[song].astype(np.int64)
            found = _shares(plays.owner, value, weight, recipe.most)
            owner, value, share, counts = found
            columns[ListColumns.USER].append(string_array(plays.owner_ids).take(integers(owner)))
            columns["horizon"].append(pa.repeat(pa.scalar(horizon), len(owner)))
            columns["kind"].append(pa.repeat(pa.scalar(kind), len(owner)))
            columns["value"].append(string_array(category.values).take(integers(value)))
            columns["share"].append(pa.array(share.astype(np.float32)))
            columns["plays"].append(pa.array(counts.astype(np.int32)))
        for name, numbers in sorted(side.numbers.items()):
            height = np.append(_heights(numbers), np.nan)[song]
            known = ~np.isnan(height)
            owner, counts = np.unique(plays.owner[known], return_counts=True)
            sums = np.bincount(plays.owner[known], (weight * height)[known], len(plays))
            totals = np.bincount(plays.owner[known], weight[known], len(plays))
            columns[ListColumns.USER].append(string_array(plays.owner_ids).take(integers(owner)))
            columns["horizon"].append(pa.repeat(pa.scalar(horizon), len(owner)))
            columns["kind"].append(pa.repeat(pa.scalar(NUMBER), len(owner)))
            columns["value"].append(pa.repeat(pa.scalar(name), len(owner)))
            columns["share"].append(pa.array((sums / totals)[owner].astype(np.float32)))
            columns["plays"].append(pa.array(counts.astype(np.int32)))
    arrays = [pa.chunked_array(columns[f.name], f.type) for f in PORTRAIT]
    table = pa.Table.from_arrays(arrays, schema=PORTRAIT)
    order = [(name, "ascending") for name in (ListColumns.USER, "horizon", "kind")]
    return table.sort_by([*order, ("share", "descending"), ("value", "ascending")])


def write_portraits(path: Path, table: Any) -> None:
    """Write the table that `portraits` returned, atomically."""
    write_plain(path, table)


def _heights(numbers: FloatArray) -> Float64Array:
    """Return the quantile of each number among the known ones, 0..1; ties share their mean."""
    found = np.full(len(numbers), np.nan)
    known = ~np.isnan(numbers)
    values, place, counts = np.unique(numbers[known], return_inverse=True, return_counts=True)
    if len(values):
        middle = np.cumsum(counts) - (counts + 1) / 2
        found[known] = middle[place] / max(1, int(known.sum()) - 1)
    return found


def _ages(plays: Sequences) -> Float64Array:
    """Return the age of each play relative to its owner's last one, in days: (P,)."""
    last = plays.starts[1:][plays.owner] - 1
    in_plays = (last - np.arange(len(plays.song))) / PLAYS_A_DAY
    days = (plays.time[last] - plays.time) / DAY_S
    return np.where(np.isnan(days), in_plays, days)


def _shares(
    owner: Int64Array, value: Int64Array, weight: Float64Array, most: int
) -> tuple[Int64Array, Int64Array, Float64Array, Int64Array]:
    """Return owner, value, share and plays of the `most` largest values of each owner."""
    known = value >= 0
    owner, value, weight = owner[known], value[known], weight[known]
    width = int(value.max(initial=0)) + 1
    pairs, place, counts = np.unique(owner * width + value, return_inverse=True, return_counts=True)
    sums = np.bincount(place, weight, len(pairs))
    whose = pairs // width
    totals = np.bincount(whose, sums)
    share = sums / totals[whose]
    order = np.lexsort((pairs, -share, whose))
    starts = np.searchsorted(whose[order], whose[order])
    order = order[np.arange(len(order)) - starts < most]
    return whose[order], pairs[order] % width, share[order], counts[order].astype(np.int64)
