"""`web.sound`: what is decoded for a browser is kept, and nothing of what is refused."""

import shutil
import wave
from pathlib import Path

import pytest
from needs import needs
from web_server import AUDIO

from audiorec.audio.playable import write_wav
from audiorec.errors import Failure, SongError

needs("starlette")

from audiorec.web import sound
from audiorec.web.sound import Roots, SoundFiles

SECOND = 2 * 44_100  # bytes of a mono WAV


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "music").mkdir()
    made = SoundFiles(Roots([tmp_path / "music"]))
    yield made
    made.close()
    assert list((tmp_path / "tmp").iterdir()) == []


def decoded(tmp_path):
    return sorted((tmp_path / "tmp").rglob("*.wav"))


def test_a_file_that_is_refused_while_it_is_decoded_leaves_no_wav(files, tmp_path):
    song = tmp_path / "music" / "endless.wav"
    with wave.open(str(song), "wb") as file:  # 8 kHz, one byte a sample: four hours and a bit
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        for _ in range(145):
            file.writeframes(b"\x80" * 800_000)
    with pytest.raises(SongError) as caught:
        files.open(str(song), as_wav=True)
    assert caught.value.failure is Failure.TOO_LONG
    assert decoded(tmp_path) == []


def test_a_worker_that_dies_while_it_decodes_leaves_no_wav(files, tmp_path, monkeypatch):
    shutil.copy(AUDIO / "drum-loop.aiff", tmp_path / "music" / "a.aiff")

    def dies(uri, file, what, *more):
        Path(more[0]).write_bytes(b"RIFF")
        raise SongError(uri, Failure.CRASHED, "killed", "worker")

    monkeypatch.setattr(files, "_ask", dies)
    with (tmp_path / "music" / "a.aiff").open("rb") as file, pytest.raises(SongError):
        files._as_wav("a", file)
    assert decoded(tmp_path) == []


def test_the_least_recently_played_go_first(files, tmp_path, monkeypatch):
    for name in "abc":
        shutil.copy(AUDIO / "drum-loop.aiff", tmp_path / "music" / f"{name}.aiff")

    def played(name):
        files.open(str(tmp_path / "music" / f"{name}.aiff"), as_wav=True)[0].close()

    played("a")
    size = decoded(tmp_path)[0].stat().st_size
    monkeypatch.setattr(sound, "MAX_KEPT", 2.5 * size)
    for name in "bac":
        played(name)
    assert len(decoded(tmp_path)) == 2
    played("a")  # kept, since it was played after b
    assert len(decoded(tmp_path)) == 2


def test_a_wav_has_a_largest_size(tmp_path):
    out = tmp_path / "out.wav"
    assert write_wav(AUDIO / "drum-loop.aiff", out) == pytest.approx(5.0, abs=0.1)
    with pytest.raises(SongError, match="more than 0 MiB as a WAV"):
        write_wav(AUDIO / "drum-loop.aiff", out, max_bytes=SECOND)
