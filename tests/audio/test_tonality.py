"""`audiorec.audio.attributes`: cadences in every key, and what must not matter to them."""

import numpy as np
import pytest
from made_pulses import CHORDS, RATE, cadence

from audiorec.audio import attributes
from audiorec.audio.attributes import Key, KeyMeter
from audiorec.types import TONICS


def key_of(samples, *, block=40_000):
    meter = KeyMeter()
    for start in range(0, len(samples), block):
        meter.add(samples[start : start + block])
    return meter.key()


@pytest.mark.parametrize("scale", CHORDS)
@pytest.mark.parametrize("tonic", range(12))
def test_a_cadence_is_in_its_key(tonic, scale):
    found = key_of(cadence(tonic, scale))
    assert (found.tonic, found.scale) == (TONICS[tonic], scale)
    assert found.confidence > 0.5


@pytest.mark.parametrize("cents", [-40, 30, 45])
def test_a_recording_that_is_out_of_tune_keeps_its_key(cents):
    found = key_of(cadence(3, "minor", cents=cents))
    assert (found.tonic, found.scale) == ("Eb", "minor")
    assert found.confidence == pytest.approx(key_of(cadence(3, "minor")).confidence, abs=0.01)


def test_a_quiet_copy_has_the_same_key():
    song = cadence(6, "major")
    loud, quiet = key_of(song), key_of(song * np.float32(0.01))
    assert (quiet.tonic, quiet.scale) == (loud.tonic, loud.scale) == ("F#", "major")
    assert quiet.confidence == pytest.approx(loud.confidence, abs=0.01)


def test_blocks_do_not_matter_in_the_last_bit():
    song = cadence(2, "major")
    whole = key_of(song, block=len(song))
    assert key_of(song, block=999) == whole
    assert key_of(song, block=RATE) == whole


@pytest.mark.parametrize("seconds", [0.0, 0.3, 20.0])
def test_silence_has_no_key(seconds):
    assert key_of(np.zeros(int(seconds * RATE), np.float32)) == Key(None, None, 0.0)


def test_noise_is_not_believed():
    noise = 0.1 * np.random.default_rng(3).standard_normal(30 * RATE)
    assert key_of(noise.astype(np.float32)).confidence < 0.3


def test_a_partial_counts_for_the_tones_that_it_may_be_an_overtone_of():
    notes = np.zeros(600)  # tenths of a semitone from MIDI note 36, a C
    notes[10 * (91 - 36) + 4] = notes[10 * (91 - 36) + 5] = 1.0  # G6, in tune
    chroma = attributes._chroma(notes)
    share = {TONICS[at]: value for at, value in enumerate(chroma / chroma[7]) if value > 0.01}
    # Third of C5, fifth of Eb4; as first, second and fourth it is a G itself.
    as_g = 1 + 0.8 + 0.8**3
    assert share.keys() == {"C", "Eb", "G"}
    assert share["C"] == pytest.approx((0.8**2 / as_g) ** 0.7, abs=0.02)
    assert share["Eb"] == pytest.approx((0.8**4 / as_g) ** 0.7, abs=0.04)
