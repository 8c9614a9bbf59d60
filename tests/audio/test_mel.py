"""`audiorec.audio.mel`: values by hand, independence of cuts, agreement with two libraries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import needs

from audiorec.audio.mel import (
    CHUNK_FRAMES,
    compressed,
    log_mel,
    mel_filterbank,
    mel_power,
    power_spectra,
)
from audiorec.errors import ShapeError
from audiorec.spec import MelSpec

SPEC = MelSpec()


def noise(n_samples: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, n_samples).astype(np.float32)


def slow_log_mel(waveform: np.ndarray, spec: MelSpec = SPEC) -> np.ndarray:
    """The definition, one frame after the other in float64, without any FFT routine."""
    half = spec.n_fft // 2
    padded = np.concatenate([np.zeros(half), waveform.astype(np.float64), np.zeros(half)])
    n = np.arange(spec.n_fft)
    window = np.sin(np.pi * n / spec.n_fft) ** 2
    basis = np.exp(-2j * np.pi * np.outer(np.arange(half + 1), n) / spec.n_fft)
    frames = []
    for k in range(1 + len(waveform) // spec.hop_length):
        piece = padded[k * spec.hop_length :][: spec.n_fft] * window
        power = np.abs(basis @ piece) ** 2
        frames.append(np.log10(10_000 * (mel_filterbank(spec) @ power) + 1))
    return np.array(frames)


def test_frames_follow_the_definition():
    waveform = noise(1_500)
    expected = slow_log_mel(waveform)
    assert expected.shape == (6, 96)
    np.testing.assert_allclose(log_mel(waveform), expected, atol=2e-5)


def test_a_click_lies_in_the_frames_around_it():
    # Sample 1000 is seen by windows 256 k - 256 ... 256 k + 255: k = 3 and 4 only.
    waveform = np.zeros(4_000, np.float32)
    waveform[1_000] = 1.0
    loud = np.flatnonzero(log_mel(waveform).max(axis=1))
    np.testing.assert_array_equal(loud, [3, 4])


@pytest.mark.parametrize(("hz", "band"), [(440.0, 13), (1_000.0, 31), (5_000.0, 81)])
def test_a_tone_lies_in_its_band(hz, band):
    # Slaney's scale has 45.246 mel below 8 kHz; 96 bands are 0.46645 mel apart, and band b is
    # centred on (b + 1) times that. 440 Hz = 6.600 mel = 14.15 steps; 1 kHz = 15 mel = 32.16;
    # 5 kHz = 15 + 27 ln 5 / ln 6.4 = 38.410 mel = 82.34. (HTK's scale: bands 18, 33 and 80.)
    tone = 0.5 * np.sin(2 * np.pi * hz * np.arange(16_000) / 16_000)
    assert abs(int(log_mel(tone.astype(np.float32))[30].argmax()) - band) <= 1


def test_filterbank_has_triangles_of_area_one():
    filterbank = mel_filterbank(MelSpec())
    assert filterbank.shape == (96, 257)
    assert filterbank.dtype == np.float32
    assert filterbank.min() == 0
    # Wide bands cover many bins of 31.25 Hz, so that their sum is near the area.
    np.testing.assert_allclose(filterbank[70:].sum(axis=1) * 31.25, 1.0, atol=0.03)
    peaks = filterbank.argmax(axis=1)
    assert (np.diff(peaks) >= 0).all()


def test_filterbank_is_shared_and_read_only():
    assert mel_filterbank(MelSpec()) is mel_filterbank(MelSpec())
    with pytest.raises(ValueError, match="read-only"):
        mel_filterbank(MelSpec())[0, 0] = 1


@pytest.mark.parametrize("n_samples", [0, 1, 255, 256, 257, 48_000])
def test_number_of_frames(n_samples):
    frames = log_mel(noise(n_samples))
    assert frames.shape == (SPEC.n_frames(n_samples), 96)
    assert frames.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(
    n_samples=st.integers(0, 3 * CHUNK_FRAMES * 256),
    cuts=st.lists(st.floats(0, 1), max_size=8),
)
def test_cuts_do_not_change_one_bit(n_samples, cuts):
    waveform = noise(n_samples)
    places = sorted(int(cut * n_samples) for cut in cuts)
    spectra = list(power_spectra(np.split(waveform, places)))
    assert all(1 <= len(f) <= CHUNK_FRAMES for f in spectra)
    power = np.concatenate([np.zeros((0, 96), np.float32), *map(mel_power, spectra)])
    np.testing.assert_array_equal(compressed(power), log_mel(waveform))


def test_frames_come_before_the_blocks_end():
    def blocks():
        for i in range(100):
            drawn.append(i)
            yield noise(16_000)

    drawn = []
    first = next(power_spectra(blocks()))
    assert first.shape == (CHUNK_FRAMES, 257)
    assert len(drawn) == 3  # 128 frames reach 32,768 samples into the track


def test_silence_is_zero_and_loudness_is_not_lost():
    assert not log_mel(np.zeros(5_000, np.float32)).any()
    quiet, loud = log_mel(noise(5_000)), log_mel(10 * noise(5_000))
    np.testing.assert_allclose(loud[5, 20:] - quiet[5, 20:], 2.0, atol=0.01)  # a factor of 100


def test_a_gain_is_that_of_the_samples():
    waveform = noise(5_000)
    expected = log_mel((0.1 * waveform.astype(np.float64)).astype(np.float32))
    np.testing.assert_allclose(log_mel(waveform, gain=0.1), expected, atol=1e-5)


def test_compressing_leaves_the_power_as_it_is():
    power = np.full((2, 96), 3.0, np.float32)
    assert (compressed(power) == np.log10(np.float32(30_001.0))).all()
    assert (power == 3.0).all()


def test_another_spec():
    spec = MelSpec(sample_rate=8_000, n_fft=256, hop_length=100, n_mels=40, f_max=4_000.0)
    waveform = noise(5_050)
    assert log_mel(waveform, spec).shape == (51, 40)
    np.testing.assert_allclose(log_mel(waveform, spec), slow_log_mel(waveform, spec), atol=2e-5)


@pytest.mark.parametrize("shape", [(100, 2), (), (1, 100)])
def test_refuses_other_shapes(shape):
    with pytest.raises(ShapeError, match=r"shape \(n,\), got \("):
        log_mel(np.zeros(shape, np.float32))


def test_agrees_with_librosa():
    """Its filters: those of the spectra compile for twenty seconds, and torchaudio's do as well."""
    librosa = needs("librosa")
    filters = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=96, fmin=0, fmax=8_000)
    np.testing.assert_allclose(mel_filterbank(MelSpec()), filters, atol=1e-7)


def test_agrees_with_torchaudio():
    torch = needs("torch")
    try:
        import torchaudio
    except (ImportError, OSError, RuntimeError) as error:  # a CUDA wheel beside a CPU torch
        pytest.skip(f'needs a torchaudio that loads, from the extra "train": {error}')
    transform = torchaudio.transforms.MelSpectrogram(
        16_000, n_fft=512, hop_length=256, n_mels=96, f_min=0.0, f_max=8_000.0, power=2.0,
        pad_mode="constant", norm="slaney", mel_scale="slaney",
    )  # fmt: skip
    waveform = noise(50_000)
    mel = transform(torch.from_numpy(waveform)).numpy()
    np.testing.assert_allclose(log_mel(waveform), np.log10(10_000 * mel.T + 1), atol=2e-5)
