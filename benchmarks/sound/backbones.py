"""Hold two networks of others to the front ends that their makers state, and compare by them.

    python -m benchmarks backbones DATA [--clips 20] [--spaces] [--work FOLDER] [--jobs 1]

DATA holds `backbones/` (EfficientAT mn04 and the Jamendo musicnn, as ONNX, with what comes with
them) and `gtzan/audio/`; nothing of it is shipped. Both are added with the specs in
``examples/backbones``, but with tracks as loud as they come, and hear clips through
``extract --features``. What should come of it is computed here from the words of their makers, in
numpy and scipy in float64, from soundfile's samples: one JSON line a network has the largest
absolute difference of the scores and the embeddings, over all segments of the clips, and of the
front end where both are given the same samples (two resamplings differ by 1e-7, of which decibels
of near silence make more).

With --spaces all clips are extracted by both networks, as loud as they come and at two loudnesses,
and by the networks that are shipped, and look for each other: the share of the five nearest that
are of the same genre, with a 95 % bootstrap interval over clips, and how often a clip that begins
2 s later, or is 10 dB quieter, finds itself first. One JSON line a space: the vector as it is,
means alone, and its embedding as its sound.
"""

import argparse
import csv
import json
import os
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt
import onnxruntime
import soundfile
import soxr
from scipy.signal.windows import hann

from audiorec.audio.decode import waveform
from audiorec.audio.segment import segments
from audiorec.extraction.backbones import add_backbone
from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.pipeline import extractor_config
from audiorec.extraction.run import RunOptions, make_outputs, run
from audiorec.files.own_files import ENVIRONMENT
from audiorec.library.library import Library
from audiorec.search.space import Space
from audiorec.store.features import FeatureFile
from audiorec.tagger.added import find_added, in_layout

Array = npt.NDArray[np.float64]
SPECS = Path(__file__).parents[2] / "examples" / "backbones"
SEGMENT_S, LATER_S, NEAREST, DRAWS = 3, 2.0, 5, 2_000
QUIETER = 10 ** (-10 / 20)
LEVELS = (None, -14.0, -23.0)  # LUFS
NETWORKS = {
    "mn04": ("efficientat_mn04", "mn04_as.onnx", "mel"),
    "jamendo": ("jamendo_musicnn", "jamendo_musicnn.onnx", "logmel"),
}


def spectra(samples: Array, window: Array, hop: int) -> Array:
    """Return power spectra (frames, bins) of centred frames, the edges reflected."""
    n_fft = len(window)
    padded = np.pad(samples, n_fft // 2, mode="reflect")
    starts = np.arange(0, len(padded) - n_fft + 1, hop)
    return np.abs(np.fft.rfft(padded[starts[:, None] + np.arange(n_fft)] * window)) ** 2


def mn04(samples: Array, _folder: Path) -> Array:
    """Return mn04's input: pre-emphasis .97, a symmetric window of 800 in 1024, 128 Kaldi mels."""
    window = np.zeros(1024)
    window[112:912] = hann(800, sym=True)
    power = spectra(samples[1:] - 0.97 * samples[:-1], window, 320)

    def mel(hz: Array) -> Array:
        return 1127.0 * np.log(1.0 + hz / 700.0)

    edges = np.linspace(*mel(np.array([0.0, 15_000.0])), 130)
    bins = mel(np.arange(513) * 32_000 / 1024)
    up = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(up, down))
    return (np.log(power @ triangles.T + 1e-5) + 4.5) / 5.0


def jamendo(samples: Array, folder: Path) -> Array:
    """Return Jamendo's input: a periodic window of 512, its makers' filterbank, decibels."""
    given = np.load(folder / "front_mel_window.npz")["spec.mel_scale.fb"].astype(np.float64)
    power = spectra(samples, hann(512, sym=False), 256)
    return 10.0 * np.log10(np.maximum(power @ given, 1e-10))


REFERENCES: dict[str, tuple[int, Callable[[Array, Path], Array]]] = {
    "mn04": (32_000, mn04),
    "jamendo": (16_000, jamendo),
}


