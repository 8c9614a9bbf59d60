"""`audiorec.listening.interactions`: what is read, what is refused, and by which row."""

import gzip
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from needs import needs

from audiorec.errors import DamagedFileError, InputError, ShapeError
from audiorec.listening import interactions as reading
from audiorec.listening.events import EVENTS, Interactions, RowsError
from audiorec.listening.interactions import read_interactions, unmatched
from audiorec.listening.sequences import to_sequences

FIXTURE = "fixtures/formats/interactions-v1.csv"
HEADER = "user_id,song_id,timestamp,event,played_ratio,weight"
NOON = 1_709_294_400.0


@pytest.fixture
def csv(tmp_path):
    def write(*rows, header=HEADER, name="plays.csv"):
        path = tmp_path / name
        text = "\n".join([header, *rows]) + "\n"
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
        return path

    return write


def rows_of(log):
    return [
        (log.user_ids[u], log.song_ids[s], t, EVENTS[e], None if np.isnan(r) else float(r), w)
        for u, s, t, e, r, w in zip(
            log.user, log.song, log.timestamp, log.event, log.played_ratio, log.weight, strict=True
        )
    ]


def test_a_csv_row_by_row(csv):
    path = csv(
        "eva,b,2024-03-01T12:00:00Z,finish,1,",
        "ana,c,2024-03-01T12:00:01Z,skip,,2.5",
        "eva,a,2024-03-01T12:00:00Z,like,,",
    )
    log = read_interactions(path)
    assert (log.user_ids, log.song_ids) == (("ana", "eva"), ("a", "b", "c"))
    assert rows_of(log) == [
        ("eva", "b", NOON, "finish", 1.0, 1.0),
        ("ana", "c", NOON + 1, "skip", None, 2.5),
        ("eva", "a", NOON, "like", None, 1.0),
    ]
    assert (log.rows_read, log.problems, log.simulated) == (3, (), False)
    assert log.user.dtype == log.song.dtype == np.int32
    assert log.played_ratio.dtype == log.weight.dtype == np.float32


def test_csv_gzip_and_parquet_hold_the_same(csv, tmp_path):
    text = Path(FIXTURE).read_text().splitlines()
    plain = read_interactions(FIXTURE)
    zipped = read_interactions(csv(*text[1:], header=text[0], name="plays.csv.gz"))
    pq.write_table(plain.to_table(), tmp_path / "plays.parquet")
    stored = read_interactions(tmp_path / "plays.parquet")
    sample = read_interactions("fixtures/formats/interactions-v1.parquet")
    assert rows_of(plain) == rows_of(zipped) == rows_of(stored) == rows_of(sample)
    assert len(plain) == 9


def test_order_of_columns_and_others_do_not_matter(csv):
    path = csv("like,x,1709294400,b,ana", header="event,mood,timestamp,song_id,user_id")
    assert rows_of(read_interactions(path)) == [("ana", "b", NOON, "like", None, 1.0)]


def test_quotes_commas_bom_and_blank_lines(csv):
    path = csv(
        '"a,n""a",b,1709294400,like,,', "", "ben,b,1709294400,like,,", header="\ufeff" + HEADER
    )
    assert read_interactions(path).user_ids == ('a,n"a', "ben")


def test_ids_that_are_numbers(tmp_path):
    table = pa.table(
        {
            "user_id": pa.array([7, 10, 7], pa.int64()),
            "song_id": pa.array(["a", "b", "a"]).dictionary_encode(),
            "timestamp": pa.array([1_709_294_400_500] * 3),
            "event": pa.array(["play", "like", "skip"], pa.large_string()),
        }
    )
    pq.write_table(table, tmp_path / "p.parquet")
    log = read_interactions(tmp_path / "p.parquet")
    assert log.user_ids == ("10", "7")
    assert log.user.tolist() == [1, 0, 1]
    assert log.timestamp.tolist() == [NOON + 0.5] * 3


