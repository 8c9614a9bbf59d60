"""`--head`: which heads score a song, from the command line."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from audiorec.errors import InputError
from audiorec.tagger.heads import Head, shipped_head, shipped_heads
from audiorec.tagger.weights import backbone_weights
from audiorec_cli.shared.options import chosen_heads

CLIPS = Path(__file__).parents[2] / "fixtures" / "audio"
SONGS = [
    str(CLIPS / name) for name in ("jazz-vibraphone.mp3", "blues-band.mp3", "guitar-band.flac")
]


@pytest.fixture(scope="session")
def mood(tmp_path_factory):
    """A folder like that of `heads`: two classes of mood from the tags of msd."""
    folder = tmp_path_factory.mktemp("mood")
    rng = np.random.default_rng(0)
    Head(
        task="mood",
        classes=("calm", "wild"),
        inputs=("msd.tags",),
        backbones={"msd": backbone_weights("msd").sha256},
        mean=np.zeros(50, np.float32),
        scale=np.ones(50, np.float32),
        layers=((rng.normal(size=(50, 2)).astype(np.float32), np.zeros(2, np.float32)),),
        calibration_scale=np.ones(2, np.float32),
        calibration_bias=np.zeros(2, np.float32),
        info={},
    ).save(folder / "head.safetensors")
    return folder


def test_without_options_the_shipped_pair_is_meant():
    assert chosen_heads(None) == ()
    assert chosen_heads([]) == ()


def test_a_head_goes_by_file_by_folder_and_with_its_task(mood):
    file = mood / "head.safetensors"
    for name in (str(file), str(mood), f"mood={file}", f"mood={mood}"):
        assert chosen_heads([name]) == (file,)
    assert chosen_heads([f"mood={mood}", "genre=ours"]) == (file, shipped_head("genre"))


def test_open_names_both_heads_from_free_audio_unless_it_is_a_file(mood, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert chosen_heads(["open"]) == shipped_heads("open")
    assert chosen_heads([str(mood), "open"])[1:] == shipped_heads("open")
    (tmp_path / "open").write_bytes((mood / "head.safetensors").read_bytes())
    assert chosen_heads(["open"]) == (Path("open"),)


def test_a_store_of_open_heads_takes_no_songs_of_others(tmp_path, audiorec):
    extract = ("extract", SONGS[0], "--out", str(tmp_path / "vecs.parquet"))
    code, _, err = audiorec(*extract, "--head", "open")
    assert code == 0, err
    code, _, err = audiorec("extract", SONGS[1], *extract[2:])
    assert code == 2
    assert "the weights differ" in err


def test_a_file_whose_name_has_an_equals_sign_is_a_file(mood, tmp_path):
    path = tmp_path / "mood=2.safetensors"
    path.write_bytes((mood / "head.safetensors").read_bytes())
    assert chosen_heads([str(path)]) == (path,)


def test_without_a_store_a_file_is_scored_by_the_heads_that_are_named(
    mood, tmp_path, audiorec, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = audiorec("classify", SONGS[0], "--head", str(mood), "--json")
    assert code == 0, err
    assert list(json.loads(out)["songs"][0]["scores"]) == ["mood"]


def test_a_head_under_the_name_of_another_task_is_refused(mood):
    with pytest.raises(InputError, match="is a head for 'mood', not for 'version'"):
        chosen_heads([f"version={mood}"])
    with pytest.raises(InputError, match="no head for 'mood'"):
        chosen_heads(["mood=ours"])


def test_a_head_that_is_not_there_is_a_mistake_in_the_command(audiorec, tmp_path):
    for name in (f"{tmp_path}/no.safetensors", f"mood={tmp_path}/no.safetensors", str(tmp_path)):
        code, _, err = audiorec("classify", SONGS[0], "--head", name)
        assert code == 2
        assert "no such head file" in err


def test_a_store_of_heads_of_ones_own_and_a_new_song(mood, audiorec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = ["--head", f"mood={mood}", "--head", "genre=ours"]
    code, _, err = audiorec("extract", *SONGS[:2], *named, "--features", "f.parquet", "-q", "-j1")
    assert code == 0, err
    columns = pq.read_schema("f.parquet").names
    assert {"msd_penultimate", "msd_tags"} <= set(columns)
    code, _, err = audiorec("similar", SONGS[2])
    assert code == 2
    assert "pass the store's heads" in err
    code, out, err = audiorec("similar", SONGS[2], *named, "--minimum", "-1", "--json")
    assert code == 0, err
    assert len(json.loads(out)["songs"]) == 2


def test_the_estimate_counts_the_networks_that_run(mood, audiorec, monkeypatch):
    # What is usual, and not what this machine needs at this moment.
    monkeypatch.setattr("audiorec.extraction.plan._measured", lambda *_: {})
    seconds = {}
    for name in ("genre=ours", f"mood={mood}"):
        code, out, _ = audiorec("extract", *SONGS, "--head", name, "--dry-run", "--json")
        assert code == 0
        seconds[name] = json.loads(out)["cpu_s"]
    assert seconds["genre=ours"] == seconds[f"mood={mood}"] > 0
    code, out, _ = audiorec("extract", *SONGS, "--dry-run", "--json", "--features", "f.parquet")
    assert json.loads(out)["cpu_s"] == seconds["genre=ours"]  # of the network that runs anyway
