"""A small front end unlike the shipped one in everything, and noise to hear by it."""

import numpy as np

from audiorec.spec import MelSpec

MEL = MelSpec(
    sample_rate=8_000,
    n_fft=256,
    hop_length=100,
    n_mels=40,
    f_max=4_000.0,
    compression=1e-5,
    padding="reflect",
    pre_emphasis=0.97,
    window="hann, symmetric",
    window_length=200,
    scale="kaldi",
    curve="log(x + c)",
    shift=4.5,
    divide_by=5.0,
)


def noise(n_samples, seed=5):
    return np.random.default_rng(seed).normal(0, 0.2, n_samples).astype(np.float32)
