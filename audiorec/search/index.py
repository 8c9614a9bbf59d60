"""Search through a faiss index beside a store, for libraries of millions of songs.

    vecs.parquet ──`index_build`──▶ vecs.faiss + vecs.faiss.json ──find_index──▶ `Index`

faiss holds the prepared vectors, in one file or in pieces, each covering a range of songs. The
sidecar, a JSON file beside it, records the space, the extractor, the store's fingerprint, the
scaling, the kind, and the SHA-256 of the faiss files. These are read only if their checksums match,
and in worker processes, since a damaged file may crash its reader (`audiorec.search.index_files`).
The index only proposes candidates, which are compared again in float64 with the store's vectors:
similarities equal those of the exact search, and only songs can be missing. An index that crashes,
or whose vectors differ from the store's, is no longer used.

An index of another extractor is refused. One of another space, or older than its store, is ignored,
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
    index_path,
    open_in_processes,
    read_info,
    sha256_of,
    sidecar_path,
)
from audiorec.search.scaling import SOUND, By, Scaling, Weighting, units_reader, usual_space
from audiorec.search.topk import ROUNDING, SLACK, Found, TopK, exact_order
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, FloatArray, Int64Array

HNSW_EF = 64  # candidates kept during a search
# Inverted lists searched: sounds lie in more directions, so their neighbours in more lists.
PROBES: dict[By, int] = {"sound": 96, "vector": 32}
# If a smaller share of songs is allowed, an HNSW search finds too few, and all songs are compared.
LEAST_SHARE = 0.05
SAMPLE = 200  # songs looked up when an index is opened
GROUPS = 2  # row groups whose vectors are compared when an index is opened
SAME = 1e-3  # tolerance: a song's similarity to itself is at least 1 - SAME
LEAST_FOUND = 0.9  # share of the sampled songs that must find themselves
QUERIES = 256  # queries sent to the index's process at once


class Index:
    """An opened index that matches the current state of its store.

    It only proposes candidates, which are compared with the store's own vectors; an index whose
    vectors differ is no longer used. `failure` then says why; it is empty while the index is used.
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
        """Return the `k` most similar rows of each query, as `nearest` does.

        None if the index cannot fill the lists, so that all songs must be compared: too few songs
        are allowed, the search ended early, or the index turned out to be damaged.
        """
        if k < 1:
            raise InputError(f"k must be at least 1, got {k}")
        n_allowed = self.info.rows if allowed is None else int(np.count_nonzero(allowed))
        share = n_allowed / max(1, self.info.rows)
        if self.failure or (self.info.kind == "hnsw" and share < LEAST_SHARE):
            return None
        bits = None if allowed is None else np.packbits(allowed, bitorder="little")
        k = min(k, n_allowed)
        result = [(np.empty((0, k), np.int64), np.empty((0, k)))]
        try:
            for start in range(0, len(units), QUERIES):
                part = units[start : start + QUERIES]
                result.append(self._nearest(part, k, bits, share, ranks))
        except _TooFewError:
            return None
        except StoreError as error:
            self.failure = str(error)
            return None
        rows, similarities = zip(*result, strict=True)
        return np.concatenate(rows), np.concatenate(similarities)

    def check(self, rows: Int64Array) -> None:
        """Check that the store's vectors of some rows are in the index and can be found.

        Raises `StoreError` if the vectors differ or the index does not find them.
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
            raise StoreError(f"damaged: only {sum(hits)} of {len(hits)} songs find themselves")

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
                    raise StoreError("damaged: it returns duplicate or unknown songs")
                if self._units_of is not None:
                    self._check_vectors(self._units_of(rows), vectors)
                top.indices[line, : len(rows)] = rows
                top.similarities[line, : len(rows)] = values
            return top

        units_of = self._units_of or self._vectors
        return exact_order(propose, units_of, units, k, self.info.rows, ranks)

    def _vectors(self, rows: Int64Array) -> FloatArray:
        """Return the index's own vectors of some rows."""
        empty = np.empty((0, self.info.width), np.float32)
        return self._ask(Query(empty, rows=rows))[0][2]

    def _check_vectors(self, units: FloatArray, vectors: FloatArray) -> None:
        if not np.allclose(units, vectors, rtol=0, atol=ROUNDING):
            raise StoreError("damaged: its vectors differ from the store's")

    def _effort(self, share: float, fetch: int) -> dict[str, int]:
        """Return faiss search parameters: the smaller the allowed share, the wider the search."""
        if self.info.kind == "hnsw":
            return {"efSearch": min(self.info.rows, int(max(HNSW_EF, fetch) / share))}
        if self.info.kind == "ivf":
            return {"nprobe": int(PROBES[self.info.by] / share) + 1}
        return {}


