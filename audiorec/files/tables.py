"""Tables that are not a store: written whole or not at all, one row group at a time.

Floats are byte-stream-split, texts have dictionaries, everything is compressed with zstd,
and damage is seen: see `audiorec.files.digests`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from audiorec.files.atomic import replaced
from audiorec.files.digests import DigestWriter, digest_writer

GROUP_ROWS = 16_384


@contextmanager
def table_writer(path: Path, schema: Any) -> Iterator[DigestWriter]:
    """Give a writer of tables whose file takes the place of `path` at the end.

    If the body raises, `path` stays as it was.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    schema : pyarrow.Schema
    """
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    with replaced(path) as temporary, digest_writer(temporary, schema, texts=texts) as writer:
        yield writer


def write_plain(path: Path, table: Any) -> None:
    """Write a table as one Parquet file, whole or not at all; its metadata goes with it."""
    with table_writer(path, table.schema) as writer:
        writer.write_table(table, row_group_size=GROUP_ROWS)
