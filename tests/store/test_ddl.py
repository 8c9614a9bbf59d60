"""`audiorec.store.export`: DuckDB runs it; ClickHouse's and Hive's follow their grammars."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from good_store import IDS, METADATA, write_good_store
from needs import needs

from audiorec.errors import InputError, StoreError
from audiorec.store.export import DIALECTS, ddl, export
from audiorec.store.schema import number_names
from audiorec.store.store import VectorStore

SAMPLES = Path(__file__).parents[2] / "fixtures" / "formats"


@pytest.fixture
def store(tmp_path):
    return write_good_store(tmp_path / "it's [a] lib*rary?")


def test_duckdb_makes_loads_and_names(store):
    duckdb = needs("duckdb")
    with duckdb.connect() as database:
        text = ddl(store, "duckdb", table="our_songs")
        assert "it''s [[]a] lib[*]rary[?]/vecs.parquet'" in text  # a name, not a pattern
        database.execute(text)
        rows = database.sql("SELECT song_id, vector FROM our_songs ORDER BY song_id").fetchall()
        assert [row[0] for row in rows] == list(IDS)
        np.testing.assert_array_equal(
            np.float32([row[1] for row in rows]), VectorStore.open(store).vectors
        )
        types = dict(database.sql("SELECT column_name, data_type FROM duckdb_columns()").fetchall())
        assert types["vector"] == "FLOAT[30]"
        assert types["extracted_at"] == "TIMESTAMP WITH TIME ZONE"
        numbers = database.sql("FROM our_songs_numbers WHERE song_id = 'b/été.mp3'")
        assert numbers.columns == ["song_id", *number_names(METADATA)]
        np.testing.assert_array_equal(np.float32(numbers.fetchall()[0][1:]), rows[3][1])
        nearest = database.sql(
            "SELECT b.song_id FROM our_songs a, our_songs b WHERE a.song_id = 'a/one.flac' "
            "ORDER BY array_cosine_similarity(a.vector, b.vector) DESC"
        )
        assert nearest.fetchall()[0] == ("a/one.flac",)
        with pytest.raises(duckdb.ConstraintException):
            database.execute("INSERT INTO our_songs SELECT * FROM our_songs")


def test_duckdb_reads_what_was_written_for_old_readers(store, tmp_path):
    duckdb = needs("duckdb")
    export(store, tmp_path / "old.parquet")
    with duckdb.connect() as database:
        database.execute(ddl(store, "duckdb", source=str(tmp_path / "old.parquet")))
        assert database.sql("SELECT count(*) FROM songs").fetchall() == [(4,)]


def test_duckdb_holds_the_sound_of_those_that_have_one(tmp_path):
    duckdb = needs("duckdb")
    path = tmp_path / "vecs.parquet"
    path.write_bytes((SAMPLES / "vecs-v3.parquet").read_bytes())
    with duckdb.connect() as database:
        database.execute(ddl(path, "duckdb"))
        found = database.sql("SELECT sound FROM songs ORDER BY song_id").fetchall()
    rows, sound = VectorStore.open(path).read_list("sound")
    assert found[2] == (None,)
    assert np.array_equal(np.float32([found[row][0] for row in rows]), sound)


# ClickHouse's grammar of the statements used here: https://clickhouse.com/docs/reference/
# statements/create/table, .../create/view, .../insert-into and /docs/reference/data-types.
NAME = r"`(?:[^`\\]|\\.)+`"
TEXT = r"'(?:[^'\\]|\\.)*'"
PLAIN = r"(?:String|Bool|Int(?:8|16|32|64)|Float(?:32|64)|DateTime64\(6(?:, 'UTC')?\))"
NULLABLE = rf"(?:{PLAIN}|Nullable\({PLAIN}\))"
TYPE = rf"(?:{NULLABLE}|LowCardinality\((?:String|Nullable\(String\))\)|Array\({PLAIN}\))"
CREATE = (
    rf"CREATE TABLE IF NOT EXISTS {NAME} \( {NAME} {TYPE}(?:, {NAME} {TYPE})*"
    rf"(?:, CONSTRAINT {NAME} CHECK length\({NAME}\) = \d+)? \) "
    rf"ENGINE = MergeTree ORDER BY {NAME}"
)
INSERT = rf"INSERT INTO {NAME} \({NAME}(?:, {NAME})*\) FROM INFILE {TEXT} FORMAT Parquet"
NUMBERS = rf"{NAME}(?:, {NAME}\[\d+\] AS {NAME})+"
VIEW = rf"CREATE VIEW IF NOT EXISTS {NAME} AS SELECT {NUMBERS} FROM {NAME}"  # noqa: S608
CLICKHOUSE = [CREATE, INSERT, VIEW]
# Hive's: https://hive.apache.org/docs/latest/language/languagemanual-ddl/
HIVE_TYPE = "(?:STRING|BOOLEAN|TINYINT|INT|BIGINT|FLOAT|DOUBLE|TIMESTAMP|ARRAY<FLOAT>)"
HIVE_COLUMNS = rf"{NAME} {HIVE_TYPE}(?:, {NAME} {HIVE_TYPE})*"
EXTERNAL = (
    rf"CREATE EXTERNAL TABLE IF NOT EXISTS {NAME} \( {HIVE_COLUMNS} \) "
    rf"STORED AS PARQUET LOCATION {TEXT}"
)
HIVE = [EXTERNAL, VIEW]


def statements(text):
    """Without comments, each with single spaces."""
    bare = re.sub(r"^--.*$", "", text, flags=re.MULTILINE)
    return [" ".join(part.split()) for part in bare.split(";") if part.strip()]


def check(text, grammar):
    found = statements(text)
    assert len(found) == len(grammar)
    for statement, pattern in zip(found, grammar, strict=True):
        assert re.fullmatch(pattern, statement), statement


def test_clickhouse_follows_its_grammar(store):
    text = ddl(store, "clickhouse")
    check(text, CLICKHOUSE)
    create, insert, view = statements(text)
    assert "`song_id` String," in create
    assert "`vector` Array(Float32)," in create
    assert "`claimed_s` Nullable(Float32)," in create
    assert "`artist` LowCardinality(Nullable(String))," in create
    assert "`status` LowCardinality(String)," in create
    assert "`extracted_at` DateTime64(6, 'UTC')," in create
    assert "CHECK length(`vector`) = 30 )" in create
    assert insert.count("`") == 2 * (1 + 23)  # the table and all columns
    assert r"it\'s [a] lib*rary?/vecs.parquet'" in insert
    assert "`vector`[1] AS `version_vocal_max`" in view
    assert "`vector`[30] AS `genre_hip_hop_skewness`" in view


def test_hive_follows_its_grammar(store):
    text = ddl(store, "hive")
    check(text, HIVE)
    create, view = statements(text)
    assert "`vector` ARRAY<FLOAT>," in create
    assert "`size` BIGINT," in create
    assert create.endswith("LOCATION '${hiveconf:location}'")
    assert "`vector`[0] AS `version_vocal_max`" in view
    assert ddl(store, "hive", source="s3a://b/it's").count(r"LOCATION 's3a://b/it\'s'") == 1


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: text.replace("MergeTree", "MyISAM"),
        lambda text: text.replace("Array(Float32)", "Array(Float32"),
        lambda text: text.replace("`song_id` String,", "`song_id` VARCHAR,", 1),
        lambda text: text.replace("ORDER BY `song_id`", ""),
    ],
)
def test_the_checker_can_fail(store, broken):
    with pytest.raises(AssertionError):
        check(broken(ddl(store, "clickhouse")), CLICKHOUSE)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_columns_of_ones_own(store, dialect):
    table = pq.read_table(store)
    table = table.append_column("stars", pa.array([5, None, 3, 1], pa.int8()))
    table = table.append_column('odd `name"', pa.array([True, False, True, True]))
    pq.write_table(table.append_column("when", pa.array([1, 2, 3, 4], pa.timestamp("us"))), store)
    text = ddl(store, dialect)
    if dialect == "clickhouse":
        check(text, CLICKHOUSE)
        assert "`stars` Nullable(Int8)" in text
        assert "`when` Nullable(DateTime64(6))" in text
    elif dialect == "duckdb":
        duckdb = needs("duckdb")
        with duckdb.connect() as database:
            database.execute(text)
            assert database.sql('SELECT "odd `name""" FROM songs').fetchall()[1] == (False,)
    else:
        assert '`odd ``name"` BOOLEAN' in text


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"dialect": "oracle"}, "no dialect 'oracle', there are: duckdb, clickhouse, hive"),
        ({"table": "songs; DROP"}, "use letters, digits and underscores only"),
        ({"table": ""}, "use letters"),
        ({"columns": ["tempo"]}, "no column 'tempo'"),
    ],
)
def test_refusals(store, options, match):
    with pytest.raises(InputError, match=match):
        ddl(store, **{"dialect": "duckdb", **options})


