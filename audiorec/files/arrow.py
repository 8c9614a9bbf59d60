"""Arrow and Parquet: conversions without pandas, and files whose damage is detected.

    path       ──open_parquet, refuse_bomb──▶  a Parquet file that is undamaged and fits in memory
    columns    ──integers, floats, rows, ...──▶  Arrow and numpy, without importing pandas
               ──pandas_frame, arrow_to_polars──▶  frames for users; audiorec uses none itself
    path, names  ──read_npz──▶  arrays of an npz archive given by a user

If pandas is installed, Arrow imports it at the first `pyarrow.array`, `pyarrow.scalar`, `to_numpy`
or conversion of a timestamp to a Python object. This takes most of a second, in commands that do
not need pandas.
"""

import hashlib
import math
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import DamagedFileError, MissingFileError, StoreError, import_extra
from audiorec.files.own_files import MAX_READS
from audiorec.types import BoolArray, FloatArray, Int64Array
from audiorec.types import string_array as string_array

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def integers(values: Sequence[int] | npt.NDArray[np.integer]) -> Any:
    """Convert whole numbers to a `pyarrow.Int64Array`."""
    return arrow_array(np.ascontiguousarray(values, np.int64), pa.int64())


def arrow_array(values: npt.NDArray[Any], kind: Any) -> Any:
    """Wrap a contiguous array, shape (n,), as an Arrow array of the matching type `kind`."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def float_array(values: npt.NDArray[Any]) -> Any:
    """Wrap numbers, shape (n,), as an Arrow array of float32: `pyarrow.array` imports pandas."""
    return arrow_array(np.ascontiguousarray(values, np.float32), pa.float32())


def mask(values: BoolArray) -> Any:
    """Convert booleans, shape (n,), to a `pyarrow.BooleanArray`.

    Examples
    --------
    >>> mask(np.array([True, False])).to_pylist()
    [True, False]
    """
    bits = pa.py_buffer(np.packbits(values, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, bits])


def scalar(value: str | float | np.generic) -> Any:
    """Convert a value to an Arrow scalar: functions of `pyarrow.compute` take it, too.

    Examples
    --------
    >>> scalar("song"), scalar(np.float32(0.5)), scalar(np.bool_(False))
    (<pyarrow.StringScalar: 'song'>, <pyarrow.FloatScalar: 0.5>, <pyarrow.BooleanScalar: False>)
    """
    if isinstance(value, str):
        return string_array([value])[0]
    number = np.asarray(value).reshape(1)
    if number.dtype == np.bool_:
        return pc.not_equal(integers(number.astype(np.int64)), integers([0]))[0]
    return arrow_array(number, pa.from_numpy_dtype(number.dtype))[0]


def floats(array: Any) -> FloatArray:
    """Return a view of a float32 Arrow array without nulls, shape (n,)."""
    return view(array, np.float32)


def view(array: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a view of an Arrow array of numbers of this type without nulls, shape (n,)."""
    of = np.dtype(dtype)
    buffer = array.buffers()[1] or b""
    return np.frombuffer(buffer, of, len(array), of.itemsize * array.offset)


def one_chunk(column: Any) -> Any:
    """Return a column, of a table or of a batch, as one Arrow array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def encoded(texts: Any) -> tuple[Int64Array, Any]:
    """Encode a column of strings as indices into its sorted distinct values; return both.

    Examples
    --------
    >>> numbers, values = encoded(pa.chunked_array([["b", "a"], ["b"]]))
    >>> numbers.tolist(), values.to_pylist()
    ([1, 0, 1], ['a', 'b'])
    """
    encoded = one_chunk(one_chunk(texts).dictionary_encode())
    order = pc.sort_indices(encoded.dictionary)
    place = np.empty(len(order), np.int64)
    place[order.to_numpy()] = np.arange(len(order))
    return place[encoded.indices.to_numpy()], encoded.dictionary.take(order)


def matrix(column: Any, width: int) -> FloatArray:
    """Return a column of float32 lists without nulls as (n, `width`); a view if it is one chunk."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    blocks = [floats(chunk.flatten()).reshape(-1, width) for chunk in chunks if len(chunk)]
    if not blocks:
        return np.empty((0, width), np.float32)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def booleans(array: Any) -> BoolArray:
    """Convert a bool Arrow array without nulls to a new array, shape (n,)."""
    numbers = array.cast(pa.uint8())
    result = np.frombuffer(numbers.buffers()[1], np.uint8, len(numbers), numbers.offset)
    return result.astype(np.bool_)


