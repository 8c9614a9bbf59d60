"""SQL for a store: CREATE TABLE, statements to load it, and a view with named numbers.

    "vecs.parquet", "clickhouse"  ──ddl──▶  text of SQL statements

==============  =======================  ========================  =================
column          DuckDB                   ClickHouse                Hive
==============  =======================  ========================  =================
``vector``      ``FLOAT[84]``            ``Array(Float32)``        ``ARRAY<FLOAT>``
loaded by       ``read_parquet``         ``FROM INFILE``           external table
==============  =======================  ========================  =================

The view ``<table>_numbers`` has one named column for each number of the vector.
Statements follow the documentation of DuckDB [1]_, ClickHouse [2]_ and Hive [3]_.

A store may come from anyone, and the statements run with the rights of whoever loads it: names
and texts are quoted as each dialect requires, names that no quoting makes safe in every client
are refused, and a time zone has to exist.

References
----------
.. [1] DuckDB: https://duckdb.org/docs/stable/sql/statements/create_table
.. [2] ClickHouse: https://clickhouse.com/docs/reference/statements/create/table and
   https://clickhouse.com/docs/reference/formats/Parquet/Parquet
.. [3] Hive: https://hive.apache.org/docs/latest/language/languagemanual-ddl/
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import available_timezones

import pyarrow as pa

from audiorec.errors import InputError
from audiorec.files.visible import visible, visible_json
from audiorec.store.export import chosen_columns
from audiorec.store.parquet import DICTIONARY_COLUMNS, Checked, open_checked
from audiorec.store.schema import LISTS, Kind, number_names

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
    found = _PLAIN_TYPES.get(str(field.type))
    if found is None:
        raise InputError(
            f"{file.path}: {dialect} has no type for the column {field.name!r} ({field.type}); "
            "list the other columns with --columns"
        )
    kind = _nullable(found[DIALECTS.index(dialect)], field.nullable, dialect)
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
    song_id, vector = (quoted(name, dialect) for name in ("song_id", "vector"))
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
