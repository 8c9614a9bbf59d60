"""``audiorec backbones``, and what takes a network by its name."""

import json

import pytest
from made_backbone import CODE, install_backbone
from made_songs import write_song


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with two songs, and an installed package that brings the backbone ``tiny``."""
    monkeypatch.chdir(tmp_path)
    install_backbone(tmp_path / "site", CODE, "tiny", "tiny_net_c")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for seed in range(2):
        write_song(tmp_path / "songs" / f"{seed}.wav", seed=seed, seconds=9.2)
    return tmp_path


def test_the_list_has_the_shipped_one_and_those_of_packages(home, audiorec, monkeypatch):
    code, out, _ = audiorec("backbones", "--json")
    found = {row["name"]: row for row in json.loads(out)["backbones"]}
    assert (code, list(found)) == (0, ["msd", "tiny"])
    assert found["tiny"]["outputs"] == {"tiny.scores": 3, "tiny.embedding": 40}
    assert (found["tiny"]["from"], found["tiny"]["licence"]) == ("tiny_net_c 1.0", "CC0-1.0")
    code, out, _ = audiorec("backbones")
    last = out.splitlines()[-1].split("\t")
    assert last[:2] == ["tiny", "tiny_net_c 1.0"]
    assert last[3:6] == ["8000", "3 s", "scores 3, embedding 40"]
    install_backbone(home / "odd", "import absent_weights\n", "odd", "odd_net")
    monkeypatch.syspath_prepend(str(home / "odd"))
    code, out, err = audiorec("backbones")
    assert (code, "odd\todd_net 1.0\tcannot be used" in out) == (0, True)
    assert "warning: the backbone 'odd' of odd_net 1.0 cannot be imported" in err


def test_a_library_is_extracted_described_and_searched_by_it(home, audiorec):
    files = ("--out", "t/vecs.parquet", "--features", "t/features.parquet", "-j", "1", "-q")
    (home / "t").mkdir()
    code, _, err = audiorec("extract", "songs", "--backbone", "tiny", *files)
    assert code == 0, err
    code, out, _ = audiorec("info", "-v", "t/vecs.parquet")
    assert "classes: tiny/bright, tiny/dark, tiny/loud" in out
    assert "weights: tiny " in out
    write_song(home / "new.wav", seed=7, seconds=9.2)
    how = ("-v", "t/vecs.parquet", "--also", "non-music", "--minimum", "-1", "--json")
    for song, count in (("0.wav", 1), ("new.wav", 2)):
        code, out, err = audiorec("similar", song, *how)
        assert code == 0, err
        assert (json.loads(out)["by"], len(json.loads(out)["songs"])) == ("sound", count)
    code, _, err = audiorec("extract", "songs", *files)
    assert code != 0
    assert "extractor" in err


def test_classify_says_what_a_network_says(home, audiorec):
    code, out, err = audiorec("classify", "songs/0.wav", "--backbone", "tiny", "--json")
    assert code == 0, err
    (song,) = json.loads(out)["songs"]
    assert set(song["scores"]["tiny"]) == {"bright", "dark", "loud"}
    code, _, err = audiorec("classify", "songs/0.wav", "--backbone", "tidy")
    assert code == 2
    assert "unknown backbone 'tidy'; there are: msd, tiny" in err