def test_all_mistakes_come_at_once_with_their_rows(csv):
    rows = [f"ana,s{i},1709294400,play,0.5,1" for i in range(20)]
    rows[2] = ",s2,1709294400,play,0.5,1"
    rows[4] = "ana,,1709294400,play,0.5,1"
    rows[5] = "ana,s5,1709294400,Play,0.5,1"
    rows[7] = "ana,s7,soon,play,0.5,1"
    rows[8] = "ana,s8,0,play,0.5,1"
    rows[11] = "ana,s11,1709294400000,play,0.5,1"
    rows[13] = "ana,s13,1709294400,play,1.2,1"
    rows[14] = "ana,s14,1709294400,play,-0.1,half"
    rows[19] = "ana,s19,1709294400,play,0.5,0"
    with pytest.raises(RowsError, match=r"plays.csv: 9 of 20 rows cannot be used") as caught:
        read_interactions(csv(*rows))
    found = {p.kind: (p.count, p.rows, p.example) for p in caught.value.problems}
    assert found == {
        "no user_id": (1, (3,), ""),
        "no song_id": (1, (5,), ""),
        "unknown event": (1, (6,), "Play"),
        "timestamp missing or unreadable": (1, (8,), "soon"),
        "timestamp not between 1973 and 2100 in any unit": (1, (9,), "0"),
        "timestamp in another unit than most rows": (
            1,
            (12,),
            "1709294400000 is in milliseconds, not s…",
        ),
        "played_ratio not a number from 0 to 1": (2, (14, 15), "1.2"),
        "weight not a number from 0.000001 to 1000000": (2, (15, 20), "half"),
    }
    assert isinstance(caught.value, InputError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301


def test_bad_rows_can_be_left_out(csv):
    path = csv(
        "ana,a,1709294400,play,0.5,",
        "bob,z,1709294400,hum,0.5,",
        "zed,y,1709294400000,play,0.5,",
        "eva,b,1709294401,play,0.25,",
    )
    log = read_interactions(path, skip_bad_rows=True)
    assert rows_of(log) == [
        ("ana", "a", NOON, "play", 0.5, 1.0),
        ("eva", "b", NOON + 1, "play", 0.25, 1.0),
    ]
    # Ids that only bad rows had are gone.
    assert (log.user_ids, log.song_ids) == (("ana", "eva"), ("a", "b"))
    assert (log.rows_read, [p.count for p in log.problems]) == (4, [1, 1])


def test_rows_with_other_columns_do_not_shift_the_numbers(csv):
    path = csv(
        "ana,a,1709294400,play,0.5,1",
        "ana,b",
        "ana,c,1709294400,hum,0.5,1",
        "ana,d,1709294400,play,0.5,1,9,9",
        "ana,e,1709294400,hum,0.5,1",
    )
    log = read_interactions(path, skip_bad_rows=True)
    found = {p.kind: p.rows for p in log.problems}
    assert found == {
        "another number of columns than the header": (2, 4),
        "unknown event": (3, 5),
    }
    assert (len(log), log.rows_read) == (1, 5)


def test_numbers_and_dates_in_one_file_are_mixed_units(csv):
    path = csv("a,a,1709294400,like,,", "a,b,2024-03-01,like,,", "a,c,1709294400,like,,")
    with pytest.raises(RowsError, match=r"another unit than most rows: 1 row \(2\)"):
        read_interactions(path)


@pytest.mark.parametrize(("written", "read"), [("1.05", 1.0), ("1.0001", 1.0), ("0", 0.0)])
def test_a_ratio_slightly_above_one_is_one(csv, written, read):
    log = read_interactions(csv(f"a,b,1709294400,play,{written},"))
    assert log.played_ratio.tolist() == [read]


def test_only_ten_rows_are_named(csv):
    rows = ["a,b,1709294400,hum,,"] * 25 + ["a,b,1709294400,like,,"]
    with pytest.raises(RowsError, match="25 of 26 rows") as caught:
        read_interactions(csv(*rows))
    assert caught.value.problems[0].rows == tuple(range(1, 11))
    assert "10, …), for example 'hum'" in str(caught.value)


def test_blocks_are_joined_in_order(csv, tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    rows = [
        f"u{rng.integers(40)},s{rng.integers(60)},{1709294400 + i},play,0.{i % 10},"
        for i in range(500)
    ]
    rows[401] = "x,y,1709294400,hum,,"
    path = csv(*rows)
    whole = read_interactions(path, skip_bad_rows=True)
    monkeypatch.setattr(reading, "BLOCK_BYTES", 300)
    parts = read_interactions(path, skip_bad_rows=True)
    assert rows_of(whole) == rows_of(parts)
    assert parts.problems[0].rows == (402,)
    pq.write_table(pa_csv.read_csv(path), tmp_path / "p.parquet")
    monkeypatch.setattr(reading, "BLOCK_ROWS", 7)
    stored = read_interactions(tmp_path / "p.parquet", skip_bad_rows=True)
    assert rows_of(stored) == rows_of(whole)
    assert stored.problems[0].rows == (402,)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.csv", None, "no such file"),
        ("plays.txt", b"x", "must be a .parquet, .csv or .csv.gz"),
        ("plays.parquet", b"PAR1 no", "cannot be read"),
        ("plays.csv.gz", b"no gzip", "cannot be read"),
        ("plays.csv", b"", "cannot be read"),
        ("plays.csv", b"user_id,event\na,like\n", "column 'song_id' is missing"),
        ("plays.csv", HEADER.encode() + b",event\n", "column 'event' is missing or duplicated"),
        ("plays.csv", HEADER.encode() + b"\n", "none of its 0 rows"),
        (
            "plays.csv",
            b"user_id;song_id;timestamp\n",
            "separated by ';' instead of commas; a log has",
        ),
        ("plays.csv", HEADER.encode() + b"\n\xff\xfe,b,1709294400,like,,\n", "cannot be read"),
    ],
)
def test_files_that_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_interactions(path)


