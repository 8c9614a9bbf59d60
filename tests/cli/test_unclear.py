"""A genre that is not sure: what ``classify`` and ``info`` say of it."""

import csv
import io
import json

import pytest
from command import run_command
from made_labels import add_genre_tags, add_labels, use_hand_head
from made_library import series, song, write_library

TAGGED = ("Free Jazz", None, "Rock\x1b[2J")
SONGS = {
    "a jazz": {"jazz": 0.9},
    "b either": {"metal": 0.5, "pop": 0.45},
    "c disco": {"disco": 0.9},
}


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """The commands in a folder with a store of three songs, which a head by hand labels."""
    use_hand_head(monkeypatch)
    rows = [song(name, series(n, segments=9)) for n, name in enumerate(SONGS)]
    write_library(tmp_path, rows, scores=True)
    add_labels(tmp_path / "vecs.parquet", list(SONGS.values()))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run_command(monkeypatch, capfd, *arguments)


def test_json_has_the_likeliest_and_whether_one_is_clear(run):
    code, out, err = run("classify", "--json")
    assert (code, err) == (0, "")
    jazz, either, disco = json.loads(out)["songs"]
    assert (jazz["genre"], jazz["genre_clear"], jazz["styles"]) == ("jazz", True, [])
    assert (either["genre"], either["genre_clear"]) == ("metal", False)
    assert list(either["genre_likely"]) == ["metal", "pop", "jazz"]
    assert 0.6 < either["genre_likely"]["metal"] < 0.7
    assert (disco["genre_clear"], disco["styles"]) == (True, ["disco"])


def test_a_pipe_has_a_column_for_each_value(run):
    _, out, _ = run("classify")
    rows = list(csv.DictReader(io.StringIO(out), delimiter="\t"))
    assert [row["genre"] for row in rows] == ["jazz", "metal", "disco"]
    assert [row["genre_2"] for row in rows][1] == "pop"
    assert [row["genre_clear"] for row in rows] == ["True", "False", "True"]
    assert [row["styles"] for row in rows] == ["", "", "disco"]
    _, out, _ = run("classify", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["genre_clear"] for row in rows] == ["True", "False", "True"]


def test_a_terminal_names_two(run, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    _, out, _ = run("classify")
    assert "unclear: metal or pop" in " ".join(out.split())
    assert "genre_clear" not in out


def test_info_says_it_in_words_and_where_the_song_is_most_itself(run):
    code, out, _ = run("info", "either")
    assert code == 0
    assert "genre: unclear: metal or pop (metal 0.6" in out
    assert "most itself from: 0:0" in out
    _, out, _ = run("info", "either", "--json")
    document = json.loads(out)
    assert document["genre"]["words"] == "unclear: metal or pop"
    assert document["genre"]["clear"] is False
    part = document["most_itself"]
    assert part["end_s"] - part["start_s"] == 20
    assert part["end_s"] <= document["duration_s"]


def test_info_says_what_is_remarkable(run):
    assert "remark" not in run("info", "jazz")[1]
    run("classify", "jazz", "--correct", "music=no")
    assert "remark: not music: as you say" in run("info", "jazz")[1]


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        ({"bpm": 90.4, "bpm_other": 180.8}, ["tempo: 90 or 181 BPM (0.80)"]),
        ({"bpm": 90.4, "bpm_other": None}, ["tempo: 90 BPM (0.80)"]),
        ({"bpm": 90.4, "bpm_confidence": 0.2}, ["tempo: no beat"]),
        ({"bpm": None, "key_confidence": 0.4}, ["key: Ab minor? (0.40)"]),
        ({"bpm": None, "key_confidence": 0.5}, ["key: Ab minor (0.50)"]),
    ],
)
def test_info_tells_tempo_and_key_as_the_page_does(run, tmp_path, measured, says):
    if "key_confidence" in measured:
        measured = {**measured, "key": "Ab", "scale": "minor"}
    row = song("one", series(0), **{"bpm_confidence": 0.8, **measured})
    write_library(tmp_path, [row])
    lines = run("info", "one")[1].splitlines()
    found = [line for line in lines if line.startswith(("tempo", "key", "bpm", "scale"))]
    assert found == says


def test_without_scores_nothing_is_said_of_a_part(run, tmp_path):
    (tmp_path / "scores.parquet").unlink()
    code, out, _ = run("info", "jazz")
    assert (code, "most itself" in out) == (0, False)
    assert "genre: jazz (jazz 1.00" in out


@pytest.fixture
def run_tagged(run, tmp_path):
    add_genre_tags(tmp_path / "vecs.parquet", TAGGED)
    return run


def test_the_genre_of_the_file_stands_beside(run_tagged):
    _, out, _ = run_tagged("classify", "--json")
    tags = [one["genre_tag"] for one in json.loads(out)["songs"]]
    assert tags == [
        {"text": "Free Jazz", "genres": ["jazz"], "styles": [], "agrees": True},
        None,
        {"text": "Rock\x1b[2J", "genres": ["rock"], "styles": [], "agrees": False},
    ]
    _, out, _ = run_tagged("classify", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["tag_agrees"] for row in rows] == ["True", "", "False"]
    assert rows[0]["genre_tag"] == "Free Jazz"
    assert "\x1b" not in out


def test_a_terminal_marks_tags_that_differ(run, tmp_path, monkeypatch):
    add_genre_tags(tmp_path / "vecs.parquet", ["Rock", None, "Disco"])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "140")
    _, out, _ = run("classify")
    assert "≠ Rock" in out
    assert "≠ Disco" not in out


def test_info_names_songs_whose_tag_differs(run, tmp_path):
    add_genre_tags(tmp_path / "vecs.parquet", ["Rock", "Polka", "Disco"])
    _, out, _ = run("info", "--json")
    document = json.loads(out)
    assert document["genre_tags"] == {"songs": 3, "not_understood": 1, "agree": 1, "differ": 1}
    assert document["genre_tags_that_differ"] == ["a jazz: tagged Rock, sounds jazz"]
    _, out, _ = run("info", "a jazz")
    assert "genre tag: Rock, which is not how it sounds" in out
    assert "year: 1998" in out


def test_a_short_song_is_said_to_be_short(run, tmp_path, monkeypatch):
    rows = [song(name, series(n, segments=6)) for n, name in enumerate(SONGS)]
    write_library(tmp_path, rows, scores=True)
    add_labels(tmp_path / "vecs.parquet", list(SONGS.values()))
    _, out, _ = run("info", "jazz")
    assert "genre: too short: jazz or" in out
    _, out, _ = run("classify", "--json")
    found = json.loads(out)["songs"]
    assert [one["genre_clear"] for one in found] == [False] * 3
    assert found[1]["genre_words"] == "too short: metal or pop"


def test_info_has_a_line_for_each_tag_that_differs(run, tmp_path):
    add_genre_tags(tmp_path / "vecs.parquet", ["Rock\x1b[2J", None, "Jazz"])
    _, out, _ = run("info")
    lines = [line for line in out.splitlines() if line.startswith("genre tag differs: ")]
    assert [line.partition(": ")[2].split(":")[0] for line in lines] == ["a jazz", "c disco"]
    assert "\x1b" not in out
