"""Where the songs of a store stand on the page's map: kept beside the store.

    "vecs.parquet", "pca" ──map_path──▶ "vecs.map-pca.parquet" ──read_map──▶ hashes, places
    hashes, places ──write_map──▶ the file, replaced in one step

The file holds hashes of audio, not ids: a song that is renamed, moved or retagged keeps its place.

============  =====================================================================
column        content
============  =====================================================================
content_hash  string, in the order of the store; songs without a place have no row
x, y          float32, from about -1 to 1
============  =====================================================================
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.distribution import created_by
from audiorec.errors import StoreError
from audiorec.files.arrow import view
from audiorec.files.copies import with_shown_names
from audiorec.files.own_files import write_errors
from audiorec.files.tables import TableFile, write_plain
from audiorec.store.schema import METADATA_KEY, metadata_object
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray

PROJECTIONS = ("pca", "tsne", "umap")
FORMAT_VERSION = 1
FURTHEST = 2.0  # from the middle; the map ends at about 1
SCHEMA = pa.schema(
    [
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("x", pa.float32(), nullable=False),
        pa.field("y", pa.float32(), nullable=False),
    ]
)


KeptMap = tuple[Any, FloatArray, int]  # hashes (m,), places (m, 2), songs when it was laid out


def map_path(vectors: Path, projection: str) -> Path:
    """Return the path of the file with a map of a store.

    Examples
    --------
    >>> map_path(Path("library/vecs.parquet"), "pca").as_posix()
    'library/vecs.map-pca.parquet'
    """
    return vectors.with_name(f"{vectors.name.removesuffix('.parquet')}.map-{projection}.parquet")


def map_paths(vectors: Path) -> list[Path]:
    """Return the paths of all maps that a store may have."""
    return [map_path(vectors, projection) for projection in PROJECTIONS]


def read_map(store: VectorStore, projection: str, by: str) -> KeptMap | None:
    """Read the map beside a store; None if there is none, or the store is a copy of a remote one.

    Parameters
    ----------
    store : VectorStore
    projection : {"pca", "tsne", "umap"}
    by : str
        What songs are compared by (`audiorec.search.space.Space`).

    Returns
    -------
    hashes : pyarrow.StringArray, length m
        Copies of one audio follow each other in the order of the store.
    places : ndarray, shape (m, 2), float32
    at_first : int
        Number of songs that had a place when the map was laid out.

    Raises
    ------
    StoreError
        If the file is damaged, or the map is not one of this store as it is compared.
    """
    path = map_path(store.path, projection)
    if not path.exists() or _is_copy(store):
        return None
    with TableFile.open(path) as file:
        about = metadata_object(file.footer.get(METADATA_KEY, b"{}"))
        ours, at_first = _about(store, projection, by), about.get("at_first")
        if not ours.items() <= about.items() or type(at_first) is not int:
            raise StoreError(f"{path}: is not a map of these songs as they are compared now")
        table = file.read_as(SCHEMA).combine_chunks()
    columns = [view(table.column(name).combine_chunks(), np.float32) for name in ("x", "y")]
    places = np.column_stack(columns)
    if not (np.abs(places) <= FURTHEST).all():  # nor NaN
        raise StoreError(f"{path}: a place lies beyond the map")
    return table.column("content_hash").combine_chunks(), places, at_first


def write_map(store: VectorStore, projection: str, by: str, kept: KeptMap) -> None:
    """Write a map beside a store; do nothing if the store is a copy of a remote one.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    if _is_copy(store):
        return
    path, (hashes, places, at_first) = map_path(store.path, projection), kept
    made = {"at_first": at_first, "created_by": created_by()}
    about = _about(store, projection, by) | made
    schema = SCHEMA.with_metadata({METADATA_KEY: json.dumps(about).encode()})
    columns = (pa.array(np.ascontiguousarray(places[:, n], np.float32)) for n in (0, 1))
    with write_errors(path):
        write_plain(path, pa.Table.from_arrays([hashes, *columns], schema=schema))


def _about(store: VectorStore, projection: str, by: str) -> dict[str, Any]:
    metadata = store.metadata
    made = {"extractor_id": metadata.extractor_id, "sound_id": metadata.sound_id, "by": by}
    return {"kind": "map", "format_version": FORMAT_VERSION, "projection": projection, **made}


def _is_copy(store: VectorStore) -> bool:
    """Whether the store's file lies in the cache of remote files."""
    return with_shown_names(str(store.path)) != str(store.path)
