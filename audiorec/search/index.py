"""An index of faiss beside a store, for libraries of millions of songs.

    vecs.parquet ──`index_build`──▶ vecs.faiss + vecs.faiss.json ──find_index──▶ `Index`

faiss keeps the prepared vectors, in one file or in pieces of a range of songs each; the JSON
beside it, the sidecar, says what they are: the extractor, the store's fingerprint, the scaling,
the kind, and the sha256 of faiss' files, which are read only if they agree, and in processes of
their own, which may die (`audiorec.search.index_files`). What an index finds is compared again
in float64, by the vectors of the store: similarities are those of the exact search, and only
songs can be missing. An index that dies, or holds other vectors than the store, is given up.

An index of another extractor is refused. One that is older than its store is passed over,
with a note. Needs the extra ``faiss``.
"""

import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, MissingExtraError, SpecMismatchError, StoreError
from audiorec.search.index_files import (
    Candidates,
    IndexInfo,
    Query,
    has_faiss,
    in_own_processes,
    index_path,
    read_info,
    sha256_of,
    sidecar_path,
)
from audiorec.search.scaling import Scaling, Weighting
from audiorec.search.topk import ROUNDING, SLACK, Found, TopK, settled
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, FloatArray, Int64Array

HNSW_EF = 64  # candidates that a search keeps
PROBES = 32  # lists that a search looks into
# Below this part of allowed songs an hnsw index walks in vain, and all songs are compared.
LEAST_SHARE = 0.05
SAMPLE = 200  # songs that are looked for when an index is opened
GROUPS = 2  # row groups whose vectors are compared when an index is opened
SAME = 1e-3  # a song's similarity to itself is 1, less this
LEAST_FOUND = 0.9  # part of some songs that an index must find by themselves
QUERIES = 256  # that go to the index's process at once


class Index:
    """An index that belongs to its store as it is now.

    It only proposes songs: what it found is compared by the vectors of the store, and an index
    whose vectors are others is given up. `failure` says why it is used no longer, and is empty
    while it is.
    """

    def __init__(
        self,
        info: IndexInfo,
        ask: Callable[[Query], list[Candidates]],
        units_of: Callable[[Int64Array], FloatArray] | None = None,
    ) -> None:
        self.info = info
        self.scaling = Scaling.from_dict(info.scaling)
        self.failure = ""
        self._ask = ask
        self._units_of = units_of

    def search(
        self,
        units: FloatArray,
        k: int,
        *,
        allowed: BoolArray | None = None,
        ranks: Int64Array | None = None,
    ) -> Found | None:
        """Return the `k` most similar rows of each query, as `nearest`.

        None where the index cannot fill the list, and all songs have to be compared: few songs are
        allowed, the walk ended early, or the index turned out to be damaged.
        """
        if k < 1:
            raise InputError(f"k must be at least 1, got {k}")
        n_allowed = self.info.rows if allowed is None else int(np.count_nonzero(allowed))
        share = n_allowed / max(1, self.info.rows)
        if self.failure or (self.info.kind == "hnsw" and share < LEAST_SHARE):
            return None
        bits = None if allowed is None else np.packbits(allowed, bitorder="little")
        k = min(k, n_allowed)
        found = [(np.empty((0, k), np.int64), np.empty((0, k)))]
        try:
            for start in range(0, len(units), QUERIES):
                part = units[start : start + QUERIES]
                found.append(self._nearest(part, k, bits, share, ranks))
        except _TooFewError:
            return None
        except StoreError as error:
            self.failure = str(error)
            return None
        rows, similarities = zip(*found, strict=True)
        return np.concatenate(rows), np.concatenate(similarities)

    def check(self, rows: Int64Array) -> None:
        """Compare some of its vectors with those of the store, and look for them.

        A `StoreError` if they are others, or the index does not find them.
        """
        if self._units_of is None or len(rows) == 0:
            return
        units = self._units_of(rows)
        self._check_vectors(units, self._vectors(rows))
        some = np.flatnonzero((units != 0).any(axis=1))
        asked = Query(units[some], min(1 + SLACK, self.info.rows), None, self._effort(1.0, 1))
        hits = [
            len(values) > 0 and values.max() >= 1 - SAME
            for _, values, _ in (self._ask(asked) if len(some) else [])
        ]
        if sum(hits) < LEAST_FOUND * len(hits):
            raise StoreError(f"damaged: it finds {sum(hits)} of {len(hits)} songs by themselves")

    def _nearest(
        self,
        units: FloatArray,
        k: int,
        bits: npt.NDArray[np.uint8] | None,
        share: float,
        ranks: Int64Array | None,
    ) -> Found:
        def propose(places: Int64Array, fetch: int) -> TopK:
            query = Query(units[places], fetch, bits, self._effort(share, fetch))
            top = TopK(
                np.full((len(places), fetch), -1), np.full((len(places), fetch), np.nan, np.float32)
            )
            for line, (rows, values, vectors) in enumerate(self._ask(query)):
                if len(rows) < k:
                    raise _TooFewError
                inside = (rows >= 0) & (rows < self.info.rows)
                if len(np.unique(rows)) < len(rows) or not inside.all():
                    raise StoreError("damaged: it finds songs twice, or songs that there are not")
                if self._units_of is not None:
                    self._check_vectors(self._units_of(rows), vectors)
                top.indices[line, : len(rows)] = rows
                top.similarities[line, : len(rows)] = values
            return top

        units_of = self._units_of or self._vectors
        return settled(propose, units_of, units, k, self.info.rows, ranks)

    def _vectors(self, rows: Int64Array) -> FloatArray:
        """Return its own vectors of some rows."""
        empty = np.empty((0, self.info.width), np.float32)
        return self._ask(Query(empty, rows=rows))[0][2]

    def _check_vectors(self, units: FloatArray, vectors: FloatArray) -> None:
        if not np.allclose(units, vectors, rtol=0, atol=ROUNDING):
            raise StoreError("damaged: its vectors are not those of the store")

    def _effort(self, share: float, fetch: int) -> dict[str, int]:
        """Return what a search is told: the more songs are hidden, the further it looks."""
        if self.info.kind == "hnsw":
            return {"efSearch": min(self.info.rows, int(max(HNSW_EF, fetch) / share))}
        return {"nprobe": int(PROBES / share) + 1} if self.info.kind == "ivf" else {}


