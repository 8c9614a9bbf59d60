"""``audiorec listening simulate``, ``check`` and ``correlate``, end to end."""

import contextlib
import io
import json
import shutil
import sys
from dataclasses import dataclass
from unittest import mock

import pyarrow.parquet as pq
import pytest
from made_stores import write_store

from audiorec_cli.main import main

FIXTURE = "fixtures/formats/interactions-v1.csv"
FIXTURE_STORE = "fixtures/formats/vecs-v1.parquet"


@dataclass
class Result:
    returncode: int
    stdout: str
    stderr: str


def audiorec(*arguments, cwd="."):
    """Run the command in this process: a new one would spend its time on imports."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["audiorec", *map(str, arguments)]),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return Result(int(ended.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store of 120 songs and a world over it."""
    home = tmp_path_factory.mktemp("home")
    write_store(home / "vecs.parquet", 120)
    result = audiorec(
        "listening",
        "simulate",
        "--users",
        "200",
        "--days",
        "60",
        "--signal",
        "1",
        "--out",
        "world",
        "--json",
        cwd=home,
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["schema"], document["simulated"]) == ("audiorec/world/1", True)
    assert "Simulated listening: no real person" in result.stderr
    assert "only 120 songs" in result.stderr
    return home


def test_check_counts_and_matches():
    result = audiorec("listening", "check", FIXTURE, "--vectors", FIXTURE_STORE, "--json")
    document = json.loads(result.stdout)
    assert result.returncode == 0, result.stderr
    assert document["schema"] == "audiorec/interactions/1"
    assert (document["rows"], document["users"], document["songs"]) == (9, 3, 5)
    assert document["events"] == {
        "play": 1, "finish": 3, "skip": 2, "like": 1, "dislike": 1, "playlist": 1,
        "block": 0,
    }  # fmt: skip
    assert (document["first"], document["last"]) == ("2024-03-01T08:00:00Z", "2024-03-05T06:45:00Z")
    assert document["store"]["songs_matched"] == 4
    assert document["store"]["most_frequent_unmatched"] == [{"song_id": "lost/gone.mp3", "rows": 1}]
    assert document["rule"] == {
        "pairs": 7, "liked": 4, "disliked": 1, "neither": 2, "conflicts": 1, "users": 3, "songs": 4
    }  # fmt: skip


def test_check_with_a_rule_of_ones_own(tmp_path):
    rule = tmp_path / "rule.toml"
    rule.write_text("[events.skip]\ndisliked_below = 0.7\n")
    result = audiorec("listening", "check", FIXTURE, "--rule", f"{rule}", "--json")
    assert json.loads(result.stdout)["rule"]["disliked"] == 2
    rule.write_text("[events.hop]\n")
    result = audiorec("listening", "check", FIXTURE, "--rule", f"{rule}")
    assert result.returncode == 2
    assert "rule.toml: events: expected play" in result.stderr


def test_check_names_bad_rows_and_exits_with_three(tmp_path):
    path = tmp_path / "plays.csv"
    path.write_text("user_id,song_id,timestamp,event\na,b,1709294400,like\na,b,1709294400,hum\n")
    result = audiorec("listening", "check", path)
    assert result.returncode == 3
    assert "unknown event: 1 (rows 2), for example 'hum'" in result.stderr
    assert "usable\t1" in result.stdout
    result = audiorec("listening", "check", path, "--vectors", FIXTURE_STORE)
    assert result.returncode == 3
    assert "both must use the same ids" in result.stderr
    path.write_text("user_id,song_id,timestamp,event\na,b,1709294400,hum\n")
    result = audiorec("listening", "check", path)
    assert (result.returncode, result.stdout) == (4, "")
    assert "none of its 1 rows can be used" in result.stderr


def test_a_world_is_checked_and_analysed(home):
    result = audiorec(
        "listening", "check", "world/interactions.parquet", "-v", "vecs.parquet", cwd=home
    )
    assert result.returncode == 0, result.stderr
    assert "note: simulated listening" in result.stderr
    assert "doubled\t0" in result.stdout
    result = audiorec(
        *("listening", "correlate", "-i", "world/interactions.parquet", "-v", "vecs.parquet"),
        *(
            "--out",
            "correlation.parquet",
            "--json",
            "-q",
        ),
        cwd=home,
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["schema"], document["simulated"]) == ("audiorec/correlation/1", True)
    assert document["shuffled_songs"]["p"] < 0.05
    table = pq.read_table(home / "correlation.parquet")
    assert table.num_rows == document["users"] > 100


