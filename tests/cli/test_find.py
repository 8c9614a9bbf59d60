"""``audiorec find``: a table, a document, a playlist, refusals."""

import json
from functools import partial

import pytest
from command import run_command
from made_words import write_heard


@pytest.fixture
def in_folder(tmp_path, monkeypatch, capsys):
    write_heard(tmp_path)
    monkeypatch.chdir(tmp_path)
    return partial(run_command, monkeypatch, capsys)


def test_a_table_and_its_reasons(in_folder):
    code, out, err = in_folder("find", "someone", "talking", "zzz", "--k", "2", "--why")
    assert code == 0, err
    head, first, _ = (line.split("\t") for line in out.splitlines())
    assert head == ["rank", "fits", "song_id", "artist", "title", "length", "why"]
    assert first[2] == "speech.flac"
    assert "talking" in first[-1]
    assert "understood talking: Speech" in err
    assert "not understood: zzz" in err


def test_a_document_has_songs_as_similar_has(in_folder):
    code, out, _ = in_folder("find", "drums", "--json", "--also", "non-music")
    document = json.loads(out)
    assert code == 0
    assert document["songs"][0]["song_id"] == "drums.flac"
    first = document["songs"][0]
    names = {"rank", "song_id", "similarity", "closer_than", "uri", "artist", "title", "copies"}
    assert names <= first.keys()
    assert first["closer_than"] == pytest.approx(5 / 6, abs=1e-4)  # it fits better than five of six
    assert 0 < first["similarity"] <= 1


def test_words_beside_a_seed_and_alone(in_folder):
    code, out, err = in_folder(
        *("similar", "metal", "--words", "but saxophone", "--minimum", "-1"),
        *("--also", "non-music", "--why"),
    )
    assert code == 0, err
    first = out.splitlines()[1].split("\t")
    assert first[2] == "sax.flac"
    assert first[-1].startswith("saxophone +")
    assert "understood saxophone: Saxophone" in err
    code, out, err = in_folder(
        "playlist", "--words", "saxophone", "-m", "1.2", "--also", "non-music"
    )
    assert code == 0, err
    assert out.splitlines()[1].split("\t")[2] == "sax.flac"
    code, _, err = in_folder("similar", "metal", "--words", "Abbey Road")
    assert code == 2
    assert "none describes a sound" in err


def test_what_is_left_out_is_counted(in_folder):
    _, _, err = in_folder("find", "piano")
    assert "noise, silence or a jingle (--also non-music)" in err


def test_a_playlist(in_folder, tmp_path):
    code, _, err = in_folder("find", "piano", "--also", "non-music", "--m3u8", "p.m3u8", "-k", "1")
    assert code == 0, err
    assert (tmp_path / "p.m3u8").read_text().startswith("#EXTM3U")


@pytest.mark.parametrize("text", ["Abbey Road", ""])
def test_nothing_understood_is_wrong_use(in_folder, text):
    code, out, err = in_folder("find", text)
    assert (code, out) == (2, "")
    assert "describes a sound" in err
