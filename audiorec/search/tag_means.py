"""Mean backbone tags of the songs in a store.

    store, features.parquet beside it ──tag_means──▶ `TagMeans`: values (n, 50), names

The backbone's own tags (*Mellow*, *female vocalists*, *80s*) are richer than the two heads, but
less reliable. They are read from the store's features; no audio is decoded.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audiorec.errors import AudiorecError, InputError, SpecMismatchError
from audiorec.store.features import FeatureFile
from audiorec.store.inventory import USUAL_NAMES
from audiorec.store.schema import Kind
from audiorec.store.store import VectorStore
from audiorec.tagger.weights import WEIGHTS
from audiorec.types import FloatArray

TAGS_COLUMN = "msd_tags"


@dataclass(frozen=True, slots=True)
class TagMeans:
    """Mean tags of every song of a store.

    Attributes
    ----------
    values : ndarray, shape (n, 50), float32
        Mean sigmoid outputs; NaN for a song without features.
    names : tuple of str
    """

    values: FloatArray
    names: tuple[str, ...]


def tag_means(store: VectorStore, features: str | Path | None = None) -> TagMeans:
    """Read the mean tags of all songs of a store.

    Parameters
    ----------
    store : VectorStore
    features : path, optional
        By default ``features.parquet`` beside the store.

    Raises
    ------
    StoreError
        If the file is missing (a `MissingStoreError`) or damaged.
    InputError
        If it does not hold the tags.
    SpecMismatchError
        If another extractor made it.
    """
    path = store.path.with_name(USUAL_NAMES[Kind.FEATURES]) if features is None else Path(features)
    file = FeatureFile.open(path, [TAGS_COLUMN])
    names = WEIGHTS["msd"].tags
    if file.extractor_id != store.metadata.extractor_id:
        raise SpecMismatchError(
            f"{path} was made by extractor {file.extractor_id}, {store.path} by "
            f"{store.metadata.extractor_id}: extract both again (audiorec extract FOLDER --out "
            f"{store.path} --features {path} --overwrite)"
        )
    if file.width != len(names):
        raise InputError(f"{path}: its {TAGS_COLUMN} have {file.width} numbers, not {len(names)}")
    hashes = store.column("content_hash").to_pylist()
    places = {song_id: row for row, song_id in enumerate(store.ids)}
    values = np.full((len(store), len(names)), np.nan, np.float32)
    for song_id, content, mean in zip(file.ids, file.hashes, file.means(), strict=True):
        row = places.get(song_id)
        if row is not None and hashes[row] == content:
            values[row] = mean
    return TagMeans(values, names)


def tags_beside(store: VectorStore) -> TagMeans | None:
    """Return the mean tags of all songs, or None if no usable file lies beside the store."""
    try:
        return tag_means(store)
    except AudiorecError:
        return None