def test_a_type_that_no_database_has(store):
    table = pq.read_table(store).append_column("tags", pa.array([["a"], [], None, ["b"]]))
    pq.write_table(table, store)
    with pytest.raises(InputError, match=r"hive has no type for the column 'tags' \(list<"):
        ddl(store, "hive")
    assert "tags" not in ddl(store, "hive", columns=["title"])


def test_some_columns_need_no_view(store):
    assert len(statements(ddl(store, "clickhouse", columns=["title"]))) == 2
    with pytest.raises(StoreError, match=r"scores\.parquet: holds scores, not vectors"):
        ddl(store.with_name("scores.parquet"), "duckdb")


ODD_NAMES = (
    "a'b",
    "x); DROP TABLE songs; --",
    'q"q',
    "b`b",
    "back\\slash",
    "{x:String}",
    "日本　語",
)
UNSAFE_NAMES = ("new\nline", "esc\x1b[31m", "nul\x00", "\u202egnp", "del\x7f", "\x9b2J", "")
HIVE_REFUSES = ("x); DROP TABLE songs; --", "back\\slash", "${env:HOME}")
# How each dialect reads a quoted name, and a text.
READ_NAMES = {
    "duckdb": (r'"((?:[^"]|"")*)"', lambda name: name.replace('""', '"')),
    "clickhouse": (r"`((?:[^`\\]|\\.)*)`", lambda name: re.sub(r"\\(.)", r"\1", name)),
    "hive": (r"`((?:[^`]|``)*)`", lambda name: name.replace("``", "`")),
}


