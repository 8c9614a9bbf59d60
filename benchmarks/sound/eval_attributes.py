"""Judge the tempo and the key of `extract --attributes` on clips whose tempo and key are known.

    python -m benchmarks attribute_clips CLIPS       makes them; see there, and for tempo alone
    python scripts/tempo/score_clips.py unpacked CLIPS --loops FOLDER
    python -m benchmarks eval_attributes CLIPS [--split test] [--none FOLDER ...]
        [--peer PYTHON [--profiles krumhansl|temperley]]
    python -m benchmarks eval_attributes CLIPS --split dev --fit [--none FOLDER ...]

Beside audiorec stands librosa with its own defaults (`peers/librosa_attributes.py`, run by the
PYTHON of an environment that has it). A tempo is right within 4 %; `octaves` also takes half and
double of it, and `before` is the tempo that fits best, before its level is chosen (`gain`: by how
much the choice is right more often). `two` is the share of clips of which two tempos are told,
`one` how often a single one is right, `either` how often one of what is told is. A key scores as in
MIREX: 1 for tonic and scale, which alone is `key_exact`, 0.5 a fifth off, 0.3 for the relative, 0.2
for the parallel key. One line for each set and one for the mean of the sets, with 95 % intervals
over clips (2,000 resamples within each set); the difference is of the same clips.

Of what has neither tempo nor key (`--none`: folders of noise or speech, whose files are strung
together to pieces as long as the clips) the confidence is told, which should be low; then the mean
confidence beside the share that was right, in three groups of equal size, and the area under the
curve of right against wrong. `--fit` prints the offset and the slope of both confidences by
logistic regression, from the clips of the split and the pieces of `--none`.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt

from audiorec.audio import attributes, tempo
from audiorec.audio.attributes import AttributeMeter
from audiorec.audio.decode import decode
from audiorec.audio.mel import power_spectra
from audiorec.errors import SongError
from audiorec.types import FloatArray

PEERS = Path(__file__).parents[1] / "peers"
TOLERANCE = 0.04
SHARPS = {"Eb": "D#", "Ab": "G#", "Bb": "A#"}
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
RESAMPLES = 2_000
SOUNDS = {".wav", ".flac", ".ogg", ".mp3"}
NONE_FROM_A_FOLDER = 12  # pieces
PIECE = 45 * 16_000  # samples
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """What was said of one clip; the raw values are what the confidences are made of."""

    bpm: float | None
    key: str | None
    bpm_confidence: float = 0.0
    key_confidence: float = 0.0
    key_raw: float = 0.0
    pulse_raw: float = 0.0
    other: float | None = None
    pulse: float | None = None
    pulse_confidence: float = 0.0


def ours(path: Path) -> Told:
    """Return what audiorec says of a clip."""
    return decode(path, lambda blocks: told_of(AttributeMeter(blocks)))[0]


def told_of(listened: AttributeMeter) -> Told:
    """Listen to the end, and return what was heard."""
    for spectra in power_spectra(listened):
        listened.add(spectra)
    found = listened.attributes()
    pulse, certain = listened._tempo.pulse()
    key = f"{SHARPS.get(found.key, found.key)} {found.scale}" if found.key else None
    return Told(
        found.bpm,
        key,
        found.bpm_confidence,
        found.key_confidence,
        (_logit(found.key_confidence) - attributes._KEY_OFFSET) / attributes._KEY_SLOPE,
        (_logit(certain) - tempo._OFFSET) / tempo._SLOPE,
        found.bpm_other,
        pulse,
        certain,
    )


def _logit(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return float(np.log(p / (1 - p)))


def theirs(paths: Sequence[Path], command: Sequence[str | Path]) -> tuple[list[Told], float]:
    """Return what a peer says of the clips, and the CPU seconds a clip after the first."""
    made = subprocess.run([*command, *paths], capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in made.stdout.splitlines()]
    cpu_s = float(np.mean([line["cpu_s"] for line in found[1:]]))
    return [Told(line["bpm"], line["key"]) for line in found], cpu_s


def tempo_scores(bpm: float | None, known: float) -> tuple[float, float]:
    """Return whether a tempo is right, and whether it is, octaves apart."""
    off = [abs((bpm or 0.0) / (known * factor) - 1.0) <= TOLERANCE for factor in (1, 2, 0.5)]
    return float(off[0]), float(any(off))


def key_score(told: str | None, known: str) -> float:
    """Return MIREX's weighted score of a key; of a signature (``G``: G major, E minor) 1 or 0."""
    if told is None:
        return 0.0
    tonic, scale = told.split()
    right, _, right_scale = known.partition(" ")
    if not right_scale:
        return float((NAMES.index(tonic) + 3 * (scale == "minor")) % 12 == NAMES.index(right))
    steps = (NAMES.index(tonic) - NAMES.index(right)) % 12
    if scale == right_scale:
        return {0: 1.0, 7: 0.5, 5: 0.5}.get(steps, 0.0)
    relative = 9 if right_scale == "major" else 3
    return {relative: 0.3, 0: 0.2}.get(steps, 0.0)


