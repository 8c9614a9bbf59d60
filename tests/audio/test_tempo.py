"""`audiorec.audio.attributes` and `framing`: known pulses, and what must not matter to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pulses import RATE, pulse

from audiorec.audio import tempo
from audiorec.audio.attributes import Frames
from audiorec.audio.mel import power_spectra
from audiorec.audio.tempo import FASTEST, NO_BEAT, SLOWEST, Tempo, TempoMeter

OCTAVES, SQUARE = 0, 1  # places among the weights: log2(bpm / 100), and its square


def metered(samples, *, block=40_000):
    meter = TempoMeter()
    for spectra in power_spectra(np.split(samples, range(block, len(samples), block))):
        meter.add(spectra)
    return meter


def tempo_of(samples, **how):
    return metered(samples, **how).tempo()


@pytest.mark.parametrize("bpm", [52, 75.5, 90, 101.3, 120, 126])
def test_a_pulse_is_told_within_half_a_percent(bpm):
    meter = metered(pulse(bpm))
    assert meter.tempo().bpm == pytest.approx(bpm, rel=0.005)
    assert meter.pulse()[1] > 0.8


@pytest.mark.parametrize("bpm", [40.5, 133, 150, 200, 235])
def test_where_one_would_tap_otherwise_it_is_an_octave_off_at_most(bpm):
    """A bare metronome has no halves of beats, so a fast one sounds like them."""
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


def test_the_levels_of_a_pulse_are_those_within_the_range():
    meter = metered(pulse(110, 20))
    for bpm, expected in (
        (50, [50, 100, 200]),
        (110, [55, 110, 220]),
        (160, [40, 80, 160]),
        (250, [62.5, 125, 250]),
    ):
        levels, told = meter.levels(bpm)
        assert levels.tolist() == expected
        assert told.shape == (3, len(tempo.LEVEL_WEIGHTS))
        np.testing.assert_allclose(told[:, OCTAVES], np.log2(levels / 100))
        np.testing.assert_allclose(told[:, SQUARE], np.log2(levels / 100) ** 2)


def weigh(monkeypatch, place, weight):
    monkeypatch.setattr(tempo, "LEVEL_WEIGHTS", np.eye(len(tempo.LEVEL_WEIGHTS))[place] * weight)


def test_the_confidence_is_that_of_the_level_too_and_the_second_level_is_the_other(monkeypatch):
    """At levels of 55, 110 and 220, a weight of ln 2 on the octaves gives chances of 1 : 2 : 4."""
    meter = metered(pulse(110, 20))
    pulse_of, certain = meter.pulse()
    weigh(monkeypatch, OCTAVES, np.log(2))
    found = meter.tempo()
    assert found.bpm == pytest.approx(2 * pulse_of)
    assert found.confidence == pytest.approx(certain * 4 / 7)
    assert found.other == pytest.approx(pulse_of)
    weigh(monkeypatch, OCTAVES, -np.log(2))
    assert (tempo_of(pulse(110, 20)).bpm, found.other) == pytest.approx((pulse_of / 2, pulse_of))


def test_a_clear_level_stands_alone(monkeypatch):
    """A weight of ln 8 gives 1 : 8 : 64, and 64 of 73 are clear."""
    weigh(monkeypatch, OCTAVES, np.log(8))
    assert tempo_of(pulse(110, 20)).other is None
    monkeypatch.setattr(tempo, "CLEAR_LEVEL", 0.9)
    assert tempo_of(pulse(110, 20)).other is not None


def test_without_a_beat_no_other_is_named(monkeypatch):
    weigh(monkeypatch, OCTAVES, 0.0)
    found = tempo_of(pulse(110, 20))
    assert found.confidence == pytest.approx(1 / 3, abs=0.04)
    assert found.other is not None
    rng = np.random.default_rng(5)
    noise = tempo_of((0.1 * rng.standard_normal(30 * RATE)).astype(np.float32))
    assert noise.confidence < NO_BEAT
    assert noise.other is None


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
