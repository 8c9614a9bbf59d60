"""Find files that are unchanged since they were extracted, so that they are not decoded again.

store, files ──unchanged_rows──▶ [row, None, ...]     by path, size and modification time
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.extraction.catalogue import Source
from audiorec.files.arrow import string_array
from audiorec.store.store import VectorStore


def unchanged_rows(store: VectorStore, files: Sequence[Source]) -> list[int | None]:
    """Return each file's store row; None for files that are unknown or have changed.

    Examples
    --------
    >>> from audiorec.extraction.catalogue import make_source
    >>> store = VectorStore.open("fixtures/formats/vecs-v1.parquet")
    >>> unchanged_rows(store, [make_source("fixtures/audio/clicks-short.wav", "clicks")])
    [None]
    """
    if not len(store) or not files:
        return [None] * len(files)
    uris = store.column("uri")
    uris = uris.combine_chunks() if isinstance(uris, pa.ChunkedArray) else uris
    found = pc.index_in(string_array([file.uri for file in files]), value_set=uris).to_pylist()
    rows = sorted({row for row in found if row is not None})
    stored = zip(rows, store.rows(rows), strict=True) if rows else ()
    stamps = {row: (song["size"], song["mtime_ns"]) for row, song in stored}
    return [
        row if row is not None and stamps[row] == (file.size, file.mtime_ns) else None
        for row, file in zip(found, files, strict=True)
    ]