def with_columns(store, columns):
    table = pq.read_table(store)
    for name, column in columns.items():
        table = table.append_column(name, column)
    pq.write_table(table, store)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_is_that_name(store, dialect, name):
    with_columns(store, {name: pa.array([1, 2, 3, 4], pa.int32())})
    if dialect == "hive" and name in HIVE_REFUSES:
        with pytest.raises(InputError, match="hive cannot have a column named"):
            ddl(store, dialect)
        return
    text = ddl(store, dialect)
    pattern, read = READ_NAMES[dialect]
    create = text[text.index("CREATE") :]
    found = [read(quoted) for quoted in re.findall(pattern, create)]
    names = ["songs", *pq.read_schema(store).names]
    assert found[: len(names)] == names
    outside = re.sub(pattern, "", create)
    assert "DROP" not in outside
    assert "'b" not in outside
    if dialect == "duckdb":
        duckdb = needs("duckdb")
        with duckdb.connect() as database:
            database.execute(text)
            assert name in database.sql("FROM songs").columns


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", UNSAFE_NAMES)
def test_a_name_that_would_break_a_line_is_refused(store, dialect, name):
    with_columns(store, {name: pa.array([1, 2, 3, 4])})
    with pytest.raises(InputError, match="cannot have a column named") as caught:
        ddl(store, dialect)
    assert name == "" or name not in str(caught.value)
    assert ddl(store, dialect, columns=["title"])


def test_hive_does_not_look_up_variables_in_names(store):
    with_columns(store, {"${env:HOME}": pa.array([1, 2, 3, 4])})
    with pytest.raises(InputError, match="hive cannot have a column named"):
        ddl(store, "hive")


ZONES = (
    "UTC'); DROP TABLE users; SELECT ('",
    "Europe/Berlin'",
    "../../etc/passwd",
    "No/Where",
    "\n",
)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("zone", ZONES)
def test_a_time_zone_has_to_be_one(store, dialect, zone):
    with_columns(store, {"seen": pa.array([1, 2, 3, 4], pa.timestamp("us", tz=zone))})
    with pytest.raises(InputError, match="is not a time zone"):
        ddl(store, dialect)


def test_time_zones_by_name_and_by_offset(store):
    times = {z: pa.array([1, 2, 3, 4], pa.timestamp("us", tz=z)) for z in ("UTC", "+01:00")}
    with_columns(store, times)
    assert ddl(store, "clickhouse").count("Nullable(DateTime64(6, 'UTC'))") == 2
    with_columns(store, {"berlin": pa.array([1, 2, 3, 4], pa.timestamp("us", tz="Europe/Berlin"))})
    assert "`berlin` Nullable(DateTime64(6, 'Europe/Berlin'))" in ddl(store, "clickhouse")


def test_places_are_escaped_where_quotes_are_not_enough(store, tmp_path):
    odd = "new\nline; '\\\u202e.parquet"
    assert "FROM INFILE 'new\\x0aline; \\'\\\\\\xe2\\x80\\xae.parquet'" in ddl(
        store, "clickhouse", source=odd
    )
    assert "LOCATION 'new\\nline; \\'\\\\\\u202e.parquet'" in ddl(store, "hive", source=odd)
    text = ddl(store, "duckdb", source=str(tmp_path / odd))
    assert "\u202e" not in text
    duckdb = needs("duckdb")
    (tmp_path / odd).write_bytes(export(store, tmp_path / "old.parquet")[0].read_bytes())
    with duckdb.connect() as database:
        database.execute(text)
        assert database.sql("SELECT count(*) FROM songs").fetchall() == [(4,)]