def test_correlate_prints_a_table_and_takes_dates(home):
    arguments = ("listening", "correlate", "-i", "world/interactions.parquet", "-v", "vecs.parquet")
    result = audiorec(*arguments, "--days", "2024-02-01..", cwd=home)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("figure\tvalue\tlow\thigh\nsince\t2024-02-01T00:00:00Z")
    result = audiorec(*arguments, "--days", "2034-02-01..", cwd=home)
    assert result.returncode == 2
    assert "no user has a correlation" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--days", "spring.."], "--days must be written as"),
        (["--out", "nowhere/c.parquet"], "there is no folder nowhere"),
        (["--vectors", "users.parquet"], "users.parquet"),
    ],
)
def test_correlate_refuses_before_it_works(home, arguments, message):
    result = audiorec(
        *("listening", "correlate", "-i", "world/interactions.parquet", "-v", "vecs.parquet"),
        *arguments,
        cwd=home,
    )
    assert result.returncode in (2, 4)
    assert message in result.stderr
    assert result.stdout == ""


def test_bad_rows_stop_the_analysis_unless_left_out(home, tmp_path):
    path = tmp_path / "plays.csv"
    path.write_text("user_id,song_id,timestamp,event\na,b,1709294400,like\na,b,1709294400,hum\n")
    arguments = ("listening", "correlate", "-i", path, "-v", "vecs.parquet")
    result = audiorec(*arguments, cwd=home)
    assert result.returncode == 4
    assert "1 of 2 rows cannot be used" in result.stderr
    result = audiorec(*arguments, "--skip-bad-rows", cwd=home)
    assert "left out: unknown event: 1 row (2)" in result.stderr
    assert "no user has a correlation" in result.stderr


def test_simulate_does_not_touch_other_folders(home, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = audiorec(
        "listening", "simulate", "--vectors", "vecs.parquet", "--out", tmp_path, cwd=home
    )
    assert result.returncode == 2
    assert "contains mine.txt and is not a simulated world" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_check_counts_plays_that_say_nothing(tmp_path):
    path = tmp_path / "plays.csv"
    rows = "".join(f"a,b,{1_709_294_400 + n},finish\n" for n in range(12))
    path.write_text("user_id,song_id,timestamp,event\n" + rows)
    result = audiorec("listening", "check", path)
    assert "says nothing: looped\t2\n" in result.stdout
    document = json.loads(audiorec("listening", "check", path, "--json").stdout)
    assert document["says_nothing"]["looped"] == {"rows": 2, "users": 1}


def test_prepare_and_forget(tmp_path):
    shutil.copyfile(FIXTURE, tmp_path / "plays.csv")
    result = audiorec(
        *("listening", "prepare", "plays.csv", "--out", "fed", "--buckets", 2, "--json"),
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["schema"], document["owners"], document["plays"]) == (
        "audiorec/prepared/1",
        3,
        4,
    )
    result = audiorec("listening", "forget", "ana", "plays.csv", "fed", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1:] == ["plays.csv\tlog\t3\t6", "fed\tprepared\t1\t3"]
    result = audiorec("listening", "forget", "ben", "plays.csv", "fed", "--json", cwd=tmp_path)
    assert [f["removed"] for f in json.loads(result.stdout)["files"]] == [3, 2]


def test_prepare_and_forget_refuse_what_they_cannot_do(tmp_path):
    (tmp_path / "notes.csv").write_text("user_id,text\nana,dear\n")
    result = audiorec("listening", "forget", "ana", "notes.csv", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (4, "")
    assert "is not a listening log" in result.stderr
    result = audiorec(
        *("listening", "prepare", "notes.csv", "--out", "fed", "--filter", "doubled"),
        cwd=tmp_path,
    )
    assert result.returncode == 2
    assert "can be filtered by looped, flood, skip-chain" in result.stderr
    result = audiorec("listening", "prepare", "none.csv", "--out", "fed", cwd=tmp_path)
    assert result.returncode == 2
    assert [p.name for p in tmp_path.iterdir()] == ["notes.csv"]
