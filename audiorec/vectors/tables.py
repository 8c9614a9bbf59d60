"""Tables that are not a store: written whole or not at all, one row group at a time.

Floats are byte-stream-split, texts have dictionaries, everything is compressed with zstd.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.files.atomic import replaced
from audiorec.vectors.parquet import GROUP_ROWS


@contextmanager
def table_writer(path: Path, schema: Any) -> Iterator[Any]:
    """Give a `pyarrow.parquet.ParquetWriter` whose file takes the place of `path` at the end.

    If the body raises, `path` stays as it was.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    schema : pyarrow.Schema
    """
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    with (
        replaced(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            use_dictionary=texts,
            use_byte_stream_split=_float_leaves(schema),
        ) as writer,
    ):
        yield writer


def write_plain(path: Path, table: Any) -> None:
    """Write a table as one Parquet file, whole or not at all; its metadata goes with it."""
    with table_writer(path, table.schema) as writer:
        writer.write_table(table, row_group_size=GROUP_ROWS)


def _float_leaves(schema: Any) -> list[str]:
    leaves = []
    for field in schema:
        path, kind = field.name, field.type
        while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            path, kind = f"{path}.list.element", kind.value_type
        if pa.types.is_floating(kind):
            leaves.append(path)
    return leaves