class StoreUnits:
    """Units of a store's songs, read and cached per row group."""

    def __init__(self, store: VectorStore, by: By, scaling: Scaling) -> None:
        self._read, self._width = units_reader(store, by, scaling), len(scaling.columns)
        self._starts = np.asarray(store.group_starts)
        self._groups: dict[int, FloatArray] = {}

    def __call__(self, rows: Int64Array) -> FloatArray:
        """Return the units of some rows: shape (m, W)."""
        units = np.empty((len(rows), self._width), np.float32)
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        for group in np.unique(groups).tolist():
            here = groups == group
            units[here] = self._group(group)[rows[here] - self._starts[group]]
        return units

    def sample(self, n_groups: int, n_rows: int) -> Int64Array:
        """Return random rows from a few random row groups; unseeded, so not predictable."""
        rng = np.random.default_rng()
        last = len(self._starts) - 1
        groups = rng.choice(last, min(n_groups, last), replace=False)
        rows = np.concatenate([np.arange(*self._starts[g : g + 2]) for g in groups])
        return np.sort(rng.choice(rows, min(n_rows, len(rows)), replace=False))

    def _group(self, group: int) -> FloatArray:
        if group not in self._groups:
            self._groups[group] = self._read(np.arange(*self._starts[group : group + 2]))
        return self._groups[group]


class _TooFewError(Exception):
    """The index returned fewer songs than requested."""


def read_index(path: Path, info: IndexInfo, store: VectorStore | None = None) -> Index:
    """Open an index in worker processes, if its files match the sidecar.

    If a store is given, vectors of the index are compared with the store's. Raises `StoreError`
    if they differ, or if a file is missing, fails its checksum, or crashes its process.
    """
    if not has_faiss():
        raise MissingExtraError("an index", "faiss", "faiss cannot be imported")
    ask, close = open_in_processes(path, info)
    scaling = Scaling.from_dict(info.scaling)
    units_of = None if store is None else StoreUnits(store, info.by, scaling)
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


def find_index(
    store: VectorStore, by: By, weighting: Weighting | None = None
) -> tuple[Index | None, str]:
    """Return the up-to-date index beside a store, or None and a note that says why not.

    `weighting` is that of the vector, if songs are compared `by` it.

    Raises `SpecMismatchError` for an index of another extractor.
    """
    path = index_path(store.path)
    if not sidecar_path(path).exists() and not path.exists():
        return None, ""
    option = "" if by == usual_space(store) else f" --by {by}"
    again = f"all songs were compared instead; rebuild it: audiorec index{option}"
    try:
        info = read_info(path)
        if info.extractor_id != store.metadata.extractor_id:
            raise SpecMismatchError(
                f"{path}: built for extractor {info.extractor_id}, but {store.path} was made by "
                f"{store.metadata.extractor_id}: rebuild it (audiorec index) or remove it"
            )
        if stale := _stale(store, info, by, weighting):
            return None, f"{path}: {stale}; {again}"
        return read_index(path, info, store), ""
    except StoreError as error:
        return None, f"{error}; {again}"
    except MissingExtraError as error:
        return None, f"{path}: not used: {error}"


def check_index(store: VectorStore, path: Path, info: IndexInfo) -> str:
    """Return why an index cannot be used for a store, empty if it can; works without faiss."""
    if info.extractor_id != store.metadata.extractor_id:
        return f"built for another extractor than {store.path.name}"
    weighting = None if info.by == SOUND else Weighting.of_store(store.metadata)
    if stale := _stale(store, info, info.by, weighting):
        return stale
    try:
        same = all(sha256_of(path.with_name(p.file)) == p.sha256 for p in info.pieces)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if same else "its checksum does not match its sidecar"


def _stale(store: VectorStore, info: IndexInfo, by: By, weighting: Weighting | None) -> str:
    """Return why an index does not match a space of a store, empty if it does."""
    if info.by != by:
        return f"is of {info.by}, and songs are compared by {by}"
    if (info.rows, info.fingerprint) != (len(store), store.fingerprint_of(by)):
        return f"built for an earlier state of {store.path.name}"
    if weighting is None:
        return ""
    scaling = Scaling.from_dict(info.scaling)
    columns = np.flatnonzero(weighting.weights)
    same = np.array_equal(scaling.columns, columns)
    same = same and np.array_equal(scaling.weights, weighting.weights[columns])
    same = same and np.array_equal(scaling.log_odds, weighting.log_odds[columns])
    same = same and (scaling.mix is None) == (weighting.moment is None)
    return "" if same else "built with other weights than this audiorec uses"
