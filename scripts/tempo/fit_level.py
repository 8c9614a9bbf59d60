"""Fit what tells the level of a tempo: the weights of ``audiorec/audio/tempo.py``.

    python scripts/tempo/fit_level.py CLIPS        # of score_clips.py

Prints `LEVEL_WEIGHTS`: a softmax over the levels of a song, fitted on the clips of the split
``train`` whose tempo is one of their levels. Then, of each split but ``test``, how often the level
is right. The penalty and the features were chosen on ``train`` and ``dev``, in five folds.
"""

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from audiorec.audio.decode import decode
from audiorec.audio.mel import power_spectra
from audiorec.audio.tempo import TempoMeter
from audiorec.types import Float64Array

PENALTY = 3.0  # on the squares of the weights of standardised features
TOLERANCE = 0.04


class Clip(NamedTuple):
    """The levels of a clip (n,), what tells them (n, F), and its tempo."""

    levels: Float64Array
    features: Float64Array
    bpm: float

    @property
    def right(self) -> Float64Array:
        """Which level is the clip's tempo: (n,), 1 or 0."""
        return (np.abs(self.levels / self.bpm - 1.0) <= TOLERANCE).astype(np.float64)


def heard(path: Path, bpm: float) -> Clip:
    """Read a clip."""
    meter = TempoMeter()

    def listen(blocks: object) -> None:
        for spectra in power_spectra(blocks):
            meter.add(spectra)

    decode(path, listen)
    pulse, _ = meter.pulse()
    return Clip(*meter.levels(pulse or bpm), bpm)


def fitted(clips: list[Clip]) -> Float64Array:
    """Return the weights (F,) that make the right levels most likely."""
    clips = [clip for clip in clips if clip.right.any()]
    together = np.concatenate([clip.features for clip in clips])
    mean, spread = together.mean(axis=0), together.std(axis=0)
    standard = [(clip.features - mean) / spread for clip in clips]

    def loss(weights: Float64Array) -> tuple[float, Float64Array]:
        total, slope = 0.5 * PENALTY * weights @ weights, PENALTY * weights
        for clip, features in zip(clips, standard, strict=True):
            chances = softmax(features @ weights)
            total -= np.log(chances @ clip.right + 1e-300)
            slope = slope + (chances - clip.right) @ features
        return float(total), slope

    found = minimize(loss, np.zeros(len(mean)), jac=True, method="L-BFGS-B")
    return np.asarray(found.x / spread)


def softmax(scores: Float64Array) -> Float64Array:
    """Return the chances of some scores (n,)."""
    chances = np.exp(scores - scores.max())
    return np.asarray(chances / chances.sum())


def main() -> None:
    """Print the weights, and how often they are right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    args = parser.parse_args()
    with (args.clips / "truth.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["split"] != "test"]
    of: dict[str, list[Clip]] = {"train": [], "dev": []}
    for row in rows:
        of[row["split"]].append(heard(args.clips / row["file"], float(row["bpm"])))
    weights = fitted(of["train"])
    print("LEVEL_WEIGHTS =", [float(f"{weight:.3g}") for weight in weights])
    for split, clips in of.items():
        right = [clip.right[np.argmax(clip.features @ weights)] for clip in clips]
        print(f"{split}: {len(clips)} clips, level right in {np.mean(right):.3f}")


if __name__ == "__main__":
    main()
