"""Front ends of other networks, frame by frame: edges, emphasis, curves; and their specs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_front_end import MEL, noise

from audiorec.audio.mel import compressed, log_mel, mel_filterbank, mel_power, power_spectra, window
from audiorec.errors import InputError
from audiorec.spec import FeatureSpec, LevelSpec, MelSpec, SegmentSpec, fingerprint


def slow(waveform, spec):
    """The definition, in float64, over the whole waveform at once."""
    y = waveform.astype(np.float64)
    if spec.pre_emphasis:
        y = y[1:] - spec.pre_emphasis * y[:-1]
    if spec.padding != "none":
        mode = {"reflect": "reflect", "zeros": "constant"}[spec.padding]
        y = np.pad(y, spec.n_fft // 2, mode=mode)
    starts = np.arange(0, len(y) - spec.n_fft + 1, spec.hop_length)
    frames = y[starts[:, None] + np.arange(spec.n_fft)] * window(spec).astype(np.float64)
    power = np.abs(np.fft.rfft(frames)) ** spec.power @ mel_filterbank(spec).T.astype(np.float64)
    curves = {
        "log10(c x + 1)": lambda x: np.log10(spec.compression * x + 1),
        "log(x + c)": lambda x: np.log(x + spec.compression),
        "10 log10(max(x, c))": lambda x: 10 * np.log10(np.maximum(x, spec.compression)),
    }
    return (curves[spec.curve](power) + spec.shift) / spec.divide_by


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"padding": "zeros"},
        {"padding": "none"},
        {"pre_emphasis": 0.0},
        {"window": "hann", "window_length": None},
        {"power": 1.0},
        {"scale": "htk", "shift": 0.0, "divide_by": 1.0},
        {"curve": "10 log10(max(x, c))", "compression": 1e-10},
        {"curve": "log10(c x + 1)", "compression": 1e4, "power": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("n_samples", [30_001, 700])
def test_frames_follow_the_definition(changes, n_samples):
    spec, waveform = replace(MEL, **changes), noise(n_samples)
    expected = slow(waveform, spec)
    assert len(expected) == spec.n_frames(n_samples)
    np.testing.assert_allclose(log_mel(waveform, spec), expected, atol=5e-5)


@given(st.lists(st.integers(0, 900), max_size=12), st.sampled_from(["reflect", "zeros", "none"]))
@settings(max_examples=60, deadline=None)
def test_frames_are_the_same_in_every_bit_however_they_are_cut(lengths, padding):
    spec, waveform = replace(MEL, padding=padding), noise(sum(lengths))
    blocks = np.split(waveform, np.cumsum(lengths))
    cut = [mel_power(spectra, spec) for spectra in power_spectra(blocks, spec)]
    whole = log_mel(waveform, spec)
    assert len(whole) == spec.n_frames(len(waveform))
    if cut:
        np.testing.assert_array_equal(compressed(np.concatenate(cut), spec), whole)


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("curve", ["log10(c x + 1)", "log(x + c)", "10 log10(max(x, c))"])
def test_a_gain_is_that_of_the_samples(power, curve):
    spec, waveform = replace(MEL, power=power, curve=curve), noise(5_000)
    expected = log_mel((0.1 * waveform.astype(np.float64)).astype(np.float32), spec)
    np.testing.assert_allclose(log_mel(waveform, spec, gain=0.1), expected, atol=2e-4)


def test_what_is_quieter_than_float32_can_hear_beside_a_tone_is_still_right():
    # A tone of power 1e4 beside silence: the bands far from it lie at the floor of 1e-10.
    spec = MelSpec(curve="10 log10(max(x, c))", compression=1e-10)
    tone = np.sin(2 * np.pi * 1_000 / 16_000 * np.arange(16_000)).astype(np.float32)
    made = log_mel(tone, spec)[10:-10]
    np.testing.assert_allclose(made, slow(tone, spec)[10:-10], atol=0.01)
    assert made.min() < -80


def test_a_given_filterbank_is_used():
    spec = MelSpec(scale="given", filterbank="ab", n_mels=2)
    matrix = np.zeros((2, 257), np.float32)
    matrix[0, 3], matrix[1, 200] = 1.0, 2.0
    spectra = next(power_spectra([noise(2_000)], spec))
    np.testing.assert_array_equal(
        mel_power(spectra, spec, matrix), np.stack([spectra[:, 3], 2 * spectra[:, 200]], 1)
    )


def test_the_shipped_front_end_keeps_its_fingerprint_of_before():
    assert fingerprint(MelSpec().to_dict()) == "accbabe5ac9323be"
    assert set(MelSpec().to_dict()) == {
        *("sample_rate", "n_fft", "hop_length", "n_mels", "f_min", "f_max"),
        *("compression", "padding"),
    }


def test_every_field_of_another_front_end_changes_its_fingerprint():
    others = {
        "pre_emphasis": 0.5,
        "window": "hann",
        "window_length": 198,
        "power": 1.0,
        "scale": "htk",
        "curve": "log10(c x + 1)",
        "shift": 4.0,
        "divide_by": 4.0,
        "padding": "zeros",
    }
    found = {fingerprint(replace(MEL, **{k: v}).to_dict()) for k, v in others.items()}
    assert len(found | {fingerprint(MEL.to_dict())}) == len(others) + 1


def test_a_spec_of_clips_survives_its_dictionary():
    segment = SegmentSpec(n_frames=MEL.n_frames(24_000), length_s=3.0)
    decode = replace(FeatureSpec().decode, sample_rate=8_000)
    spec = FeatureSpec(decode=decode, level=None, mel=MEL, segment=segment)
    assert FeatureSpec.from_dict(spec.to_dict()) == spec
    assert spec.segment_samples == 24_000
    assert replace(spec, segment=replace(segment, hop_s=5.0)).front_end == spec.front_end
    assert replace(spec, level=LevelSpec()).front_end != spec.front_end
    with pytest.raises(InputError, match="3 s has 240 frames, got 239"):
        replace(spec, segment=replace(segment, n_frames=239))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_fft": 255}, "even"),
        ({"hop_length": 0}, "hop_length"),
        ({"window_length": 257}, r"2 to n_fft=256 samples, got 257"),
        ({"power": 3.0}, "power must be 1 or 2"),
        ({"compression": 0.0}, "compression"),
        ({"divide_by": 0.0}, "divide_by"),
        ({"curve": "log"}, r"curve must be log10\(c x \+ 1\) or .*, got 'log'"),
        ({"scale": "mel"}, "scale must be slaney or htk or kaldi or given, got 'mel'"),
        ({"padding": "wrap"}, "padding must be zeros or reflect or none"),
        ({"window": "hamming"}, "window must be hann or"),
        ({"scale": "given"}, "filterbank digest"),
        ({"filterbank": "ab"}, "filterbank digest"),
    ],
)
def test_refuses_what_is_no_front_end(changes, message):
    with pytest.raises(InputError, match=message):
        replace(MEL, **changes)