class StoreUnits:
    """The units of a store's songs; a row group's are kept from when one of them is asked for."""

    def __init__(self, store: VectorStore, scaling: Scaling) -> None:
        self._store, self._scaling = store, scaling
        self._starts = np.asarray(store.group_starts)
        self._groups: dict[int, FloatArray] = {}

    def __call__(self, rows: Int64Array) -> FloatArray:
        """Return the units of some rows, shape (m, W)."""
        units = np.empty((len(rows), len(self._scaling.columns)), np.float32)
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        for group in np.unique(groups).tolist():
            here = groups == group
            units[here] = self._group(group)[rows[here] - self._starts[group]]
        return units

    def sample(self, n_groups: int, n_rows: int) -> Int64Array:
        """Return some rows of a few row groups, which no one can know beforehand."""
        rng = np.random.default_rng()
        last = len(self._starts) - 1
        groups = rng.choice(last, min(n_groups, last), replace=False)
        rows = np.concatenate([np.arange(*self._starts[g : g + 2]) for g in groups])
        return np.sort(rng.choice(rows, min(n_rows, len(rows)), replace=False))

    def _group(self, group: int) -> FloatArray:
        if group not in self._groups:
            rows = np.arange(*self._starts[group : group + 2])
            vectors = self._store.read_rows(rows)
            self._groups[group] = self._scaling.prepare_all([vectors], len(rows))
        return self._groups[group]


class _TooFewError(Exception):
    """The index found fewer songs than were asked for."""


def read_index(path: Path, info: IndexInfo, store: VectorStore | None = None) -> Index:
    """Open an index in processes of its own, if it is the one that the sidecar means.

    With a store its vectors are compared with those of the store. A `StoreError` if they are
    others, or the file is missing, has another content, or ends the process that reads it.
    """
    if not has_faiss():
        raise MissingExtraError("an index", "faiss", "faiss cannot be imported")
    ask, close = in_own_processes(path, info)
    units_of = None if store is None else StoreUnits(store, Scaling.from_dict(info.scaling))
    index = Index(info, ask, units_of)
    weakref.finalize(index, close)
    try:
        if units_of is None:
            ask(Query(np.empty((0, info.width), np.float32)))
        else:
            index.check(units_of.sample(GROUPS, SAMPLE))
    except StoreError as error:
        close()
        raise type(error)(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
    return index


def find_index(store: VectorStore, weighting: Weighting) -> tuple[Index | None, str]:
    """Return the index beside a store, if there is a fresh one, and what to say if not.

    One of another extractor is a `SpecMismatchError`.
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
        return read_index(path, info, store), ""
    except StoreError as error:
        return None, f"{error}; {again}"
    except MissingExtraError as error:
        return None, f"{path} is not used: {error}"


def check_index(store: VectorStore, path: Path, info: IndexInfo) -> str:
    """Return why an index cannot be used for a store, empty if it can; faiss is not needed."""
    if info.extractor_id != store.metadata.extractor_id:
        return f"of another extractor than {store.path.name}"
    if stale := _stale(store, info, Weighting.of_store(store.metadata)):
        return stale
    try:
        same = all(sha256_of(path.with_name(p.file)) == p.sha256 for p in info.pieces)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if same else "not the file that its sidecar describes"


def _stale(store: VectorStore, info: IndexInfo, weighting: Weighting) -> str:
    """Return why an index is not of the store as it is, empty if it is."""
    if (info.rows, info.fingerprint) != (len(store), store.fingerprint):
        return f"the index is of another state of {store.path.name}"
    scaling = Scaling.from_dict(info.scaling)
    columns = np.flatnonzero(weighting.weights)
    same = np.array_equal(scaling.columns, columns)
    same = same and np.array_equal(scaling.weights, weighting.weights[columns])
    same = same and np.array_equal(scaling.log_odds, weighting.log_odds[columns])
    same = same and (scaling.mix is None) == (weighting.moment is None)
    return "" if same else "the index has other weights than this audiorec"
