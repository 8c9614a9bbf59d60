"""A store in the formats of other tools, a row group at a time.

    "vecs.parquet", "vecs.csv"  ──export──▶  the store as npz, csv, jsonl or plain parquet

Number columns are named by `number_names`, for example ``version_vocal_mean``.
"""

import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, StoreError
from audiorec.files.arrow import matrix
from audiorec.files.arrow import rows as arrow_rows
from audiorec.files.own_files import replaced
from audiorec.files.tables import GROUP_ROWS
from audiorec.store.corrections import with_corrections
from audiorec.store.schema import (
    LISTS,
    Checked,
    Kind,
    checked_lists,
    number_names,
    open_checked,
    series_type,
)
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray

Format = Literal["npz", "csv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
MAX_ID_BYTES = 4 << 30  # ids in an npz, where each takes as much room as the longest
# What a spreadsheet takes for a formula: OWASP's list, and its full-width forms.
_FORMULA = re.compile("^([=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20])")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # fixed, so that the same store gives the same bytes


def export(
    vectors: Path,
    out: Path,
    format: Format | None = None,  # noqa: A002 - what the option is called
    *,
    columns: Sequence[str] | None = None,
    wide: bool = False,
    guard_formulas: bool = False,
    on_formulas: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write a store in another format, atomically.

    ===========  ==============================================================================
    ``npz``      ``vectors`` (n, V), ``ids``, ``classes``, ``statistics``, ``extractor_id``
    ``csv``      one column for each number of the vector, then the store's other columns
    ``jsonl``    one object per line, the vector as a list
    ``parquet``  the store in the oldest encodings, for readers that cannot open it directly;
                 with `wide`, one column for each number
    ===========  ==============================================================================

    Parameters
    ----------
    vectors : Path
        A ``vecs.parquet``.
    out : Path
        Replaced if it exists.
    format : {"npz", "csv", "jsonl", "parquet"}, optional
        By default the suffix of `out`.
    columns : sequence of str, optional
        Columns besides ``song_id``, for csv, jsonl and parquet; ``vector`` for the numbers.
        Default: all.
    wide : bool
        Give a parquet one column for each number of the vector, as a csv always has.
    guard_formulas : bool
        Prefix an apostrophe to texts of a csv that a spreadsheet would run as formulas: those
        that begin with ``=``, ``+``, ``-``, ``@``, a tab or a line break.
    on_formulas : callable, optional
        Called with the number of such texts in a csv, guarded or not, if there are any.

    Returns
    -------
    written : list of Path

    Raises
    ------
    InputError
        If the format or a column is unknown, or `out` is the store itself.
    StoreError
        If a row group is damaged.
    """
    chosen = format or out.suffix.removeprefix(".").lower()
    if chosen not in FORMATS:
        raise InputError(f"{out}: give `form`, one of {', '.join(FORMATS)}")
    if out.resolve() == vectors.resolve():
        raise InputError(f"{out}: is the store itself; export to another file")
    if out.is_dir() or not out.parent.is_dir():
        raise InputError(f"{out}: no file can be written there; name one in an existing folder")
    with ExitStack() as stack:
        store = open_checked(vectors, Kind.VECTORS)
        stack.callback(store.close)
        # A spreadsheet of a thousand columns helps nobody who has not asked for them.
        names = chosen_columns(store, columns, without=LISTS if chosen == "csv" else ())
        temporary = stack.enter_context(replaced(out))
        if chosen == "csv":
            formulas = _write_csv(store, temporary, names, guard_formulas)
            if formulas and on_formulas is not None:
                on_formulas(formulas)
        elif chosen == "npz":
            _write_npz(store, temporary)
        elif chosen == "jsonl":
            _write_jsonl(store, temporary, names)
        else:
            _write_parquet(store, temporary, names, wide)
    return [out]


def chosen_columns(
    store: Checked, columns: Sequence[str] | None, *, without: Collection[str] = ()
) -> list[str]:
    """Return the requested columns, ``song_id`` first; if None all but those in `without`."""
    there = store.schema.names
    unknown = [name for name in columns or () if name not in there]
    if unknown:
        raise InputError(f"{store.path}: no column {unknown[0]!r}, there are: {', '.join(there)}")
    chosen = [n for n in there if n not in without] if columns is None else columns
    return list(dict.fromkeys([StoreColumns.ID, *chosen]))


def _write_npz(store: Checked, path: Path) -> None:
    ids = _ids(store)
    if 4 * max(map(len, ids), default=1) * len(ids) > MAX_ID_BYTES:
        raise InputError("the ids are too long for an npz: use `form=parquet`")
    texts = {
        "ids": ids,
        "extractor_id": store.metadata.extractor_id,
        "classes": list(store.metadata.classes),
        "statistics": list(store.metadata.statistics),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(_member("vectors"), "w", force_zip64=True) as file:
            _write_vectors(file, store)
        for name, value in texts.items():
            buffer = io.BytesIO()
            np.save(buffer, np.array(value, dtype=np.str_), allow_pickle=False)
            archive.writestr(_member(name), buffer.getvalue())


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"{name}.npy", _ZIP_TIME)


def _write_vectors(file: IO[bytes], store: Checked) -> None:
    """Write an array of shape (n, V), float32, a row group at a time."""
    shape = (len(store), store.metadata.dimension)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for table in _tables(store, ["vector"]):
        file.write(_numbers(store, table).astype("<f4", copy=False).tobytes())


def _write_csv(store: Checked, path: Path, names: Sequence[str], guard: bool) -> int:
    """Write a CSV; return how many of its texts a spreadsheet would run, guarded or not."""
    formulas = 0
    with ExitStack() as stack:
        writer: Any = None
        for table in _tables(store, names):
            flat, header = _widened(store, table), 0
            if writer is None:
                nested = [field.name for field in flat.schema if pa.types.is_nested(field.type)]
                if nested:
                    raise InputError(
                        f"{store.path}: a csv cannot hold the column {nested[0]!r}; use `columns`"
                    )
                header = sum(bool(_FORMULA.match(name)) for name in flat.column_names)
            flat, result = _guarded(flat) if guard else (flat, _formulas(flat))
            writer = writer or stack.enter_context(pa.csv.CSVWriter(path, flat.schema))
            writer.write_table(flat)
            formulas += header + result
    return formulas


def _formulas(table: Any) -> int:
    """Count the texts that a spreadsheet would run."""
    columns = [c for c in table.columns if _is_text(c.type)]
    masks = [pc.match_substring_regex(_plain_texts(c), _FORMULA.pattern) for c in columns]
    return sum(pc.sum(mask).as_py() or 0 for mask in masks)


def _guarded(table: Any) -> tuple[Any, int]:
    """Prefix an apostrophe to texts that a spreadsheet would run; return how many there are."""
    columns = [
        pc.replace_substring_regex(_plain_texts(c), _FORMULA.pattern, r"'\1")
        if _is_text(c.type)
        else c
        for c in table.columns
    ]
    names = [guarded_text(name) for name in table.column_names]
    return pa.table(columns, names=names), _formulas(table)


def guarded_text(text: str) -> str:
    """Return a text that no spreadsheet runs: with an apostrophe before what would be a formula.

    Examples
    --------
    >>> guarded_text("=1+1"), guarded_text("Help!")
    ("'=1+1", 'Help!')
    """
    return _FORMULA.sub(r"'\1", text)


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    texts = pa.types.is_string, pa.types.is_large_string, pa.types.is_binary
    return any(is_kind(kind) for is_kind in texts)


def _plain_texts(column: Any) -> Any:
    return column.cast(pa.string()) if column.type != pa.string() else column


def _write_jsonl(store: Checked, path: Path, names: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for table in _tables(store, names):
            for row in arrow_rows(table):
                plain = {name: _plain(value) for name, value in row.items()}
                file.write(json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")


def _write_parquet(store: Checked, path: Path, names: Sequence[str], wide: bool) -> None:
    oldest = {"version": "1.0", "compression": "snappy", "use_deprecated_int96_timestamps": True}
    oldest |= {"write_page_checksum": True}
    with ExitStack() as stack:
        writer: Any = None
        for table in _tables(store, names):
            rows = _widened(store, table) if wide else table.replace_schema_metadata(None)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(path, rows.schema, **oldest))
            writer.write_table(rows)


def _tables(store: Checked, names: Sequence[str]) -> Iterator[Any]:
    """Yield some columns of all rows in batches; an empty store yields one empty table."""
    if len(store) == 0:
        yield store.read(names)
        return
    corrections, start = VectorStore.open(store.path).corrections, 0
    for table in store.batches(GROUP_ROWS, names):
        rows = range(start, start + len(table))
        start += len(table)
        yield _with_floats(with_corrections(table.select(names), corrections, rows))


def _with_floats(table: Any) -> Any:
    """Return a table whose half floats are floats, which every reader knows."""
    for name in LISTS.keys() & set(table.column_names):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(name).cast(series_type()))
    return table


def _widened(store: Checked, table: Any) -> Any:
    """Return a table in which lists of numbers are replaced by one column for each number."""
    columns: dict[str, Any] = {}
    for name in table.column_names:
        if name == "vector":
            labels, numbers = number_names(store.metadata), _numbers(store, table)
            lacking = np.zeros(len(table), np.bool_)
        elif name in LISTS:
            labels = [f"{name}_{number}" for number in range(store.metadata.lists[name])]
            there, values = checked_lists(
                table.column(name), len(labels), name, store.path, dtype="float32"
            )
            numbers = np.zeros((len(table), len(labels)), np.float32)
            lacking = np.ones(len(table), np.bool_)
            numbers[there], lacking[there] = values, False
        else:
            columns[name] = table.column(name)
            continue
        for number, label in enumerate(labels):
            column = np.ascontiguousarray(numbers[:, number])
            columns[label] = pa.array(column, mask=lacking if lacking.any() else None)
    return pa.table(columns)


def _numbers(store: Checked, table: Any) -> FloatArray:
    """Return the vectors of a table: shape (rows, V)."""
    numbers = matrix(table.column("vector"), store.metadata.dimension)
    if not np.isfinite(numbers).all():
        raise StoreError(f"{store.path}: a vector is not finite; to find it: audiorec store verify")
    return numbers


def _ids(store: Checked) -> list[str]:
    return store.read([StoreColumns.ID]).column(StoreColumns.ID).to_pylist()


def _plain(value: Any) -> Any:
    """Convert a value to JSON: times as ISO 8601, bytes as hex, NaN and infinity as null."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.hex() if isinstance(value, bytes) else value
