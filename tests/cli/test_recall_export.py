"""``audiorec recall export``: what it says, and what it refuses."""

import json

import pytest
from made_export import read, write_world


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_world(tmp_path)
    return tmp_path


LINE = (
    "recall export -i plays.parquet rules.parquet vs-knn.parquet --fused fused.parquet "
    "--exposures exposures.parquet -v vecs.parquet --side side.parquet "
    "--entry daily --positive-days 3 --units --out export"
).split()


def test_what_was_written_is_counted_for_people_and_programs(world, audiorec):
    code, out, err = audiorec(*LINE, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["is_new"]
    assert found["rows"] == {name: len(read(world / "export", name)) for name in found["rows"]}
    ranking = found["samples"]["ranking"]
    assert f"{ranking['positive']} positive, {ranking['negative']} negative" in err
    assert f"{ranking['pending']} still pending" in err
    code, out, err = audiorec(*LINE)
    assert (code, out) == (0, "")
    assert "nothing new" in err


def test_a_run_of_another_log_is_said_to_be_one(world, audiorec):
    settings = '[recall]\ninteractions = "plays.parquet"\nout = "serving"\nchannels = ["popular"]\n'
    (world / "recall.toml").write_text(f"{settings}k = 5\ndepth = 9\n[recall.export]\n")
    assert audiorec("recall", "run", "--config", "recall.toml", "-q")[0] == 0
    assert len(read(world / "serving" / "export", "served")) > 0
    line = "recall export --recall serving --out other -i".split()
    code, _, err = audiorec(*line, "plays.parquet")
    assert code == 0
    assert "kept as served" not in err
    (world / "plays.csv").write_text(
        "user_id,song_id,timestamp,event\nana,plain/09,2024-01-01T00:00:00Z,finish\n"
    )
    code, _, err = audiorec(*line, "plays.csv")
    assert code == 0
    assert "plays.csv: not the log of the run, so its lists are not kept as served" in err


def test_the_plan_of_a_run_names_the_export(world, audiorec):
    settings = '[recall]\ninteractions = "plays.parquet"\nout = "serving"\nchannels = ["popular"]\n'
    (world / "recall.toml").write_text(f"{settings}[recall.export]\nunits = true\n")
    code, out, _ = audiorec("recall", "run", "--config", "recall.toml", "--dry-run", "--json")
    assert code == 0
    assert [step["step"] for step in json.loads(out)["steps"]][-1] == "export"
    code, _, err = audiorec("recall", "run", "--config", "recall.toml", "-q")
    assert code == 2
    assert "units need the vectors of a store" in err


def test_rows_without_a_time_are_counted(world, audiorec):
    rows = "user_id,session_id,song_id,timestamp,event\nu,1,a,,finish\nu,1,b,,finish\n"
    (world / "order.csv").write_text(rows)
    code, _, err = audiorec(*"recall export -i order.csv --out new".split())
    assert code == 0
    assert "2 rows of the log have no time and give no samples" in err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("--units", "give it with --vectors"),
        ("--models models", "models: no such folder"),
        ("--recall nowhere", "nowhere: no such folder"),
        ("--entry weekly --exposures exposures.parquet", "there are: daily, radio"),
        ("rules.parquet rules.parquet", "one table per channel"),
    ],
)
def test_what_is_refused_is_said_in_one_line(world, audiorec, more, words):
    code, out, err = audiorec(*"recall export -i plays.parquet --out new".split(), *more.split())
    assert (code, out) == (2, "")
    assert words in err
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1
    assert not (world / "new").exists()
