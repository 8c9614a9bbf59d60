"""`audiorec.library.readings`: a store's songs in the words that decoding them would give."""

import numpy as np
import pytest
from good_store import write_good_store

import audiorec
from audiorec.library.readings import readings, scores_beside
from audiorec.store.store import VectorStore
from audiorec.tagger.reading import read_scores

CLIPS = "silence.flac clicks-short.wav speech-in-french.mp3 jazz-vibraphone.mp3".split()
REMARKS = ["not music: speech", "", "silent", "not music: speech"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readings")
    clips = [f"fixtures/audio/{name}" for name in CLIPS]
    audiorec.extract(clips, out=folder / "vecs.parquet", scores=folder / "scores.parquet", jobs=1)
    return VectorStore.open(folder / "vecs.parquet")


def test_a_row_reads_as_its_file_does(store):
    found = dict(zip(store.ids, readings(store), strict=True))
    for name in CLIPS:
        status = audiorec.types.Status(store.row(name)["status"])
        series = audiorec.scores(f"fixtures/audio/{name}")
        assert found[name] == read_scores(series, status, label=found[name].label)
    assert found == dict(audiorec.classify([f"fixtures/audio/{name}" for name in CLIPS]))
    said = [found[name].remark for name in sorted(CLIPS)]
    assert all(map(str.startswith, said, REMARKS))
    assert found["jazz-vibraphone.mp3"].voiced is not None
    assert found["jazz-vibraphone.mp3"].label.genre == "jazz"


def test_rows_come_in_the_order_asked_for(store):
    assert readings(store, [3, 0]) == [readings(store)[3], readings(store)[0]]
    assert readings(store, []) == []


def test_without_score_series_the_voice_is_unknown(tmp_path):
    path = write_good_store(tmp_path)
    known = VectorStore.open(path)
    assert all(reading.voiced is not None for reading in readings(known))
    (tmp_path / "scores.parquet").unlink()
    assert scores_beside(known)[1].endswith("scores.parquet: no such file")
    assert all(reading.voiced is None for reading in readings(known))
    (tmp_path / "scores.parquet").write_bytes(b"cut")
    series, why = scores_beside(known)
    assert series is None
    assert "\n" not in why
    assert "scores.parquet" in why


def test_scores_of_other_audio_do_not_count(tmp_path):
    path = write_good_store(tmp_path, content_hash="f" * 32)
    assert [reading.voiced for reading in readings(VectorStore.open(path))] == [None] * 4


def test_many_blocks_are_as_one(tmp_path, monkeypatch):
    store = VectorStore.open(write_good_store(tmp_path))
    whole = readings(store)
    monkeypatch.setattr("audiorec.library.readings.BLOCK_ROWS", 3)
    assert readings(store, np.arange(4)) == whole
