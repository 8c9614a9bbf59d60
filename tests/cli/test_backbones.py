"""``audiorec backbones``, and what takes a network by its name."""

import json

import pytest
from made_backbone import write_backbone
from made_package import install
from made_songs import write_song


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a network, its spec and two songs; nothing was added yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "own"))
    write_backbone(tmp_path)
    for seed in range(2):
        write_song(tmp_path / "songs" / f"{seed}.wav", seed=seed, seconds=9.2)
    return tmp_path


def rows(audiorec):
    code, out, _ = audiorec("backbones", "--json")
    assert code == 0
    return {row["name"]: row for row in json.loads(out)["backbones"]}


def test_the_list_has_the_shipped_ones_and_those_that_were_added(home, audiorec):
    assert [row["from"] for row in rows(audiorec).values()] == ["shipped"]
    code, out, err = audiorec("backbones", "tiny.onnx", "--spec", "tiny.json")
    assert (code, out) == (0, "")
    assert "added tiny " in err
    assert "audiorec extract FOLDER --backbone tiny --out tiny.parquet" in err
    found = rows(audiorec)["tiny"]
    assert found["outputs"] == {"tiny.scores": 3, "tiny.embedding": 40}
    assert (found["sample_rate"], found["segment_s"], found["licence"]) == (8_000, 3.0, "CC0-1.0")
    code, out, _ = audiorec("backbones")
    last = out.splitlines()[-1].split("\t")
    assert last[:2] == ["tiny", "added"]
    assert last[3:6] == ["8000", "3 s", "scores 3, embedding 40"]
    (home / "own" / "backbones" / "tiny" / "spec.json").write_text("{}")
    assert "changed since" in rows(audiorec)["tiny"]["problem"]
    code, out, err = audiorec("backbones")
    assert code == 0
    assert "tiny\tadded\tcannot be used" in out
    assert "warning: " in err


def test_adding_twice_needs_a_word_and_removing_ends_it(home, audiorec):
    add = ("backbones", "tiny.onnx", "--spec", "tiny.json")
    assert audiorec(*add)[0] == 0
    code, _, err = audiorec(*add)
    assert code == 2
    assert "--replace overwrites it" in err
    code, out, _ = audiorec(*add, "--replace", "--json")
    assert code == 0
    assert json.loads(out)["schema"] == "audiorec/backbone/1"
    assert json.loads(out)["folder"] == str(home / "own" / "backbones" / "tiny")
    code, out, err = audiorec("backbones", "--remove", "tiny")
    assert (code, out) == (0, "")
    assert "removed tiny" in err
    assert "tiny" not in rows(audiorec)
    code, _, err = audiorec("backbones", "--remove", "tiny")
    assert code == 2
    assert (
        "there is no added backbone 'tiny' (added: none); add one: audiorec backbones MODEL" in err
    )


def test_a_library_is_extracted_described_and_searched_by_it(home, audiorec):
    assert audiorec("backbones", "tiny.onnx", "--spec", "tiny.json")[0] == 0
    files = ("--out", "t/vecs.parquet", "--features", "t/features.parquet", "-j", "1", "-q")
    (home / "t").mkdir()
    code, _, err = audiorec("extract", "songs", "--backbone", "tiny", *files)
    assert code == 0, err
    code, out, _ = audiorec("info", "-v", "t/vecs.parquet")
    assert "classes: tiny/bright, tiny/dark, tiny/loud" in out
    assert "weights: tiny " in out
    code, out, err = audiorec("similar", "0.wav", "-v", "t/vecs.parquet", "--also", "non-music",
                              "--minimum", "-1", "--json")  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["by"] == "sound"
    write_song(home / "new.wav", seed=7, seconds=9.2)
    code, out, err = audiorec("similar", "new.wav", "-v", "t/vecs.parquet", "--also", "non-music",
                              "--minimum", "-1", "--json")  # fmt: skip
    assert code == 0, err
    assert len(json.loads(out)["songs"]) == 2
    code, _, err = audiorec("extract", "songs", *files)
    assert code != 0
    assert "extractor" in err


def test_classify_says_what_a_network_says(home, audiorec):
    assert audiorec("backbones", "tiny.onnx", "--spec", "tiny.json")[0] == 0
    code, out, err = audiorec("classify", "songs/0.wav", "--backbone", "tiny", "--json")
    assert code == 0, err
    (song,) = json.loads(out)["songs"]
    assert set(song["scores"]["tiny"]) == {"bright", "dark", "loud"}
    code, _, err = audiorec("classify", "songs/0.wav", "--backbone", "tidy")
    assert code == 2
    assert "(added: tiny)" in err


def test_a_folder_elsewhere_goes_by_its_path(home, audiorec):
    assert audiorec("backbones", "tiny.onnx", "--spec", "tiny.json")[0] == 0
    (home / "own" / "backbones" / "tiny").rename(home / "moved")
    code, out, err = audiorec("classify", "songs/0.wav", "--backbone", "./moved", "--json")
    assert code == 0, err
    assert json.loads(out)["songs"][0]["tiny"] in ("bright", "dark", "loud")


def test_a_network_that_a_package_brings_is_added_by_its_name(home, audiorec, monkeypatch):
    packaged = home / "site" / "tiny_net"
    write_backbone(packaged)
    (packaged / "tiny.onnx").rename(packaged / "model.onnx")
    (packaged / "tiny.json").rename(packaged / "spec.json")
    code = f"FOLDER = {str(packaged)!r}\n"
    entries = {"tiny": "tiny_net_b:FOLDER", "msd": "tiny_net_b:FOLDER"}
    install(home / "site", "tiny_net_b", code, "audiorec.backbones", entries)
    monkeypatch.syspath_prepend(str(home / "site"))
    code, _, err = audiorec("backbones")
    assert (code, "tiny_net_b 1.0 brings tiny: audiorec backbones tiny" in err) == (0, True)
    code, _, err = audiorec("backbones", "tiny")
    assert code == 0, err
    assert rows(audiorec)["tiny"]["from"] == "added"
    assert rows(audiorec)["msd"]["from"] == "shipped"
    code, _, err = audiorec("backbones")
    assert "brings" not in err
    code, _, err = audiorec("backbones", "tiny.onnx")
    assert code == 2
    assert "no installed package brings the backbone 'tiny.onnx' (there are: tiny)" in err
