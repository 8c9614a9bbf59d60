"""One large table made in blocks, by a job that may be killed at any moment.

Each block is a small Parquet file in ``<out>.run/``, written whole or not at all. A job that
is started again keeps the blocks of the same fingerprint and makes the rest. When all are
there they are streamed into the output, which appears at once and whole, and the folder goes.

    run_blocks(out, 40, make, schema=schema, fingerprint=fingerprint({...}))

What a block holds may depend only on its number and on what the fingerprint covers.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.errors import StoreError
from audiorec.parquet_files import open_parquet
from audiorec.vectors.atomic import replaced
from audiorec.vectors.lock import LOCK_FILE, RunLock
from audiorec.vectors.tables import table_writer, write_plain

JOB_FILE = "job.json"
PREFIX = "block-"
MAX_JOB_BYTES = 1 << 16

Progress = Callable[[int, int], None]


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

    Parameters
    ----------
    out : Path
        A Parquet file; replaced, when all blocks are there, by one rename.
    n_blocks : int
        0 writes a table without rows.
    make : callable of int to pyarrow.Table
        With the columns of `schema`.
    schema : pyarrow.Schema
        Its metadata goes into the file.
    fingerprint : str
        Stands for everything that decides what the blocks hold. Blocks that a killed job
        left under another one, or for another number of blocks, are thrown away.
    progress : callable of (done, total), optional
        Called once at the start, with the blocks that were kept, and after each block.
    stop : threading.Event, optional
        Once it is set, the job ends after the block in work.

    Returns
    -------
    finished : bool
        False if it was stopped; the next call goes on from there.

    Raises
    ------
    StoreError
        If another job is writing `out`, or the run folder belongs to another command.
    """
    lock = RunLock(out.with_name(f"{out.name}.run"))
    try:
        folder = lock.folder
        _claim(folder, {"fingerprint": fingerprint, "n_blocks": n_blocks})
        done = [i for i in range(n_blocks) if is_made(_block(folder, i), schema)]
        _tell(progress, len(done), n_blocks)
        for count, i in enumerate(sorted(set(range(n_blocks)) - set(done)), len(done) + 1):
            if stop is not None and stop.is_set():
                return False
            write_plain(_block(folder, i), _fitted(make(i), schema))
            _tell(progress, count, n_blocks)
        _join(out, [_block(folder, i) for i in range(n_blocks)], schema)
        _clear(folder)
    finally:
        # Stays only where there are blocks to go on from.
        if {p.name for p in lock.folder.iterdir()} <= {LOCK_FILE, JOB_FILE}:
            _clear(lock.folder)
            lock.release(remove=True)
        lock.release()
    return True


def is_made(path: Path, schema: Any) -> bool:
    """Return whether there is a whole Parquet file of exactly this schema, metadata included."""
    try:
        found: bool = pq.read_schema(path).equals(schema, check_metadata=True)
    except (FileNotFoundError, pa.ArrowException, OSError):
        return False
    return found


def _block(folder: Path, number: int) -> Path:
    return folder / f"{PREFIX}{number:06d}.parquet"


def _claim(folder: Path, job: dict[str, Any]) -> None:
    """Keep the folder's blocks if they belong to `job`; else clear it and sign it."""
    foreign = [p.name for p in folder.iterdir() if not _is_ours(p)]
    if foreign:
        raise StoreError(
            f"{folder}: holds the unfinished run of another command ({min(foreign)}); "
            "finish that run, or remove the folder"
        )
    for torn in folder.glob(".*.tmp"):
        torn.unlink()
    if _read_job(folder / JOB_FILE) == job:
        return
    _clear(folder)
    with replaced(folder / JOB_FILE) as temporary:
        temporary.write_text(json.dumps(job))


def _is_ours(path: Path) -> bool:
    name = path.name
    block = name.startswith(PREFIX) and name.endswith(".parquet")
    torn = name.startswith((f".{PREFIX}", f".{JOB_FILE}")) and name.endswith(".tmp")
    return block or torn or name in (JOB_FILE, LOCK_FILE)


def _read_job(path: Path) -> Any:
    """Return the job that signed the folder, None if none did."""
    try:
        with path.open("rb") as file:
            return json.loads(file.read(MAX_JOB_BYTES))
    except (FileNotFoundError, ValueError):
        return None


def _fitted(table: Any, schema: Any) -> Any:
    return table.select(schema.names).cast(schema)


def _join(out: Path, blocks: list[Path], schema: Any) -> None:
    with table_writer(out, schema) as writer:
        for path in blocks:
            with open_parquet(path) as file:
                for group in range(file.num_row_groups):
                    # As the file of one block may be, so is the whole: never in memory at once.
                    writer.write_table(_fitted(file.read_row_group(group), schema))


def _clear(folder: Path) -> None:
    """Remove the signature first: blocks without one belong to nobody."""
    (folder / JOB_FILE).unlink(missing_ok=True)
    for path in folder.glob(f"{PREFIX}*.parquet"):
        path.unlink()


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
