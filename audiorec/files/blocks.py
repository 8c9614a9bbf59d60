"""Write one large table in blocks, so that an interrupted job can resume.

Each block is a small Parquet file in ``<out>.run/``, written atomically. A restarted job keeps
blocks with the same fingerprint and makes the rest. When all blocks exist, they are streamed into
the output, which replaces the old file atomically, and the folder is removed.

    run_blocks(out, 40, make, schema=schema, fingerprint=fingerprint({...}))

The content of a block may depend only on its number and on what the fingerprint covers. Blocks may
be made by an engine (`audiorec.engines.blocks`): a block that fails does not stop the others, and
the output is written once all of them exist.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from audiorec.errors import LostBlocksError, StoreError
from audiorec.files.atomic import replaced
from audiorec.files.own_files import read_own, refuse_link
from audiorec.files.parquet_files import read_schema
from audiorec.files.run_folder import RunFolder
from audiorec.files.tables import TableFile, table_writer, write_plain
from audiorec.types import Progress

JOB_FILE = "job.json"
PREFIX = "block-"
SHARED = "shared.bin"  # input shared by the workers of an engine, while they run
RUN_FILES = (
    rf"{PREFIX}\d{{6,}}\.parquet|{re.escape(JOB_FILE)}|{re.escape(SHARED)}|{PREFIX}\d{{6,}}\.bin"
)
MAX_JOB_BYTES = 1 << 16
# Makes numbered blocks in a folder; yields each number with the error, or "" on success.
Elsewhere = Callable[[Path, Sequence[int]], Iterator[tuple[int, str]]]


def run_blocks(
    out: Path,
    n_blocks: int,
    make: Callable[[int], Any],
    *,
    schema: Any,
    fingerprint: str,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    elsewhere: Elsewhere | None = None,
    named: Callable[[int], str] = "block {}".format,
    check: Callable[[Sequence[Path]], None] | None = None,
) -> bool:
    """Write `out` from the blocks ``make(0)`` to ``make(n_blocks - 1)``, in this order.

    `make` returns a `pyarrow.Table` with the columns of `schema`, whose metadata is stored in the
    file, or a list of tables, one per row group. `fingerprint` covers everything that determines
    the content of the blocks: blocks with another fingerprint or another number of blocks are
    discarded. `progress` is called with (done, total) at the start and after each block. Once
    `stop` is set, the job ends after the current block and returns False; the next call resumes.

    If `elsewhere` is given, it makes the blocks in place of `make`. Blocks that it failed to make
    raise a `LostBlocksError`, which names them by `named`. `check` gets the files of all blocks
    before they become the output, and may refuse them by raising.
    """
    folder = RunFolder(out, RUN_FILES)
    try:
        _claim(folder, {"fingerprint": fingerprint, "n_blocks": n_blocks})
        blocks = [block_path(folder.path, i) for i in range(n_blocks)]
        missing = [i for i, block in enumerate(blocks) if not is_made(block, schema)]
        tell = progress or (lambda _done, _total: None)
        tell(n_blocks - len(missing), n_blocks)
        if elsewhere is None:
            made = _made_here(folder.path, missing, make, schema, stop)
        else:
            made = _made_elsewhere(folder.path, missing, elsewhere, schema)
        lost: dict[int, str] = {}
        for count, (i, why) in enumerate(made, start=n_blocks - len(missing) + 1):
            lost |= {i: why} if why else {}
            tell(count - len(lost), n_blocks)
        if not all(is_made(block, schema) or i in lost for i, block in enumerate(blocks)):
            return False
        if lost:
            told = tuple((named(i), why) for i, why in sorted(lost.items()))
            raise LostBlocksError(str(out), told, n_blocks)
        if check is not None:
            check(blocks)
        _join(out, blocks, schema)
        (folder.path / JOB_FILE).unlink()
        folder.clear()
    finally:
        # Keep the folder only if it has blocks to resume from.
        if set(folder.names()) <= {JOB_FILE}:
            folder.clear()
            folder.release(remove=True)
        folder.release()
    return True


def block_path(folder: Path, number: int) -> Path:
    """Return the path of a block."""
    return folder / f"{PREFIX}{number:06d}.parquet"


def write_block(folder: Path, number: int, made: Any, schema: Any) -> None:
    """Write a block atomically: one table, or a list of tables, one per row group."""
    path = block_path(folder, number)
    if not isinstance(made, list):
        write_plain(path, _fitted(made, schema))
        return
    with table_writer(path, schema) as writer:
        for table in made:
            writer.write_table(_fitted(table, schema))


def _made_here(
    folder: Path,
    missing: Sequence[int],
    make: Callable[[int], Any],
    schema: Any,
    stop: threading.Event | None,
) -> Iterator[tuple[int, str]]:
    for i in missing:
        if stop is not None and stop.is_set():
            return
        write_block(folder, i, make(i), schema)
        yield i, ""


def _made_elsewhere(
    folder: Path, missing: Sequence[int], elsewhere: Elsewhere, schema: Any
) -> Iterator[tuple[int, str]]:
    for i, why in elsewhere(folder, missing) if missing else ():
        there = is_made(block_path(folder, i), schema)
        yield i, why or ("" if there else f"it is not in {folder}; do all workers see this disk?")


def is_made(path: Path, schema: Any) -> bool:
    """Return whether a valid Parquet file of exactly this schema and metadata exists."""
    refuse_link(path)
    try:
        found: bool = read_schema(path).equals(schema, check_metadata=True)
    except (pa.ArrowException, OSError, StoreError, UnicodeDecodeError):
        return False
    return found


def _claim(folder: RunFolder, job: dict[str, Any]) -> None:
    """Keep the folder's blocks if they belong to `job`; otherwise clear it and write `job`."""
    signature = folder.path / JOB_FILE
    with suppress(FileNotFoundError, ValueError, RecursionError):
        if json.loads(read_own(signature, MAX_JOB_BYTES)) == job:
            return
    # Remove the signature first: blocks without one are never reused.
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
                    # One row group at a time: a block may be too large for memory.
                    table = _fitted(file.read_group(group), schema)
                    writer.write_table(table.combine_chunks())
