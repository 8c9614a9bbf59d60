"""The default list: songs for users without a history.

    log, entry ──DefaultList.of──▶ songs by recent plays ──rows──▶ candidates of channel ``default``

Its rows yield to those of every channel: they count only where no channel proposes a song by what
is known of the user (`audiorec.recall.serving.fuse`).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.files.arrow import integers
from audiorec.files.tables import TableFile
from audiorec.listening.events import Interactions
from audiorec.listening.sequences import DAY_S, is_finished
from audiorec.recall.contract.candidates import SCHEMA, ReasonKind
from audiorec.types import Float64Array, FloatArray, string_array

DEFAULT = "default"  # channel of its rows
BATCH_ROWS = 1 << 16
HALF_LIFE_DAYS = 7.0  # a play of the last week counts twice one of the week before


@dataclass(frozen=True, slots=True, eq=False)
class DefaultList:
    """Songs that are popular now, best first.

    Attributes
    ----------
    song_ids : pyarrow.StringArray, length n
    weight : ndarray, shape (n,), float32
        Finished plays, each halved for every week of its age; never increasing.
    """

    song_ids: Any
    weight: FloatArray

    def __len__(self) -> int:
        return len(self.weight)

    @classmethod
    def of(cls, log: Interactions, entry: str = "") -> "DefaultList":
        """Rank the songs of a log by recent finished plays in one product.

        Songs that nobody finished in the product follow, by plays in all products; so do all songs
        if the log does not say where plays came from. Songs of equal weight are sorted by id. Plays
        without a time count as new.
        """
        weight = np.where(is_finished(log), _freshness(log.timestamp), 0.0)
        n = len(log.song_ids)
        every = np.bincount(log.song, weight, n)
        own = np.bincount(log.song, weight * _is_of(log, entry), n)
        order = np.lexsort((np.arange(n), -every, -own))
        order = order[every[order] > 0]
        songs = string_array(log.song_ids).take(integers(order))
        # A song of the product weighs more than any other.
        shown = np.where(own > 0, own + every.max(initial=0.0), every)
        return cls(songs, shown[order].astype(np.float32))

    def among(self, allowed: Collection[str]) -> "DefaultList":
        """Keep only the given songs."""
        kept = np.array([song in allowed for song in self.song_ids.to_pylist()], np.bool_)
        return DefaultList(self.song_ids.filter(pa.array(kept)), self.weight[kept])

    def rows(self, user_ids: Sequence[str], k: int) -> Any:
        """Return the first `k` songs for each user, as a table of candidates."""
        k = min(k, len(self))
        n = k * len(user_ids)
        place = np.tile(np.arange(k), len(user_ids))
        owner = np.repeat(np.arange(len(user_ids)), k)
        columns = {
            "user_id": string_array(user_ids).take(integers(owner)),
            "song_id": self.song_ids.take(integers(place)),
            "channel": pa.repeat(pa.scalar(DEFAULT), n),
            "rank": integers(place + 1),
            "similarity": pa.array(self.weight[place]),
            "reason": pa.repeat(pa.scalar(str(ReasonKind.POPULAR_NOW)), n),
            "evidence": pa.nulls(n, pa.string()),
            "interest": pa.nulls(n, pa.int32()),
            "cold": pa.array(np.zeros(n, np.bool_)),
            "model_id": pa.repeat(pa.scalar(""), n),
        }
        arrays = [columns[field.name].cast(field.type) for field in SCHEMA]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)


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
