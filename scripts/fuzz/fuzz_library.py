"""The good library that `fuzz_stores` starts from: every kind of file that audiorec reads back.

    make_library(folder)  →  folder/library/...   songs, store, models, tables, an unfinished run
                             folder/victim/...    somebody else's files, which nothing may touch

Three short songs are extracted for real, so that `audiorec extract` finds nothing to do in it
and works on what it finds beside the store. Everything else is written by the package itself.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import soundfile

import audiorec
from audiorec.extraction.catalogue import find_songs
from audiorec.extraction.manifest import write_manifest
from audiorec.extraction.pipeline import Extractor, ExtractorConfig
from audiorec.extraction.run import RunOptions, make_outputs, prepare
from audiorec.recall.audio.channel import UserAudio
from audiorec.recall.audio.model import TowerSpec, UserAudioRecipe, expected_shapes
from audiorec.recall.registry import load_channel
from audiorec.simulation.world import WorldSpec, simulate_world
from audiorec.spec import FeatureSpec
from audiorec.store.aliases import add_own_aliases
from audiorec.store.embeddings import write_embeddings
from audiorec.store.journal import Journal
from audiorec.store.schema import Kind
from audiorec.tagger.heads import Head, shipped_heads

RATE = 16_000
LIBRARY, VICTIM, RUN = "library", "victim", "vecs.parquet.run"
NO_FIGURES = {"auc": None, "auc_at_start": None, "best_epoch": 0, "users": 0, "songs": 0}
TASTE = Path(__file__).parents[2] / "fixtures" / "formats" / "youtube_dnn-v1"


def make_library(folder: Path) -> None:
    """Write the library and the files that nothing may touch."""
    library = folder / LIBRARY
    library.mkdir()
    for number in range(3):
        rng = np.random.default_rng(number)
        t = np.arange(int(1.6 * RATE)) / RATE
        tone = 0.3 * np.sin(2 * np.pi * (150 + 130 * number) * t) + 0.02 * rng.normal(size=len(t))
        soundfile.write(library / f"song{number}.flac", tone, RATE)
    (library / "broken.mp3").write_bytes(b"no music at all")
    store = library / "vecs.parquet"
    beside = {kind: str(library / f"{kind}.parquet") for kind in ("scores", "features")}
    audiorec.extract(library, out=store, **beside, jobs=1)
    _write_tables(library)
    _write_models(library)
    _write_unfinished_run(folder, library)
    _write_victim(folder / VICTIM)


def outputs_of(library: Path) -> Any:
    """Return where a run in the library writes."""
    beside = {kind: library / f"{kind}.parquet" for kind in ("scores", "features")}
    return make_outputs(library / "vecs.parquet", **beside)


def state(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return mode, number of names and content of everything below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else os.fsencode(str(path.is_dir()))
        # Links from elsewhere are the fuzzer's own: their number is not looked at.
        name = path.relative_to(folder).as_posix()
        found[name] = (about.st_mode, about.st_size, hashlib.sha256(content).hexdigest())
    return found


def _write_tables(library: Path) -> None:
    store = audiorec.open_store(library / "vecs.parquet")
    rng = np.random.default_rng(5)
    songs = rng.standard_normal((len(store), 40)).astype(np.float32)
    users = rng.standard_normal((9, 40)).astype(np.float32)
    names = [f"user {i}" for i in range(9)]
    about = {"model_id": "0123456789abcdef", "extractor_id": store.metadata.extractor_id}
    write_embeddings(library / "embeddings.parquet", store.ids, songs, kind="songs", **about)
    write_embeddings(library / "users.parquet", names, users, kind="users", **about)
    np.savez(library / "foreign.npz", ids=np.array(names), embeddings=users)
    add_own_aliases(library / "aliases.parquet", [("first", store.ids[0]), ("2", store.ids[1])])
    write_manifest(library / "manifest.parquet", find_songs([library]))
    simulate_world(store, library / "world", WorldSpec(users=12, seed=3))
    shutil.copy(library / "world" / "interactions.parquet", library / "interactions.parquet")
    lines = [f"user {i % 4},{store.ids[i % 3]},{1_700_000_000 + i},play" for i in range(30)]
    text = "\n".join(["user_id,song_id,timestamp,event", *lines, ""])
    (library / "interactions.csv").write_text(text)


def _write_models(library: Path) -> None:
    load_channel(TASTE).save(library / "taste")
    spec = TowerSpec(inputs=("msd_tags",), width=50, embedding=40, hidden=8)
    tensors = {
        name: np.random.default_rng(i).standard_normal(shape).astype(np.float32)
        for i, (name, shape) in enumerate(expected_shapes(spec).items())
    }
    channel = UserAudio(UserAudioRecipe(hidden=8, inputs=("msd_tags",), test=0.2))
    channel.spec, channel.tower = spec, tensors
    channel.made_by = f"features of extractor {Extractor().extractor_id}"
    channel.audio_spec, channel.space = FeatureSpec().to_dict(), "u" * 16
    channel.song_ids, channel.is_cold = ("song0.flac", "song1.flac"), np.zeros(2, np.bool_)
    channel.songs = channel.tastes = np.eye(2, 40, dtype=np.float32)
    channel.learnt_from, channel.figures = {"pairs": 4, "simulated": True}, NO_FIGURES
    channel.save(library / "audio_model")
    Head.load(shipped_heads()[0]).save(library / "head.safetensors")  # with digests


def _write_unfinished_run(folder: Path, library: Path) -> None:
    """Leave a run that was cut off beside the library: cases move it into their copy."""
    metadata = prepare(ExtractorConfig(), outputs_of(library), RunOptions()).metadata
    with Journal.open(outputs_of(library), metadata) as journal:
        row = journal.known().to_pylist()[0]
        journal.append_copy(row["content_hash"], {"song_id": "copy", "uri": "/music/copy.flac"})
        failure = SimpleNamespace(song_id="gone.mp3", uri="/music/gone.mp3")
        journal.append_failure(
            {
                **vars(failure),
                "size": 0,
                "mtime_ns": 5,
                "stage": "read",
                "status": "empty",
                "message": "zero bytes",
                "attempts": 1,
            }
        )
    (library / RUN).rename(folder / RUN)


def _write_victim(victim: Path) -> None:
    (victim / "deep").mkdir(parents=True)
    (victim / "bashrc").write_text("export PATH\n")
    (victim / "deep" / "thesis.txt").write_text("years of work\n")
    (victim / "store.json").write_text(json.dumps({str(kind): 1 for kind in Kind}))


if __name__ == "__main__":
    import sys

    make_library(Path(sys.argv[1]))
