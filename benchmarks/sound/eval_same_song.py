"""Find a song again in another encoding: recall@1 among a thousand songs, for each similarity.

    python -m benchmarks eval_same_song MUSIC --work WORK [--songs 1000] [--queries 400] [--jobs 2]

MUSIC is a folder of whole songs, one folder a soundtrack, in any format that soundfile reads; WORK
keeps the cuts and the extracted stores, and a second call goes on from there. Each song is cut into
parts of 30 s that do not overlap, at most 8, and every part counts as a song of its own: parts of
one piece are harder to tell apart than two pieces. The parts are stored as FLAC. The queries are
the same parts as MP3 (128 kbit/s at 44.1 kHz), as Ogg Vorbis, 10 dB quieter, and cut 2 s later.

One JSON line a space and question: recall@1 of each transformation; and, among the FLAC parts
themselves, how often the nearest one is another part of the same song and, that song left out,
how many of the ten nearest are of the same soundtrack (soundtracks of four songs or more), with the
skewness of the 10-occurrence. Some soundtracks have several composers.
"""

import argparse
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt
import soundfile
from hubness import occurrence_skewness

from audiorec.extraction.run import extract
from audiorec.library.library import Library
from audiorec.search.scaling import By, Weighting, vector_units
from audiorec.search.space import Space
from audiorec.types import STATISTICS

PART_S = 30.0
LATER_S = 2.0
MAX_PARTS = 8  # of one song
SUFFIXES = (".ogg", ".opus", ".mp3", ".flac", ".wav")
MIN_BYTES = 200_000  # below, it is a sound of a game
QUIET = 10 ** (-10 / 20)
SPACES: tuple[By, ...] = ("sound", "vector", "mean")
TRANSFORMS = ("mp3", "vorbis", "quiet", "later")
EQUAL = dict.fromkeys(STATISTICS, 1.0)
BEFORE = {**dict.fromkeys(STATISTICS, 0.25), "mean": 1.0}  # the default until decision 0006
LEAST_SONGS = 4  # of a soundtrack that is judged

Samples = npt.NDArray[np.float32]


def songs(music: Path) -> Iterator[tuple[Path, float]]:
    """Yield every song once, by soundtrack and file name, with its length in seconds."""
    seen = set()
    for path in sorted(music.rglob("*")):
        key = (path.relative_to(music).parts[0], path.name)
        if path.suffix not in SUFFIXES or path.stat().st_size < MIN_BYTES or key in seen:
            continue
        seen.add(key)
        try:
            yield path, soundfile.info(path).duration
        except soundfile.LibsndfileError:
            continue


