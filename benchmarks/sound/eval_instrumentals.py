"""Tell a song from its instrumental version: pairs taken for one recording, and true pairs found.

    python -m benchmarks eval_instrumentals DATA --work WORK

DATA holds songs whose voice and accompaniment are known apart: ``version/mir1k`` (left channel
accompaniment, right channel voice; the phrases of one song are joined, up to 45 s) and folders of
``NAME_inst.ogg`` and ``NAME_mix.ogg`` (``version2/everything_is_free_cc0``,
``version2/jingju_arias``). Each song is written as it is sung and as its instrumental version, as
FLAC and MP3 (128 kbit/s). WORK keeps them with their store; a second call resumes.

One JSON line: of the two encodings of one version, the pairs that are found; of a song and its
instrumental version, the pairs that are taken for one recording, with the names of the songs; and
pairs of two songs (some singers sing to the same accompaniment, which is one recording), those of
which are sung apart.
"""

import argparse
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt
import soundfile
from eval_same_song import write

from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.pipeline import ExtractorConfig
from audiorec.extraction.run import RunOptions, make_outputs, run
from audiorec.library.library import Library
from audiorec.search.copies import find_duplicates

LEAST_S = 12.0  # four segments, which a series needs
MOST_S = 45.0  # of the joined phrases
ENCODINGS = {"flac": ".flac", "mp3": ".mp3"}
PHRASE = re.compile(r"(\w+?_\d+)_\d+")

Samples = npt.NDArray[np.float32]


def songs(data: Path) -> Iterator[tuple[str, dict[str, Samples], int]]:
    """Yield name, versions (n, 1) and sample rate of every song."""
    phrases: dict[str, list[Samples]] = {}
    for path in sorted((data / "version" / "mir1k").glob("*.ogg")):
        if match := PHRASE.fullmatch(path.stem):
            phrases.setdefault(match[1], []).append(soundfile.read(path, dtype="float32")[0])
    for song, parts in phrases.items():
        whole = np.concatenate(parts)[: round(MOST_S * 16_000)]
        sung = whole.mean(axis=1, keepdims=True)
        yield f"mir1k/{song}", {"sung": sung, "instrumental": whole[:, :1] / 2}, 16_000
    for folder in ("everything_is_free_cc0", "jingju_arias"):
        for path in sorted((data / "version2" / folder).glob("*_inst.ogg")):
            song = path.stem.removesuffix("_inst")
            inst, rate = soundfile.read(path, dtype="float32", always_2d=True)
            mix_file = path.with_name(f"{song}_mix.ogg")
            mix, _ = soundfile.read(mix_file, dtype="float32", always_2d=True)
            n = min(len(inst), len(mix))
            yield f"{folder}/{song}", {"sung": mix[:n], "instrumental": inst[:n]}, rate


def made(data: Path, work: Path) -> Library:
    """Write every version in every encoding, and extract them."""
    for song, versions, rate in songs(data):
        if len(versions["sung"]) < LEAST_S * rate:
            continue
        for (version, samples), (encoding, suffix) in itertools.product(
            versions.items(), ENCODINGS.items()
        ):
            path = work / "audio" / song / f"{version}{suffix}"
            if not path.exists():
                write(path, samples, rate, encoding)
    config = ExtractorConfig(attributes=True, sound=True)
    outputs = make_outputs(work / "vecs.parquet")
    run(find_songs([work / "audio"]), outputs, config=config, options=RunOptions(jobs=1))
    return Library.open(work / "vecs.parquet")


def judge(store: Library) -> dict[str, object]:
    """Count the pairs within every group that was found, by what they are."""
    names = [(str(Path(i).parent), Path(i).stem) for i in store.ids]
    there = Counter(_kind(a, b) for a, b in itertools.combinations(names, 2))
    found: Counter[str] = Counter()
    taken, apart = set(), set()
    for group in find_duplicates(store):
        for row, other in itertools.combinations(group.rows, 2):
            a, b = names[row], names[other]
            found[_kind(a, b)] += 1
            if _kind(a, b) == "instrumental":
                taken.add(a[0])
            if _kind(a, b) == "two songs" and "sung" in (a[1], b[1]):
                apart.add(f"{a[0]} {b[0]}")
    return {
        "songs": len({song for song, _ in names}),
        "found": found["encodings"],
        "true_pairs": there["encodings"],
        "song_and_instrumental_found": found["instrumental"],
        "song_and_instrumental_pairs": there["instrumental"],
        "two_songs": found["two songs"],
        "taken": sorted(taken),
        "sung_apart": sorted(apart),
    }


def _kind(a: tuple[str, str], b: tuple[str, str]) -> str:
    if a[0] != b[0]:
        return "two songs"
    return "encodings" if a[1] == b[1] else "instrumental"


def main() -> None:
    """Make the songs, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    args = parser.parse_args()
    store = made(args.data, args.work)
    print(json.dumps({"bench": "instrumentals", **judge(store)}), flush=True)


if __name__ == "__main__":
    main()
