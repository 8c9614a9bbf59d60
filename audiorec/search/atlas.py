"""Project a store onto a two-dimensional map, as a table that ``embedding-atlas`` opens.

    store  ──atlas_table──▶  x, y, title, artist, genre, version, audio, ...
    units (n, W)  ──project──▶  (n, 2)

    embedding-atlas atlas.parquet --x x --y y --text title

Songs are projected from the space that `similar` searches, so neighbours on the map sound alike as
far as two dimensions allow.
"""

import warnings
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, StoreError, import_extra
from audiorec.files.arrow import integers, string_array
from audiorec.files.tables import write_plain
from audiorec.search.filters import GENRE, VERSION, mean_scores
from audiorec.search.music import stated_versions
from audiorec.search.space import choose_space, open_space
from audiorec.search.stored_labels import stated_genres
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray, Int64Array

TAGS = ("artist", "album")
MapKind = Literal["pca", "tsne", "umap"]
PROJECTIONS: tuple[MapKind, ...] = get_args(MapKind)
PERPLEXITY = 30.0  # t-SNE's effective number of neighbours per song
UMAP_NEIGHBOURS = 15
MIN_POINTS = 5  # with fewer, t-SNE and UMAP fall back to PCA
BLOCK_ROWS = 16_384
_LIBRARIES = {"tsne": ("sklearn.manifold", "sklearn"), "umap": ("umap", "map")}


def atlas_table(store: VectorStore, *, projection: MapKind = "pca", seed: int = 0) -> Any:
    """Return the map of a store, one row per song in store order.

    Songs are compared by sound, or by the vector in a store without; a song without a sound is left
    out where others have one. Columns: ``song_id``, ``x``, ``y``, ``title`` (the file name where
    the tag is missing), ``artist``, ``album``, one for each head, ``duration_s``, ``audio`` (path
    of the file).

    Raises `StoreError` for an empty store, `InputError` for a head named like another column.
    """
    if not len(store):
        raise StoreError(f"{store.path}: has no songs to place on a map")
    space = open_space(store, choose_space(store))
    places = project(space.matrix, projection, seed=seed)
    named = zip(*(store.column(name).to_pylist() for name in ("title", "uri")), strict=True)
    columns: dict[str, Any] = {
        StoreColumns.ID: store.column(StoreColumns.ID),
        "title": string_array([title or uri.rpartition("/")[2] for title, uri in named]),
    }
    columns |= {name: store.column(name) for name in TAGS}
    for head, labels in _labels(store).items():
        if head in columns or head in ("x", "y", "duration_s", "audio"):
            raise InputError(f"head {head!r} has the name of another column of the map")
        columns[head] = labels
    columns |= {"duration_s": store.column("duration_s"), "audio": store.column("uri")}
    table = pa.table(columns).take(integers(space.rows))
    for index, name in enumerate("xy"):
        values = pa.array(np.ascontiguousarray(places[:, index]))
        table = table.add_column(1 + index, name, values)
    return table


def write_atlas(
    store: VectorStore, out: Path, *, projection: MapKind = "pca", seed: int = 0
) -> int:
    """Write the map of a store to a Parquet file, atomically; return its number of rows.

    Raises
    ------
    InputError
        If `out` is the store itself or cannot be a file; else as for `atlas_table`.
    """
    if out.resolve() == store.path.resolve():
        raise InputError(f"{out}: is the store itself; write the map to another file")
    if out.is_dir() or not out.parent.is_dir():
        raise InputError(f"{out}: cannot be written: it is a folder, or its folder does not exist")
    table = atlas_table(store, projection=projection, seed=seed)
    write_plain(out, table.replace_schema_metadata(None))
    return len(table)


