"""`audiorec.extraction.plan`: what a run costs, by a few of the songs or what is usual."""

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


def estimated(songs, folder, jobs=2, **named):
    outputs = make_outputs(folder / "vecs.parquet", **named)
    return estimate(songs, outputs, ExtractorConfig(), jobs=jobs)


def test_where_no_song_is_measured_by_what_is_usual(songs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_measured", lambda *_: {})
    found = estimated(songs, tmp_path, jobs=1)
    assert found.basis == "typical"
    assert found.audio_s == pytest.approx(21.0, abs=0.1)
    assert found.cpu_s == pytest.approx(found.audio_s * (READING + NETWORK["msd"]) + 2 * START_S)
    both = estimated(songs, tmp_path, jobs=1, features=tmp_path / "f.parquet")
    assert both.cpu_s == found.cpu_s  # features are of the network that runs anyway


def test_by_a_song_of_each_format(songs, tmp_path):
    (tmp_path / "songs/broken.mp3").write_bytes(b"no music" * 20)
    found = estimated(find_songs([tmp_path / "songs"]), tmp_path)
    assert found.basis == "measured"
    assert 3 * START_S < found.cpu_s < 60
    assert {path.name for path in tmp_path.iterdir()} == {"songs"}


def test_nothing_to_do_costs_nothing(tmp_path):
    assert estimated([], tmp_path).cpu_s == 0
