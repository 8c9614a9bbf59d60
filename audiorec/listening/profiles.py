"""Demographic profiles: read a table of users and encode it as network inputs.

    profiles.csv ──read_profiles──▶ columns ──Encoder.fit──▶ Encoder ──encode──▶ (U, A)

Text and boolean columns are categories, encoded one-hot: one column for each frequent value, one
for all other values, one for missing. Numbers are standardised over the training users, and get a
second column that is 1 if the number is missing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.columns import LogColumns
from audiorec.errors import InputError
from audiorec.files.user_files import read_table
from audiorec.types import BoolArray, Float64Array, FloatArray, IdMap

USER_ID = LogColumns.USER
MIN_COUNT = 5  # users that must share a value before it gets its own column
MAX_VALUES = 100  # value columns per category
LARGEST_NUMBER = 1e100  # its square, and sums of squares, still fit into float64
MOST_FACTS = 100  # columns of a profile that a request gives
MAX_DEVIATION = 5.0  # standard deviations; limits the effect of typing errors
MISSING, OTHER = "missing", "other"


@dataclass(frozen=True, slots=True)
class Profiles:
    """Categories and numbers of U users."""

    user_ids: tuple[str, ...]
    categories: Mapping[str, Sequence[str | None]]  # length U
    numbers: Mapping[str, Any]  # (U,): NaN if unknown

    def __len__(self) -> int:
        return len(self.user_ids)

    @classmethod
    def of_user(cls, user_id: str, facts: Any) -> "Profiles":
        """Return the profile of one user, from a mapping of columns to texts, numbers, booleans.

        Raises
        ------
        InputError
            If it is anything else, has more than `MOST_FACTS` columns, or a number is infinite.
        """
        if not isinstance(facts, Mapping) or len(facts) > MOST_FACTS:
            raise InputError(f"profile: must be an object of at most {MOST_FACTS} facts")
        categories: dict[str, Sequence[str | None]] = {}
        numbers = {}
        for name, of in facts.items():
            if isinstance(of, int | float) and not isinstance(of, bool):
                if not abs(of) <= LARGEST_NUMBER:
                    raise InputError(f"profile: {name[:100]!r} must be below {LARGEST_NUMBER:g}")
                numbers[name] = np.array([of], np.float64)
            elif isinstance(of, str | bool):
                text = of if isinstance(of, str) else str(of).lower()  # as a CSV has them
                categories[name] = [text.strip() or None]
            else:
                raise InputError(f"profile: {name[:100]!r} must be a text, a number or a boolean")
        return cls((user_id,), categories, numbers)

    def for_users(self, user_ids: Sequence[str]) -> "Profiles":
        """Return the rows of these users, in this order; unknown users have no values."""
        at = IdMap(self.user_ids).rows(user_ids)
        return Profiles(
            tuple(user_ids),
            {
                name: [values[i] if i >= 0 else None for i in at]
                for name, values in self.categories.items()
            },
            {
                name: np.where(at >= 0, np.append(values, np.nan)[at], np.nan)
                for name, values in self.numbers.items()
            },
        )


def no_profiles(user_ids: Sequence[str]) -> Profiles:
    """Return profiles without any columns."""
    return Profiles(tuple(user_ids), {}, {})


def read_profiles(path: str | Path) -> Profiles:
    """Read a table of users.

    Parameters
    ----------
    path : path
        Parquet, or CSV with a header. The column ``user_id`` is required; text and boolean columns
        become categories, numeric columns numbers. Empty cells are missing values.

    Raises
    ------
    InputError
        If the file cannot be read, has no ``user_id`` column, a user id is missing or duplicated,
        a column has another type, or a number is infinite.
    """
    path = Path(path)
    # Ids stay strings: "007" must not become 7.
    table = read_table(path, "cannot be read as a table", wanted=None, types={USER_ID: pa.string()})
    if table.column_names.count(USER_ID) != 1:
        raise InputError(f"{path}: needs one column {USER_ID!r}, has {table.column_names}")
    ids = _ids(table.column(USER_ID), path)
    categories: dict[str, list[str | None]] = {}
    numbers: dict[str, Any] = {}
    for name in table.column_names:
        kind = table.schema.field(name).type
        if name == USER_ID or pa.types.is_null(kind):
            continue
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            numbers[name] = _numbers(table.column(name), path, name)
        elif _is_text(kind) or pa.types.is_boolean(kind):
            categories[name] = _texts(table.column(name))
        else:
            raise InputError(f"{path}: column {name!r} holds {kind}, expected text or numbers")
    return Profiles(tuple(ids), categories, numbers)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encoding of profile columns, stored in a model's JSON."""

    # values that have their own column, most frequent first; mean and deviation of numbers
    categories: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, tuple[float, float]]

    @classmethod
    def fit(cls, profiles: Profiles) -> "Encoder":
        """Fit values and scales to the training users."""
        categories = {
            name: frequent(values, MIN_COUNT, MAX_VALUES)
            for name, values in profiles.categories.items()
        }
        numbers = {name: scale_of(values) for name, values in profiles.numbers.items()}
        return cls(categories, numbers)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the encoded columns: ``country=SE``, ``country=other``, ``age=missing``."""
        names: list[str] = []
        for name, values in self.categories.items():
            names += [f"{name}={value}" for value in (*values, OTHER, MISSING)]
        for name in self.numbers:
            names += [name, f"{name}={MISSING}"]
        return tuple(names)

    def encode(self, profiles: Profiles) -> FloatArray:
        """Encode users: shape (U, A), float32.

        A column that `profiles` lacks counts as missing; columns unknown to the encoder are
        ignored.
        """
        n = len(profiles)
        parts = [
            _one_hot(profiles.categories.get(name, [None] * n), values)
            for name, values in self.categories.items()
        ]
        return np.hstack([*parts, standardised(profiles, self.numbers)]).astype(np.float32)

    def knows(self, profiles: Profiles) -> BoolArray:
        """Return which users have a value in any encoded column: (U,), bool."""
        n = len(profiles)
        known = np.zeros(n, np.bool_)
        for name in self.categories:
            known |= np.array([v is not None for v in profiles.categories.get(name, [None] * n)])
        for name in self.numbers:
            known |= ~np.isnan(profiles.numbers.get(name, np.full(n, np.nan)))
        return known

    def to_json(self) -> dict[str, Any]:
        """Return the encoding as JSON values."""
        return {
            "categories": {name: list(values) for name, values in self.categories.items()},
            "numbers": {name: list(scale) for name, scale in self.numbers.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Encoder":
        """Restore from `to_json`; raises KeyError, TypeError or ValueError if it is malformed."""
        categories = {
            str(name): tuple(str(value) for value in values)
            for name, values in content["categories"].items()
        }
        numbers = {
            str(name): (float(mean), float(std)) for name, (mean, std) in content["numbers"].items()
        }
        return cls(categories, numbers)


def _ids(column: Any, path: Path) -> list[str]:
    if not (_is_text(column.type) or pa.types.is_integer(column.type)):
        raise InputError(f"{path}: column {USER_ID!r} holds {column.type}, expected text")
    ids: list[str] = column.cast(pa.string()).to_pylist()
    seen: dict[str, int] = {}
    for row, name in enumerate(ids, start=1):
        if not name:
            raise InputError(f"{path}: row {row} has no {USER_ID}")
        if name in seen:
            raise InputError(f"{path}: rows {seen[name]} and {row} both have {USER_ID} {name!r}")
        seen[name] = row
    return ids


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numbers(column: Any, path: Path, name: str) -> Any:
    values = [np.nan if v is None else float(v) for v in column.to_pylist()]
    numbers = np.asarray(values, np.float64)
    bad = np.flatnonzero(np.abs(numbers) > LARGEST_NUMBER)
    if len(bad):
        row = int(bad[0])
        size = "infinite" if np.isinf(numbers[row]) else f"over {LARGEST_NUMBER:g}"
        raise InputError(f"{path}: column {name!r} is {size} in row {row + 1}")
    return numbers


def _texts(column: Any) -> list[str | None]:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.string())  # true and false, as a CSV has them
    values = [None if v is None else str(v).strip() for v in column.to_pylist()]
    return [value or None for value in values]


def frequent(values: Iterable[str | None], least: int, most: int) -> tuple[str, ...]:
    """Return up to `most` values that occur at least `least` times, the most frequent first."""
    counts = Counter(value for value in values if value is not None)
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(value for value, count in ranked[:most] if count >= least)


def scale_of(values: Any) -> tuple[float, float]:
    """Return mean and standard deviation of the known numbers; 1 if they do not deviate."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return 0.0, 1.0
    return float(known.mean()), float(known.std()) or 1.0


def standardised(profiles: Profiles, numbers: Mapping[str, tuple[float, float]]) -> Float64Array:
    """Return two columns for each number: standardised, 0 if missing, and whether it is missing."""
    result = np.zeros((len(profiles), 2 * len(numbers)))
    for index, (name, (mean, scale)) in enumerate(numbers.items()):
        raw = np.asarray(profiles.numbers.get(name, np.full(len(profiles), np.nan)), np.float64)
        z = np.clip((raw - mean) / scale, -MAX_DEVIATION, MAX_DEVIATION)
        result[:, 2 * index] = np.nan_to_num(z, nan=0.0)
        result[:, 2 * index + 1] = np.isnan(raw)
    return result


def _one_hot(values: Sequence[str | None], known: Sequence[str]) -> Any:
    places = {value: i for i, value in enumerate(known)}
    other, missing = len(known), len(known) + 1
    column = [missing if v is None else places.get(v, other) for v in values]
    encoded = np.zeros((len(column), len(known) + 2))
    encoded[np.arange(len(column)), np.asarray(column, np.int64)] = 1.0
    return encoded