def decoded(path: Path, rate: int) -> Array:
    """Return a clip's samples, mono, at a rate."""
    samples, own = soundfile.read(path, always_2d=True)
    mono = samples.mean(axis=1).astype(np.float32)
    return soxr.resample(mono, own, rate, quality="HQ").astype(np.float64)


def inputs(name: str, folder: Path, samples: Array, starts: Array) -> Array:
    """Return the front end (T, frames, mels) of a clip's samples."""
    rate, front_end = REFERENCES[name]
    cuts = [samples[round(s * rate) :][: SEGMENT_S * rate] for s in starts.tolist()]
    return np.stack([front_end(cut, folder) for cut in cuts])


def expected(name: str, folder: Path, path: Path, starts: Array) -> tuple[Array, Array]:
    """Return the scores (T, C) and embeddings (T, D) of a clip."""
    _, model, given = NETWORKS[name]
    session = onnxruntime.InferenceSession(folder / model, providers=["CPUExecutionProvider"])
    mels = inputs(name, folder, decoded(path, REFERENCES[name][0]), starts)
    laid = in_layout(mels.astype(np.float32), "N1MT")
    tags, embeddings = session.run(["tags", "emb"], {given: laid})
    return tags.astype(np.float64), embeddings.astype(np.float64)


@contextmanager
def own_data(folder: Path) -> Any:
    """Let what is added lie in a folder, for as long as the block runs."""
    before = os.environ.get(ENVIRONMENT)
    os.environ[ENVIRONMENT] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(ENVIRONMENT)
        os.environ |= {} if before is None else {ENVIRONMENT: before}


def add(name: str, data: Path, work: Path, level: float | None = None) -> Path:
    """Add a network with the spec of the examples at a loudness; returns its files' folder."""
    folder = data / "backbones" / NETWORKS[name][0]
    spec = json.loads((SPECS / f"{name}.json").read_text())
    spec["loudness_lufs"] = level
    for part, key in (("mel", "filterbank"), ("outputs", "scores")):
        place = spec[part].get(key, {})
        for file in {"file", "classes"} & place.keys():
            place[file] = str(folder.resolve() / place[file])
    stated = work / f"{name}.json"
    stated.write_text(json.dumps(spec))
    add_backbone(folder / NETWORKS[name][1], stated, replace=True)
    return folder


def extracted(songs: list[Path], out: Path, backbone: str | None, jobs: int) -> Path:
    """Extract clips with their features; returns the folder of the store."""
    outputs = make_outputs(out / "vecs.parquet", features=out / "features.parquet")
    config = extractor_config((), backbone)
    run(find_songs(songs), outputs, config=config, options=RunOptions(jobs=jobs))
    return out


def compare(name: str, data: Path, work: Path, songs: list[Path], jobs: int) -> None:
    """Print how far a network's answers lie from what they should be."""
    folder = add(name, data, work)
    config = extractor_config((), name)
    file = FeatureFile.open(extracted(songs, work / name, name, jobs) / "features.parquet")
    by_id = {song_id: row for row, song_id in enumerate(file.ids)}
    apart: dict[str, list[float]] = {"front_end": [], "scores": [], "embedding": []}
    largest, count, matrix = 0.0, 0, find_added(name).stated.filterbank
    for source in find_songs(songs):
        row = np.asarray([by_id[source.song_id]])
        values = file.read(row).values
        samples, _ = waveform(source.path, spec=config.spec)
        made = list(segments([samples], config.spec, filterbank=matrix))
        starts = np.array([segment.start_s for segment in made])
        tags, embeddings = expected(name, folder, Path(source.path), starts)
        mels = inputs(name, folder, samples.astype(np.float64), starts)
        own = dict(zip(file.inputs, np.split(values, np.cumsum(file.widths)[:-1], 1), strict=True))
        apart["front_end"].append(np.abs(np.stack([s.log_mel for s in made]) - mels).max())
        apart["scores"].append(np.abs(own[f"{name}_scores"] - tags).max())
        apart["embedding"].append(np.abs(own[f"{name}_embedding"] - embeddings).max())
        largest, count = max(largest, np.abs(embeddings).max()), count + len(made)
    line = {f"{key}_max_abs_difference": float(f"{max(v):.2e}") for key, v in apart.items()}
    about = {"bench": "backbones", "network": name, "clips": len(songs), "segments": count}
    print(json.dumps({**about, **line, "largest_embedding": round(float(largest), 2)}), flush=True)


