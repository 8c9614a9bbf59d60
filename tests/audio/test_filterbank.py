"""`audiorec.audio.mel`: windows and scales, by hand and beside torchaudio."""

import numpy as np
import pytest
from needs import needs

from audiorec.audio.mel import mel_filterbank, window
from audiorec.errors import InputError
from audiorec.spec import MelSpec

KALDI = MelSpec(sample_rate=32_000, n_fft=1024, n_mels=128, f_max=15_000.0, scale="kaldi")
HTK = MelSpec(scale="htk")


def test_a_window_by_hand():
    spec = MelSpec(n_fft=8, window_length=5, window="hann, symmetric", hop_length=4)
    # sin^2 of 0, 45, 90, 135, 180 degrees; 3 zeros stand around it, one before and two after.
    np.testing.assert_allclose(window(spec), [0, 0, 0.5, 1, 0.5, 0, 0, 0], atol=1e-7)
    periodic = MelSpec(n_fft=4, hop_length=2)
    np.testing.assert_allclose(window(periodic), [0, 0.5, 1, 0.5], atol=1e-7)


def test_htk_is_its_formula():
    # 4 kHz are 2146.06 mel. Band 0 of two peaks at a third of them, 620.58 Hz, where the triangle
    # is 1; a bin of 500 Hz lies at 500 / 620.58 of its height.
    spec = MelSpec(sample_rate=8_000, n_fft=16, n_mels=2, f_max=4_000.0, scale="htk")
    assert mel_filterbank(spec)[0, 1] == pytest.approx(500 / 620.58, abs=1e-4)


def test_kaldi_rises_over_mel():
    # The same triangle over mel: 500 Hz are 607.45 mel, the peak lies at 715.35.
    spec = MelSpec(sample_rate=8_000, n_fft=16, n_mels=2, f_max=4_000.0, scale="kaldi")
    assert mel_filterbank(spec)[0, 1] == pytest.approx(607.45 / 715.35, abs=1e-4)


def test_they_agree_with_torchaudio():
    functional = needs("torchaudio.functional")
    kaldi = needs("torchaudio.compliance.kaldi")
    fb = functional.melscale_fbanks(257, 0, 8_000, 96, 16_000, norm=None, mel_scale="htk")
    np.testing.assert_allclose(mel_filterbank(HTK), fb.numpy().T, atol=3e-5)  # they use float32
    banks, _ = kaldi.get_mel_banks(128, 1024, 32_000.0, 0.0, 15_000.0, 100.0, -500.0, 1.0)
    np.testing.assert_allclose(mel_filterbank(KALDI)[:, :512], banks.numpy(), atol=3e-5)
    assert not mel_filterbank(KALDI)[:, 512].any()


def test_a_matrix_that_is_given_is_not_made():
    with pytest.raises(InputError, match="the network supplies its filterbank"):
        mel_filterbank(MelSpec(scale="given", filterbank="ab"))
