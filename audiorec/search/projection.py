"""Many dimensions to two, for a map.

    units (n, W)  ──project──▶  (n, 2)

=========  ===================================  =======================================
pca        the two directions of most variance  always at hand, quick, the same every time
tsne       neighbours stay neighbours           scikit-learn, which the extra plot brings
umap       neighbours stay, groups part         umap-learn, extra map
=========  ===================================  =======================================
"""

import importlib
import warnings
from typing import Any, Literal, get_args

import numpy as np

from audiorec.errors import InputError, MissingExtraError
from audiorec.types import FloatArray

Projection = Literal["pca", "tsne", "umap"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)
PERPLEXITY = 30.0  # of t-SNE: about how many neighbours a song has
UMAP_NEIGHBOURS = 15
MIN_POINTS = 5  # fewer have no neighbourhoods: the two of them are then placed by PCA
BLOCK_ROWS = 16_384
_LIBRARIES = {"tsne": ("sklearn.manifold", "plot"), "umap": ("umap", "map")}


def project(units: FloatArray, kind: Projection = "pca", *, seed: int = 0) -> FloatArray:
    """Place points on a plane.

    Parameters
    ----------
    units : ndarray, shape (n, W), float32
        Finite.
    kind : {"pca", "tsne", "umap"}
        Fewer than five points are placed by PCA in any case.
    seed : int
        For t-SNE and UMAP; PCA has no chance in it.

    Returns
    -------
    places : ndarray, shape (n, 2), float32
        Around 0. PCA's first axis has the most variance, and each axis points to where the
        column that counts most for it grows, so that it does not flip.

    Raises
    ------
    MissingExtraError
        If the library of `kind` is not installed.
    InputError
        If there is no such `kind`.

    Examples
    --------
    >>> points = np.array([[0, 0, 3], [0, 0, -1], [0, 1, -1], [0, -1, -1]], np.float32)
    >>> project(points)[:, 0].round(1)
    array([ 3., -1., -1., -1.], dtype=float32)
    """
    if kind not in PROJECTIONS:
        raise InputError(f"no projection {kind!r}, there are: {', '.join(PROJECTIONS)}")
    if kind == "pca":
        return _pca(units)
    module, extra = _LIBRARIES[kind]
    feature = f"the projection {kind}"
    library: Any = _library(module, feature, extra)
    if len(units) < MIN_POINTS:
        return _pca(units)
    if kind == "tsne":
        perplexity = min(PERPLEXITY, (len(units) - 1) / 3)
        model = library.TSNE(n_components=2, init="pca", perplexity=perplexity, random_state=seed)
    else:
        neighbours = min(UMAP_NEIGHBOURS, len(units) - 1)
        model = library.UMAP(n_components=2, n_neighbors=neighbours, random_state=seed)
    # One thread: sums in another order would move the map with the number of processors.
    with warnings.catch_warnings(), _library("threadpoolctl", feature, extra).threadpool_limits(1):
        warnings.simplefilter("ignore")  # both warn of what they chose by themselves
        places = model.fit_transform(units)
    return np.asarray(places - places.mean(axis=0), np.float32)


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


def _library(name: str, feature: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise MissingExtraError(feature, extra, str(error).splitlines()[0]) from error
