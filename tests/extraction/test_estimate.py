"""`audiorec.extraction.plan`: from the last run's record, or from a few of the songs."""

import json

import pytest
from made_songs import write_song

from audiorec.extraction import plan as module
from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.pipeline import ExtractorConfig
from audiorec.extraction.plan import NETWORK, READING, START_S, estimate
from audiorec.extraction.run import make_outputs


@pytest.fixture
def songs(tmp_path):
    for seed, name in enumerate(["a.wav", "b.wav", "c.flac"]):
        write_song(tmp_path / "songs" / name, seed=seed, seconds=6.0 + seed)
    return find_songs([tmp_path / "songs"])


def record(path, *, networks=("msd",), audio_s=1000.0, schema="audiorec/run/1"):
    cpu_s = {"load": 50.0, "decode": 2.0, "mel": 1.0, "backbone": 8.0, "write": 1.0}
    weights = [{"name": f"musicnn_{n}"} for n in networks] + [{"name": "head_genre"}]
    report = {"audio_s": audio_s, "cpu_s": cpu_s}
    path.write_text(json.dumps({"schema": schema, "weights": weights, "report": report}))
    return path


def estimated(songs, folder, jobs=2, **named):
    outputs = make_outputs(folder / "vecs.parquet", **named)
    return estimate(
        songs, outputs, ExtractorConfig(), jobs=jobs, record=folder / "vecs.parquet.run.json"
    )


@pytest.fixture
def unmeasured(monkeypatch):
    monkeypatch.setattr(module, "_measured", lambda *_: {})


def test_by_the_last_run(songs, tmp_path, unmeasured):
    record(tmp_path / "vecs.parquet.run.json")
    found = estimated(songs, tmp_path)
    assert found.basis == "record"
    assert found.audio_s == pytest.approx(21.0, abs=0.1)
    # (2 + 1 + 8 + 1) / 1000 for each second, and three processes that start
    assert found.cpu_s == pytest.approx(found.audio_s * 0.012 + 3 * START_S)
    both = estimated(songs, tmp_path, features=tmp_path / "f.parquet")
    assert both.cpu_s == found.cpu_s  # features are of the network that runs anyway


@pytest.mark.parametrize(
    "harm", [{"audio_s": 10.0}, {"schema": "other/1"}, {"networks": ()}, {"audio_s": "long"}]
)
def test_a_record_that_says_nothing_is_passed_over(songs, tmp_path, unmeasured, harm):
    record(tmp_path / "vecs.parquet.run.json", **harm)
    found = estimated(songs, tmp_path, jobs=1)
    assert found.basis == "typical"
    assert found.cpu_s == pytest.approx(found.audio_s * (READING + NETWORK["msd"]) + 2 * START_S)


def test_a_damaged_record_is_passed_over(songs, tmp_path, unmeasured):
    (tmp_path / "vecs.parquet.run.json").write_text("[" * 100_000)
    assert estimated(songs, tmp_path).basis == "typical"


def test_by_a_song_of_each_format(songs, tmp_path):
    (tmp_path / "songs/broken.mp3").write_bytes(b"no music" * 20)
    found = estimated(find_songs([tmp_path / "songs"]), tmp_path)
    assert found.basis == "measured"
    assert 3 * START_S < found.cpu_s < 60
    assert {path.name for path in tmp_path.iterdir()} == {"songs"}


def test_nothing_to_do_costs_nothing(tmp_path):
    assert estimated([], tmp_path).cpu_s == 0