def rows(table: Any) -> list[dict[str, Any]]:
    """Return a table's rows as dicts; timestamps in microseconds UTC become `datetime`."""
    stamp = pa.timestamp("us", tz="UTC")
    stamps = [field.name for field in table.schema if field.type == stamp]
    for name in stamps:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(name).cast(pa.int64()))
    result: list[dict[str, Any]] = table.to_pylist()
    for row in result:
        for name in stamps:
            if row[name] is not None:
                row[name] = _EPOCH + timedelta(microseconds=row[name])
    return result


def pandas_frame(columns: Mapping[str, Any], *, index: tuple[str, Any] | None = None) -> Any:
    """Build a `pandas.DataFrame` from named columns.

    Parameters
    ----------
    columns : mapping of str to sequence
    index : tuple of str and sequence, optional
        Name and values of the index; by default rows are numbered from 0.

    Raises
    ------
    MissingExtraError
        If pandas is not installed.
    """
    pandas = import_extra("pandas", "a DataFrame", "pandas")
    if index is None:
        return pandas.DataFrame(dict(columns))
    return pandas.DataFrame(dict(columns), index=pandas.Index(index[1], name=index[0]))


def arrow_to_pandas(table: Any) -> Any:
    """Convert an Arrow table to a `pandas.DataFrame`; `MissingExtraError` without pandas."""
    import_extra("pandas", "a DataFrame", "pandas")
    return table.to_pandas()


def arrow_to_polars(table: Any) -> Any:
    """Convert an Arrow table to a `polars.DataFrame`; `MissingExtraError` without polars."""
    polars = import_extra("polars", "to_polars()", "polars")
    return polars.from_arrow(table)


# Options of every Parquet writer in audiorec.
WRITING = {"compression": "zstd", "write_page_checksum": True}
SEAL = b"ARECSEAL"
_MAGIC = b"PAR1"
_TAIL = 8  # bytes after the footer: its length, and the magic number
_BLOCK = 1 << 20  # bytes hashed at a time
# Memory limit of a read: an amount that any laptop has, or a plausible multiple of the file size.
LEAST_BYTES = 1 << 30
TIMES_FILE = 64
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}  # bytes
# Encodings that store every occurrence of a string in full.
_PLAIN = frozenset({"PLAIN", "RLE", "BIT_PACKED", "DELTA_LENGTH_BYTE_ARRAY"})
_COUNTED_ROWS = 1 << 16  # batch size for dictionary-encoded strings
_COPIED_ROWS = 1 << 8  # batch size for delta-encoded strings, which must be expanded
# Limits on rows, which some readers turn into objects; distinct ids need more bytes than this.
LEAST_ROWS = 1 << 20
ROWS_A_BYTE = 8
_OFFSET = 4  # bytes of the end offset of a string


def open_parquet(source: Any, **options: Any) -> Any:
    """Open a Parquet file after checking its seal; page checksums are verified on reading.

    Takes the arguments of `pyarrow.parquet.ParquetFile`. Raises `StoreError` if the footer does not
    match its seal, and Arrow's own errors if the file is missing or not Parquet. A file without a
    seal is opened without this check.
    """
    import pyarrow.parquet as pq

    is_sealed(source)
    return pq.ParquetFile(source, page_checksum_verification=True, **options)


def open_same(path: Path, *ways: Callable[[str], Any]) -> list[Any]:
    """Open a file in several ways, again if it was replaced between the first and the last.

    Raises `StoreError`, which does not name the file, if it is a pipe, device or socket;
    `IsADirectoryError`; and the errors of `ways`.
    """
    files: list[Any] = []
    for _ in range(MAX_READS):
        before = _identity(path)
        files = [way(os.fspath(path)) for way in ways]
        if _identity(path) == before:
            break
    return files


