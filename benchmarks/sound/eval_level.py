"""Find a clip again at another level, in another encoding: recall@1, at each way to set the level.

    python -m benchmarks eval_level CLIPS --cache CACHE [--levels none -18 -23] [--head FILE ...]

CLIPS is a folder of audio, a song a file, the folders in it being genres (`gtzan/audio` of the data
folder: 105 clips of 15 to 30 s). Every clip is changed in turn, written as a file, decoded and
tagged; its nearest of the unchanged clips, as `similar` compares them, should be itself:

    -10, -20, -30 dB    quieter                     mp3 64, mp3 24   kbit/s, mono
    +6 dB               clipped at full scale       later            the first 2 s cut off
    4 kHz               as a file of 8 kHz          phone            300 to 3,400 Hz, in 8 bits

CACHE keeps what the backbones say, for the front end it was computed with: a second call with other
heads takes seconds. One JSON line a level and change: recall@1 with its 95 % interval (Wilson) over
clips, and how far the clip lies above the next one; for the unchanged clips the share of the ten
nearest that are of the same genre.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from audiorec.audio.decode import waveform
from audiorec.audio.segment import segments
from audiorec.files.own_files import replaced
from audiorec.search.scaling import Scaling
from audiorec.spec import FeatureSpec, LevelSpec
from audiorec.store.schema import StoreMetadata
from audiorec.tagger.backbone import load_backbone
from audiorec.tagger.features import OUTPUT_WIDTHS
from audiorec.tagger.heads import Head, Heads, shipped_heads
from audiorec.tagger.vectors import summarise
from audiorec.types import Features

Samples = npt.NDArray[np.float32]
BACKBONES = ("msd",)
BATCH = 4
LATER_S = 2.0
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".m4a")
Z = 1.96


def louder(decibels: float, samples: Samples, rate: int) -> tuple[Samples, int]:
    """Change the level; what lies above full scale is clipped when it is written."""
    return samples * np.float32(10 ** (decibels / 20)), rate


def later(samples: Samples, rate: int) -> tuple[Samples, int]:
    """Leave out the beginning."""
    return samples[round(LATER_S * rate) :], rate


def narrow(samples: Samples, rate: int) -> tuple[Samples, int]:
    """Bring the rate to 8 kHz."""
    return soxr.resample(samples, rate, 8_000, quality="VHQ"), 8_000


def phone(samples: Samples, rate: int) -> tuple[Samples, int]:
    """Keep what a telephone carries."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    spectrum[(hertz < 300) | (hertz > 3_400)] = 0
    return narrow(np.fft.irfft(spectrum, len(samples)).astype(np.float32), rate)


Change = Callable[[Samples, int], tuple[Samples, int]]
CHANGES: dict[str, Change] = {
    "as it is": partial(louder, 0.0),
    "-10 dB": partial(louder, -10.0),
    "-20 dB": partial(louder, -20.0),
    "-30 dB": partial(louder, -30.0),
    "+6 dB": partial(louder, 6.0),
    "mp3 64": partial(louder, 0.0),
    "mp3 24": partial(louder, 0.0),
    "later": later,
    "4 kHz": narrow,
    "phone": phone,
}


def write(path: Path, samples: Samples, rate: int, change: str) -> Path:
    """Write a clip in the encoding of its change; returns the file."""
    if change.startswith("mp3"):
        return write_mp3(path.with_suffix(".mp3"), samples, rate, 1_000 * int(change.split()[1]))
    target = path.with_suffix(".wav")
    soundfile.write(target, samples, rate, subtype="ULAW" if change == "phone" else "PCM_16")
    return target


