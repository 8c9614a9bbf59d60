"""One large table made in blocks, by a job that may be killed at any moment.

Each block is a small Parquet file in ``<out>.run/``, written whole or not at all. A job that
is started again keeps the blocks of the same fingerprint and makes the rest. When all are
there they are streamed into the output, which appears at once and whole, and the folder goes.

    run_blocks(out, 40, make, schema=schema, fingerprint=fingerprint({...}))

What a block holds may depend only on its number and on what the fingerprint covers.
"""

import json
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from audiorec.errors import StoreError
from audiorec.files.atomic import replaced
from audiorec.files.own_files import read_own, refuse_link
from audiorec.files.parquet_files import read_schema
from audiorec.files.run_folder import RunFolder
from audiorec.files.tables import TableFile, table_writer, write_plain
from audiorec.types import Progress

JOB_FILE = "job.json"
PREFIX = "block-"
RUN_FILES = rf"{PREFIX}\d{{6,}}\.parquet|{re.escape(JOB_FILE)}"
MAX_JOB_BYTES = 1 << 16


def run_blocks(
    out: Path,
    n_blocks: int,
    make: Callable[[int], Any],
    *,
    schema: Any,
    fingerprint: str,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> bool:
    """Make `out` from the blocks ``make(0)`` to ``make(n_blocks - 1)``, in this order.

    `make` returns a `pyarrow.Table` with the columns of `schema`, whose metadata goes into the
    file. `fingerprint` stands for all that decides what the blocks hold: those of another one,
    or of another number of blocks, are thrown away. `progress` is called with (done, total), at
    the start and after each block. Once `stop` is set, the job ends after the block in work and
    returns False; the next call goes on from there.
    """
    folder = RunFolder(out, RUN_FILES)
    try:
        _claim(folder, {"fingerprint": fingerprint, "n_blocks": n_blocks})
        blocks = [folder.path / f"{PREFIX}{i:06d}.parquet" for i in range(n_blocks)]
        done = [i for i, block in enumerate(blocks) if is_made(block, schema)]
        tell = progress or (lambda _done, _total: None)
        tell(len(done), n_blocks)
        for count, i in enumerate(sorted(set(range(n_blocks)) - set(done)), len(done) + 1):
            if stop is not None and stop.is_set():
                return False
            write_plain(blocks[i], _fitted(make(i), schema))
            tell(count, n_blocks)
        _join(out, blocks, schema)
        (folder.path / JOB_FILE).unlink()
        folder.clear()
    finally:
        # Stays only where there are blocks to go on from.
        if set(folder.names()) <= {JOB_FILE}:
            folder.clear()
            folder.release(remove=True)
        folder.release()
    return True


def is_made(path: Path, schema: Any) -> bool:
    """Whether there is a whole Parquet file of exactly this schema, metadata included."""
    refuse_link(path)
    try:
        found: bool = read_schema(path).equals(schema, check_metadata=True)
    except (pa.ArrowException, OSError, StoreError, UnicodeDecodeError):
        return False
    return found


def _claim(folder: RunFolder, job: dict[str, Any]) -> None:
    """Keep the folder's blocks if they belong to `job`; else clear it and sign it."""
    signature = folder.path / JOB_FILE
    with suppress(FileNotFoundError, ValueError, RecursionError):
        if json.loads(read_own(signature, MAX_JOB_BYTES)) == job:
            return
    # The signature goes first: blocks without one belong to nobody.
    signature.unlink(missing_ok=True)
    folder.clear()
    with replaced(signature) as temporary:
        temporary.write_text(json.dumps(job))


def _fitted(table: Any, schema: Any) -> Any:
    return table.select(schema.names).cast(schema)


def _join(out: Path, blocks: list[Path], schema: Any) -> None:
    with table_writer(out, schema) as writer:
        for path in blocks:
            with TableFile.open(path) as file:
                for group in range(file.file.num_row_groups):
                    # As the file of one block may be, so is the whole: never in memory at once.
                    writer.write_table(_fitted(file.read_group(group), schema))
