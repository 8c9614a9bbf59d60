"""`audiorec.audio.attributes` and `framing`: known pulses, and what must not matter to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pulses import RATE, pulse

from audiorec.audio.attributes import FASTEST, SLOWEST, Frames, Tempo, TempoMeter
from audiorec.audio.mel import power_spectra


def tempo_of(samples, *, block=40_000):
    meter = TempoMeter()
    for spectra in power_spectra(np.split(samples, range(block, len(samples), block))):
        meter.add(spectra)
    return meter.tempo()


@pytest.mark.parametrize("bpm", [52, 75.5, 90, 101.3, 120, 133, 150])
def test_a_pulse_is_told_within_half_a_percent(bpm):
    found = tempo_of(pulse(bpm))
    assert found.bpm == pytest.approx(bpm, rel=0.005)
    assert found.confidence > 0.8


@pytest.mark.parametrize("bpm", [40.5, 200, 235])
def test_where_one_would_tap_otherwise_it_is_an_octave_off_at_most(bpm):
    found = tempo_of(pulse(bpm))
    assert min(abs(found.bpm / (bpm * factor) - 1) for factor in (1, 2, 0.5)) < 0.005


def test_a_quiet_copy_has_the_same_tempo():
    song = pulse(97, accent=1.5)
    loud, quiet = tempo_of(song), tempo_of(song * np.float32(0.003))
    assert quiet.bpm == pytest.approx(loud.bpm, rel=1e-4)
    assert quiet.confidence == pytest.approx(loud.confidence, abs=1e-3)


def test_blocks_do_not_matter_in_the_last_bit():
    song = pulse(110, seconds=20)
    whole = tempo_of(song, block=len(song))
    assert tempo_of(song, block=777) == whole
    assert tempo_of(song, block=96_000) == whole


@pytest.mark.parametrize("seconds", [1.0, 3.0, 7.0, 13.0, 60.0])
def test_any_length_has_an_answer(seconds):
    found = tempo_of(pulse(120, seconds))
    assert SLOWEST <= found.bpm <= FASTEST
    assert 0 <= found.confidence <= 1
    if seconds > 5:
        assert min(abs(found.bpm / (120 * f) - 1) for f in (1, 2, 0.5)) < 0.04


@pytest.mark.parametrize("level", [0.0, 1e-7])
def test_silence_has_no_tempo(level):
    assert tempo_of(np.full(20 * RATE, level, np.float32)) == Tempo(None, 0.0)
    assert TempoMeter().tempo() == Tempo(None, 0.0)


def test_noise_is_not_believed():
    rng = np.random.default_rng(5)
    found = tempo_of((0.1 * rng.standard_normal(30 * RATE)).astype(np.float32))
    assert found.confidence < 0.3


def test_a_silent_end_does_not_take_the_tempo_away():
    song = np.concatenate([pulse(100, 30), np.zeros(120 * RATE, np.float32)])
    assert tempo_of(song).bpm == pytest.approx(100, rel=0.005)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 900), max_size=12), st.integers(1, 5))
def test_frames_are_those_of_the_whole_track(lengths, chunk):
    rng = np.random.default_rng(1)
    blocks = [rng.standard_normal(n).astype(np.float32) for n in lengths]
    frames = Frames(64, 16, chunk)
    found = [part.copy() for block in blocks for part in frames.cut(block)]
    assert all(len(part) == chunk for part in found)
    found.append(frames.rest())
    padded = np.concatenate([np.zeros(32), *blocks, np.zeros(32)]).astype(np.float32)
    expected = np.lib.stride_tricks.sliding_window_view(padded, 64)[::16]
    np.testing.assert_array_equal(np.concatenate(found), expected)
