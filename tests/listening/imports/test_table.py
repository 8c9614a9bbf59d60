"""`listening import table`: columns by name, marks between cells, ratings, and the command told."""

import gzip
import re
import shlex

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import run_command
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import InputError
from audiorec.listening.imports.importing import import_history, path_beside
from audiorec.listening.imports.table import TableColumns, import_command
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import to_sequences

INTER = """user_id:token\titem_id:token\trating:float\ttimestamp:float
1\t"a\t5\t881250949
1\tb\t3.5\t881250950
2\tb\t4\t8.81250951E11
2\tc\tgood\t881250952
3\t\t5\t881250953
3\tc\t5\t12
3\tc\t5
"""


@pytest.fixture
def run(monkeypatch, capsys):
    return lambda *arguments: run_command(monkeypatch, capsys, *arguments)


RATED = TableColumns(song="item_id", time="timestamp", rating="rating")


def imported(path, columns, tmp_path):
    out = tmp_path / "log.parquet"
    return import_history("table", [path], out, columns=columns), out


def plays(out):
    log = read_interactions(out)
    return [(log.user_ids[u], log.song_ids[s]) for u, s in zip(log.user, log.song, strict=True)]


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_of_recbole(tmp_path, packed):
    path = tmp_path / ("u.inter.gz" if packed else "u.inter")
    path.write_bytes(gzip.compress(INTER.encode()) if packed else INTER.encode())
    found, out = imported(path, RATED, tmp_path)
    assert plays(out) == [("1", '"a'), ("2", "b")]
    assert read_interactions(out).timestamp.tolist() == [881250949, 881250951]
    assert found.reasons == {
        "is rated below 4": 1,
        "has no rating that can be read": 1,
        "names no song": 1,
        "its time is not between 1973 and 2100": 1,
        "has 3 columns, the header 4": 1,
    }
    assert found.mistakes == 4
    aside = pq.read_table(path_beside(out, "rejected")).to_pylist()
    assert sorted(row["row"] for row in aside) == [2, 4, 5, 6, 7]


@pytest.mark.parametrize("mark", [",", ";", "|", "\t"])
def test_marks_events_and_a_missing_column(tmp_path, mark):
    path = tmp_path / "events.txt"
    lines = ["who,what,how,when", "ana,x,like,2024-03-01T12:00:00Z", "ana,y,seen,2024-03-01"]
    path.write_text("\n".join(lines).replace(",", mark))
    columns = TableColumns(user="who", song="what", event="how", time="when")
    found, out = imported(path, columns, tmp_path)
    log = read_interactions(out)
    assert (found.plays, log.timestamp.tolist()) == (1, [1709294400])
    assert "its event is not one of play" in next(iter(found.reasons))
    with pytest.raises(InputError, match="has no column 'whose'; it has who, what, how, when"):
        imported(path, TableColumns(user="whose", song="what"), tmp_path)


