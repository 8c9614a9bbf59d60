"""How audiorec opens and makes every Parquet file, so that damage is seen.

    pages    each carries a checksum, which is verified when the page is read
    footer   a seal stands before it, which is verified before a byte of it is believed

The seal is 40 bytes between the last page and the footer: eight that name it, and the sha256
of everything behind it. Parquet says by offsets where its pages are, so other tools pass over
the seal; one that writes the file anew leaves it out. A file without a seal is read as it is.
"""

import hashlib
import os
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from audiorec.errors import StoreError

# What every writer of audiorec is given.
WRITING = {"compression": "zstd", "write_page_checksum": True}
SEAL = b"ARECSEAL"
_MAGIC = b"PAR1"
_TAIL = 8  # bytes behind the footer: its length, and the magic word
_BLOCK = 1 << 20  # bytes that are hashed at once


def open_parquet(source: Any, **options: Any) -> Any:
    """Open a Parquet file whose seal is whole; checksums of pages are verified as they are read.

    Parameters
    ----------
    source : path or binary file
    **options
        As `pyarrow.parquet.ParquetFile` takes them.

    Returns
    -------
    file : pyarrow.parquet.ParquetFile

    Raises
    ------
    StoreError
        If the footer is not the one that was sealed.
    OSError, pyarrow.ArrowException
        If it is missing, or no Parquet file.
    """
    import pyarrow.parquet as pq

    is_sealed(source)
    return pq.ParquetFile(source, page_checksum_verification=True, **options)


def read_schema(path: Path) -> Any:
    """Return the `pyarrow.Schema` of a Parquet file whose seal is whole.

    Raises
    ------
    StoreError, OSError, pyarrow.ArrowException
        As for `open_parquet`.
    """
    with open_parquet(path) as file:
        return file.schema_arrow


def is_sealed(source: Any) -> bool:
    """Return whether a Parquet file has a seal, and check it.

    Raises
    ------
    StoreError
        If the footer is not the one that was sealed.
    OSError
        If the file cannot be read.
    """
    with ExitStack() as stack:
        is_path = isinstance(source, (str, os.PathLike))
        if is_path and _is_special(Path(source)):
            raise StoreError(f"{os.fspath(source)}: is not a regular file")
        file = stack.enter_context(Path(source).open("rb")) if is_path else source
        at = file.tell()
        start = _footer_start(file)
        sealed_at = start - len(SEAL) - hashlib.sha256().digest_size
        found = _read(file, sealed_at, start) if sealed_at >= len(_MAGIC) else b""
        is_good = not found.startswith(SEAL) or found == _seal_of(file, start)
        file.seek(at)
    if not is_good:
        name = f"{os.fspath(source)}: " if is_path else ""
        raise StoreError(f"{name}damaged: its footer is not the one that was written")
    return found.startswith(SEAL)


def seal(path: Path) -> None:
    """Put a seal before the footer of a Parquet file that was just written."""
    with path.open("r+b") as file:
        start = _footer_start(file)
        tail = _read(file, start, file.seek(0, os.SEEK_END))
        whole = _seal_of(file, start) + tail
        file.seek(start)
        file.write(whole)


def float_leaves(schema: Any) -> list[str]:
    """Return the Parquet paths of all columns of floats, which are byte-stream-split."""
    import pyarrow as pa

    leaves = []
    for column in schema:
        path, kind = column.name, column.type
        while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            path, kind = f"{path}.list.element", kind.value_type
        if pa.types.is_floating(kind):
            leaves.append(path)
    return leaves


def _is_special(path: Path) -> bool:
    """Whether opening a path may wait for ever, or have no end: a pipe, a device, a socket."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _footer_start(file: IO[bytes]) -> int:
    """Return where the footer begins; 0 where there cannot be one."""
    size = file.seek(0, os.SEEK_END)
    end = _read(file, max(0, size - _TAIL), size)
    if len(end) < _TAIL or not end.endswith(_MAGIC):
        return 0
    return max(0, size - _TAIL - int.from_bytes(end[:4], "little"))


def _seal_of(file: IO[bytes], start: int) -> bytes:
    digest = hashlib.sha256()
    file.seek(start)
    while block := file.read(_BLOCK):
        digest.update(block)
    return SEAL + digest.digest()


def _read(file: IO[bytes], start: int, stop: int) -> bytes:
    file.seek(start)
    return bytes(file.read(stop - start))
