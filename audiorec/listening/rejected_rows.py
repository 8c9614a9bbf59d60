"""What is wrong with the rows of a table: counted by kind, the first rows named."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import DamagedFileError

NAMED_ROWS = 10  # row numbers kept for each kind
LONGEST_EXAMPLE = 40  # characters


class ProblemKind(StrEnum):
    """Why a row of an interactions file cannot be used."""

    COLUMNS = "another number of columns than the header"
    USER = "no user_id"
    SONG = "no song_id"
    EVENT = "unknown event"
    TIMESTAMP = "timestamp missing or unreadable"
    RANGE = "timestamp not between 1973 and 2100 in any unit"
    UNIT = "timestamp in another unit than most rows"
    RATIO = "played_ratio not a number from 0 to 1"
    WEIGHT = "weight not a number from 0.000001 to 1000000"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of mistake in a file.

    Attributes
    ----------
    kind : str
        A value of `ProblemKind`.
    count : int
        Rows that have it.
    rows : tuple of int
        The first rows that have it, counted from 1 without a header.
    example : str
        The value in the first of these rows.
    """

    kind: str
    count: int
    rows: tuple[int, ...]
    example: str

    def __str__(self) -> str:
        """Return kind, count, the first rows and the example in one line."""
        rows = ", ".join(map(str, self.rows)) + (", …" if self.count > len(self.rows) else "")
        noun = "row" if self.count == 1 else "rows"
        example = f", for example {self.example!r}" if self.example else ""
        return f"{self.kind}: {self.count} {noun} ({rows}){example}"


class RowsError(DamagedFileError):
    """Rows of a file cannot be used.

    Attributes
    ----------
    path : str
    bad_rows, rows : int
        Rows with a problem, and all rows.
    problems : tuple of Problem
    """

    def __init__(self, path: str, bad_rows: int, rows: int, problems: tuple[Problem, ...]) -> None:
        super().__init__(path, bad_rows, rows, problems)
        self.path = path
        self.bad_rows = bad_rows
        self.rows = rows
        self.problems = problems

    def __str__(self) -> str:
        """Return which file, how many rows and what is wrong, in one line."""
        found = "; ".join(map(str, self.problems))
        return (
            f"{self.path}: {self.bad_rows} of {self.rows} rows cannot be used: {found}. "
            "Correct them, or leave them out (--skip-bad-rows)"
        )


class ProblemLog:
    """Collects problems block by block.

    Attributes
    ----------
    bad_rows : int
        Rows with at least one problem.
    """

    def __init__(self) -> None:
        self.bad_rows = 0
        self._found: dict[ProblemKind, tuple[int, list[int], str]] = {}

    def add(self, kind: ProblemKind, rows: Sequence[int] | npt.NDArray[Any], example: Any) -> None:
        """Note that `rows` (counted from 1, ascending) have a problem.

        Parameters
        ----------
        kind : ProblemKind
        rows : sequence of int
        example : object
            The value in the first row; None where there is none to show.
        """
        if len(rows) == 0:
            return
        count, first, shown = self._found.get(kind, (0, [], _shown(example)))
        missing = NAMED_ROWS - len(first)
        self._found[kind] = (count + len(rows), [*first, *map(int, rows[:missing])], shown)

    def problems(self, skipped: Sequence[int] = ()) -> tuple[Problem, ...]:
        """Return all problems in the order of `ProblemKind`.

        Parameters
        ----------
        skipped : sequence of int
            Rows, ascending, that the reader of the format passed over: those after them
            stand one further down in the file.
        """
        ordered = sorted(self._found.items(), key=lambda item: list(ProblemKind).index(item[0]))
        return tuple(
            Problem(
                str(kind),
                count,
                tuple(rows if kind == ProblemKind.COLUMNS else _shifted(rows, skipped)),
                example,
            )
            for kind, (count, rows, example) in ordered
        )


def _shifted(rows: Sequence[int], skipped: Sequence[int]) -> list[int]:
    # The i-th skipped row moves all rows from skipped[i] - i on by one.
    before = np.asarray(skipped, np.int64) - np.arange(len(skipped))
    return [row + int(np.searchsorted(before, row, side="right")) for row in rows]


def _shown(example: Any) -> str:
    text = "" if example is None else str(example)
    return text if len(text) <= LONGEST_EXAMPLE else text[: LONGEST_EXAMPLE - 1] + "…"