def scored(told: Sequence[Told], rows: Sequence[dict[str, str]]) -> dict[str, Numbers]:
    """Return the scores of all clips by measure; NaN where nothing is known of one."""
    tempos = np.array(
        [tempo_scores(t.bpm, float(r["bpm"])) for t, r in zip(told, rows, strict=True)]
    )
    keys = [
        key_score(t.key, r["key"]) if r["key"] else np.nan for t, r in zip(told, rows, strict=True)
    ]
    others = np.array(
        [tempo_scores(t.other, float(r["bpm"]))[0] for t, r in zip(told, rows, strict=True)]
    )
    before = np.array(
        [tempo_scores(t.pulse, float(r["bpm"])) for t, r in zip(told, rows, strict=True)]
    )
    if all(t.pulse is None for t in told):  # a peer tells no such thing
        before[:] = np.nan
    is_two = np.array([t.other is not None for t in told])
    return {
        "before": before[:, 0],
        "tempo": tempos[:, 0],
        "gain": tempos[:, 0] - before[:, 0],
        "octaves": tempos[:, 1],
        "octaves_before": before[:, 1],
        "two": is_two.astype(np.float64),
        "one": np.where(is_two, np.nan, tempos[:, 0]),
        "either": np.maximum(tempos[:, 0], others),
        "key": np.array(keys),
        "key_exact": np.where(np.isnan(keys), np.nan, np.equal(keys, 1.0)),
    }


def interval(values: Numbers, groups: npt.NDArray[np.str_]) -> list[float] | None:
    """Return the mean over the sets of the mean of each, and its 95 % interval."""
    known = ~np.isnan(values)
    parts = [values[known & (groups == group)] for group in dict.fromkeys(groups[known])]
    if not parts:
        return None
    rng = np.random.default_rng(0)
    draws = [
        [part[rng.integers(len(part), size=len(part))].mean() for part in parts]
        for _ in range(RESAMPLES)
    ]
    bounds = np.percentile(np.mean(draws, axis=1), (2.5, 97.5))
    mean = np.mean([part.mean() for part in parts])
    return [round(float(v), 3) for v in (mean, *bounds)]


def table(
    found: dict[str, dict[str, Numbers]], groups: npt.NDArray[np.str_]
) -> Iterable[dict[str, object]]:
    """Yield a line a set, one for the mean of the sets, and the paired difference."""
    for group in (*dict.fromkeys(groups), None):
        of = np.ones(len(groups), bool) if group is None else groups == group
        for who, measures in found.items():
            line = {m: interval(v[of], groups[of]) for m, v in measures.items()}
            yield {"set": group or "mean of sets", "by": who, "clips": int(of.sum()), **line}
    if len(found) == 2:
        first, second = found.values()
        yield {
            "set": "mean of sets",
            "by": " less ".join(found),
            **{m: interval(first[m] - second[m], groups) for m in first},
        }