def test_counts_have_no_times_and_keep_their_weight(tmp_path):
    path = tmp_path / "user_artists.dat"
    path.write_text("userID\tartistID\tweight\n2\t51\t13883\n2\t52\t0\n3\t51\t7\n")
    columns = TableColumns(user="userID", song="artistID", weight="weight")
    found, out = imported(path, columns, tmp_path)
    log = read_interactions(out)
    assert log.is_counted
    assert log.weight.tolist() == [13883, 7]
    assert (found.mistakes, found.first_s) == (1, None)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(9**9, 2 * 9**9)), min_size=1
    )
)
def test_parquet_and_text_become_the_same_log(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("table")
    user, song, time = zip(*rows, strict=True)
    stamps = pa.array(np.array(time, np.int64), pa.timestamp("s"))
    table = pa.table({"u": pa.array(user).dictionary_encode(), "s": song, "t": stamps})
    pq.write_table(table, folder / "e.parquet")
    lines = ["u,s,t", *(",".join(map(str, row)) for row in rows)]
    (folder / "e.csv").write_text("\n".join(lines))
    columns = TableColumns(user="u", song="s", time="t")
    logs = []
    for name in ("e.parquet", "e.csv"):
        found, out = imported(folder / name, columns, folder)
        assert found.plays == len(rows)
        logs.append(read_interactions(out).to_table())
    assert logs[0].equals(logs[1])


@pytest.mark.parametrize("name", ["u.inter", "u.csv", "u.csv.gz"])
def test_the_error_of_a_command_says_the_command_that_helps(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content = INTER.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    code, _, err = run("recall", "evaluate", "popular", "-i", name)
    assert code == 4
    command = re.search(r"other names: audiorec (.*)", err)[1]
    code, _, err = run(*shlex.split(command), "-o", "log.parquet")
    assert (code, "is rated below 4" in err) == (3, True)  # some rows are malformed
    assert plays("log.parquet") == [("1", '"a'), ("2", "b")]
    assert "next: audiorec listening check log.parquet" in err
    assert run("listening", "check", "log.parquet")[0] == 0


def test_columns_that_say_nothing_are_left_to_the_reader():
    command = import_command("a b.csv", ["x", "TrackId", "ts"])
    assert command == (
        "audiorec listening import table 'a b.csv' --user-column USER --song-column TrackId"
        " --time-column ts"
    )


def test_columns_are_for_tables(run):
    code, _, err = run("listening", "import", "lastfm", "x.csv", "--user-column", "u")
    assert code == 2
    assert "--user-column and the like are for the KIND table" in err


def test_doubled_rows_are_counted_and_left_out_by_the_filter(run, tmp_path):
    path = tmp_path / "plays.csv"
    row = "ana,x,2024-03-01T12:00:00Z\n"
    path.write_text(f"user_id,song_id,timestamp\n{row}{row}ana,y,2024-03-01T12:03:00Z\n{row}{row}")
    code, out, err = run("listening", "check", path)
    assert code == 0
    assert "says nothing: doubled\t3" in out
    assert "unless a command has --filter doubled" in err
    log = read_interactions(path)
    assert to_sequences(log).lengths.tolist() == [5]
    assert to_sequences(log, filters=["doubled"]).lengths.tolist() == [2]


HEARD = """uid,track,ts,skip,ms_played,duration,device
ana,a,2024-03-01T12:00:00Z,0,200000,200,phone
ana,b,2024-03-01T12:04:00Z,1,8000,160,phone
ben,a,2024-03-01T12:05:00Z,false,50000,200,desk
ben,c,2024-03-01T12:07:00Z,TRUE,,180,desk
ben,d,2024-03-01T12:08:00Z,,400000,200,desk
ben,e,2024-03-01T12:09:00Z,perhaps,1,200,desk
"""


def listened(out):
    """What a log says of each row: event and ratio by song."""
    rows = pq.read_table(out).to_pylist()
    return [(row["song_id"], row["event"], row["played_ratio"]) for row in rows]


def test_skips_and_ratios_are_read_and_shown_before_the_log_is_written(run, tmp_path):
    path, out = tmp_path / "plays.csv", tmp_path / "log.parquet"
    path.write_text(HEARD)
    code, _, err = run("listening", "import", "table", path, "-o", out)
    assert code == 3  # a skip that is neither true nor false
    shown = err.splitlines()
    assert shown[0] == (
        "columns: uid → user; track → song; ts → time; skip → event skip; "
        "ms_played / duration → played_ratio (milliseconds / seconds)"
    )
    assert shown[1] == "not used: device"
    assert "1 its skip is neither true nor false" in err
    assert sorted(listened(out), key=str) == [
        ("a", "play", 0.25),
        ("a", "play", 1.0),
        ("b", "skip", pytest.approx(0.05)),
        ("c", "skip", None),
        ("d", "play", 1.0),
    ]


def test_a_table_without_a_header_of_movielens(run, tmp_path):
    path, out = tmp_path / "u.data", tmp_path / "log.parquet"
    path.write_text("196\t242\t3\t881250949\n186\t302\t4\t891717742\n22\t377\t5\t878887116\n")
    code, _, err = run("listening", "import", "table", path, "-o", out)
    assert code == 0, err
    assert "item_id → song; timestamp → time; rating → rows below 4 are set aside" in err
    assert plays(out) == [("186", "302"), ("22", "377")]
    path = tmp_path / "ratings.dat"
    path.write_text("1::1193::5::978300760\n1::661::3::978302109\n")
    assert run("listening", "import", "table", path, "-o", out)[0] == 0
    assert plays(out) == [("1", "1193")]


YANDEX = """uid,timestamp,item_id,is_organic,played_ratio_pct,track_length_seconds
100,1700000000,33,1,100,200
100,1700000200,34,0,12,180
200,1700000000,33,0,104,200
"""


@pytest.mark.parametrize("name", ["listens.csv", "listens.parquet"])
def test_a_table_like_that_of_yandex(run, tmp_path, name):
    path, out = tmp_path / name, tmp_path / "log.parquet"
    (tmp_path / "listens.csv").write_text(YANDEX)
    if name.endswith("parquet"):
        import pyarrow.csv

        pq.write_table(pyarrow.csv.read_csv(tmp_path / "listens.csv"), path)
    code, _, err = run("listening", "import", "table", path, "-o", out)
    assert code == 0, err
    assert "played_ratio_pct → played_ratio (per cent)" in err
    assert "not used: track_length_seconds, is_organic" in err
    ratios = [round(ratio, 2) for _, _, ratio in listened(out)]
    assert ratios == [1.0, 0.12, 1.0]


def test_a_spotify_export_as_a_table_counts_its_skips(run, tmp_path):
    path, out = tmp_path / "history.csv", tmp_path / "log.parquet"
    path.write_text(
        "username,ts,spotify_track_uri,ms_played,skipped\n"
        "ana,2024-03-01T12:03:00Z,spotify:track:1,180000,False\n"
        "ana,2024-03-01T12:04:00Z,spotify:track:2,3000,True\n"
    )
    code, _, err = run("listening", "import", "table", path, "-o", out)
    assert code == 0, err
    assert "not used: ms_played (without the length of the song it gives no ratio)" in err
    assert [event for _, event, _ in listened(out)] == ["play", "skip"]


def test_names_of_your_own_are_named_once(run, tmp_path):
    path, out = tmp_path / "own.csv", tmp_path / "log.parquet"
    path.write_text(
        "wer,was,wann,weg,anteil\nana,a,1700000000,ja,0.1\nana,b,1700000100,,0.9\n"
        "ana,c,1700000200,1,0.2\n"
    )
    code, _, err = run("listening", "import", "table", path, "-o", out)
    assert code == 2
    assert "no column is known for a user and a song; it has wer, was, wann, weg, anteil" in err
    assert "--user-column USER --song-column SONG" in err
    named = "--user-column wer --song-column was --time-column wann --skip-column weg"
    code, _, err = run(
        *("listening", "import", "table", path, "-o", out, *named.split(), "--ratio-column"),
        "anteil",
    )
    assert code == 3  # "ja" is not known
    assert [event for _, event, _ in listened(out)] == ["play", "skip"]


def test_a_recognised_column_is_left_out_on_request(run, tmp_path):
    path, out = tmp_path / "plays.csv", tmp_path / "log.parquet"
    path.write_text(HEARD)
    code, _, err = run("listening", "import", "table", path, "-o", out, "--skip-column", "")
    assert code == 0, err
    assert {event for _, event, _ in listened(out)} == {"play"}
    assert "not used: skip, device" in err


def test_what_cannot_be_what_its_name_says_is_told(run, tmp_path):
    path, out = tmp_path / "plays.csv", tmp_path / "log.parquet"
    path.write_text(
        "user,song,time,action,rating,plays\nana,a,1700000000,view,80,3\n"
        "ana,b,1700000001,play,20,1\n"
    )
    code, _, err = run("listening", "import", "table", path, "-o", out)
    assert code == 0, err
    assert "action ('view' is no event of a log)" in err
    assert "rating (its scale is not 1 to 5" in err
    assert "plays (each row has a time, so it is one play)" in err
    assert len(listened(out)) == 2


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 400), st.booleans()), min_size=1, max_size=20
    )
)
def test_a_ratio_is_heard_by_length_whatever_the_unit(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("units")
    path, out = folder / "plays.csv", folder / "log.parquet"
    lines = ["user,song,ts,played_seconds,duration_ms,skip"]
    lines += [
        f"u,s{n},{1_700_000_000 + n},{heard},{length * 1000},{int(skip)}"
        for n, (heard, length, skip) in enumerate(rows)
    ]
    path.write_text("\n".join(lines))
    import_history("table", [path], out)
    found = {song: (event, ratio) for song, event, ratio in listened(out)}
    for n, (heard, length, skip) in enumerate(rows):
        event, ratio = found[f"s{n}"]
        assert event == ("skip" if skip else "play")
        if length == 0:
            assert ratio is None or np.isnan(ratio)
        else:
            assert ratio == pytest.approx(min(heard / length, 1), rel=1e-6)


def test_a_check_of_a_table_says_the_same(run, tmp_path):
    path = tmp_path / "plays.csv"
    path.write_text(HEARD)
    code, out, err = run("listening", "check", path)
    assert code == 3, err  # a skip that is neither true nor false
    assert "skip → event skip; ms_played / duration → played_ratio" in err
    assert "event skip\t2" in out
    assert "event play\t3" in out
    code, out, err = run("listening", "check", path, "--time-column", "")
    assert code == 3, err
    assert "kind\tcounts" in out
    assert "columns: uid → user; track → song; skip" in err
