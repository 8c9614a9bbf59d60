"""`audiorec.library.readings`: what files are, and many readings as a table."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from needs import needs

import audiorec
from audiorec.audio.decode import decode
from audiorec.errors import InputError, SongError, SpecMismatchError
from audiorec.library.readings import MOST_ROWS, Readings, readings
from audiorec.tagger.reading import Reading, read_scores

pytestmark = pytest.mark.usefixtures("in_this_process")

AUDIO = Path(__file__).parents[2] / "fixtures" / "audio"


def reading(label="jazz", remark=""):
    scores = {"version": {"vocal": 0.75, "other": 0.25}, "genre": {label: 0.5, "pop": 0.25}}
    best = {"version": "vocal", "genre": None if remark else label}
    return Reading(best=best, scores=scores, voiced=None, segments=5, remark=remark)


@pytest.fixture
def folder(tmp_path):
    for name in ("jazz-vibraphone.mp3", "silence.flac"):
        shutil.copy(AUDIO / name, tmp_path)
    return tmp_path


def test_files_are_read_as_their_scores(folder):
    found = audiorec.classify(folder, jobs=2)
    assert list(found) == ["jazz-vibraphone.mp3", "silence.flac"]
    song = found["jazz-vibraphone.mp3"]
    assert song == read_scores(audiorec.scores(folder / "jazz-vibraphone.mp3"), label=song.label)
    assert found["silence.flac"].remark == "silent"
    assert audiorec.classify([folder / "silence.flac"])["silence.flac"].remark == "silent"


def test_talk_over_music_is_said_of_a_file_and_of_its_row(tmp_path):
    speech, piano = (
        decode(AUDIO / name, lambda blocks: np.resize(np.concatenate(list(blocks)), 160_000))[0]
        for name in ("speech-in-french.mp3", "classical-piano.flac")
    )
    mixed = speech / speech.std() + 0.4 * piano / piano.std()  # 8 dB below
    soundfile.write(tmp_path / "talk.wav", 0.1 * mixed, 16_000)
    soundfile.write(tmp_path / "piano.wav", 0.1 * piano / piano.std(), 16_000)
    found = audiorec.classify(tmp_path)
    assert [(name, one.remark) for name, one in found.items()] == [
        ("piano.wav", ""),
        ("talk.wav", "talk over music"),
    ]
    audiorec.extract(tmp_path, out=tmp_path / "vecs.parquet", jobs=1)
    library = audiorec.open_store(tmp_path / "vecs.parquet")
    assert [one.remark for one in readings(library)] == ["", "talk over music"]
    library.correct("talk.wav", "music", "yes")
    assert readings(library)[1].remark == ""


def test_what_fails_does_not_take_the_others_along(folder):
    (folder / "broken.mp3").write_bytes(b"no audio")
    found = audiorec.classify(folder)
    assert len(found) == 2
    assert [error.path for error in found.failed] == [str(folder / "broken.mp3")]
    assert repr(found).splitlines()[-1] == "1 file could not be used, see .failed"
    assert "2 songs; 1 file could not be used, see .failed" in found._repr_html_()
    with pytest.raises(SongError, match=r"broken\.mp3: not_audio"):
        audiorec.classify(folder / "broken.mp3")


def test_a_store_answers_for_files_that_it_knows(folder, tmp_path, monkeypatch):
    from audiorec.extraction import reader

    store = tmp_path / "vecs.parquet"
    audiorec.extract(folder, out=store, scores=tmp_path / "scores.parquet", jobs=1)
    opened = []
    each = reader.Reader.read_each
    monkeypatch.setattr(
        reader.Reader, "read_each", lambda self, paths: each(self, opened.extend(paths) or opened)
    )
    decoded = audiorec.classify(folder)
    assert len(opened) == 2
    opened.clear()
    known = audiorec.classify(folder, vectors=store)
    assert opened == []
    assert known == decoded == audiorec.classify(folder, vectors=audiorec.open_store(store))
    shutil.copy(AUDIO / "clicks-short.wav", folder / "kicks.wav")  # a new song, between the two
    some = audiorec.classify(folder, vectors=store)
    assert [Path(path).name for path in opened] == ["kicks.wav"]
    assert list(some) == ["jazz-vibraphone.mp3", "kicks.wav", "silence.flac"]
    assert some["silence.flac"] == decoded["silence.flac"]
    with pytest.raises(SpecMismatchError, match="made by extractor"):
        audiorec.classify(folder, vectors="fixtures/formats/vecs-v1.parquet")


def test_refusals(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        audiorec.classify(tmp_path / "nowhere.mp3")
    with pytest.raises(InputError, match="no audio files found"):
        audiorec.classify(tmp_path)
    with pytest.raises(FileNotFoundError, match="head"):
        audiorec.classify(AUDIO / "silence.flac", heads=[tmp_path / "head.safetensors"])


def test_a_table():
    found = Readings([("a.mp3", reading()), ("b\x1b.mp3", reading(remark="silent"))])
    assert repr(found).splitlines() == [
        "2 songs",
        "song_id    version  version_score  genre  genre_score  segments  remark",
        "a.mp3      vocal            0.750  jazz         0.500         5",
        "b\\x1b.mp3  vocal            0.750                             5  silent",
    ]
    many = Readings((f"{i}.mp3", reading()) for i in range(MOST_ROWS + 5))
    assert repr(many).splitlines()[-1] == "… 5 more"
    assert f"{MOST_ROWS + 5} songs, the first {MOST_ROWS}" in many._repr_html_()


def test_a_frame():
    needs("pandas")
    frame = Readings([("a.mp3", reading()), ("b.mp3", reading(remark="silent"))]).to_pandas()
    assert frame.index.tolist() == ["a.mp3", "b.mp3"]
    assert list(frame.columns) == [
        *"version version_score genre genre_score genre_clear genre_source".split(),
        *"styles genre_tag voiced segments remark".split(),
    ]
    assert frame.loc["a.mp3", "genre_score"] == 0.5
    assert frame["genre"].isna().tolist() == [False, True]
    assert Readings().to_pandas().empty


def test_one_reading_in_a_line():
    assert repr(reading()) == "Reading(version vocal 0.75; genre jazz 0.50; 5 segments)"
    assert repr(reading("jazz\x1b")).count("\\x1b") == 1
    assert repr(reading(remark="silent")) == "Reading(version vocal 0.75; 5 segments; silent)"
