"""``audiorec recall``: what is printed, written and refused."""

import json

import pyarrow.parquet as pq
import pytest
from needs import needs

LISTS = (["a", "b", "c"], ["a", "b", "d"], ["b", "c", "a"], ["d", "a", "b"])


@pytest.fixture
def log(tmp_path, monkeypatch):
    rows = ["user_id,song_id,timestamp,event"]
    for hour in range(10):
        for user, songs in enumerate(LISTS):
            rows += [
                f"u{user},{song},2024-01-{1 + hour:02}T{user:02}:{place:02}:00Z,finish"
                for place, song in enumerate(songs)
            ]
    (tmp_path / "plays.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "plays.csv"


def test_a_channel_is_trained_and_asked(log, audiorec):
    code, out, err = audiorec(
        *"recall train rules -i plays.csv --by session --out model --json".split()
    )
    assert code == 0, err
    assert json.loads(out)["songs"] == 4
    assert json.loads(out)["sequences"] == 40
    asked = "recall candidates model -i plays.csv --k 2 --keep-heard --out c.parquet --json"
    code, out, err = audiorec(*asked.split())
    assert code == 0, err
    table = pq.read_table("c.parquet")
    assert len(table) == json.loads(out)["rows"] == 8
    assert set(table.column("channel").to_pylist()) == {"rules"}
    assert table.column("rank").to_pylist() == [1, 2] * 4
    assert set(table.column("model_id").to_pylist()) == {json.loads(out)["model_id"]}
    # Three of the four songs were heard: without --keep-heard one is left.
    code, _, err = audiorec(*"recall candidates model -i plays.csv --out none.parquet".split())
    assert code == 0
    assert "4 candidates of 4 users" in err


def test_candidates_keep_to_the_songs_that_are_allowed(log, audiorec):
    audiorec(*"recall train popular -i plays.csv --out model".split())
    log.with_name("only.txt").write_text("c\nnobody-knows\n")
    words = "recall candidates model -i plays.csv --keep-heard --allowed only.txt --out c.parquet"
    assert audiorec(*words.split())[0] == 0
    assert set(pq.read_table("c.parquet").column("song_id").to_pylist()) == {"c"}


def test_evaluation_in_a_pipe_and_as_json(log, audiorec):
    words = "recall evaluate rules -i plays.csv --split sessions --keep-heard --k 1 2"
    code, out, err = audiorec(*words.split())
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "measure\t@1\t@2"
    assert any(line.startswith("ndcg\t") for line in lines)
    assert "CPU-s to fit" in err
    code, out, _ = audiorec(*words.split(), "--json")
    found = json.loads(out)
    assert found["split"] == "sessions"
    assert set(found["measures"]["recall"]) == {"1", "2"}


def test_comparison_says_how_far_each_is_behind(log, audiorec):
    words = "recall compare popular rules -i plays.csv --split sessions --keep-heard --k 1"
    code, out, err = audiorec(*words.split())
    assert code == 0, err
    header, first, second = (line.split("\t") for line in out.splitlines())
    assert header[0] == "channel"
    assert first[0] == "rules"
    assert first[-1] == ""
    assert second[0] == "popular"
    assert second[-1].startswith("-")
    code, out, _ = audiorec(*words.split(), "--json")
    assert list(json.loads(out)["ahead_of"]) == ["popular"]


def test_a_comparison_is_drawn(log, audiorec):
    needs("matplotlib")
    words = "recall compare popular rules -i plays.csv --split sessions --keep-heard --k 1"
    code, _, err = audiorec(*words.split(), "--plot", "c.png")
    assert code == 0, err
    assert "picture: c.png" in err
    assert log.with_name("c.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = audiorec(*words.split(), "--plot", "c.gif")
    assert code == 2
    assert "a picture's name ends in .png" in err


def test_an_evaluation_says_more_than_accuracy(log, audiorec):
    words = "recall evaluate rules -i plays.csv --split sessions --keep-heard --k 1"
    code, _, err = audiorec(*words.split())
    assert code == 0, err
    assert "MB at the peak" in err
    assert "short history" in err
    found = json.loads(audiorec(*words.split(), "--json")[1])
    assert found["repeats"] == "kept"
    assert set(found["user_strata"]) == {"no history", "short history", "long history"}
    assert found["peak_mb"] > 1


def test_a_table_of_candidates_is_a_channel_among_others(log, audiorec):
    rows = [f"u{user},{song},{rank}" for user in range(4) for rank, song in enumerate("cdab", 1)]
    log.with_name("theirs.csv").write_text("\n".join(["user_id,song_id,rank", *rows]))
    words = "recall compare rules external:theirs.csv -i plays.csv --keep-heard --k 1 --json"
    code, out, err = audiorec(*words.split())
    assert code == 0, err
    found = {c["channel"]: c for c in json.loads(out)["channels"]}
    assert set(found) == {"rules", "external:theirs.csv"}
    alone = audiorec(
        *"recall evaluate external:theirs.csv -i plays.csv --keep-heard --json".split()
    )
    made = audiorec(
        *"recall evaluate --candidates theirs.csv -i plays.csv --keep-heard --json".split()
    )
    assert json.loads(alone[1])["measures"] == json.loads(made[1])["measures"]


def test_a_test_set_of_its_own(log, audiorec):
    log.with_name("targets.csv").write_text("user_id,song_id\nu0,d\nu1,c\n")
    words = "recall evaluate popular -i plays.csv --test-histories plays.csv --targets targets.csv"
    code, out, err = audiorec(*words.split(), "--keep-heard", "--json")
    assert code == 0, err
    assert json.loads(out)["queries"] == 2
    assert json.loads(out)["split"] == "given"


def test_the_list_of_channels(audiorec):
    code, out, _ = audiorec("recall", "list", "--json")
    assert code == 0
    assert {c["channel"] for c in json.loads(out)["channels"]} >= {"vs-knn", "nearest-audio"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train sasrex -i plays.csv --out m", "no channel 'sasrex'; there are: popular,"),
        ("train nearest-audio -i plays.csv --out m", "give --vectors"),
        ("train external -i plays.csv --out m", "name the table of candidates, as external:FILE"),
        ("train external:plays.csv -i plays.csv --out m", "same song twice"),
        (
            "evaluate external:gone.csv -i plays.csv --keep-heard",
            "gone.csv: cannot be read as a table: no such file",
        ),
        ("evaluate -i plays.csv", "name one channel or model, or --candidates"),
        ("evaluate rules -i plays.csv --targets t.csv", "are given together"),
        ("compare rules -i plays.csv", "name two channels or more"),
        ("evaluate rules -i gone.csv", "no such file"),
        ("candidates gone -i plays.csv --out c.parquet", "gone: no such folder"),
    ],
)
def test_what_is_refused(log, audiorec, words, said):
    code, _, err = audiorec("recall", *words.split())
    assert code == 2
    assert said in err
