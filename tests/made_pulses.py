"""Music whose tempo and key are known: bursts of noise on the beat, chords of a cadence."""

import numpy as np

RATE = 16_000  # Hz
CHORDS = {
    "major": ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7)),
    "minor": ((0, 3, 7), (5, 8, 12), (7, 11, 14), (0, 3, 7)),
}


def pulse(bpm, seconds=24.0, *, accent=1.0, noise=0.001, seed=0):
    """Decaying bursts of noise on every beat, every other one `accent` times as loud."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    beat = t * bpm / 60.0
    loud = np.where(np.floor(beat) % 2 == 0, accent, 1.0)
    bursts = loud * np.exp(-30.0 * (beat % 1.0) * 60.0 / bpm) * rng.standard_normal(len(t))
    return (0.1 * bursts + noise * rng.standard_normal(len(t))).astype(np.float32)


def cadence(tonic, scale, *, turns=3, cents=0.0):
    """I IV V I as tones with six partials, a second a chord; `cents` out of tune."""
    t = np.arange(RATE) / RATE
    parts = []
    for chord in CHORDS[scale] * turns:
        sound = np.zeros(RATE)
        for step in chord:
            hertz = 440 * 2 ** ((48 + tonic + step - 69 + cents / 100) / 12)
            sound += sum(np.sin(2 * np.pi * n * hertz * t) / n**2 for n in range(1, 7))
        parts.append(sound * np.minimum(1, 20 * t) * np.exp(-t))
    return (0.05 * np.concatenate(parts)).astype(np.float32)
