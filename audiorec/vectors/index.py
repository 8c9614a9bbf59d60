"""An index of faiss beside a store, for libraries of millions of songs.

    vecs.parquet ──build_index──▶ vecs.faiss + vecs.faiss.json ──find_index──▶ `Index`

faiss keeps the prepared vectors; the JSON beside it, the sidecar, says what they are: the
extractor, the store's fingerprint, the scaling, the kind, and the sha256 of faiss' file,
which is read only if it agrees. What an index finds is compared again in float64, so that
similarities are those of the exact search, and only songs can be missing.

An index of another extractor is refused. One that is older than its store is passed over,
with a note. Needs the extra ``faiss``.
"""

from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, MissingExtraError, SpecMismatchError, StoreError
from audiorec.files.atomic import replaced
from audiorec.types import FloatArray
from audiorec.vectors.scaling import Scaling, Weighting
from audiorec.vectors.sidecar import (
    KINDS,
    IndexInfo,
    Kind,
    index_path,
    read_info,
    sha256_of,
    sidecar_path,
    write_info,
)
from audiorec.vectors.similar import (
    ROUNDING,
    Found,
    default_weighting,
    nearest_units,
    ordered,
)

if TYPE_CHECKING:
    from audiorec.vectors.store import VectorStore

HNSW_LINKS = 16
HNSW_EF = 64  # candidates that a search keeps
LISTS_PER_ROOT = 4  # lists of an ivf index: this times the square root of the songs
SONGS_PER_LIST = 40  # at least, or the centres are noise
PROBES = 32  # lists that a search looks into
TRAINING_PER_LIST = 64  # songs that a list's centre is learnt from
# Below this part of allowed songs an hnsw index walks in vain, and all songs are compared.
LEAST_SHARE = 0.05
SLACK = 16  # songs more than asked for, to be put in order exactly
SAMPLE = 200  # songs whose neighbours tell the recall of a new index
RECALL_AT = 10


class Index:
    """An index that was read and belongs to its store as it is now.

    Use `VectorStore.space`, which finds it.
    """

    def __init__(self, info: IndexInfo, faiss_index: Any) -> None:
        self.info = info
        self.scaling = Scaling.from_dict(info.scaling)
        self._index = faiss_index
        self._faiss = _faiss()
        if info.kind == "ivf":
            faiss_index.make_direct_map()  # so that vectors come back by number

    def search(
        self,
        units: FloatArray,
        k: int,
        *,
        allowed: npt.NDArray[np.bool_] | None = None,
        ranks: npt.NDArray[np.int64] | None = None,
    ) -> list[Found] | None:
        """Return the `k` most similar rows of each query; as `nearest_units`.

        Returns
        -------
        found : list of (rows, similarities), or None
            None where the index cannot fill the list, and all songs have to be compared:
            few songs are allowed, or the walk ended early.

        Raises
        ------
        InputError
            If `k` is below 1.
        """
        if k < 1:
            raise InputError(f"k must be at least 1, got {k}")
        n_allowed = self.info.rows if allowed is None else int(np.count_nonzero(allowed))
        share = n_allowed / max(1, self.info.rows)
        if self.info.kind == "hnsw" and share < LEAST_SHARE:
            return None
        selector = None
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            selector = self._faiss.IDSelectorBitmap(bits)
        k = min(k, n_allowed)
        found = []
        for query in units:
            best = self._one(query, k, selector, share, ranks) if k else _nothing()
            if best is None:
                return None
            found.append(best)
        return found

    def _one(
        self,
        query: FloatArray,
        k: int,
        selector: Any,
        share: float,
        ranks: npt.NDArray[np.int64] | None,
    ) -> Found | None:
        fetch = k + SLACK
        while True:
            fetch = min(fetch, self.info.rows)
            parameters = self._parameters(selector, share, fetch)
            values, rows = self._index.search(query[None], fetch, params=parameters)
            values, rows = values[0][rows[0] >= 0], rows[0][rows[0] >= 0]
            if len(rows) < k:
                return None
            # Among equals at the end of the list the index has chosen by chance: ask for more.
            cut = len(rows) == fetch < self.info.rows and values[-1] >= values[k - 1] - ROUNDING
            if not cut:
                return ordered(self._index.reconstruct_batch(rows), rows, query, k, ranks)
            fetch *= 4

    def _parameters(self, selector: Any, share: float, fetch: int) -> Any:
        """Return what a search is told: the more songs are hidden, the further it looks."""
        given = {} if selector is None else {"sel": selector}
        if self.info.kind == "hnsw":
            ef = min(self.info.rows, int(max(HNSW_EF, fetch) / share))
            return self._faiss.SearchParametersHNSW(efSearch=ef, **given)
        if self.info.kind == "ivf":
            probes = min(self._index.nlist, int(PROBES / share) + 1)
            return self._faiss.SearchParametersIVF(nprobe=probes, **given)
        return self._faiss.SearchParameters(**given)


