"""One turned bit in every kind of file: it is found, or the content is what it was.

Of Parquet its pages: they have checksums, its footer has none.
"""

import numpy as np
import pyarrow as pa
import pytest
from flips import BAD, outcomes, some_bits, table_of
from good_store import write_good_store

from audiorec.files.tables import write_plain
from audiorec.learning.bundle import write_bundle
from audiorec.store.embeddings import write_embeddings
from audiorec.tagger.heads import Head

IDS = tuple(f"artist {n % 7}/song {n:03}.mp3" for n in range(40))
FLIPS = 150


def make_store(folder):
    return write_good_store(folder, IDS)


def make_scores(folder):
    return write_good_store(folder, IDS[:12]).with_name("scores.parquet")


def make_features(folder):
    return write_good_store(folder, IDS[:12]).with_name("features.parquet")


def embeddings(folder, kind):
    rng = np.random.default_rng(0)
    path = folder / f"{kind}.parquet"
    columns = {"history": pa.array(range(40)), "note": pa.array([None, "é"] * 20)}
    numbers = rng.standard_normal((40, 8)).astype(np.float32)
    write_embeddings(path, IDS, numbers, kind=kind, model_id="m", columns=columns)
    return path


def make_embeddings(folder):
    return embeddings(folder, "songs")


def make_users(folder):
    return embeddings(folder, "users")


def make_neighbours(folder):
    path = folder / "neighbours.parquet"
    columns = {"song_id": IDS, "neighbour": IDS[::-1], "similarity": np.linspace(0, 1, 40)}
    write_plain(path, pa.table({k: pa.array(v) for k, v in columns.items()}))
    return path


def model(folder):
    tensors = {"weight": np.linspace(-1, 1, 60, dtype=np.float32).reshape(5, 12)}
    config = {"kind": "users_model", "seed": 3, "figures": {"loss": 0.5}, "song_ids": IDS[:5]}
    write_bundle(folder / "model", tensors=tensors, config=config, card="# Card\n")
    return folder / "model"


def make_model_json(folder):
    return model(folder) / "model.json"


def make_model_weights(folder):
    return model(folder) / "model.safetensors"


def make_head(folder):
    rng = np.random.default_rng(3)
    head = Head(
        task="mood",
        classes=("x", "y"),
        inputs=("msd.tags",),
        backbones={"msd": "a" * 64},
        mean=rng.standard_normal(50).astype(np.float32),
        scale=rng.uniform(0.5, 2, 50).astype(np.float32),
        layers=((rng.standard_normal((50, 2)).astype(np.float32), np.zeros(2, np.float32)),),
        calibration_scale=np.ones(2, np.float32),
        calibration_bias=np.zeros(2, np.float32),
        info={"licence": "CC0-1.0", "figures": {"accuracy": 0.5}},
    )
    head.save(folder / "head.safetensors")
    return folder / "head.safetensors"


FILES = {
    "vectors": (make_store, "store"),
    "scores": (make_scores, "series"),
    "features": (make_features, "series"),
    "embeddings": (make_embeddings, "embeddings"),
    "users": (make_users, "embeddings"),
    "neighbours": (make_neighbours, "plain"),
    "model_json": (make_model_json, "model"),
    "model_weights": (make_model_weights, "model"),
    "head": (make_head, "head"),
}


@pytest.mark.parametrize("name", FILES)
def test_turned_bits_are_found_or_harmless(name, tmp_path, capsys):
    make, reader = FILES[name]
    path = make(tmp_path)
    bits = some_bits(path, FLIPS)
    if path.suffix == ".parquet":
        footer = int.from_bytes(path.read_bytes()[-8:-4], "little")
        bits = [bit for bit in bits if bit < 8 * (path.stat().st_size - 8 - footer)]
    found = outcomes(path, reader, bits)
    assert len(found) == len(bits)
    bad = {bit: what for bit, what in found.items() if what.startswith(BAD)}
    assert not bad, f"{table_of(found)}: {bad}"
    with capsys.disabled():
        print(f" {name}: {table_of(found)}", end="")