def write_mp3(path: Path, samples: Samples, rate: int, bit_rate: int) -> Path:
    """Encode with LAME at a constant bit rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono")
        stream.bit_rate = bit_rate
        whole = (samples.clip(-1, 1) * 32_767).astype(np.int16)[None]
        for start in range(0, whole.shape[1], 1_152):
            frame = av.AudioFrame.from_ndarray(whole[:, start : start + 1_152], "s16p", "mono")
            frame.sample_rate, frame.pts = rate, start
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def tagged(clips: list[Path], change: str, spec: FeatureSpec, cache: Path) -> list[Any]:
    """Return the features of every clip, one mapping of backbone to `Features` each."""
    level = "none" if spec.level is None else f"{spec.level.target_lufs:g}"
    kept = cache / f"{spec.front_end}{level}-{change.replace(' ', '_')}-{len(clips)}.npz"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        found = list(_decoded(clips, change, spec))
        arrays = {
            f"{name}.{output}": np.concatenate([getattr(song[name], output) for song in found])
            for name in BACKBONES
            for output in OUTPUT_WIDTHS
        }
        counts = np.array([len(song[BACKBONES[0]]) for song in found])
        with replaced(kept) as temporary, temporary.open("wb") as file:
            np.savez(file, counts=counts, **arrays)
    with np.load(kept, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    ends = np.cumsum(arrays["counts"])
    return [
        {
            name: Features(*(arrays[f"{name}.{output}"][start:end] for output in OUTPUT_WIDTHS))
            for name in BACKBONES
        }
        for start, end in zip(ends - arrays["counts"], ends, strict=True)
    ]


def _decoded(clips: list[Path], change: str, spec: FeatureSpec) -> Iterator[dict[str, Features]]:
    networks = {name: load_backbone(name) for name in BACKBONES}
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips:
            samples, rate = soundfile.read(clip, dtype="float32", always_2d=True)
            changed, rate = CHANGES[change](samples.mean(axis=1), rate)
            decoded, _ = waveform(write(Path(folder) / "clip", changed, rate, change))
            mels = np.stack([segment.log_mel for segment in segments([decoded], spec)])
            parts = np.split(mels, range(BATCH, len(mels), BATCH))
            yield {name: _joined(network, parts) for name, network in networks.items()}


def _joined(network: Any, parts: list[Samples]) -> Features:
    found = [network.features(part) for part in parts]
    return Features(*(np.concatenate([getattr(f, o) for f in found]) for o in OUTPUT_WIDTHS))


def vectors(heads: Heads, songs: list[Any]) -> Samples:
    """Return the vectors (n, V) of songs."""
    return np.stack([summarise(heads.scores(song)) for song in songs])


def scaling_of(heads: Sequence[Head]) -> Scaling:
    """Return how `similar` compares vectors of these heads."""
    weights = [{"name": f"head_{h.task}", "sha256": h.sha256, "licence": ""} for h in heads]
    classes = tuple(f"{head.task}/{name}" for head in heads for name in head.classes)
    return Scaling.of_vectors(
        StoreMetadata(kind="vectors", extractor_id="e", classes=classes, weights=tuple(weights))
    )


def interval(share: float, n: int) -> list[float]:
    """Return Wilson's 95 % interval of a share."""
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return [round(float(middle - half), 3), round(float(middle + half), 3)]


def main() -> None:
    """Tag every clip under every change and level, then compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--levels", nargs="+", default=["none", "-18", "-23"])
    parser.add_argument("--head", nargs="+", type=Path, help="in place of the shipped ones")
    args = parser.parse_args()
    clips = sorted(path for path in args.clips.rglob("*") if path.suffix in SUFFIXES)
    genres = np.array([clip.parent.name for clip in clips])
    loaded = [Head.load(path) for path in args.head or shipped_heads()]
    heads = Heads(loaded)
    for level in args.levels:
        spec = FeatureSpec(level=None if level == "none" else LevelSpec(target_lufs=float(level)))
        original = vectors(heads, tagged(clips, "as it is", spec, args.cache))
        scaling = scaling_of(loaded)
        units = scaling.prepare(original)
        similar = (units @ units.T).astype(np.float64)
        np.fill_diagonal(similar, -np.inf)
        ten = np.argsort(-similar, axis=1, kind="stable")[:, :10]
        line = {"bench": "level", "level": level, "clips": len(clips)}
        same = 100 * float((genres[ten] == genres[:, None]).mean())
        print(json.dumps({**line, "same_genre_p@10": round(same, 1)}), flush=True)
        for change in list(CHANGES)[1:]:
            found = scaling.prepare(vectors(heads, tagged(clips, change, spec, args.cache)))
            near = found @ units.T
            own = near.diagonal().copy()
            np.fill_diagonal(near, -np.inf)
            hit = float((own > near.max(axis=1)).mean())
            lead = round(float(np.median(own - near.max(axis=1))), 3)
            figures = {"change": change, "recall_at_1": round(hit, 3)}
            both = {"interval": interval(hit, len(clips)), "median_lead": lead}
            print(json.dumps({**line, **figures, **both}), flush=True)


if __name__ == "__main__":
    main()
