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
