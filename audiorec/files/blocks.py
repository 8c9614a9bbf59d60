"""One large table made in blocks, by a job that may be killed at any moment.

Each block is a small Parquet file in ``<out>.run/``, written whole or not at all. A job that
is started again keeps the blocks of the same fingerprint and makes the rest. When all are
there they are streamed into the output, which appears at once and whole, and the folder goes.

    run_blocks(out, 40, make, schema=schema, fingerprint=fingerprint({...}))

What a block holds may depend only on its number and on what the fingerprint covers. Blocks may
be made elsewhere (`audiorec.engines.blocks`): one that cannot be made does not stop the others, and
the output appears when all are there.
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
SHARED = "shared.bin"  # what those who make blocks elsewhere read, while they do
RUN_FILES = (
    rf"{PREFIX}\d{{6,}}\.parquet|{re.escape(JOB_FILE)}|{re.escape(SHARED)}|{PREFIX}\d{{6,}}\.bin"
)
MAX_JOB_BYTES = 1 << 16
# Makes blocks, by number, into files of a folder; yields each number, and why it could not.
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
) -> bool:
    """Make `out` from the blocks ``make(0)`` to ``make(n_blocks - 1)``, in this order.

    `make` returns a `pyarrow.Table` with the columns of `schema`, whose metadata goes into the
    file, or a list of tables that are row groups of it. `fingerprint` stands for all that decides
    what the blocks hold: those of another one, or of another number of blocks, are thrown away.
    `progress` is called with (done, total), at the start and after each block. Once `stop` is set,
    the job ends after the block in work and returns False; the next call goes on from there.

    With `elsewhere`, blocks are made by that and not by `make`. Those that it could not make are a
    `LostBlocksError`, which calls them as `named` does.
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


def block_path(folder: Path, number: int) -> Path:
    """Return where a block lies."""
    return folder / f"{PREFIX}{number:06d}.parquet"


def write_block(folder: Path, number: int, made: Any, schema: Any) -> None:
    """Write a block, whole or not at all: a table, or tables that are a row group each."""
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
        yield i, why or ("" if there else f"it is not in {folder}: do all workers see this disk?")


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
                    table = _fitted(file.read_group(group), schema)
                    writer.write_table(table.combine_chunks())