def _identity(path: Path) -> tuple[int, ...]:
    about = path.stat()
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(path)
    if not stat.S_ISREG(about.st_mode):  # it may block or be endless
        raise StoreError("is not a regular file")
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def read_schema(path: Path) -> Any:
    """Return the `pyarrow.Schema` of a Parquet file; raises the errors of `open_parquet`."""
    with open_parquet(path) as file:
        return file.schema_arrow


def is_sealed(source: Any) -> bool:
    """Return whether a Parquet file has a seal; `StoreError` if its footer does not match it."""
    with ExitStack() as stack:
        is_path = isinstance(source, (str, os.PathLike))
        if is_path and _is_special(Path(source)):
            raise StoreError(f"{os.fspath(source)}: is not a regular file")
        file = stack.enter_context(Path(source).open("rb")) if is_path else source
        at = file.tell()
        start = _footer_start(file)
        sealed_at = start - len(SEAL) - hashlib.sha256().digest_size
        result = _read(file, sealed_at, start) if sealed_at >= len(_MAGIC) else b""
        is_good = not result.startswith(SEAL) or result == _seal_of(file, start)
        file.seek(at)
    if not is_good:
        name = f"{os.fspath(source)}: " if is_path else ""
        raise StoreError(f"{name}damaged: the footer does not match its seal")
    return result.startswith(SEAL)


def seal(path: Path) -> None:
    """Insert a seal before the footer of a newly written Parquet file.

    The seal is 40 bytes between the last page and the footer: an eight-byte magic number and the
    sha256 of everything after the seal. Parquet locates pages by offset, so other tools ignore the
    seal; a tool that rewrites the file drops it.
    """
    with path.open("r+b") as file:
        start = _footer_start(file)
        tail = _read(file, start, file.seek(0, os.SEEK_END))
        whole = _seal_of(file, start) + tail
        file.seek(start)
        file.write(whole)


def float_leaves(schema: Any) -> list[str]:
    """Return the Parquet paths of all float columns, which use byte-stream-split encoding."""
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
    """Return whether a path is a pipe, device or socket, which may block or be endless."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _footer_start(file: IO[bytes]) -> int:
    """Return the offset of the footer; 0 if there is none."""
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


def refuse_bomb(
    file: Any,
    source: Any,
    *,
    columns: Collection[str] | None = None,
    groups: Collection[int] | None = None,
) -> None:
    """Refuse to read columns that would take far more memory than the size of the file.

    `file` is a `pyarrow.parquet.ParquetFile` of `source`, a path or binary file, which is read
    if the footer is not enough; `columns` and `groups` are those about to be read, by default
    all. Raises `StoreError` if they would take more than 1 GiB and more than 64 times the size of
    the file, or if it has more than 2**20 rows and more than eight rows per byte; it does not name
    the file, as what opened it does (`audiorec.files.tables.store_errors`).

    A string that occurs in a million rows is stored once, and repeated numbers are run-length
    encoded, so a file of 120 kB can fill the memory of any machine. The footer tells most of the
    expanded size. Only the lengths of dictionary- or delta-encoded strings are unknown; those are
    summed batch by batch, without expanding them, until the limit is exceeded.
    """
    size, rows = _size(source), int(file.metadata.num_rows)
    if rows > max(LEAST_ROWS, ROWS_A_BYTE * size):
        raise StoreError(f"claims {rows} rows in {size} bytes, which is implausible")
    limit = max(LEAST_BYTES, TIMES_FILE * size)
    chosen = list(range(file.metadata.num_row_groups) if groups is None else groups)
    if columns is None:
        _refuse(sum(file.metadata.row_group(g).total_byte_size for g in chosen), limit)
    _check_chunks(file, source, columns, chosen)
    known = least = 0
    most: Counter[str] = Counter()
    folded: dict[str, dict[int, Any]] = {}
    for group, chunk, width in _chunks(file.metadata, columns, groups):
        if width:
            known += int(chunk.num_values) * width
        elif _is_folded(chunk):
            folded.setdefault(chunk.path_in_schema, {})[group] = chunk
            most[chunk.path_in_schema] += _most_bytes(chunk)
            least += int(chunk.total_uncompressed_size)
        else:
            known += _most_bytes(chunk)
    _refuse(known + least, limit)
    for path in sorted(folded, key=most.__getitem__, reverse=True):
        if known + most.total() <= limit:
            return
        del most[path]
        for n_bytes in _text_bytes(file.metadata, source, folded[path], path):
            known += n_bytes
            _refuse(known, limit)


def _check_chunks(
    file: Any, source: Any, columns: Collection[str] | None, groups: list[int]
) -> None:
    """Refuse column chunks with inconsistent metadata.

    Accessing them as `_chunks` does would abort the process: Arrow lets a C++ exception escape
    from a function that must not throw. A reader with pre-buffering checks all chunks before it
    reads a page, and raises a Python exception.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [n for n in file.schema_arrow.names if columns is None or n in columns]
    if not groups or not names:
        return
    mapped = isinstance(source, (str, os.PathLike))
    try:
        with pq.ParquetFile(
            source, metadata=file.metadata, memory_map=mapped, pre_buffer=True
        ) as reader:
            next(reader.iter_batches(1, row_groups=groups, columns=names), None)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise StoreError(f"damaged: {reason}") from error


