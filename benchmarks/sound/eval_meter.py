"""Compare the loudness that a level is set by with FFmpeg's own meter, on the same mono mix.

    python -m benchmarks eval_meter [FOLDER]

FOLDER holds audio, by default the bundled clips. One JSON line a clip: `audiorec.audio.segment` at
16 kHz, FFmpeg's `ebur128` on the same samples brought to 48 kHz, for which the standard gives its
filters; then the mean and the largest difference. What has no loudness is -70 to FFmpeg.
"""

import argparse
import json
from pathlib import Path

import av
import numpy as np
import soxr

from audiorec.audio.decode import waveform
from audiorec.audio.segment import loudness_lufs
from audiorec.types import FloatArray

CLIPS = Path(__file__).parents[2] / "fixtures" / "audio"
RATE, METER_RATE = 16_000, 48_000  # Hz
PIECE = 4_800  # samples of a frame


def by_ffmpeg(samples: FloatArray) -> float:
    """Return the integrated loudness, in LUFS, of mono samples at 16 kHz."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=METER_RATE, format="flt", layout="mono")
    meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    found = "nan"
    resampled = soxr.resample(samples, RATE, METER_RATE, quality="VHQ")
    for start in range(0, len(resampled), PIECE):
        piece = resampled[None, start : start + PIECE]
        frame = av.AudioFrame.from_ndarray(piece, format="flt", layout="mono")
        frame.sample_rate = METER_RATE
        graph.push(frame)
        while True:
            try:
                found = graph.pull().metadata.get("lavfi.r128.I", found)
            except av.error.BlockingIOError:
                break
    return float(found)


def main() -> None:
    """Print a line a clip, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=CLIPS)
    args = parser.parse_args()
    differences = []
    for path in sorted(args.folder.rglob("*")):
        if not path.is_file() or path.suffix in (".md", ".csv"):
            continue
        samples, _ = waveform(path)
        ours, theirs = loudness_lufs(samples), by_ffmpeg(samples)
        row = {"clip": path.name, "lufs": None if ours is None else round(ours, 2)}
        print(json.dumps({"bench": "meter", **row, "ffmpeg": theirs}), flush=True)
        if ours is not None:
            differences.append(ours - theirs)
    size = np.abs(differences)
    figures = {"mean": round(float(size.mean()), 3), "largest": round(float(size.max()), 3)}
    print(json.dumps({"bench": "meter", "clips": len(size), **figures}))


if __name__ == "__main__":
    main()
