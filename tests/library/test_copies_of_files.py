"""Real audio: copies found at the end of an extraction, and files that are copies of a song."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import audiorec
from audiorec.library.library import open_store
from audiorec.search.questions import SimilarQuestion
from audiorec.store.links import links_path

AUDIO = Path(__file__).parents[2] / "fixtures" / "audio"
OTHERS = ("speech-in-french.mp3", "birds.ogg")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A clip as MP3, and two other sounds."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "music").mkdir()
    for name in ("jazz-vibraphone.mp3", *OTHERS):
        shutil.copy(AUDIO / name, folder / "music")
    audiorec.extract(folder / "music", out=folder / "vecs.parquet", jobs=1)
    return folder / "vecs.parquet"


def quieter(path, *, later_s=0.0):
    """Write the clip 8 dB quieter, as FLAC, perhaps from a later moment on."""
    samples, rate = soundfile.read(AUDIO / "jazz-vibraphone.mp3", dtype="float32")
    soundfile.write(path, samples[round(later_s * rate) :] * np.float32(0.4), rate)
    return path


def test_a_file_in_another_encoding_is_the_song_of_the_store(store, tmp_path):
    file = quieter(tmp_path / "quiet.flac")
    found = open_store(store).ask(SimilarQuestion(seeds=(str(file),), k=5, minimum=-1))
    assert "jazz-vibraphone.mp3" not in found.song_ids
    assert f"note: {file} is a copy of jazz-vibraphone.mp3" in found.remarks


def test_the_next_run_links_new_files_with_the_songs_of_the_store(store):
    quieter(store.parent / "music" / "quiet.flac")
    quieter(store.parent / "music" / "later.flac", later_s=2.0)
    before = links_path(store).read_bytes()
    assert audiorec.extract(store.parent / "music", out=store, jobs=1).extracted == 2
    assert links_path(store).read_bytes() != before
    library = open_store(store)
    row = library.row_number("jazz-vibraphone.mp3")
    assert set(library.copies_of(row)) == {"quiet.flac", "later.flac"}
    links_path(store).unlink()  # as of a store of before
    assert open_store(store).copies_of(row) == []
    assert audiorec.extract(store.parent / "music", out=store, jobs=1).extracted == 0
    assert set(open_store(store).copies_of(row)) == {"quiet.flac", "later.flac"}