def project(units: FloatArray, kind: MapKind = "pca", *, seed: int = 0) -> FloatArray:
    """Project units (n, W) onto a plane: shape (n, 2), float32, centred at 0.

    PCA's first axis has the most variance. Each axis is oriented so that its largest loading is
    positive, which keeps it from flipping between runs. `seed` is used by t-SNE and UMAP. Fewer
    than five points are always placed by PCA. Raises `MissingExtraError` for a missing library.

    =========  ====================================  =========================================
    pca        the two directions of most variance   no extra, fast, deterministic
    tsne       keeps neighbours together             scikit-learn, extra sklearn
    umap       keeps neighbours, separates groups    umap-learn, extra map
    =========  ====================================  =========================================
    """
    if kind not in PROJECTIONS:
        raise InputError(f"unknown projection {kind!r}; there are: {', '.join(PROJECTIONS)}")
    if kind == "pca":
        return _pca(units)
    module, extra = _LIBRARIES[kind]
    feature = f"the projection {kind}"
    library: Any = import_extra(module, feature, extra)
    if len(units) < MIN_POINTS:
        return _pca(units)
    if kind == "tsne":
        perplexity = min(PERPLEXITY, (len(units) - 1) / 3)
        model = library.TSNE(n_components=2, init="pca", perplexity=perplexity, random_state=seed)
    else:
        neighbours = min(UMAP_NEIGHBOURS, len(units) - 1)
        model = library.UMAP(n_components=2, n_neighbors=neighbours, random_state=seed)
    # One thread: the order of float sums, and so the map, would depend on the number of cores.
    with (
        warnings.catch_warnings(),
        import_extra("threadpoolctl", feature, extra).threadpool_limits(1),
    ):
        warnings.simplefilter("ignore")  # both warn about defaults that they picked
        places = model.fit_transform(units)
    return np.asarray(places - places.mean(axis=0), np.float32)


def top_classes(store: VectorStore) -> dict[str, tuple[tuple[str, ...], Int64Array]]:
    """Return each head's classes, and the number of every song's top class: (n,), int64.

    The top class has the highest mean score, unless the owner says another; the genre is the one
    that is stated, or the likeliest of the whole song (`audiorec.search.stored_labels`), and -1 of
    a song that is none of the classes. Without mean statistics the result is empty.
    """
    metadata = store.metadata
    if "mean" not in metadata.statistics:
        return {}
    means = mean_scores(store)
    heads: dict[str, list[int]] = {}
    for number, name in enumerate(metadata.classes):
        heads.setdefault(name.partition("/")[0], []).append(number)
    result = {}
    for head, numbers in heads.items():
        names = tuple(metadata.classes[n].partition("/")[2] for n in numbers)
        best = means[:, numbers].argmax(axis=1)
        if head == GENRE:
            best = stated_genres(store).likeliest(best, names)
        if head == VERSION:
            best = stated_versions(store)
        result[head] = names, best
    return result


def _labels(store: VectorStore) -> dict[str, Any]:
    """Return, per head, the name of every song's top class; the genre or style that is stated."""
    result = {}
    for head, (names, numbers) in top_classes(store).items():
        words = [names[best] if best >= 0 else None for best in numbers]
        if head == GENRE:
            stated = stated_genres(store)
            every = zip(map(stated.of, range(len(store))), words, strict=True)
            words = [one.words if one.is_clear else word for one, word in every]
        result[head] = pa.array(words, pa.string())
    return result


def _pca(units: FloatArray) -> FloatArray:
    n, width = units.shape
    if n == 0 or width == 0:
        return np.zeros((n, 2), np.float32)
    mean = units.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((width, width))
    for start in range(0, n, BLOCK_ROWS):
        centred = units[start : start + BLOCK_ROWS] - mean
        covariance += centred.T @ centred
    _, vectors = np.linalg.eigh(covariance)
    axes = np.zeros((width, 2))
    axes[:, : min(2, width)] = vectors[:, ::-1][:, :2]
    largest = axes[np.abs(axes).argmax(axis=0), range(2)]
    axes *= np.where(largest < 0, -1.0, 1.0)
    places = np.empty((n, 2), np.float32)
    for start in range(0, n, BLOCK_ROWS):
        places[start : start + BLOCK_ROWS] = (units[start : start + BLOCK_ROWS] - mean) @ axes
    return places