def calibration(confidence: Numbers, right: Numbers) -> dict[str, object]:
    """Return how far a confidence may be believed: in three groups, and as an order."""
    order = np.argsort(confidence)
    thirds = [
        [round(float(confidence[part].mean()), 2), round(float(right[part].mean()), 2)]
        for part in np.array_split(order, 3)
    ]
    good, bad = confidence[right == 1], confidence[right == 0]
    area = None
    if len(good) and len(bad):
        above = np.mean(good[:, None] > bad) + np.mean(good[:, None] == bad) / 2
        area = round(float(above), 3)
    return {"confidence_and_share_right": thirds, "auc": area}


def fitted(raw: Numbers, right: Numbers) -> list[float]:
    """Return offset and slope of a logistic regression, by Newton's method."""
    x = np.stack([np.ones_like(raw), raw], axis=1)
    weights = np.zeros(2)
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-x @ weights))
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        weights += np.linalg.solve(hessian, x.T @ (right - p))
    return [round(float(w), 2) for w in weights]


def nothing(folders: Sequence[Path]) -> list[Told]:
    """Return what is said of sounds that have neither tempo nor key."""
    return [
        told_of(AttributeMeter([piece]))
        for folder in folders
        for piece in islice(pieces(folder), NONE_FROM_A_FOLDER)
    ]


def pieces(folder: Path) -> Iterator[FloatArray]:
    """Yield the sounds of a folder, strung together to pieces as long as the clips."""
    held = np.zeros(0, np.float32)
    for path in sorted(p for p in folder.rglob("*") if p.suffix in SOUNDS):
        with suppress(SongError):  # too short to be a song
            held = np.concatenate(
                [held, decode(path, lambda blocks: np.concatenate(list(blocks)))[0]]
            )
        while len(held) >= PIECE:
            yield held[:PIECE]
            held = held[PIECE:]


def main() -> None:
    """Print the tables as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--peer", nargs="?", const=sys.executable)
    parser.add_argument("--profiles", choices=("krumhansl", "temperley"), default="krumhansl")
    parser.add_argument("--none", type=Path, nargs="*", default=[])
    parser.add_argument("--fit", action="store_true")
    args = parser.parse_args()
    with (args.clips / "truth.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == args.split]
    paths = [args.clips / row["file"] for row in rows]
    groups = np.array([row["set"] for row in rows])
    told = [ours(path) for path in paths]
    found = {"audiorec": scored(told, rows)}
    peers: dict[str, list[str | Path]] = {}
    if args.peer:
        script = PEERS / "librosa_attributes.py"
        peers["librosa"] = [args.peer, script, "--profiles", args.profiles]
    for name, command in peers.items():
        answers, cpu_s = theirs(paths, command)
        found[name] = scored(answers, rows)
        print(json.dumps({f"{name}_cpu_s_a_clip": round(cpu_s, 2)}))
    for line in table(found, groups):
        print(json.dumps(line))
    silent = nothing(args.none)
    for what, measure in (("pulse", "octaves"), ("bpm", "tempo"), ("key", "key")):
        right = found["audiorec"][measure]
        known = ~np.isnan(right)
        if not known.any():
            continue
        right = np.concatenate([(right[known] == 1).astype(float), np.zeros(len(silent))])
        of = [t for t, is_known in zip(told, known, strict=True) if is_known] + silent
        confidence = np.array([getattr(t, f"{what}_confidence") for t in of])
        line = {"confidence_of": what, "clips": int(known.sum()), "none": len(silent)}
        if silent:
            quarters = np.percentile(confidence[-len(silent) :], (25, 50, 75))
            line["of_none"] = [round(float(q), 2) for q in quarters]
        print(json.dumps({**line, **calibration(confidence, right)}))
        if args.fit and what != "bpm":
            raw = np.array([getattr(t, f"{what}_raw") for t in of])
            print(json.dumps({"fit": what, "offset_and_slope": fitted(raw, right)}))


if __name__ == "__main__":
    main()
