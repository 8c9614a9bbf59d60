"""One song of a library: its columns, its vector, and its display in a notebook.

library["etude"]  ──▶  `SongRow`: row["title"]  row.vector (V,)  row.numbers {name: value}
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from audiorec.files.visible import clock, html_table, text_table
from audiorec.store.schema import StoreMetadata, number_names
from audiorec.types import FloatArray

COLUMNS = ("what", "value")
# Shown unless empty; the other columns are bookkeeping.
SHOWN = (
    *("song_id", "title", "artist", "album", "duration_s", "loudness_lufs"),
    *("segments", "status", "codec"),
    *("source_rate", "source_channels", "uri", "extracted_at"),
)


class SongRow(dict[str, Any]):
    """The columns of one song, including its ``vector``.

    Attributes
    ----------
    vector : ndarray, shape (V,), float32
    numbers : dict of str to float
        The numbers of the vector by name, as in the columns of `Library.frame`.
    """

    def __init__(
        self, columns: Mapping[str, Any], vector: FloatArray, metadata: StoreMetadata
    ) -> None:
        super().__init__(columns, vector=vector)
        self._metadata = metadata

    @property
    def vector(self) -> FloatArray:
        """The vector: shape (V,), float32."""
        vector: FloatArray = self["vector"]
        return vector

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers of the vector by name: ``genre_jazz_mean`` and so on."""
        return dict(zip(number_names(self._metadata), self.vector.tolist(), strict=True))

    def __repr__(self) -> str:
        return text_table(COLUMNS, self._rows())

    def _repr_html_(self) -> str:
        return html_table(COLUMNS, self._rows())

    def _rows(self) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = [
            (name, _shown(self[name], name)) for name in SHOWN if self.get(name) is not None
        ]
        return [*rows, ("vector", f"{len(self.vector)} numbers")]


def _shown(value: Any, name: str) -> str:
    if name == "duration_s":
        return clock(value)
    if name == "loudness_lufs":
        return f"{value:.1f}"
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)
