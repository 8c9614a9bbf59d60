"""First pass over a log larger than memory: write checked rows in pieces sorted by bucket.

a block of rows ──Spill.add──▶ `PIECE_ROWS` rows ──▶ piece-000000.parquet, one row group per bucket
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import InputError
from audiorec.files.arrow import arrow_array
from audiorec.files.tables import table_writer
from audiorec.listening.casting import UNIT_NAMES
from audiorec.listening.events import EVENTS, NAMED_ROWS
from audiorec.listening.feed import MAX_BUCKETS, buckets_of
from audiorec.listening.filters import PER_USER
from audiorec.listening.interactions import delivered_again
from audiorec.listening.sequences import LABEL_OF
from audiorec.types import Int32Array, string_array

BUCKETS = 64
PIECE_ROWS = 2_000_000
PIECE_SCHEMA = pa.schema(
    [
        ("owner_id", pa.string()),
        ("song", pa.int32()),
        ("time", pa.float64()),
        ("unit", pa.int8()),
        ("event", pa.int8()),
        ("played_ratio", pa.float32()),
    ]
)
# Additional columns for a log in several folders, to detect rows that were delivered twice.
OF_FOLDERS = (("folder", pa.int32()), ("same", pa.uint64()))
PreparedBy = Literal["user", "session", "list"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSpec:
    """Options of `prepare` that determine its sequences."""

    by: PreparedBy = "user"  # "session" and "list" need their column in the log
    buckets: int = BUCKETS
    filters: tuple[str, ...] = ()  # names in `PER_USER`
    skip_bad_rows: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.buckets <= MAX_BUCKETS:
            raise InputError(f"buckets must be from 1 to {MAX_BUCKETS}, got {self.buckets}")
        if self.by not in ("user", *LABEL_OF):
            raise InputError(f"sequences must be by user, session or list, got {self.by!r}")
        odd = [name for name in self.filters if name not in PER_USER]
        if odd or (self.filters and self.by != "user"):
            raise InputError(
                f"a prepared log can be filtered by {', '.join(PER_USER)}, in sequences by user; "
                f"got {', '.join(self.filters)} by {self.by}"
            )


class Spill:
    """Collector of checked rows that writes them in pieces sorted by bucket."""

    def __init__(self, folder: Path, spec: PrepareSpec) -> None:
        self.folder, self.spec = folder, spec
        self.groups: list[list[int]] = []  # for each piece, the bucket of each row group
        self.songs = string_array([])  # in order of first occurrence
        self.units_of_song = np.zeros(1 << 16, np.int16)  # one bit per unit
        self.units = np.zeros(len(UNIT_NAMES) + 1, np.int64)
        self.first_rows: dict[int, list[int]] = {}  # by unit
        self.first_number: dict[int, float] = {}  # by unit, the raw time in the first row
        self._waiting: list[tuple[Any, Int32Array]] = []
        self._rows = 0

    def add(self, columns: dict[str, Any]) -> None:
        """Add the usable rows of a block, as returned by `clean_block`."""
        unit, event = columns["unit"], columns["event"]
        song = self._numbered(columns["song"], unit)
        for code in np.unique(unit).tolist():
            at = np.flatnonzero(unit == code)
            self.units[code] += len(at)
            self.first_number.setdefault(code, float(columns["timestamp"][at[0]]))
            known = self.first_rows.setdefault(code, [])
            known += columns["row"][at[: NAMED_ROWS - len(known)]].tolist()
        owners = columns[LABEL_OF.get(self.spec.by, "user")]
        keep = owners.is_valid().to_numpy(zero_copy_only=False)
        if self.spec.by != "user":
            keep &= event < len(EVENTS)
        of_text = buckets_of(owners.dictionary, self.spec.buckets)
        codes = owners.indices.fill_null(0).to_numpy()
        bucket = of_text[codes] if len(of_text) else np.zeros(0, np.int32)
        table = pa.table(
            {
                "owner_id": owners.dictionary_decode(),
                "song": arrow_array(song, pa.int32()),
                "time": arrow_array(np.ascontiguousarray(columns["timestamp"]), pa.float64()),
                "unit": arrow_array(unit.astype(np.int8), pa.int8()),
                "event": arrow_array(event.astype(np.int8), pa.int8()),
                "played_ratio": arrow_array(columns["played_ratio"], pa.float32()),
            }
        )
        for name, kind in OF_FOLDERS:
            if name in columns:
                table = table.append_column(name, arrow_array(columns[name], kind))
        if not keep.all():
            table = table.filter(pa.array(keep))
            bucket = bucket[keep] if len(bucket) else bucket
        self._waiting.append((table, bucket))
        self._rows += len(table)
        if self._rows >= PIECE_ROWS:
            self.write()

    def write(self) -> None:
        """Write the collected rows as one piece."""
        if not self._rows:
            return
        table = pa.concat_tables([t for t, _ in self._waiting]).combine_chunks()
        bucket = np.concatenate([b for _, b in self._waiting])
        self._waiting, self._rows = [], 0
        order = np.argsort(bucket, kind="stable")
        counts = np.bincount(bucket, minlength=self.spec.buckets)
        there = np.flatnonzero(counts)
        path = self.folder / piece_name(len(self.groups))
        with table_writer(path, table.schema) as writer:
            stops = np.cumsum(counts)
            for b in there.tolist():
                rows = order[stops[b] - counts[b] : stops[b]]
                part = table.take(arrow_array(rows, pa.int64()))
                writer.write_table(part, row_group_size=len(part))
        self.groups.append(there.tolist())

    def _numbered(self, songs: Any, unit: npt.NDArray[Any]) -> Int32Array:
        # A lookup in Arrow is three times as fast as one lookup per string in a Python dict.
        texts = string_array(songs.dictionary)
        found = pc.index_in(texts, value_set=self.songs)
        is_new = found.is_null().to_numpy(zero_copy_only=False)
        of_text = found.fill_null(0).to_numpy().astype(np.int32)
        of_text[is_new] = len(self.songs) + np.arange(is_new.sum())
        if is_new.any():
            self.songs = pa.concat_arrays([self.songs, texts.filter(pa.array(is_new))])
        codes = songs.indices.fill_null(-1).to_numpy()
        song: Int32Array = np.append(of_text, np.int32(-1))[codes]
        if len(self.songs) > len(self.units_of_song):
            more = max(len(self.songs), 2 * len(self.units_of_song)) - len(self.units_of_song)
            self.units_of_song = np.append(self.units_of_song, np.zeros(more, np.int16))
        for code in np.unique(unit).tolist():
            used = song[(unit == code) & (song >= 0)]
            self.units_of_song[used] |= np.int16(1 << code)
        return np.ascontiguousarray(song, np.int32)


def piece_name(number: int) -> str:
    """Return the file name of a piece."""
    return f"piece-{number:06d}.parquet"


def rows_of_pieces(parts: list[Any]) -> Any:
    """Join the rows of one bucket from all pieces, without repeated deliveries: `PIECE_SCHEMA`."""
    rows = pa.concat_tables(
        [PIECE_SCHEMA.empty_table(), *(part.select(PIECE_SCHEMA.names) for part in parts)]
    )
    if not parts or "folder" not in parts[0].schema.names:
        return rows
    whole = pa.concat_tables(parts)
    folder, same, time = (whole.column(n).to_numpy() for n in ("folder", "same", "time"))
    return rows.filter(pa.array(~delivered_again(folder, same, ~np.isnan(time))))