def build_index(store: "VectorStore", out: Path | None = None, *, kind: Kind = "ivf") -> IndexInfo:
    """Build an index of a store's vectors under the default weights.

    Parameters
    ----------
    store : VectorStore
    out : Path, optional
        Where faiss' file goes; `index_path` by default, the only place where it is looked
        for. The sidecar goes beside it.
    kind : {"flat", "hnsw", "ivf"}
        All songs compared (exact); a graph (quick to search, slow to build); lists of near
        songs (quick to build).

    Returns
    -------
    info : IndexInfo
        As written.

    Raises
    ------
    InputError
        If the store has no songs, or `kind` is unknown.
    MissingExtraError
        If faiss cannot be imported.
    """
    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if len(store) == 0:
        raise InputError(f"{store.path}: no songs to index")
    out = index_path(store.path) if out is None else out
    similarity = store.space("vector", use_index=False).similarity
    faiss = _faiss()
    index, parameters = _made(faiss, similarity.units, kind)
    with replaced(out) as temporary:
        faiss.write_index(index, str(temporary))
        digest = sha256_of(temporary)
    info = IndexInfo(
        kind=kind,
        extractor_id=store.metadata.extractor_id,
        fingerprint=store.fingerprint,
        rows=len(store),
        width=similarity.units.shape[1],
        scaling=similarity.scaling.to_dict(),
        sha256=digest,
        recall_at_10=None,
        parameters=parameters,
        created_by=f"audiorec {version('audiorec')}",
        faiss=faiss.__version__,
    )
    recall = _recall(Index(info, index), similarity.units)
    info = replace(info, recall_at_10=recall)
    write_info(out, info)
    return info


def read_index(path: Path, info: IndexInfo) -> Index:
    """Read faiss' file, if it is the one that the sidecar means.

    Raises
    ------
    StoreError
        If it is missing or has another content.
    MissingExtraError
        If faiss cannot be imported.
    """
    faiss = _faiss()
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    if digest != info.sha256:
        raise StoreError(f"{path}: not the file that its sidecar describes")
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise StoreError(f"{path}: faiss cannot read it: {_first_line(error)}") from error
    if (index.ntotal, index.d) != (info.rows, info.width):
        raise StoreError(f"{path}: holds {index.ntotal} x {index.d} numbers, not as described")
    return Index(info, index)


def find_index(store: "VectorStore", weighting: Weighting) -> tuple[Index | None, str]:
    """Return the index beside a store, if there is a fresh one, and what to say if not.

    Raises
    ------
    SpecMismatchError
        If the index belongs to another extractor.
    """
    path = index_path(store.path)
    if not sidecar_path(path).exists() and not path.exists():
        return None, ""
    again = "all songs were compared instead; build it again: audiorec index build"
    try:
        info = read_info(path)
        if info.extractor_id != store.metadata.extractor_id:
            raise SpecMismatchError(
                f"{path} is an index of extractor {info.extractor_id}, {store.path} was made by "
                f"{store.metadata.extractor_id}: build it again (audiorec index build) or remove it"
            )
        if stale := _stale(store, info, weighting):
            return None, f"{path}: {stale}; {again}"
        return read_index(path, info), ""
    except StoreError as error:
        return None, f"{error}; {again}"
    except MissingExtraError as error:
        return None, f"{path} is not used: {error}"


def check_index(store: "VectorStore", path: Path, info: IndexInfo) -> str:
    """Return why an index cannot be used for a store, empty if it can; faiss is not needed."""
    if info.extractor_id != store.metadata.extractor_id:
        return f"of another extractor than {store.path.name}"
    if stale := _stale(store, info, default_weighting(store.metadata)):
        return stale
    try:
        same = sha256_of(path) == info.sha256
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if same else "not the file that its sidecar describes"


def _stale(store: "VectorStore", info: IndexInfo, weighting: Weighting) -> str:
    """Return why an index is not of the store as it is, empty if it is."""
    if (info.rows, info.fingerprint) != (len(store), store.fingerprint):
        return f"the index is of another state of {store.path.name}"
    scaling = Scaling.from_dict(info.scaling)
    columns = np.flatnonzero(weighting.weights)
    same = np.array_equal(scaling.columns, columns)
    same = same and np.array_equal(scaling.weights, weighting.weights[columns])
    same = same and np.array_equal(scaling.log_odds, weighting.log_odds[columns])
    return "" if same else "the index has other weights than this audiorec"


def _made(faiss: Any, units: FloatArray, kind: Kind) -> tuple[Any, dict[str, int]]:
    """Return an index of faiss over the units, and its parameters."""
    n, width = units.shape
    if kind == "flat":
        index, parameters = faiss.IndexFlatIP(width), {}
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(width, HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        parameters = {"links": HNSW_LINKS, "ef": HNSW_EF}
    else:
        lists = max(1, min(int(LISTS_PER_ROOT * n**0.5), n // SONGS_PER_LIST))
        coarse = faiss.IndexFlatIP(width)
        index = faiss.IndexIVFFlat(coarse, width, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.max_points_per_centroid = TRAINING_PER_LIST
        index.cp.min_points_per_centroid = 1
        index.train(units)
        parameters = {"lists": lists, "probes": PROBES}
    index.add(units)
    return index, parameters


def _recall(index: Index, units: FloatArray) -> float:
    """Return the part of the nearest songs that the index finds, over a sample."""
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(units), min(SAMPLE, len(units)), replace=False)
    queries, k = units[chosen], min(RECALL_AT, len(units))
    hits = 0
    for query, (_, best) in zip(queries, nearest_units(units, queries, k), strict=True):
        found = index.search(query[None], k)
        # By similarity, not by number: of equal songs either is right. Where the index gives
        # up, all songs are compared.
        hits += k if found is None else int(np.count_nonzero(found[0][1] >= best[-1] - ROUNDING))
    return hits / (k * len(chosen))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _nothing() -> Found:
    return np.empty(0, np.int64), np.empty(0)


def _faiss() -> Any:
    """Import faiss, or say which extra brings it."""
    try:
        return import_module("faiss")
    except (ImportError, OSError) as error:
        raise MissingExtraError("an index", "faiss", str(error)) from error
