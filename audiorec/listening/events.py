"""What a listening log is once it has been read: one row an event, ids as numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audiorec.errors import ShapeError
from audiorec.listening.rejected_rows import Problem
from audiorec.types import BoolArray, Float64Array, FloatArray, Int32Array

EVENTS = ("play", "finish", "skip", "like", "dislike", "playlist")
LISTENING = ("play", "finish", "skip")  # events in which the song was heard
COLUMNS = ("user_id", "song_id", "timestamp", "event")
OPTIONAL_COLUMNS = ("played_ratio", "weight")
MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Interactions:
    """E events of a listening log, in the order of the file.

    Attributes
    ----------
    user_ids, song_ids : tuple of str
        Sorted; each has at least one event.
    user, song : ndarray, shape (P,), int32
        Numbers in `user_ids` and `song_ids`.
    timestamp : ndarray, shape (P,), float64
        Seconds since 1970, UTC.
    event : ndarray, shape (P,), int8
        Numbers in `EVENTS`.
    played_ratio : ndarray, shape (P,), float32
        The part of the song that was heard, 0 to 1; NaN where unknown.
    weight : ndarray, shape (P,), float32
        How often the row counts, above 0; 1 where the file says nothing.
    rows_read : int
        Rows of the file, those that were left out included.
    problems : tuple of Problem
        Why rows were left out; empty unless the reader was told to leave bad rows out.
    simulated : bool
        Made by `simulate`, not by people.
    """

    user_ids: tuple[str, ...]
    song_ids: tuple[str, ...]
    user: Int32Array
    song: Int32Array
    timestamp: Float64Array
    event: npt.NDArray[np.int8]
    played_ratio: FloatArray
    weight: FloatArray
    rows_read: int = 0
    problems: tuple[Problem, ...] = ()
    simulated: bool = False

    def __post_init__(self) -> None:
        columns = (self.user, self.song, self.timestamp, self.event, self.played_ratio, self.weight)
        shapes = {column.shape for column in columns}
        if shapes != {(len(self.user),)}:
            raise ShapeError(f"interactions must have one shape (P,), got {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.user)

    @property
    def user_id(self) -> Any:
        """Ids of the users, one a row: a `pyarrow.DictionaryArray`."""
        return _dictionary(self.user, self.user_ids)

    @property
    def song_id(self) -> Any:
        """Ids of the songs, one a row: a `pyarrow.DictionaryArray`."""
        return _dictionary(self.song, self.song_ids)

    def take(self, rows: npt.NDArray[Any]) -> "Interactions":
        """Return the events at `rows` (numbers or a mask); the tables of ids stay whole."""
        return Interactions(
            user_ids=self.user_ids,
            song_ids=self.song_ids,
            user=self.user[rows],
            song=self.song[rows],
            timestamp=self.timestamp[rows],
            event=self.event[rows],
            played_ratio=self.played_ratio[rows],
            weight=self.weight[rows],
            rows_read=self.rows_read,
            problems=self.problems,
            simulated=self.simulated,
        )

    def to_table(self) -> Any:
        """Return the six columns as they stand in a file: a `pyarrow.Table`."""
        stamps = np.rint(self.timestamp * MICROSECONDS).astype(np.int64)
        ratio = pa.array(self.played_ratio, mask=np.isnan(self.played_ratio))
        columns = {
            "user_id": self.user_id,
            "song_id": self.song_id,
            "timestamp": pa.array(stamps).cast(pa.timestamp("us", tz="UTC")),
            "event": _dictionary(self.event.astype(np.int32), EVENTS),
            "played_ratio": ratio,
            "weight": pa.array(self.weight),
        }
        return pa.table(columns)


def is_listening(event: npt.NDArray[np.int8]) -> BoolArray:
    """Return which events are listenings: shape (P,), bool."""
    return np.isin(event, [EVENTS.index(name) for name in LISTENING])


def _dictionary(numbers: Int32Array, ids: tuple[str, ...]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(ids, pa.string()))
