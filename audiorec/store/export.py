"""A store in the formats of other tools, a row group at a time; and SQL to load it.

    "vecs.parquet", "vecs.csv"    ──export──▶  the store as npz, npy, csv, jsonl or plain parquet
    "vecs.parquet", "clickhouse"  ──ddl─────▶  text of SQL statements

Number columns are named by `number_names`, for example ``version_vocal_mean``.
"""

import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, get_args
from zoneinfo import available_timezones

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
from audiorec.files.visible import visible, visible_json
from audiorec.store.schema import (
    DICTIONARY_COLUMNS,
    LISTS,
    Checked,
    Kind,
    checked_lists,
    number_names,
    open_checked,
    series_type,
)
from audiorec.types import FloatArray

Format = Literal["npz", "npy", "csv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
SIDECAR_SCHEMA = "audiorec/vectors-npy/1"
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
    ``npy``      the vectors alone, for ``np.load(mmap_mode="r")``; the rest in a JSON beside it
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
    format : {"npz", "npy", "csv", "jsonl", "parquet"}, optional
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
        raise InputError(f"{out}: give a --format, one of {', '.join(FORMATS)}")
    if out.resolve() == vectors.resolve():
        raise InputError(f"{out}: is the store itself; export to another file")
    if out.is_dir() or not out.parent.is_dir():
        raise InputError(f"{out}: no file can be written there; name one in an existing folder")
    with ExitStack() as stack:
        store = open_checked(vectors, Kind.VECTORS)
        stack.callback(store.close)
        # A spreadsheet of a thousand columns helps nobody who has not asked for them.
        names = chosen_columns(store, columns, without=LISTS if chosen == "csv" else ())
        if chosen == "npy":
            return _write_npy(store, out)
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


def _write_npy(store: Checked, out: Path) -> list[Path]:
    sidecar = out.with_name(f"{out.name}.json")
    with ExitStack() as stack:
        vectors, about = (stack.enter_context(replaced(path)) for path in (out, sidecar))
        with vectors.open("wb") as file:
            _write_vectors(file, store)
        content = {"schema": SIDECAR_SCHEMA, **_about(store), "ids": _ids(store)}
        about.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    return [out, sidecar]


def _write_npz(store: Checked, path: Path) -> None:
    ids, about = _ids(store), _about(store)
    if 4 * max(map(len, ids), default=1) * len(ids) > MAX_ID_BYTES:
        raise InputError("the ids are too long for an npz: use --format npy")
    texts = {"ids": ids, **{name: about[name] for name in about if name != "dimension"}}
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
                        f"{store.path}: a csv cannot hold the column {nested[0]!r}; use --columns"
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
    for table in store.batches(GROUP_ROWS, names):
        yield _with_floats(table.select(names))


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


def _about(store: Checked) -> dict[str, Any]:
    metadata = store.metadata
    return {
        "extractor_id": metadata.extractor_id,
        "dimension": metadata.dimension,
        "classes": list(metadata.classes),
        "statistics": list(metadata.statistics),
    }


def _plain(value: Any) -> Any:
    """Convert a value to JSON: times as ISO 8601, bytes as hex, NaN and infinity as null."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.hex() if isinstance(value, bytes) else value


Dialect = Literal["duckdb", "clickhouse", "hive"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}")
_OFFSET = re.compile(r"[+-]\d\d:?\d\d")
# Arrow type name to the types of DuckDB, ClickHouse and Hive.
_PLAIN_TYPES: Mapping[str, tuple[str, str, str]] = {
    "string": ("VARCHAR", "String", "STRING"),
    "large_string": ("VARCHAR", "String", "STRING"),
    "binary": ("BLOB", "String", "BINARY"),
    "bool": ("BOOLEAN", "Bool", "BOOLEAN"),
    "int8": ("TINYINT", "Int8", "TINYINT"),
    "int16": ("SMALLINT", "Int16", "SMALLINT"),
    "int32": ("INTEGER", "Int32", "INT"),
    "int64": ("BIGINT", "Int64", "BIGINT"),
    "float": ("FLOAT", "Float32", "FLOAT"),
    "double": ("DOUBLE", "Float64", "DOUBLE"),
}


def ddl(
    vectors: Path,
    dialect: Dialect,
    *,
    table: str = "songs",
    source: str | None = None,
    columns: Sequence[str] | None = None,
) -> str:
    """Return the statements that create a table for a store and load it.

    ==============  =======================  ========================  =================
    column          DuckDB                   ClickHouse                Hive
    ==============  =======================  ========================  =================
    ``vector``      ``FLOAT[84]``            ``Array(Float32)``        ``ARRAY<FLOAT>``
    loaded by       ``read_parquet``         ``FROM INFILE``           external table
    ==============  =======================  ========================  =================

    The view ``<table>_numbers`` has one named column for each number of the vector. A store may
    come from anyone, and the statements run with the rights of whoever loads it: names and texts
    are quoted as each dialect requires, names that no quoting makes safe in every client are
    refused, and a time zone has to exist. Sources: the documentation of DuckDB
    (https://duckdb.org/docs/stable/sql/statements/create_table), ClickHouse
    (https://clickhouse.com/docs/reference/statements/create/table and
    https://clickhouse.com/docs/reference/formats/Parquet/Parquet) and Hive
    (https://hive.apache.org/docs/latest/language/languagemanual-ddl/).

    Parameters
    ----------
    vectors : Path
        A ``vecs.parquet``.
    dialect : {"duckdb", "clickhouse", "hive"}
    table : str
        Letters, digits and underscores.
    source : str, optional
        Path of the file as the database sees it; by default `vectors`. For Hive, a folder that
        holds only this file; by default the variable ``${hiveconf:location}``.
    columns : sequence of str, optional
        Columns besides ``song_id``; default: all.

    Raises
    ------
    InputError
        If the dialect or a column is unknown, the table name is invalid, or an extra column has
        a type, a name or a time zone that the database does not support.
    StoreError
        If `vectors` is not a store.

    Examples
    --------
    >>> text = ddl(Path("fixtures/formats/vecs-v1.parquet"), "hive", columns=["vector"])
    >>> print(text.split(";")[0])
    -- Hive: put the file alone into a folder, then
    -- hive --hiveconf location=<the folder> -f <this file>
    -- Hive before 4 does not know the encodings of vecs.parquet: give it the file that
    -- audiorec store export --format parquet writes.
    CREATE EXTERNAL TABLE IF NOT EXISTS `songs` (
      `song_id` STRING,
      `vector` ARRAY<FLOAT>
    )
    STORED AS PARQUET
    LOCATION '${hiveconf:location}'
    """
    if dialect not in DIALECTS:
        raise InputError(f"no dialect {dialect!r}, there are: {', '.join(DIALECTS)}")
    if not _NAME.fullmatch(table):
        raise InputError(f"--table {table!r}: use letters, digits and underscores only")
    file = open_checked(vectors, Kind.VECTORS)
    try:
        halves = [name for name, kind in LISTS.items() if kind == "float16"]
        names = chosen_columns(file, columns, without=halves)  # not every reader knows them
        described = [_described(file, name, dialect) for name in names]
        numbers = number_names(file.metadata) if "vector" in names else []
    finally:
        file.file.close()
    parts = _PARTS[dialect](
        table, described, source or str(vectors) if dialect != "hive" else source
    )
    if numbers:
        parts = [*parts, _view(dialect, table, numbers)]
    return "\n\n".join(parts) + "\n"


@dataclass(frozen=True, slots=True)
class _Column:
    """A column in the syntax of one dialect."""

    name: str  # quoted
    type: str
    nullable: bool
    length: int = 0  # of a vector


def _described(file: Checked, name: str, dialect: Dialect) -> _Column:
    field = file.file.schema_arrow.field(name)
    own = quoted(_checked_name(name, file.path, dialect), dialect)
    if pa.types.is_fixed_size_list(field.type) and pa.types.is_float32(field.type.value_type):
        width = field.type.list_size
        kinds = {"duckdb": f"FLOAT[{width}]", "clickhouse": "Array(Float32)"}
        return _Column(own, kinds.get(dialect, "ARRAY<FLOAT>"), field.nullable, width)
    if pa.types.is_list(field.type) and pa.types.is_float32(field.type.value_type):
        kinds = {"duckdb": "FLOAT[]", "clickhouse": "Array(Float32)"}
        return _Column(own, kinds.get(dialect, "ARRAY<FLOAT>"), field.nullable)
    return _Column(own, _type(file, field, dialect), field.nullable)


def _type(file: Checked, field: Any, dialect: Dialect) -> str:
    if pa.types.is_timestamp(field.type):
        zone = _checked_zone(field, file.path)
        with_zone = "TIMESTAMP WITH TIME ZONE" if zone else "TIMESTAMP"
        digits = f"6, '{zone}'" if zone else "6"
        of = {"duckdb": with_zone, "clickhouse": f"DateTime64({digits})", "hive": "TIMESTAMP"}
        return _nullable(of[dialect], field.nullable, dialect)
    result = _PLAIN_TYPES.get(str(field.type))
    if result is None:
        raise InputError(
            f"{file.path}: {dialect} has no type for the column {field.name!r} ({field.type}); "
            "list the other columns with --columns"
        )
    kind = _nullable(result[DIALECTS.index(dialect)], field.nullable, dialect)
    few = dialect == "clickhouse" and field.name in DICTIONARY_COLUMNS
    return f"LowCardinality({kind})" if few else kind


def _checked_name(name: str, path: Path, dialect: Dialect) -> str:
    """Return a column's name if quoting makes it safe; raise `InputError` otherwise."""
    # Hive's clients interpret these before they parse quotes.
    odd = dialect == "hive" and any(part in name for part in (";", "${", "--", "\\"))
    if odd or not name or visible(name) != name:
        raise InputError(
            f"{path}: {dialect} cannot have a column named {name!r}; list the others with --columns"
        )
    return name


def _checked_zone(field: Any, path: Path) -> str | None:
    """Return a column's time zone as a name; offsets become UTC, as instants are stored in UTC."""
    zone = field.type.tz
    if not zone or zone == "UTC":
        return zone or None
    if _OFFSET.fullmatch(zone):
        return "UTC"
    if not _ZONE.fullmatch(zone) or zone not in available_timezones():
        raise InputError(
            f"{path}: column {field.name!r}: {zone!r} is not a time zone; list the other columns "
            "with --columns"
        )
    return str(zone)


def _nullable(kind: str, nullable: bool, dialect: Dialect) -> str:
    return f"Nullable({kind})" if nullable and dialect == "clickhouse" else kind


def _duckdb(table: str, columns: Sequence[_Column], source: str | None) -> list[str]:
    name = quoted(table, "duckdb")
    lines = [f"{c.name} {c.type}{'' if c.nullable else ' NOT NULL'}" for c in columns]
    lines.append("PRIMARY KEY (song_id)")
    selected = [f"{c.name}::{c.type}" if c.length else c.name for c in columns]
    path = "".join(f"[{c}]" if c in "*?[" else c for c in source or "")
    return [
        f"-- DuckDB: .read <this file>\nCREATE TABLE {name} (\n{_indented(lines)}\n);",
        (
            f"INSERT INTO {name}\nSELECT\n{_indented(selected)}\n"
            f"FROM read_parquet({quoted_text(path, 'duckdb')});"
        ),
    ]


def _clickhouse(table: str, columns: Sequence[_Column], source: str | None) -> list[str]:
    name = quoted(table, "clickhouse")
    lines = [f"{c.name} {c.type}" for c in columns]
    lines += [
        f"CONSTRAINT `length_of_vector` CHECK length({c.name}) = {c.length}"
        for c in columns
        if c.length
    ]
    names, file = ", ".join(c.name for c in columns), quoted_text(source or "", "clickhouse")
    return [
        (
            "-- ClickHouse: clickhouse-client --queries-file <this file>, beside the Parquet\n"
            f"CREATE TABLE IF NOT EXISTS {name}\n(\n{_indented(lines)}\n)\n"
            "ENGINE = MergeTree\nORDER BY `song_id`;"
        ),
        f"INSERT INTO {name} ({names})\nFROM INFILE {file}\nFORMAT Parquet;",
    ]


def _hive(table: str, columns: Sequence[_Column], source: str | None) -> list[str]:
    location = quoted_text(source, "hive") if source else "'${hiveconf:location}'"
    lines = _indented([f"{c.name} {c.type}" for c in columns])
    return [
        (
            "-- Hive: put the file alone into a folder, then\n"
            "-- hive --hiveconf location=<the folder> -f <this file>\n"
            "-- Hive before 4 does not know the encodings of vecs.parquet: give it the file that\n"
            "-- audiorec store export --format parquet writes.\n"
            f"CREATE EXTERNAL TABLE IF NOT EXISTS {quoted(table, 'hive')} (\n{lines}\n)\n"
            f"STORED AS PARQUET\nLOCATION {location};"
        )
    ]


_PARTS: Mapping[str, Callable[[str, Sequence[_Column], str | None], list[str]]] = {
    "duckdb": _duckdb,
    "clickhouse": _clickhouse,
    "hive": _hive,
}


def _view(dialect: Dialect, table: str, numbers: Sequence[str]) -> str:
    """Return the view that names each number; lists start at 0 in Hive and at 1 elsewhere."""
    first = 0 if dialect == "hive" else 1
    song_id, vector = (quoted(name, dialect) for name in (StoreColumns.ID, "vector"))
    selected = [song_id]
    selected += [
        f"{vector}[{n}] AS {quoted(name, dialect)}" for n, name in enumerate(numbers, start=first)
    ]
    view, of = quoted(f"{table}_numbers", dialect), quoted(table, dialect)
    if_not = "" if dialect == "duckdb" else "IF NOT EXISTS "
    return f"CREATE VIEW {if_not}{view} AS\nSELECT\n{_indented(selected)}\nFROM {of};"


def _indented(lines: Sequence[str]) -> str:
    return ",\n".join(f"  {line}" for line in lines)


def quoted(name: str, dialect: Dialect | Literal["postgres"]) -> str:
    """Quote the name of a table or a column for a dialect."""
    if dialect in ("duckdb", "postgres"):
        return '"' + name.replace('"', '""') + '"'
    if dialect == "hive":
        return "`" + name.replace("`", "``") + "`"
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def quoted_text(value: str, dialect: Dialect | Literal["postgres"]) -> str:
    """Quote a text for a dialect.

    Backslashes escape in ClickHouse and Hive, and in DuckDB and Postgres after an E.
    """
    is_standard = dialect in ("duckdb", "postgres")
    quote = "''" if is_standard else r"\'"
    if is_standard and visible(value) == value:
        return "'" + value.replace("'", quote) + "'"
    escaped = value.replace("\\", r"\\").replace("'", quote)
    text = "".join(c if visible(c) == c else _escapes(c, dialect) for c in escaped)
    return f"E'{text}'" if is_standard else f"'{text}'"


def _escapes(c: str, dialect: str) -> str:
    r"""Escape a character: ``\uHHHH`` for Hive, otherwise ``\xHH`` for each UTF-8 byte."""
    if dialect == "hive":
        return visible_json(c)[1:-1]
    return "".join(rf"\x{byte:02x}" for byte in c.encode("utf-8", "surrogateescape"))
