"""SQL for the tables of an export: CREATE TABLE and load statements for each database.

    `ExportTable`, ... ──sql_files──▶ duckdb.sql, clickhouse.sql, hive.sql, postgres.sql, ...

=============  ================  ==========================  ==================  ===============
kind           DuckDB            ClickHouse                  Hive, Spark         Postgres
=============  ================  ==========================  ==================  ===============
``vector``     ``FLOAT[84]``     ``Array(Float32)``          ``ARRAY<FLOAT>``    ``vector(84)``
``texts``      ``VARCHAR[]``     ``Array(String)``           ``ARRAY<STRING>``   ``text[]``
``time``       ``TIMESTAMPTZ``   ``DateTime64(6, 'UTC')``    ``TIMESTAMP``       ``timestamptz``
=============  ================  ==========================  ==================  ===============

Run the statements in the folder of the export. Postgres reads no Parquet, so DuckDB writes CSV for
it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from audiorec.recall.serving.export.queries import DIALECTS, query_file
from audiorec.recall.serving.export.schema import ExportColumn, ExportTable
from audiorec.store.export import quoted, quoted_text

WarehouseDialect = Literal["duckdb", "clickhouse", "hive", "postgres"]
WAREHOUSES: tuple[WarehouseDialect, ...] = get_args(WarehouseDialect)
_TYPES: Mapping[str, tuple[str, str, str, str]] = {
    "text": ("VARCHAR", "String", "STRING", "text"),
    "int32": ("INTEGER", "Int32", "INT", "integer"),
    "int64": ("BIGINT", "Int64", "BIGINT", "bigint"),
    "float32": ("FLOAT", "Float32", "FLOAT", "real"),
    "bool": ("BOOLEAN", "Bool", "BOOLEAN", "boolean"),
    "time": ("TIMESTAMPTZ", "DateTime64(6, 'UTC')", "TIMESTAMP", "timestamptz"),
    "date": ("DATE", "Date32", "DATE", "date"),
    "texts": ("VARCHAR[]", "Array(String)", "ARRAY<STRING>", "text[]"),
    "floats": ("FLOAT[]", "Array(Float32)", "ARRAY<FLOAT>", "real[]"),
    "vector": ("FLOAT[{0}]", "Array(Float32)", "ARRAY<FLOAT>", "vector({0})"),
}
_LISTS = ("texts", "floats", "vector")
# Characters not allowed in a comment: Hive's clients look for ; and ${ even within quotes.
_ODD = re.compile(r"[^A-Za-z0-9 .,:()+_/=-]|--")


def sql_files(tables: Sequence[ExportTable]) -> dict[str, str]:
    """Return the files of the folder ``sql`` of an export, by name."""
    found = {
        f"{dialect}.sql": "\n\n".join([_HEADS[dialect], *(_LOADS[dialect](t) for t in tables)])
        for dialect in WAREHOUSES
    }
    found["hive_days.sql"] = "\n\n".join([_DAYS_HEAD, *map(_hive_days, tables)])
    found["postgres_csv.sql"] = "\n\n".join([_CSV_HEAD, *map(_to_csv, tables)])
    found |= {f"queries_{dialect}.sql": query_file(tables, dialect) for dialect in DIALECTS}
    return {name: f"{text}\n" for name, text in found.items()}


def column_type(column: ExportColumn, dialect: WarehouseDialect) -> str:
    """Return the SQL type of a column, without its nullability.

    Examples
    --------
    >>> column_type(ExportColumn(name="unit", kind="vector", about="", width=42), "postgres")
    'vector(42)'
    """
    return _TYPES[column.kind][WAREHOUSES.index(dialect)].format(column.width)


_HEADS: Mapping[str, str] = {
    "duckdb": "-- DuckDB, in the folder of the export: duckdb ../warehouse.duckdb < sql/duckdb.sql",
    "clickhouse": (
        "-- ClickHouse, in the folder of the export:\n"
        "-- clickhouse-client --queries-file sql/clickhouse.sql\n"
        "-- Lists cannot be null in ClickHouse: an unknown vector is empty."
    ),
    "hive": (
        "-- Hive 4, or Spark's spark-sql, with the export in storage that they can read:\n"
        "-- hive --hiveconf location=<its place, without a slash at the end> -f sql/hive.sql\n"
        "-- Versions before Hive 4 cannot read the timestamps of these files."
    ),
    "postgres": (
        "-- Postgres with pgvector, in the folder of the export:\n"
        "-- mkdir -p csv && duckdb < sql/postgres_csv.sql && psql -f sql/postgres.sql\n"
        "-- Postgres cannot store text with the character NUL.\n"
        "CREATE EXTENSION IF NOT EXISTS vector;"
    ),
}
_DAYS_HEAD = (
    "-- Hive 4, or Spark's spark-sql: tables partitioned by day, for exports in a folder per day,\n"
    "-- <root>/dt=2026-11-25 (recall export --day).\n"
    "-- hive --hiveconf root=<its place> --hiveconf dt=2026-11-25 -f sql/hive_days.sql"
)
_CSV_HEAD = "-- DuckDB, in the folder of the export: write the CSV files that postgres.sql loads."


def _duckdb(table: ExportTable) -> str:
    name = quoted(table.name, "duckdb")
    casts = ",\n".join(
        f"  {quoted(c.name, 'duckdb')}::{column_type(c, 'duckdb')}" for c in table.columns
    )
    return (
        f"CREATE TABLE {name} (\n{_lines(table, 'duckdb')}\n);\n"
        f"{_comments(table, 'duckdb')}\n"
        f"INSERT INTO {name}\nSELECT\n{casts}\nFROM {_parquet(table)};"
    )


def _clickhouse(table: ExportTable) -> str:
    name = quoted(table.name, "clickhouse")
    key = ", ".join(quoted(column, "clickhouse") for column in table.key)
    names = ", ".join(quoted(column, "clickhouse") for column in table.names)
    file = quoted_text(f"{table.name}/part-*.parquet", "clickhouse")
    return (
        f"CREATE TABLE {name}\n(\n{_lines(table, 'clickhouse')}\n)\n"
        f"ENGINE = MergeTree\nORDER BY ({key});\n\n"
        f"INSERT INTO {name} ({names})\nFROM INFILE {file}\nFORMAT Parquet;"
    )


def _hive(table: ExportTable) -> str:
    return (
        f"CREATE EXTERNAL TABLE {quoted(table.name, 'hive')} (\n{_lines(table, 'hive')}\n)\n"
        f"STORED AS PARQUET\nLOCATION '${{hiveconf:location}}/{table.name}';"
    )


def _hive_days(table: ExportTable) -> str:
    name = quoted(table.name, "hive")
    return (
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {name} (\n{_lines(table, 'hive')}\n)\n"
        "PARTITIONED BY (`dt` STRING)\n"
        f"STORED AS PARQUET\nLOCATION '${{hiveconf:root}}/_tables/{table.name}';\n\n"
        f"ALTER TABLE {name} ADD IF NOT EXISTS PARTITION (`dt` = '${{hiveconf:dt}}')\n"
        f"LOCATION '${{hiveconf:root}}/dt=${{hiveconf:dt}}/{table.name}';"
    )


def _postgres(table: ExportTable) -> str:
    name = quoted(table.name, "postgres")
    return (
        f"CREATE TABLE {name} (\n{_lines(table, 'postgres')}\n);\n"
        f"{_comments(table, 'postgres')}\n"
        f"\\copy {name} FROM 'csv/{table.name}.csv' WITH (FORMAT csv)"
    )


_LOADS: Mapping[str, Callable[[ExportTable], str]] = {
    "duckdb": _duckdb,
    "clickhouse": _clickhouse,
    "hive": _hive,
    "postgres": _postgres,
}


def _lines(table: ExportTable, dialect: WarehouseDialect) -> str:
    lines = [_line(column, dialect) for column in table.columns]
    if table.is_unique and dialect == "postgres":
        key = ", ".join(quoted(column, dialect) for column in table.key)
        lines.append(f"  PRIMARY KEY ({key})")
    return ",\n".join(lines)


def _line(column: ExportColumn, dialect: WarehouseDialect) -> str:
    kind, name = column_type(column, dialect), quoted(column.name, dialect)
    if dialect == "clickhouse":
        nullable = column.nullable and column.kind not in _LISTS
        kind = f"Nullable({kind})" if nullable else kind
    if dialect in ("clickhouse", "hive"):
        return f"  {name} {kind} COMMENT '{_comment(column.about)}'"
    return f"  {name} {kind}{'' if column.nullable else ' NOT NULL'}"


def _comments(table: ExportTable, dialect: WarehouseDialect) -> str:
    own = quoted(table.name, dialect)
    lines = [f"COMMENT ON TABLE {own} IS '{_comment(table.about)}';"]
    lines += [
        f"COMMENT ON COLUMN {own}.{quoted(c.name, dialect)} IS '{_comment(c.about)}';"
        for c in table.columns
    ]
    return "\n".join(lines)


def _comment(text: str) -> str:
    """Return a text that is safe between quotes in any dialect; channel names may hold anything.

    Examples
    --------
    >>> _comment("place in the list of external:it's; --, from 1")
    'place in the list of external:it?s? ?, from 1'
    """
    return _ODD.sub("?", text)


def _parquet(table: ExportTable) -> str:
    return f"read_parquet('{table.name}/part-*.parquet')"


def _to_csv(table: ExportTable) -> str:
    selected = ",\n".join(f"    {_as_text(column)}" for column in table.columns)
    return (
        f"COPY (\n  SELECT\n{selected}\n  FROM {_parquet(table)}\n)\n"
        f"TO 'csv/{table.name}.csv' (FORMAT csv, HEADER false);"
    )


def _as_text(column: ExportColumn) -> str:
    """Return the DuckDB expression that writes a column as text for Postgres."""
    name = quoted(column.name, "duckdb")
    if column.kind == "vector":
        return f"'[' || array_to_string({name}::VARCHAR[], ',') || ']'"
    if column.kind == "floats":
        return f"'{{' || array_to_string({name}::VARCHAR[], ',') || '}}'"
    if column.kind == "texts":
        escaped = r"""'"' || replace(replace(t, '\', '\\'), '"', '\"') || '"'"""
        return f"'{{' || array_to_string([{escaped} FOR t IN {name}], ',') || '}}'"
    return name
