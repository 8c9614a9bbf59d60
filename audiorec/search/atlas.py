"""A store as a map: a table that ``embedding-atlas`` opens.

    store  ──atlas_table──▶  x, y, title, artist, genre, version, audio, ...

    embedding-atlas atlas.parquet --x x --y y --text title

Songs lie in the space that `similar` searches, so that neighbours on the map sound alike as
far as two dimensions allow. Each head gives a column of its name: the class with the
highest mean score.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.errors import InputError, StoreError
from audiorec.files.arrow import strings
from audiorec.files.tables import write_plain
from audiorec.search.projection import Projection, project
from audiorec.search.space import open_space
from audiorec.store.schema import StoreMetadata
from audiorec.store.store import VectorStore

TAGS = ("artist", "album")


def atlas_table(store: VectorStore, *, projection: Projection = "pca", seed: int = 0) -> Any:
    """Return the map of a store.

    Parameters
    ----------
    store : VectorStore
    projection : {"pca", "tsne", "umap"}
        See `project`.
    seed : int

    Returns
    -------
    table : pyarrow.Table
        One row a song in the order of the store: ``song_id``, ``x``, ``y``, ``title`` (the
        file's name where there is none), ``artist``, ``album``, a column for each head,
        ``duration_s``, ``audio`` (the path of the file).

    Raises
    ------
    StoreError
        If the store is empty.
    InputError
        If a head is called like another column.
    MissingExtraError
        If the library of the projection is not installed.
    """
    if not len(store):
        raise StoreError(f"{store.path}: has no songs to place on a map")
    places = project(open_space(store, "vector").similarity.units, projection, seed=seed)
    uris = store.column("uri").to_pylist()
    columns: dict[str, Any] = {
        "song_id": store.column("song_id"),
        "x": pa.array(np.ascontiguousarray(places[:, 0])),
        "y": pa.array(np.ascontiguousarray(places[:, 1])),
        "title": strings(
            [
                title or uri.rpartition("/")[2]
                for title, uri in zip(store.column("title").to_pylist(), uris, strict=True)
            ]
        ),
    }
    columns |= {name: store.column(name) for name in TAGS}
    for head, labels in _labels(store).items():
        if head in columns or head in ("duration_s", "audio"):
            raise InputError(f"the head {head!r} is called like another column of the map")
        columns[head] = labels
    columns |= {"duration_s": store.column("duration_s"), "audio": store.column("uri")}
    return pa.table(columns)


def write_atlas(
    store: VectorStore, out: Path, *, projection: Projection = "pca", seed: int = 0
) -> int:
    """Write the map of a store to a Parquet file, whole or not at all; returns its rows.

    Raises
    ------
    InputError
        If `out` is the store itself or no place for a file; else as for `atlas_table`.
    """
    if out.resolve() == store.path.resolve():
        raise InputError(f"{out}: is the store itself; write the map to another file")
    if out.is_dir() or not out.parent.is_dir():
        raise InputError(f"{out}: no file can be written there")
    table = atlas_table(store, projection=projection, seed=seed)
    write_plain(out, table.replace_schema_metadata(None))
    return len(table)


def _labels(store: VectorStore) -> dict[str, Any]:
    """Return for each head the class of the highest mean score of every song."""
    metadata: StoreMetadata = store.metadata
    if "mean" not in metadata.statistics:
        return {}
    means = np.concatenate(
        [
            block.reshape(len(block), len(metadata.classes), -1)[
                :, :, metadata.statistics.index("mean")
            ]
            for block in store.blocks()
        ]
    )
    heads: dict[str, list[int]] = {}
    for number, name in enumerate(metadata.classes):
        heads.setdefault(name.partition("/")[0], []).append(number)
    labels = {}
    for head, numbers in heads.items():
        names = [metadata.classes[n].partition("/")[2] for n in numbers]
        labels[head] = strings([names[best] for best in means[:, numbers].argmax(axis=1)])
    return labels