def parts(music: Path, limit: int) -> list[tuple[str, Path, float]]:
    """Return name, file and start of the parts: the first of every song, then the second..."""
    found = []
    for path, length in songs(music):
        soundtrack = path.relative_to(music).parts[0]
        count = min(MAX_PARTS, int((length - LATER_S) // PART_S))
        names = [f"{soundtrack}/{path.stem}/{i}" for i in range(count)]
        found.extend((i, name, path, i * PART_S) for i, name in enumerate(names))
    return [(name, path, start) for _, name, path, start in sorted(found)[:limit]]


def read(path: Path, start_s: float) -> tuple[Samples, int]:
    """Read one part: (samples, channels), and the sample rate."""
    with soundfile.SoundFile(path) as file:
        file.seek(round(start_s * file.samplerate))
        count = round(PART_S * file.samplerate)
        return file.read(count, dtype="float32", always_2d=True)[:, :2], file.samplerate


def write(path: Path, samples: Samples, rate: int, transform: str) -> None:
    """Write one part in the encoding of its transformation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, object] = {"format": "FLAC", "subtype": "PCM_16"}
    if transform == "mp3":  # 0.667 of the way from 320 to 32 kbit/s
        options = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
        options["compression_level"] = 0.667
    elif transform == "vorbis":
        options = {"format": "OGG", "subtype": "VORBIS"}
    with soundfile.SoundFile(path, "w", rate, samples.shape[1], **options) as file:
        for start in range(0, len(samples), rate):  # libsndfile's Vorbis fails on long writes
            file.write(samples[start : start + rate])


def make(work: Path, transform: str, chosen: list[tuple[str, Path, float]]) -> Path:
    """Cut, encode and extract one transformation; return its folder with the store."""
    suffix = {"mp3": ".mp3", "vorbis": ".ogg"}.get(transform, ".flac")
    for name, source, start in chosen:
        target = work / transform / "audio" / f"{name}{suffix}"
        if not target.exists():
            samples, rate = read(source, start + (LATER_S if transform == "later" else 0))
            samples = samples * np.float32(QUIET) if transform == "quiet" else samples
            partial = target.with_name(target.name + ".partial")
            write(partial, samples, rate, transform)
            partial.rename(target)
    return work / transform


def extracted(folder: Path, jobs: int) -> Library:
    """Extract a folder's audio, or go on with it."""
    out, features = folder / "vecs.parquet", folder / "features.parquet"
    scores = folder / "scores.parquet"  # both for eval_duplicates.py
    extract(folder / "audio", out=out, scores=scores, features=features, jobs=jobs)
    return Library.open(out)


def spaces(store: Library) -> dict[str, Space]:
    """Return what songs are compared by."""
    classes = len(store.metadata.classes)
    plain = {
        name: Weighting(
            weights=np.tile([weights[s] for s in STATISTICS], classes).astype(np.float64),
            log_odds=np.zeros(classes * len(STATISTICS), np.bool_),
        )
        for name, weights in {"all six, equal": EQUAL, "until 0006": BEFORE}.items()
    }
    return {
        **{by: store.space(by, use_index=False) for by in SPACES},
        **{
            name: Space(store, "vector", partial(vector_units, store, w), count=len(store))
            for name, w in plain.items()
        },
    }


def recall(space: Space, transform: Path) -> dict[str, object]:
    """Return how often the nearest song is the one that was transformed."""
    queries = Library.open(transform / "vecs.parquet")
    values = queries.read_list("sound")[1] if space.by == "sound" else queries.vectors
    stem = {song_id.rsplit(".", 1)[0]: row for row, song_id in enumerate(space.store.ids)}
    right = np.array([stem[song_id.rsplit(".", 1)[0]] for song_id in queries.ids])
    found = space.search(space.prepare(values), 2)
    hit = found.rows[:, 0] == right
    margin = found.similarities[:, 0] - found.similarities[:, 1]
    missed = [queries.ids[i] for i in np.flatnonzero(~hit)[:5]]
    return {
        "recall_at_1": round(float(hit.mean()), 4),
        "queries": len(hit),
        "median_lead": round(float(np.median(margin)), 3),
        "missed": missed,
    }


def neighbourhood(space: Space) -> dict[str, object]:
    """Judge the nearest of the FLAC parts by song and by soundtrack."""
    song = np.array([song_id.rsplit("/", 1)[0] for song_id in space.store.ids])
    soundtrack = np.array([song_id.split("/")[0] for song_id in space.store.ids])
    units = space.matrix.astype(np.float64)
    similar = units @ units.T
    skewness = occurrence_skewness(similar)
    np.fill_diagonal(similar, -np.inf)
    has_other = np.array([(song == name).sum() > 1 for name in song])
    nearest = similar.argmax(axis=1)
    similar[song[:, None] == song[None, :]] = -np.inf
    ten = np.argsort(-similar, axis=1, kind="stable")[:, :10]
    wide = np.array([len(set(song[soundtrack == s])) >= LEAST_SONGS for s in soundtrack])
    same = (soundtrack[ten] == soundtrack[:, None])[wide]
    return {
        "other_part_of_the_song_at_1": round(float((song[nearest] == song)[has_other].mean()), 3),
        "soundtrack_p@1,5,10": [round(100 * float(same[:, :k].mean()), 1) for k in (1, 5, 10)],
        "hub_skewness": round(skewness, 2),
        "songs": len(song),
    }


def main() -> None:
    """Cut, extract, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("music", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--songs", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=400, help="of each transformation")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    chosen = parts(args.music, args.songs)
    store = extracted(make(args.work, "flac", chosen), args.jobs)
    for name, space in spaces(store).items():
        line = {"bench": "same_song/neighbourhood", "space": name}
        print(json.dumps(line | neighbourhood(space)), flush=True)
    for transform in TRANSFORMS:
        folder = make(args.work, transform, chosen[: args.queries])
        extracted(folder, args.jobs)
        for name, space in spaces(store).items():
            line = {"bench": f"same_song/{transform}", "space": name}
            print(json.dumps(line | recall(space, folder)), flush=True)


if __name__ == "__main__":
    main()
