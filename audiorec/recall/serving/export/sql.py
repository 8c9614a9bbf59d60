"""SQL for the tables of an export: CREATE TABLE, load statements and queries for each database.

    `ExportTable`, ... ──sql_files──▶ duckdb.sql, clickhouse.sql, hive.sql, postgres.sql, ...
    `QUERIES` ──query_file──▶ queries_duckdb.sql, queries_clickhouse.sql, ...

Run the statements in the folder of the export. Postgres reads no Parquet, so DuckDB writes CSV for
it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from audiorec.recall.serving.export.schema import ExportColumn, ExportTable
from audiorec.store.export import quoted, quoted_text

DIALECTS = ("duckdb", "clickhouse", "postgres", "spark")
_DOTS = {
    "duckdb": "array_inner_product(a.unit, b.unit)",
    "clickhouse": "dotProduct(a.unit, b.unit)",
    "postgres": "-(a.unit <#> b.unit)",
    "spark": (
        "aggregate(zip_with(a.unit, b.unit, (x, y) -> x * y), CAST(0 AS DOUBLE), (s, x) -> s + x)"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportQuery:
    """A SQL query and the question that it answers."""

    name: str
    question: str
    sql: str


def _query(name: str, question: str, sql: str) -> ExportQuery:
    return ExportQuery(name=name, question=question, sql=sql.strip())


QUERIES = (
    _query(
        "channels",
        "What does each channel stand for, and how much of it is shown?",
        """
SELECT channel, count(*) AS pairs, count(fused_rank) AS shown, avg(popularity) AS mean_popularity
FROM candidates
GROUP BY channel
ORDER BY channel
""",
    ),
    _query(
        "new_songs",
        "How much of what is shown has nobody played yet?",
        """
SELECT channel, avg(CASE WHEN cold THEN 1.0 ELSE 0.0 END) AS share_cold
FROM candidates
WHERE fused_rank IS NOT NULL
GROUP BY channel
ORDER BY channel
""",
    ),
    _query(
        "most_shown",
        "Which songs are shown to most users?",
        """
SELECT c.song_id AS song, max(s.plays) AS song_plays_so_far, count(*) AS users_reached
FROM candidates c JOIN songs s ON s.song_id = c.song_id
WHERE c.fused_rank IS NOT NULL
GROUP BY c.song_id
ORDER BY users_reached DESC, song
LIMIT 20
""",
    ),
    _query(
        "coverage",
        "How much of the catalogue is shown to anybody?",
        """
SELECT count(*) AS songs_in_all,
       sum(CASE WHEN song_id IN (SELECT song_id FROM candidates WHERE fused_rank IS NOT NULL)
           THEN 1 ELSE 0 END) AS songs_shown
FROM songs
""",
    ),
    _query(
        "without_a_list",
        "Who gets nothing, by how much they play?",
        """
SELECT plays, count(*) AS users_without
FROM users
WHERE user_id NOT IN (SELECT user_id FROM candidates WHERE fused_rank IS NOT NULL)
GROUP BY plays
ORDER BY plays
""",
    ),
    _query(
        "agreement",
        "How many channels propose a shown song, and at which ranks?",
        """
SELECT channels, count(*) AS pairs, avg(fused_rank) AS mean_rank
FROM candidates
WHERE fused_rank IS NOT NULL
GROUP BY channels
ORDER BY channels
""",
    ),
    _query(
        "outcome_by_day",
        "How much of what was shown is played to the end, day by day?",
        """
SELECT date_trunc('day', happened_at) AS day, count(*) AS samples,
       avg(CASE WHEN label = 1 THEN 1.0 ELSE 0.0 END) AS positive
FROM samples_ranking
GROUP BY date_trunc('day', happened_at)
ORDER BY day
""",
    ),
    _query(
        "outcome_by_sound",
        "Is what sounds like a user's songs played to the end more often?",
        """
SELECT floor(audio_similarity * 5) AS fifth, count(*) AS samples,
       avg(CASE WHEN label = 1 THEN 1.0 ELSE 0.0 END) AS positive
FROM samples_ranking
WHERE audio_similarity IS NOT NULL
GROUP BY floor(audio_similarity * 5)
ORDER BY fifth
""",
    ),
    _query(
        "genres",
        "Which genres are played to the end, and which are skipped?",
        """
SELECT s.genre AS genre_of_song, count(*) AS samples,
       avg(CASE WHEN r.label = 1 THEN 1.0 ELSE 0.0 END) AS positive
FROM samples_recall r JOIN songs s ON s.song_id = r.song_id
WHERE s.genre IS NOT NULL
GROUP BY s.genre
ORDER BY samples DESC, genre_of_song
LIMIT 20
""",
    ),
    _query(
        "known_artists",
        "How familiar are the artists of what is shown?",
        """
SELECT CASE WHEN artist_affinity IS NULL THEN 'artist not known'
            WHEN artist_affinity = 0 THEN 'new to the user'
            ELSE 'heard before' END AS familiarity,
       count(*) AS pairs, avg(fused_rank) AS mean_rank
FROM candidates
WHERE fused_rank IS NOT NULL
GROUP BY CASE WHEN artist_affinity IS NULL THEN 'artist not known'
              WHEN artist_affinity = 0 THEN 'new to the user'
              ELSE 'heard before' END
ORDER BY familiarity
""",
    ),
)
ALIKE = _query(
    "alike",
    "Which songs sound like the most played one? As audiorec similar --by vector.",
    """
SELECT b.song_id AS song, {dot} AS similarity
FROM songs a CROSS JOIN songs b
WHERE a.song_id = (SELECT song_id FROM songs ORDER BY plays DESC, song_id LIMIT 1)
  AND b.song_id <> a.song_id{known}
ORDER BY similarity DESC, song
LIMIT 10
""",
)


def queries_for(tables: Sequence[ExportTable], dialect: str) -> list[ExportQuery]:
    """Return the queries in a dialect, including `ALIKE` if songs have units."""
    queries = list(QUERIES)
    names = {name for table in tables if table.name == "songs" for name in table.names}
    if "unit" in names:
        # In ClickHouse an unknown unit is an empty list, whose dot product would be an error.
        is_empty = dialect == "clickhouse"
        known = " AND notEmpty(b.unit) AND notEmpty(a.unit)" if is_empty else ""
        known = known or " AND b.unit IS NOT NULL AND a.unit IS NOT NULL"
        sql = ALIKE.sql.format(dot=_DOTS[dialect], known=known)
        queries.append(ExportQuery(name=ALIKE.name, question=ALIKE.question, sql=sql))
    return queries


def query_file(tables: Sequence[ExportTable], dialect: str) -> str:
    """Return all queries as one text, each after a comment with its question."""
    return "\n\n".join(f"-- {q.name}: {q.question}\n{q.sql};" for q in queries_for(tables, dialect))


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
    result = {
        f"{dialect}.sql": "\n\n".join([_HEADS[dialect], *(_LOADS[dialect](t) for t in tables)])
        for dialect in WAREHOUSES
    }
    result["hive_days.sql"] = "\n\n".join([_DAYS_HEAD, *map(_hive_days, tables)])
    result["postgres_csv.sql"] = "\n\n".join([_CSV_HEAD, *map(_to_csv, tables)])
    result |= {f"queries_{dialect}.sql": query_file(tables, dialect) for dialect in DIALECTS}
    return {name: f"{text}\n" for name, text in result.items()}


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
