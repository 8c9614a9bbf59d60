"""Songs made of tones and noise: different ones for different seeds."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 22_050  # Hz


def write_song(path: Path, seed: int, seconds: float = 4.0) -> Path:
    """Write a little music of its own: three tones and noise that come and go."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(RATE * seconds)) / RATE
    tones = sum(np.sin(2 * np.pi * f * t) for f in rng.uniform(80, 3000, 3))
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.1, 2) * t)
    samples = 0.1 * tones * swell + rng.uniform(0.001, 0.05) * rng.standard_normal(len(t))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack([samples, 0.8 * samples], axis=1), RATE)
    return path