def changed(songs: list[Path], folder: Path) -> dict[str, list[Path]]:
    """Write each clip without its first two seconds, and 10 dB quieter."""
    made: dict[str, list[Path]] = {"2s_later": [], "10db_quieter": []}
    for song in songs:
        samples, rate = soundfile.read(song)
        forms = (samples[round(LATER_S * rate) :], samples * QUIETER)
        for name, form in zip(made, forms, strict=True):
            path = folder / name / song.parent.name / f"{song.stem}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, form, rate)
            made[name].append(path)
    return made


def spaces(data: Path, work: Path, songs: list[Path], jobs: int) -> None:
    """Print how well clips find their genre and themselves, by each network."""
    forms = changed(songs, work / "changed")
    asked = [(None, -23.0), *((name, level) for name in NETWORKS for level in LEVELS)]
    for name, level in asked:
        if name is not None:
            add(name, data, work, level)
        place = work / f"spaces-{name or 'shipped'}{level or ''}"
        store = Library.open(extracted(songs, place / "all", name, jobs) / "vecs.parquet")
        others = {form: extracted(paths, place / form, name, jobs) for form, paths in forms.items()}
        for by in ("sound", "vector", "mean"):
            about = {"network": name or "shipped", "loudness_lufs": level}
            print(json.dumps({**about, **judged(store, others, by)}), flush=True)


def judged(store: Library, others: dict[str, Path], by: Any) -> dict[str, Any]:
    """Return the figures of one space."""
    space = store.space(by, use_index=False)
    genre = np.array([Path(uri).parent.name for uri in store.column("uri").to_pylist()])
    stem = [Path(uri).stem for uri in store.column("uri").to_pylist()]
    similar = space.matrix.astype(np.float64) @ space.matrix.T
    np.fill_diagonal(similar, -np.inf)
    near = np.argsort(-similar, axis=1, kind="stable")[:, :NEAREST]
    hits = (genre[near] == genre[:, None]).mean(axis=1)
    rng = np.random.default_rng(0)
    drawn = hits[rng.integers(0, len(hits), (DRAWS, len(hits)))].mean(axis=1)
    return {
        "space": by,
        "clips": len(hits),
        "numbers": int(space.scaling.width),
        "same_genre_p@5": round(100 * float(hits.mean()), 1),
        "95": [round(100 * float(np.quantile(drawn, q)), 1) for q in (0.025, 0.975)],
        **{f"itself_{form}@1": itself(space, stem, folder) for form, folder in others.items()},
    }


def itself(space: Space, stem: list[str], changed_store: Path) -> float:
    """Return how often the nearest clip is the one that was changed."""
    queries = Library.open(changed_store / "vecs.parquet")
    values = queries.read_list("sound")[1] if space.by == "sound" else queries.vectors
    found = (space.prepare(values).astype(np.float64) @ space.matrix.T).argmax(axis=1)
    own = [Path(uri).stem for uri in queries.column("uri").to_pylist()]
    same = [stem[i] == name for i, name in zip(found.tolist(), own, strict=True)]
    return round(float(np.mean(same)), 3)


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--clips", type=int, default=20, help="that are compared")
    parser.add_argument("--spaces", action="store_true", help="what finds what, by each network")
    parser.add_argument("--work", type=Path, help="keeps what is extracted")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    manifest = args.data / "gtzan" / "audio" / "manifest.csv"
    with manifest.open() as file:
        names = [row["file"] for row in csv.DictReader(file)]
    songs = [(manifest.parent / name).with_suffix(".ogg").resolve() for name in sorted(names)]
    with TemporaryDirectory() as temporary:
        work = (args.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        with own_data(work / "data"):
            step = max(1, len(songs) // args.clips)
            for name in NETWORKS:
                compare(name, args.data, work, songs[::step][: args.clips], args.jobs)
            if args.spaces:
                spaces(args.data, work, songs, args.jobs)


if __name__ == "__main__":
    main()
