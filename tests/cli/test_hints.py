"""What would make lists better is told once per store, on a terminal alone."""

import json
import sys

import pytest

HINT = "hint: compared by vector: this store has no sound; to add it: audiorec extract FOLDER"
TAGS = "songs have no artist tag"


@pytest.fixture
def terminal(monkeypatch, tmp_path):
    """Pretend that both outputs are terminals, with a data folder of one's own."""
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "own"))

    def draw(*, drawn=True):
        for stream in (sys.stdout, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: drawn, raising=False)

    return draw


def test_each_hint_comes_once(in_library, terminal, tmp_path):
    terminal()
    assert HINT in in_library("similar", "song 00")[2]
    for command in (
        ("similar", "song 00"),
        ("playlist", "song 00", "--to", "song 03"),
        ("playlist", "song 00"),
    ):
        assert "hint:" not in in_library(*command)[2]
    (told,) = json.loads((tmp_path / "own" / "hints.json").read_text()).values()
    assert told == ["sound"]


def test_not_in_a_pipe_and_not_beside_json(in_library, terminal, tmp_path):
    terminal(drawn=False)
    assert "sound" not in in_library("similar", "song 00")[2]
    terminal()
    assert "sound" not in in_library("similar", "song 00", "--json")[2]
    assert "sound" not in in_library("similar", "song 00", "--by", "vector")[2]
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize("content", ["", "[]", '{"x": 3}', "\0", '{"a": [1, null]}'])
def test_a_damaged_memory_is_made_anew(in_library, terminal, tmp_path, content):
    terminal()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "hints.json").write_text(content)
    assert HINT in in_library("similar", "song 00")[2]
    assert HINT not in in_library("similar", "song 00")[2]


def test_a_folder_that_cannot_be_written_is_no_failure(in_library, terminal, tmp_path):
    terminal()
    (tmp_path / "own").write_text("a file in the way")
    for _ in range(2):
        code, _, err = in_library("similar", "song 00")
        assert (code, HINT in err) == (0, True)
