"""Embeddings of songs on their way into ``embeddings.parquet``, and what came of them."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.recall.audio.model import MetricModel
from audiorec.store.embeddings import write_embeddings
from audiorec.types import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingReport:
    """What came of embedding songs.

    Attributes
    ----------
    embedded, failed : int
        Songs.
    stopped : str or None
        ``interrupted`` or ``max_failures``: nothing was written, the same call goes on.
    model_id, space : str
    out, errors : Path
        `errors` exists where songs failed.
    """

    embedded: int
    failed: int
    stopped: str | None
    model_id: str
    space: str
    out: Path
    errors: Path

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "out": str(self.out), "errors": str(self.errors)}


@dataclass(slots=True, eq=False)
class SongRows:
    """Embeddings as they come in."""

    ids: list[str] = field(default_factory=list)
    hashes: list[str | None] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    blocks: list[FloatArray] = field(default_factory=list)

    def write(self, model: MetricModel, out: Path, extractor_id: str) -> None:
        """Write them as an ``embeddings.parquet``."""
        width = model.spec.embedding
        write_embeddings(
            out,
            self.ids,
            np.concatenate([np.zeros((0, width), np.float32), *self.blocks]),
            kind="songs",
            model_id=model.model_id,
            extractor_id=extractor_id,
            space=model.space,
            columns={
                "content_hash": pa.array(self.hashes, pa.string()),
                "segments": pa.array(self.segments, pa.int32()),
            },
        )
