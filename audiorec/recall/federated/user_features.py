"""Features of user profiles: categories, interests, tags, own items, numbers.

    `Profiles` ──UserEncoder.fit──▶ `UserEncoder` ──encode──▶ `UserFeatures`: bags and numbers

A text column becomes a bag of values, separated by ``|``: one for a category, several for
interests, tags or the partner's own items. Numbers are standardised; a missing one is 0 and has its
flag set.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from audiorec.errors import ShapeError
from audiorec.listening.profiles import MAX_DEVIATION, Profiles
from audiorec.types import BoolArray, FloatArray, Int64Array

DIVIDER = "|"


@dataclass(frozen=True, slots=True, eq=False)
class Bag:
    """Value codes of n users in one column; a user may have none.

    Attributes
    ----------
    starts : ndarray, shape (n + 1,), int64
        User i has ``code[starts[i]:starts[i + 1]]``.
    code : ndarray, shape (P,), int64
        Codes below `size`.
    size : int
    """

    starts: Int64Array
    code: Int64Array
    size: int

    def __post_init__(self) -> None:
        if self.starts[0] != 0 or self.starts[-1] != len(self.code):
            raise ShapeError(f"starts must cut {len(self.code)} values into users")

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, rows: Int64Array) -> "Bag":
        """Return the values of the given users."""
        counts = self.starts[rows + 1] - self.starts[rows]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        place = np.arange(starts[-1]) - np.repeat(starts[:-1] - self.starts[rows], counts)
        return Bag(starts, self.code[place], self.size)

    def between(self, rows: slice) -> "Bag":
        """Return the values of a range of users.

        Examples
        --------
        >>> bag = Bag(np.array([0, 2, 2, 3]), np.array([4, 1, 0]), 5)
        >>> bag.between(slice(1, 3)).starts.tolist(), bag.between(slice(1, 3)).code.tolist()
        ([0, 0, 1], [0])
        """
        starts = self.starts[rows.start : rows.stop + 1]
        return Bag(starts - starts[0], self.code[starts[0] : starts[-1]], self.size)

    def keep(self, mask: BoolArray) -> "Bag":
        """Return the values selected by a mask (P,)."""
        before = np.concatenate([[0], np.cumsum(mask)]).astype(np.int64)
        return Bag(before[self.starts], self.code[mask], self.size)


@dataclass(frozen=True, slots=True, eq=False)
class UserFeatures:
    """Profile features of n users.

    Attributes
    ----------
    bags : mapping of str to Bag
        Bags by column.
    dense : ndarray, shape (n, A), float32
        Standardised numbers, each with a flag for missing values.
    known : ndarray, shape (n,), bool
        Whether the user has any value that the encoder knows.
    """

    bags: Mapping[str, Bag]
    dense: FloatArray
    known: BoolArray

    def __post_init__(self) -> None:
        if {len(self.known), len(self.dense), *map(len, self.bags.values())} != {len(self.known)}:
            raise ShapeError("each column needs one row per user")

    def __len__(self) -> int:
        return len(self.known)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of distinct values of each bag."""
        return {name: bag.size for name, bag in self.bags.items()}

    def take(self, rows: Int64Array) -> "UserFeatures":
        """Return the features of the given users."""
        bags = {name: bag.take(rows) for name, bag in self.bags.items()}
        return UserFeatures(bags, self.dense[rows], self.known[rows])


@dataclass(frozen=True, slots=True)
class UserEncoder:
    """Vocabulary and scaling of profile columns: plain values for a model's JSON.

    Attributes
    ----------
    values : mapping of str to tuple of str
        Known values of each text column, the most frequent first.
    numbers : mapping of str to (float, float)
        Mean and standard deviation of each numeric column.
    """

    values: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, tuple[float, float]]

    @classmethod
    def fit(cls, people: Profiles, *, min_users: int = 1, max_values: int = 100_000) -> Self:
        """Learn values and scales; a value that fewer than `min_users` users have is left out."""
        values = {
            name: found
            for name, texts in people.categories.items()
            if (found := _frequent(texts, min_users, max_values))
        }
        numbers = {
            name: (float(known.mean()), float(known.std()) or 1.0)
            for name, column in people.numbers.items()
            if len(known := column[~np.isnan(column)])
        }
        return cls(values, numbers)

    @property
    def dense_width(self) -> int:
        """Columns of `UserFeatures.dense`."""
        return 2 * len(self.numbers)

    def encode(self, people: Profiles) -> UserFeatures:
        """Encode users; a missing column is treated as unknown, an extra one is ignored."""
        n = len(people)
        nothing: list[str | None] = [None] * n
        bags = {name: self._bag(name, people.categories.get(name, nothing)) for name in self.values}
        known = np.zeros(n, np.bool_)
        for bag in bags.values():
            known |= np.diff(bag.starts) > 0
        dense = np.zeros((n, self.dense_width), np.float32)
        for place, (name, (mean, scale)) in enumerate(self.numbers.items()):
            raw = np.asarray(people.numbers.get(name, np.full(n, np.nan)), np.float64)
            z = np.clip((raw - mean) / scale, -MAX_DEVIATION, MAX_DEVIATION)
            dense[:, 2 * place] = np.nan_to_num(z, nan=0.0)
            dense[:, 2 * place + 1] = np.isnan(raw)
            known |= ~np.isnan(raw)
        return UserFeatures(bags, dense, known)

    def _bag(self, name: str, texts: Sequence[str | None]) -> Bag:
        number = {value: place for place, value in enumerate(self.values[name])}
        lists = [[number[v] for v in _split(text) if v in number] for text in texts]
        starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        code = np.array([c for codes in lists for c in codes], np.int64)
        return Bag(starts, code, len(number))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "values": {name: list(values) for name, values in self.values.items()},
            "numbers": {name: list(scale) for name, scale in self.numbers.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Undo `to_json`; raise KeyError, TypeError or ValueError if the content is invalid."""
        values = {str(n): tuple(map(str, found)) for n, found in content["values"].items()}
        numbers = {str(n): (float(a), float(b)) for n, (a, b) in content["numbers"].items()}
        return cls(values, numbers)


def _split(text: str | None) -> list[str]:
    """Return the distinct values of one cell, in order.

    Examples
    --------
    >>> _split("rock| jazz||rock")
    ['rock', 'jazz']
    """
    found = [value.strip() for value in (text or "").split(DIVIDER)]
    return list(dict.fromkeys(value for value in found if value))


def _frequent(texts: Sequence[str | None], min_users: int, max_values: int) -> tuple[str, ...]:
    counts = Counter(value for text in texts for value in _split(text))
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(value for value, count in ranked[:max_values] if count >= min_users)