def test_a_file_without_events_is_a_log_of_plays(tmp_path):
    path = tmp_path / "plays.csv"
    path.write_text("user_id,song_id,timestamp\nana,b,1709294400\nana,a,1709294300\n")
    log = read_interactions(path)
    assert [EVENTS[code] for code in log.event] == ["play", "play"]
    assert not log.is_counted
    plays = to_sequences(log)
    assert [plays.song_ids[song] for song in plays[0]] == ["a", "b"]
    day = tmp_path / "days" / "dt=2024-03-01"
    day.mkdir(parents=True)
    columns = {"user_id": ["ana"], "song_id": ["a"], "timestamp": [1709294300]}
    pq.write_table(pa.table(columns), day / "part.parquet")
    with pytest.raises(InputError, match="'event' is missing"):  # other days may have skips
        read_interactions(tmp_path / "days")


def test_columns_of_another_type_are_refused(tmp_path):
    columns = {
        "user_id": ["a"],
        "song_id": ["b"],
        "timestamp": [datetime(2024, 3, 1, tzinfo=UTC)],
        "event": ["like"],
    }
    for name, value in (("user_id", [1.5]), ("song_id", [b"x"]), ("event", [3])):
        pq.write_table(pa.table(columns | {name: value}), tmp_path / "p.parquet")
        with pytest.raises(InputError, match=f"column '{name}' holds"):
            read_interactions(tmp_path / "p.parquet")


def test_all_rows_bad_is_nothing_to_use(csv):
    with pytest.raises(InputError, match="none of its 2 rows can be used"):
        read_interactions(csv(",a,1709294400,like,,", "a,,x,hum,,"), skip_bad_rows=True)


def test_simulated_files_say_so(tmp_path):
    table = read_interactions(FIXTURE).to_table()
    for text, expected in (
        (b'{"simulated": true}', True),
        (b'{"simulated": false}', False),
        (b"[true]", False),
        (b"no json", False),
    ):
        pq.write_table(table.replace_schema_metadata({b"audiorec": text}), tmp_path / "p.parquet")
        assert read_interactions(tmp_path / "p.parquet").simulated is expected


def test_unmatched_songs_most_frequent_first():
    log = read_interactions(FIXTURE)
    assert unmatched(log, log.song_ids) == {}
    found = unmatched(log, ["rock/live.mp3", "nobody has this.mp3"])
    assert list(found.items()) == [
        ("piano/prelude.flac", 2),
        ("speech/news.ogg", 2),
        ("lost/gone.mp3", 1),
        ("piano/etude.flac", 1),
    ]


def test_ids_as_arrow_columns_and_refused_shapes():
    log = read_interactions(FIXTURE)
    assert log.user_id.to_pylist()[:4] == ["ana", "ana", "ana", "ben"]
    assert log.song_id[8].as_py() == "speech/news.ogg"
    columns = {name: getattr(log, name) for name in Interactions.__slots__}
    with pytest.raises(ShapeError, match=r"one shape \(P,\)"):
        Interactions(**columns | {"event": log.event[:-1]})


def test_a_log_is_read_without_pandas(tmp_path):
    needs("pandas")  # Arrow imports it, where it is there, for a fifth of a second
    rows = ["user_id,song_id,timestamp,event,played_ratio", "u,a,2026-01-02T03:04:05Z,finish,1"]
    rows += ["v,b,2026-01-02T03:04:06Z,skip,"]
    (tmp_path / "log.csv").write_text("\n".join(rows) + "\n")
    pq.write_table(pa_csv.read_csv(tmp_path / "log.csv"), tmp_path / "log.parquet")
    script = (
        "import sys; from audiorec.listening.interactions import read_interactions\n"
        "plays = read_interactions(sys.argv[1])\n"
        "print(len(plays), 'pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", script, tmp_path / "log.parquet"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "2 False\n"


def test_a_file_of_another_kind_says_what_it_holds():
    with pytest.raises(DamagedFileError, match="holds vectors, not listening; audiorec listening"):
        read_interactions("fixtures/formats/vecs-v1.parquet")
