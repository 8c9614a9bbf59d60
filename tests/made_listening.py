"""A catalogue in files whose songs can be heard: features, artists, users and a log."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from made_stores import CLASSES, write_store

from audiorec.spec import FeatureSpec
from audiorec.store.embeddings import write_embeddings
from audiorec.store.records import feature_values, row_batch
from audiorec.store.schema import Kind, StoreMetadata, open_checked, schema_of, write_table

EXTRACTOR = "0123456789abcdef"
WIDTHS = {"msd_penultimate": 4, "msd_tags": 2}
DAY_S = 86_400


def write_features(path, ids, sounds, *, seed=0, extractor_id=EXTRACTOR):
    """Write one to six segments around each song's six numbers."""
    rng = np.random.default_rng(seed)
    metadata = StoreMetadata(
        kind=Kind.FEATURES,
        extractor_id=extractor_id,
        classes=CLASSES,
        features=WIDTHS,
        spec=FeatureSpec().to_dict(),
        created_by="tests",
    )
    schema = schema_of(metadata)
    batches = []
    for name, sound in zip(ids, sounds, strict=True):
        n = int(rng.integers(1, 7))
        series = (sound + 0.3 * rng.standard_normal((n, 6))).astype(np.float32)
        start = 3.0 * np.arange(n, dtype=np.float32)
        outputs = {"msd.penultimate": series[:, :4], "msd.tags": series[:, 4:]}
        row = feature_values(name, f"hash of {name}", start, outputs)
        batches.append(row_batch(row | {"extractor_id": extractor_id}, schema))
    write_table(path, pa.Table.from_batches(batches, schema), metadata)


def write_catalogue(folder, *, n_songs=80, n_users=50, seed=0):
    """Write a catalogue of artists with two songs each; return ids and who likes what."""
    rng = np.random.default_rng(seed)
    ids = write_store(folder / "vecs.parquet", n_songs)
    _add_artists(folder / "vecs.parquet")
    sounds = rng.standard_normal((n_songs, 6)).astype(np.float32)
    write_features(folder / "features.parquet", ids, sounds)
    users = rng.standard_normal((n_users, 6)).astype(np.float32)
    likes = users @ sounds.T + 0.5 * rng.standard_normal((n_users, n_songs)) > 2.5
    names = [f"u{u:03}" for u in range(n_users)]
    write_embeddings(
        folder / "users.parquet", names, users, kind="users", model_id="users model", space=""
    )
    lines = ["user_id,song_id,timestamp,event"]
    for user, song in zip(*np.nonzero(likes), strict=True):
        lines.append(f"{names[user]},{ids[song]},{1_700_000_000 + DAY_S * int(song)},like")
    for user in range(n_users):
        worst = int((users[user] @ sounds.T).argmin())
        lines.append(f"{names[user]},{ids[worst]},{1_700_000_000 + DAY_S * 99},dislike")
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    return ids, likes


def _add_artists(path):
    file = open_checked(path, Kind.VECTORS)
    table = file.read()
    numbers = np.arange(table.num_rows) // 2
    artists = pa.array([f"artist {n}" for n in numbers])
    at = table.schema.get_field_index("artist")
    table = table.set_column(at, table.schema.field("artist"), artists)
    write_table(path, table, replace(file.metadata))


def read_embeddings(path):
    """Return ids, embeddings (n, D) and the metadata of a file of embeddings."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    flat = pc.list_flatten(table.column("embedding")).to_numpy()
    metadata = json.loads(table.schema.metadata[b"audiorec"])
    return table.column(0).to_pylist(), flat.reshape(table.num_rows, -1), metadata
