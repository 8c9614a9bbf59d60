"""`audiorec_plots.sound`: a tone lies in its band, and long songs have few columns."""

import numpy as np
import pytest
import soundfile
from needs import needs

needs("audiorec_plots")

from audiorec.audio.decode import envelope
from audiorec.errors import SongError
from audiorec_plots.sound import sound_reader, spectrogram


@pytest.fixture
def tone(tmp_path):
    """Twenty seconds: one of 440 Hz for ten, then one of 3,000 Hz."""
    at = np.arange(20 * 16_000) / 16_000
    wave = 0.5 * np.sin(2 * np.pi * np.where(at < 10, 440, 3_000) * at)
    soundfile.write(tmp_path / "tone.wav", wave, 16_000)
    return tmp_path / "tone.wav"


def test_a_tone_is_loudest_in_its_band_while_it_sounds(tone):
    import librosa

    found = spectrogram(tone, columns=40)
    assert found.level_db.shape[0] == 96
    assert 20 < found.level_db.shape[1] <= 40
    assert found.duration_s == pytest.approx(20, abs=0.1)
    centres = librosa.mel_frequencies(98, fmin=0, fmax=8_000)[1:-1]
    half = found.level_db.shape[1] // 2
    for part, hertz in (
        (found.level_db[:, : half - 1], 440),
        (found.level_db[:, half + 1 :], 3_000),
    ):
        bands = part.argmax(axis=0)
        assert set(np.abs(centres[bands] - hertz) < 60) == {True}


def test_it_comes_from_a_worker_with_the_waveform(tone, tmp_path, capfd):
    (tmp_path / "bad.mp3").write_bytes(b"ID3" + bytes(range(256)) * 40)
    with sound_reader() as reader:
        wave, mel = reader.read(tone)
        with pytest.raises(SongError):
            reader.read(tmp_path / "bad.mp3")
    assert np.array_equal(mel.level_db, spectrogram(tone).level_db)
    expected = envelope(tone)
    assert all(
        np.array_equal(getattr(wave, name), getattr(expected, name))
        for name in ("low", "high", "rms")
    )
    assert wave.duration_s == expected.duration_s
    assert capfd.readouterr().err == ""