def _chunks(
    metadata: Any, columns: Collection[str] | None, groups: Collection[int] | None
) -> Iterator[tuple[int, Any, int]]:
    """Yield row group, column chunk, and bytes of a value, 0 for strings, of what will be read."""
    # Names come from the schema: an unchecked chunk must not be accessed.
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    chosen = [i for i, p in enumerate(paths) if columns is None or p.split(".")[0] in columns]
    about = {i: metadata.schema.column(i) for i in chosen}
    width = {i: _WIDTHS.get(one.physical_type, int(one.length)) for i, one in about.items()}
    for group in range(metadata.num_row_groups) if groups is None else groups:
        of_group = metadata.row_group(group)
        for i in chosen:
            yield group, of_group.column(i), width[i]


def _most_bytes(chunk: Any) -> int:
    """Return an upper bound of the memory of a column chunk of strings, in bytes."""
    stored, count = int(chunk.total_uncompressed_size), int(chunk.num_values)
    return count * (_OFFSET + stored) if _is_folded(chunk) else count * _OFFSET + stored


def _is_folded(chunk: Any) -> bool:
    """Return whether strings are dictionary- or delta-encoded, so that their size is unknown."""
    return not _PLAIN.issuperset(chunk.encodings)


def _text_bytes(metadata: Any, source: Any, groups: Mapping[int, Any], path: str) -> Iterator[int]:
    """Yield the expanded size of a column's strings, batch by batch, without expanding them."""
    import pyarrow.parquet as pq

    column = path.split(".")[0]
    is_delta = any("DELTA_BYTE_ARRAY" in chunk.encodings for chunk in groups.values())
    kept, rows = ([], _COPIED_ROWS) if is_delta else ([path], _COUNTED_ROWS)
    options = {"metadata": metadata, "page_checksum_verification": True}
    with pq.ParquetFile(source, read_dictionary=kept, **options) as file:
        for batch in file.iter_batches(rows, row_groups=list(groups), columns=[column]):
            yield _length(batch.column(0))


def _length(texts: Any) -> int:
    """Return the size of an array of strings without dictionary encoding, in bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    while pa.types.is_list(texts.type) or pa.types.is_large_list(texts.type):
        texts = texts.flatten()
    if not pa.types.is_dictionary(texts.type):
        return int(texts.nbytes)
    lengths = pc.cast(pc.binary_length(texts.dictionary), pa.int64())
    total = pc.sum(pc.take(lengths, texts.indices)).as_py() or 0
    return int(total) + _OFFSET * len(texts)


def _refuse(n_bytes: int, limit: int) -> None:
    if n_bytes > limit:
        raise StoreError(
            f"would expand to more than {n_bytes / 1e9:.1f} GB in memory; the limit for "
            f"a file of its size is {limit / 1e9:.1f} GB"
        )


def _size(source: Any) -> int:
    if isinstance(source, (str, os.PathLike)):
        return os.stat(source).st_size  # noqa: PTH116 - a path of any kind
    if callable(size := getattr(source, "size", None)):
        return int(size())  # Arrow's files: does not move the shared position
    at = source.tell()
    end: int = source.seek(0, os.SEEK_END)
    source.seek(at)
    return end


def read_npz(path: Path, names: Sequence[str]) -> list[Any]:
    """Read arrays of an npz archive by their names.

    Sizes are checked before unpacking; pickled objects are refused.

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
