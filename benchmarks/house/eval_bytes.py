"""Compare two installed revisions in every byte: vectors, loudness, hashes, statuses, refusals.

    python -m benchmarks eval_bytes BASE/bin/python NOW/bin/python AUDIO... --work WORK
                                    [--encode CLIPS]

AUDIO are files and folders; of CLIPS, the audio files of a folder, every one is written in each of
`FORMATS` in stereo at 44.1 kHz (48 kHz for Opus) below WORK, which keeps them. Each revision
extracts all of them in one process of its own. One JSON line per format with the number of files
and of those that differ, and one per file that differs, with what does. Durations are compared as a
store keeps them, in float32.
"""

import argparse
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

# suffix: codec, container, sample format
FORMATS = {
    ".wav": ("pcm_s16le", "wav", "s16"),
    ".aiff": ("pcm_s24be", "aiff", "s32"),
    ".flac": ("flac", "flac", "s16"),
    ".oga": ("flac", "ogg", "s16"),
    ".mp3": ("libmp3lame", "mp3", "fltp"),
    ".ogg": ("vorbis", "ogg", "fltp"),
    ".opus": ("libopus", "ogg", "flt"),
    ".webm": ("libopus", "webm", "flt"),
    ".mka": ("vorbis", "matroska", "fltp"),
    ".m4a": ("aac", "ipod", "fltp"),
    ".alac.m4a": ("alac", "ipod", "s16p"),
    ".aac": ("aac", "adts", "fltp"),
    ".ac3": ("ac3", "ac3", "fltp"),
    ".wma": ("wmav2", "asf", "fltp"),
    ".wv": ("wavpack", "wv", "fltp"),
    ".tta": ("tta", "tta", "s16"),
}
AUDIO = (".ogg", ".opus", ".mp3", ".flac", ".wav", ".m4a", ".au")

CHILD = """
import hashlib, json, os, sys
import numpy as np
from audiorec.errors import SongError
from audiorec.extraction.pipeline import Extractor
extractor = Extractor()
for path in os.fsdecode(sys.stdin.buffer.read()).split("\\0"):
    try:
        song = extractor.song(path)
    except SongError as error:
        found = {"failure": str(error.failure), "reason": error.reason}
    else:
        info = song.info
        found = {
            "vector": hashlib.sha256(song.vector.tobytes()).hexdigest(),
            "scores": hashlib.sha256(song.series.scores.tobytes()).hexdigest(),
            "loudness": song.loudness_lufs,
            "content_hash": song.content_hash,
            "status": str(info.status),
            "info": [info.codec, info.sample_rate, info.channels, info.claimed_s],
            "packet_errors": info.packet_errors,
            "duration_s": float(np.float32(info.duration_s)),
            "decoder": info.decoder,
        }
    print(json.dumps({"path": path, **found}), flush=True)
"""


def encoded(clips: Path, work: Path) -> Iterator[Path]:
    """Write every clip in every format; yield the files."""
    for clip in sorted(p for p in clips.rglob("*") if p.suffix in AUDIO):
        stereo: npt.NDArray[np.float32] | None = None
        for suffix, (codec, container, kind) in FORMATS.items():
            target = work / suffix / f"{clip.stem}{suffix}"
            if not target.exists():
                if stereo is None:
                    stereo = _stereo(clip)
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name("partial")
                encode(partial, stereo, codec, container, kind)
                partial.rename(target)
            yield target


def _stereo(clip: Path) -> npt.NDArray[np.float32]:
    """Read a clip as (n, 2) at 44.1 kHz; the second channel of a mono clip is softer and later."""
    samples, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    samples = soxr.resample(samples, rate, 44_100)
    if samples.shape[1] == 1:
        samples = np.hstack([samples, 0.8 * np.roll(samples, 11)])
    return np.clip(samples[:, :2], -1, 1).astype(np.float32)


def encode(
    path: Path, samples: npt.NDArray[np.float32], codec: str, container: str, kind: str
) -> None:
    """Write samples (n, 2) at 44.1 kHz by FFmpeg."""
    rate = 48_000 if codec == "libopus" else 44_100
    samples = soxr.resample(samples, 44_100, rate).astype(np.float32)
    full = {"s16": (32_767, np.int16), "s32": (2**31 - 256, np.int32)}.get(kind.removesuffix("p"))
    values = samples if full is None else np.round(samples.astype(np.float64) * full[0])
    values = values.astype(np.float32 if full is None else full[1])
    with path.open("wb") as file, av.open(file, "w", format=container) as out:
        options = {"strict": "experimental"} if codec == "vorbis" else {}
        stream = out.add_stream(codec, rate=rate, layout="stereo", options=options)
        if codec == "wmav2":
            stream.bit_rate = 128_000
        size = stream.frame_size or 4096
        for at in range(0, len(values), size):
            block = values[at : at + size]
            block = block.T if kind.endswith("p") else block.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block), format=kind, layout="stereo"
            )
            frame.sample_rate, frame.pts = rate, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def extracted(python: str, paths: list[Path]) -> list[dict[str, object]]:
    """Extract all files by one revision."""
    found = subprocess.run(
        [python, "-P", "-c", CHILD],  # -P: not the package in the current folder
        input=b"\0".join(map(os.fsencode, paths)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders' complaints
        check=True,
    )
    return [json.loads(line) for line in found.stdout.splitlines()]


def main() -> None:
    """Encode, extract by both, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base")
    parser.add_argument("now")
    parser.add_argument("audio", type=Path, nargs="*")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--encode", type=Path)
    args = parser.parse_args()
    given = [
        p for root in args.audio for p in (sorted(root.rglob("*")) if root.is_dir() else [root])
    ]
    paths = [path for path in given if path.is_file()]
    paths += encoded(args.encode, args.work) if args.encode else []
    counts: Counter[str] = Counter()
    differ: Counter[str] = Counter()
    for a, b in zip(extracted(args.base, paths), extracted(args.now, paths), strict=True):
        path = Path(str(a["path"]))
        kind = "".join(path.suffixes[-2:]) if path.suffixes[-2:-1] == [".alac"] else path.suffix
        counts[kind] += 1
        if a != b:
            differ[kind] += 1
            what = {k: [a.get(k), b.get(k)] for k in {**a, **b} if a.get(k) != b.get(k)}
            print(json.dumps({"bench": "bytes/differs", "path": path.name, **what}), flush=True)
    for kind, files in sorted(counts.items()):
        print(
            json.dumps({"bench": "bytes", "format": kind, "files": files, "differ": differ[kind]})
        )


if __name__ == "__main__":
    main()
