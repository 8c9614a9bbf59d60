"""Read npz archives given by users, checking the size of arrays before unpacking.

path, names  ──read_npz──▶  arrays, in the order of the names; pickled objects are refused
"""

import math
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import DamagedFileError, MissingFileError
from audiorec.files.parquet_files import LEAST_BYTES, TIMES_FILE


def read_npz(path: Path, names: Sequence[str]) -> list[Any]:
    """Read arrays of an npz archive by their names.

    Raises
    ------
    MissingFileError
        If the file does not exist.
    DamagedFileError
        If it is not an npz archive, an array is missing or duplicated, or an array would expand
        to implausibly more than the file's size.
    """
    try:
        limit = max(LEAST_BYTES, TIMES_FILE * path.stat().st_size)
        with zipfile.ZipFile(path) as archive:
            return [_member(archive, name, limit) for name in names]
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise DamagedFileError(f"{path}: cannot be read as npz: {error}") from error
    except (ValueError, RuntimeError, EOFError, struct.error, zlib.error) as error:
        reason = (str(error) or "not a complete archive").splitlines()[0]
        raise DamagedFileError(f"{path}: {reason}") from error


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> Any:
    """Read one array after checking its unpacked size; raise `ValueError` if it is refused."""
    members = [info for info in archive.infolist() if info.filename == f"{name}.npy"]
    if len(members) != 1:
        there = ", ".join(info.filename.removesuffix(".npy") for info in archive.infolist()[:9])
        times = "has no" if not members else "has more than one"
        raise ValueError(f"{times} array {name!r}, it has {there}")
    if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"the array {name!r} uses a compression that numpy does not write")
    size = members[0].file_size
    if size > limit:
        raise ValueError(
            f"the array {name!r} would expand to {size / 1e9:.1f} GB in memory; the limit for a "
            f"file of its size is {limit / 1e9:.1f} GB"
        )
    with archive.open(members[0]) as file:
        shape, dtype = _header(file)
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize != size - file.tell():
            raise ValueError(f"the size of the array {name!r} does not match its header")
    with archive.open(members[0]) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _header(file: Any) -> tuple[tuple[int, ...], Any]:
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    reader = readers.get(np.lib.format.read_magic(file))
    if reader is None:
        raise ValueError("has an array of an unsupported npy format version")
    shape, _, dtype = reader(file)
    return shape, dtype
