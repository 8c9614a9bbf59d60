"""Tell tempo and key of audio files by librosa's own defaults: a JSON line a file.

    python benchmarks/peers/librosa_attributes.py FILE ...

The tempo is `librosa.feature.tempo` of `librosa.load`'s 22.05 kHz mono. librosa has no key; the
usual recipe beside it is the mean of `librosa.feature.chroma_cqt`, compared with the profiles of
Krumhansl and Kessler. `--profiles temperley` takes audiorec's profiles instead, to tell the chroma
apart from the profiles.
"""

import argparse
import json
import time

import librosa
import numpy as np

PROFILES = {
    "krumhansl": (
        (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
        (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
    ),
    "temperley": (
        (0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400),
        (0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330),
    ),
}
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def key_of(chroma: np.ndarray, name: str) -> str:
    """Return the key whose profile a chroma (12,) is most like."""
    found = [
        (np.corrcoef(np.roll(profile, tonic), chroma)[0, 1], f"{NAMES[tonic]} {scale}")
        for scale, profile in zip(("major", "minor"), PROFILES[name], strict=True)
        for tonic in range(12)
    ]
    return max(found)[1]


def main() -> None:
    """Print what librosa says of each file, and the CPU seconds that it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--profiles", choices=PROFILES, default="krumhansl")
    args = parser.parse_args()
    for file in args.files:
        began = time.process_time()
        samples, rate = librosa.load(file)
        bpm = float(librosa.feature.tempo(y=samples, sr=rate)[0])
        chroma = librosa.feature.chroma_cqt(y=samples, sr=rate).mean(axis=1)
        found = {"file": file, "bpm": bpm, "key": key_of(chroma, args.profiles)}
        print(json.dumps({**found, "cpu_s": time.process_time() - began}), flush=True)


if __name__ == "__main__":
    main()
