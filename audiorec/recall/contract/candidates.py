"""Candidates: the ranked songs that a channel proposes for each query, and why.

song (Q, k), similarity, cold, evidence  ──to_table──▶  user_id, song_id, channel, rank, ...
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.errors import ShapeError
from audiorec.files.arrow import integers
from audiorec.types import BoolArray, FloatArray, Int64Array, string_array


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
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("song_id", pa.string(), nullable=False),
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
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

    def to_table(self, user_ids: Sequence[str], *, channel: str, model_id: str) -> Any:
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
            "user_id": string_array(user_ids).take(integers(query)),
            "song_id": ids.take(integers(self.song[there])),
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
