"""Read and check tables of embeddings made by other programs.

==========  =========================================================================
Parquet     a column of ids, and a list column of numbers (any list type, any float)
CSV         a column of ids, and one column for each number, in the order of the file
npz         ``ids`` (texts) and ``embeddings`` (n, D); pickles are refused
==========  =========================================================================
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import DamagedFileError, InputError, MissingFileError
from audiorec.files.arrow import floats
from audiorec.files.npz import read_npz
from audiorec.files.user_files import column_names, read_table
from audiorec.types import FloatArray

NPZ_IDS, NPZ_EMBEDDINGS = "ids", "embeddings"
PARQUET_FAILURE, CSV_FAILURE = "cannot be read as parquet", "cannot be read as csv"


def read_foreign(
    path: str | Path, *, id_column: str, embedding_column: str = "embedding"
) -> tuple[tuple[str, ...], FloatArray]:
    """Read ids and embeddings.

    Parameters
    ----------
    path : path
        Ends in ``.parquet``, ``.csv`` or ``.npz``.
    id_column : str
        Column of the ids, in Parquet and CSV.
    embedding_column : str
        Column of the embeddings, in Parquet.

    Returns
    -------
    ids : tuple of str, length n
    embeddings : ndarray, shape (n, D), float32

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, two rows have different widths, an id
        is empty or repeated, or a number is NaN or infinite. Names file and row.
    """
    path = Path(path)
    readers = {".parquet": _read_parquet, ".csv": _read_csv, ".npz": _read_npz}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: expected .parquet, .csv or .npz")
    if path.exists() and not path.is_file():  # reading a pipe would block
        raise DamagedFileError(f"{path}: is not a regular file")
    try:
        ids, embeddings = reader(path, id_column, embedding_column)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file") from error
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DamagedFileError(f"{path}: cannot be read as {path.suffix[1:]}: {reason}") from error
    _check(path, ids, embeddings)
    return tuple(ids), embeddings


def to_unit(path: str | Path, ids: Sequence[str], embeddings: FloatArray) -> FloatArray:
    """Scale every embedding to length 1; raise `InputError` if one has length 0."""
    length = np.sqrt(np.square(embeddings.astype(np.float64)).sum(axis=1, keepdims=True))
    zero = np.flatnonzero(length[:, 0] == 0)
    if len(zero):
        row = int(zero[0])
        raise DamagedFileError(
            f"{path}: row {row + 1} ({ids[row]!r}) has length 0 and cannot be normalised"
        )
    unit: FloatArray = (embeddings / length).astype(np.float32)
    return unit


def content_id(ids: Sequence[str], embeddings: FloatArray) -> str:
    """Return a model id for imported embeddings: ``import-`` and a hash of the content."""
    content = hashlib.sha256(np.ascontiguousarray(embeddings, np.float32).tobytes())
    content.update("\0".join(ids).encode())
    return f"import-{content.hexdigest()[:16]}"


def _read_parquet(path: Path, id_column: str, column: str) -> tuple[list[str], FloatArray]:
    names = column_names(path, PARQUET_FAILURE)
    for name in (id_column, column):
        if names.count(name) != 1:
            raise DamagedFileError(f"{path}: needs one column {name!r}, has {', '.join(names)}")
    table = read_table(path, PARQUET_FAILURE, needed=(id_column, column))
    ids = table.column(id_column).cast(pa.string()).to_pylist()
    return ids, _lists_to_array(path, column, table.column(column))


def _lists_to_array(path: Path, name: str, column: Any) -> FloatArray:
    kind = column.type
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_kind(kind) for is_kind in lists):
        raise DamagedFileError(f"{path}: column {name!r} is {kind}, expected a list of numbers")
    if column.null_count:
        raise DamagedFileError(f"{path}: a row has no {name}")
    flat = pc.list_flatten(column).cast(pa.float32())
    if flat.null_count:
        raise DamagedFileError(f"{path}: an {name} has a number missing")
    lengths = np.asarray(pc.list_value_length(column).to_pylist(), np.int64)
    odd = np.flatnonzero(lengths != lengths[:1])
    if len(odd):
        row = int(odd[0])
        raise DamagedFileError(
            f"{path}: row {row + 1} has {lengths[row]} numbers, the rows before it {lengths[0]}"
        )
    width = int(lengths[0]) if len(lengths) else 1
    return _joined(flat).reshape(len(lengths), width)


def _joined(column: Any) -> FloatArray:
    return np.concatenate([np.empty(0, np.float32), *map(floats, column.chunks)])


def _read_csv(path: Path, id_column: str, _column: str) -> tuple[list[str], FloatArray]:
    names = column_names(path, CSV_FAILURE)
    if names.count(id_column) != 1:
        raise DamagedFileError(f"{path}: needs one column {id_column!r}, has {', '.join(names)}")
    numbers = [name for name in names if name != id_column]
    if not numbers or len(set(numbers)) != len(numbers):
        raise DamagedFileError(f"{path}: needs a separate column for each number")
    types = {name: pa.float32() for name in numbers} | {id_column: pa.string()}
    table = read_table(path, CSV_FAILURE, wanted=None, types=types, null_values=[""])
    columns = [table.column(name) for name in numbers]
    for name, column in zip(numbers, columns, strict=True):
        if column.null_count:
            row = column.is_null().to_pylist().index(True) + 1
            raise DamagedFileError(f"{path}: row {row} has no {name!r}")
    return table.column(id_column).to_pylist(), np.stack([*map(_joined, columns)], axis=1)


def _read_npz(path: Path, _id_column: str, _column: str) -> tuple[list[str], FloatArray]:
    ids, embeddings = read_npz(path, (NPZ_IDS, NPZ_EMBEDDINGS))
    if ids.ndim != 1 or ids.dtype.kind not in "UiuS" or embeddings.dtype.kind not in "fiu":
        raise DamagedFileError(f"{path}: ids must be texts (n,), embeddings numbers (n, D)")
    names = [i.decode() if isinstance(i, bytes) else str(i) for i in ids.tolist()]
    return names, embeddings.astype(np.float32)


def _check(path: Path, ids: Sequence[str], embeddings: FloatArray) -> None:
    if embeddings.ndim != 2 or len(embeddings) != len(ids) or embeddings.shape[1] < 1:
        raise DamagedFileError(f"{path}: {len(ids)} ids for embeddings of shape {embeddings.shape}")
    seen: dict[str, int] = {}
    for row, name in enumerate(ids, start=1):
        if not name:
            raise DamagedFileError(f"{path}: row {row} has no id")
        if name in seen:
            raise DamagedFileError(f"{path}: rows {seen[name]} and {row} have the id {name!r}")
        seen[name] = row
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad):
        row = int(bad[0])
        raise DamagedFileError(
            f"{path}: row {row + 1} ({ids[row]!r}) has a number that is not finite"
        )
