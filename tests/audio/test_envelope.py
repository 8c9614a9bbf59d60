"""`audiorec.audio.decode`: a waveform in some thousand pieces, whatever its length."""

import tracemalloc

import numpy as np
import pytest
import soundfile
from made_songs import write_song

from audiorec.audio.decode import RATE, SHORTEST, _Pieces, envelope, waveform
from audiorec.errors import Failure, InputError, SongError


def by_hand(samples, length):
    """Low, high and root mean square of pieces of one length, the last one perhaps shorter."""
    pieces = [samples[i : i + length].astype(np.float64) for i in range(0, len(samples), length)]
    return [
        [p.min() for p in pieces],
        [p.max() for p in pieces],
        [np.sqrt((p**2).mean()) for p in pieces],
    ]


@pytest.mark.parametrize("n", [1, 15, 16, 17, 160, 16 * 199, 16 * 200, 16 * 201, 70_000, 123_457])
@pytest.mark.parametrize("cuts", [[], [1], [7, 8, 1_000], [50_000]])
def test_pieces_are_those_of_the_whole_track(n, cuts):
    samples = np.random.default_rng(n).normal(0, 0.1, n).astype(np.float32)
    found = _Pieces(100).filled(np.split(samples, [cut for cut in cuts if cut < n]))
    length = SHORTEST
    while n >= 200 * length:  # at 200 whole pieces, pairs become one
        length *= 2
    low, high, rms = by_hand(samples, length)
    assert len(found) == len(low) <= 200
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)
    assert found.rms == pytest.approx(rms, rel=1e-5)
    assert found.duration_s == n / RATE


def test_an_envelope_is_that_of_the_decoded_file(tmp_path):
    path = write_song(tmp_path / "a.flac", seed=1, seconds=5.0)
    samples, info = waveform(path)
    found = envelope(path, points=100)
    assert 100 <= len(found) <= 200
    assert found.low.min() == samples.min()
    assert found.high.max() == samples.max()
    assert found.duration_s == pytest.approx(info.duration_s, abs=1e-3)


def test_channels_that_cancel_out_are_treated_as_everywhere(tmp_path):
    tone = (0.25 * np.sin(np.arange(32_000) / 9)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, -tone], axis=1), 16_000, subtype="FLOAT")
    assert envelope(tmp_path / "a.wav").high.max() == pytest.approx(0.25, abs=1e-3)


def test_an_hour_takes_no_more_memory_than_a_minute():
    block = np.random.default_rng(0).normal(0, 0.1, 10 * RATE).astype(np.float32)
    peaks = []
    for minutes in (1, 60):
        tracemalloc.start()
        _Pieces(2_000).filled(block for _ in range(6 * minutes))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 10_000_000


def test_what_cannot_be_drawn(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"no audio at all")
    with pytest.raises(SongError) as caught:
        envelope(tmp_path / "a.mp3")
    assert caught.value.failure is Failure.NOT_AUDIO
    with pytest.raises(InputError, match="at least 1"):
        envelope(tmp_path / "a.mp3", points=0)
