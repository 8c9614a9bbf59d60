"""`audiorec.audio.originals`: which copy was made from the other, and what is one recording."""

import numpy as np
import pytest
import soundfile

from audiorec.audio.originals import Listened, Origin, likeness, origin
from audiorec.errors import SongError

RATE = 44_100


def music(seed=0, seconds=14):
    """Notes over noise, as wide as music: float64 (n, 2)."""
    rng = np.random.default_rng(seed)
    t = np.arange(seconds * RATE) / RATE
    tones = sum(np.sin(2 * np.pi * f * t) for f in rng.choice(np.arange(200, 3_000), 12))
    beat = 0.3 + (np.floor(t * 2 + rng.random()) % rng.integers(2, 5) == 0)
    noise = np.convolve(rng.normal(size=len(t)), [1, -0.6], mode="same")
    return np.column_stack([0.02 * tones + 0.03 * beat * noise] * 2)


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """A recording as WAV, the Ogg Vorbis made of it, and the WAV and the MP3 made of that."""
    folder = tmp_path_factory.mktemp("copies")
    soundfile.write(folder / "first.wav", music(), RATE, subtype="PCM_16")
    soundfile.write(folder / "copy.ogg", music(), RATE, format="OGG", subtype="VORBIS")
    again, _ = soundfile.read(folder / "copy.ogg")
    soundfile.write(folder / "again.flac", again, RATE, subtype="PCM_16")
    return folder


def test_the_copy_with_the_traces_was_made_from_the_other(copies):
    lossy = Listened.to(copies / "copy.ogg")
    first, again = (Listened.to(copies / name) for name in ("first.wav", "again.flac"))
    assert (first.trace(), again.trace()) == ("", "vorbis")
    assert origin(lossy, "vorbis", again) == (Origin.LOSSY, 0)
    assert origin(lossy, "mp3", again) == (Origin.UNKNOWN, 0)  # of another codec's copy


def test_sound_where_the_lossy_copy_has_none_tells_the_original(copies):
    first = Listened.to(copies / "first.wav")
    narrow = Listened(first.rate, first.at, first.pieces, first.power.copy())
    narrow.power[17:] = 1e-12
    assert origin(narrow, "mp3", first) == (Origin.LOSSLESS, 17)
    assert origin(first, "mp3", first) == (Origin.UNKNOWN, 0)


def test_a_part_is_like_its_whole_and_another_piece_is_not(copies, tmp_path):
    whole, part, other = copies / "first.wav", tmp_path / "part.wav", tmp_path / "other.wav"
    soundfile.write(part, 0.5 * music()[RATE : 8 * RATE], RATE)
    soundfile.write(other, music(1), RATE)
    assert likeness(part, whole, shift_s=2.5) > 0.9
    assert likeness(other, whole, shift_s=2.5) < 0.6
    (tmp_path / "no.wav").write_bytes(b"RIFF")
    with pytest.raises(SongError):
        Listened.to(tmp_path / "no.wav")
