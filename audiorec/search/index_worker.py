"""What holds an index of faiss and searches it; in a process of its own, where it was read.

    path, sha256  ──handler──▶  Query ──▶ rows, similarities, vectors

faiss believes what it reads: a damaged file may end the process that loads it, or the one that
searches it much later. So an index that comes from a file lives in a disposable process
(`audiorec.runs.workers`), and `audiorec.search.index` asks it; only one that was built a moment
ago is searched where it was built.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import MissingExtraError, MissingStoreError, StoreError
from audiorec.runs.workers import Limits, Workers
from audiorec.search.sidecar import IndexInfo, sha256_of
from audiorec.types import FloatArray, Int64Array

TIMEOUT_S = 600.0
LEAST_MEMORY = 4 << 30  # bytes of address space, beside four times the file
Candidates = tuple[Int64Array, FloatArray, FloatArray]


@dataclass(frozen=True, slots=True)
class Query:
    """What an index is asked.

    Attributes
    ----------
    units : ndarray, shape (Q, W), float32
        Songs whose neighbours are wanted; none where `rows` are asked for.
    fetch : int
        How many of each.
    allowed : ndarray, shape (ceil(n / 8),), uint8, optional
        Rows that may be found, a bit each.
    effort : mapping of str to int
        faiss' own parameters: ``efSearch`` or ``nprobe``.
    rows : ndarray, shape (m,), int64, optional
        Songs whose vectors are wanted instead.
    """

    units: FloatArray
    fetch: int = 0
    allowed: npt.NDArray[np.uint8] | None = None
    effort: Mapping[str, int] = field(default_factory=dict)
    rows: Int64Array | None = None


class Searcher:
    """An index of faiss in this process."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._faiss = import_faiss()
        self._is_ivf = hasattr(index, "nprobe")
        if self._is_ivf:
            index.make_direct_map()  # so that vectors come back by number

    def __call__(self, query: Query) -> list[Candidates]:
        """Return rows, similarities and vectors for each query; one answer where rows are asked."""
        if query.rows is not None:
            vectors = self._index.reconstruct_batch(query.rows)
            return [(query.rows, np.zeros(len(query.rows), np.float32), vectors)]
        selector = None
        if query.allowed is not None:
            selector = self._faiss.IDSelectorBitmap(query.allowed)
        found = []
        for unit in query.units:
            parameters = self._parameters(selector, query.effort)
            values, rows = self._index.search(unit[None], query.fetch, params=parameters)
            values, rows = values[0][rows[0] >= 0], rows[0][rows[0] >= 0]
            found.append((rows, values, self._index.reconstruct_batch(rows)))
        return found

    def _parameters(self, selector: Any, effort: Mapping[str, int]) -> Any:
        given = dict(effort) if selector is None else {"sel": selector, **effort}
        if "efSearch" in effort:
            return self._faiss.SearchParametersHNSW(**given)
        if "nprobe" in effort:
            given["nprobe"] = min(self._index.nlist, given["nprobe"])
            return self._faiss.SearchParametersIVF(**given)
        return self._faiss.SearchParameters(**given)


def in_own_process(
    path: Path, info: IndexInfo
) -> tuple[Callable[[Query], list[Candidates]], Callable[[], None]]:
    """Return what asks an index that is read in a process of its own, and what ends that.

    The first raises a `StoreError` where the file is not the one that `info` describes, or
    the process dies over it or over the question.
    """
    size = path.stat().st_size if path.exists() else 0
    workers = Workers(
        "audiorec.search.index_worker:handler",
        (str(path.absolute()), info.sha256, (info.rows, info.width), info.kind),
        limits=Limits(timeout_s=TIMEOUT_S, memory_bytes=LEAST_MEMORY + 4 * size),
    )

    def ask(query: Query) -> list[Candidates]:
        (answer,) = workers.map_unordered([query])
        if answer.error is not None:
            raise answer.error
        if answer.failure is not None:
            raise StoreError(f"damaged: {answer.message}")
        found: list[Candidates] = answer.value
        return found

    return ask, workers.close


def handler(path: str, sha256: str, shape: tuple[int, int], kind: str) -> Callable[[Query], Any]:
    """Return what answers queries in a process of its own; faiss' file is read at the first.

    Parameters
    ----------
    path, sha256 : str
        The file, and what it must be.
    shape : (int, int)
        Songs, and numbers of each.
    kind : {"flat", "hnsw", "ivf"}
    """
    kept: list[Searcher] = []

    def answer(query: Query) -> list[Candidates]:
        if not kept:
            kept.append(Searcher(_read(Path(path), sha256, shape, kind)))
        return kept[0](query)

    return answer


def import_faiss() -> Any:
    """Import faiss, or say which extra brings it."""
    try:
        return import_module("faiss")
    except (ImportError, OSError) as error:
        raise MissingExtraError("an index", "faiss", str(error)) from error


def has_faiss() -> bool:
    """Whether there is a faiss to import; it is not imported here."""
    try:
        return find_spec("faiss") is not None
    except (ImportError, ValueError):
        return False


def _read(path: Path, sha256: str, shape: tuple[int, int], kind: str) -> Any:
    """Read faiss' file, if it is the one that the sidecar means."""
    faiss = import_faiss()
    try:
        digest = sha256_of(path)
    except FileNotFoundError as error:
        raise MissingStoreError(f"{path}: no such file") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    if digest != sha256:
        raise StoreError(f"{path}: not the file that its sidecar describes")
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StoreError(f"{path}: faiss cannot read it: {reason}") from error
    if (index.ntotal, index.d) != shape:
        raise StoreError(f"{path}: holds {index.ntotal} x {index.d} numbers, not as described")
    made = {"flat": "IndexFlat", "hnsw": "IndexHNSWFlat", "ivf": "IndexIVFFlat"}[kind]
    if not isinstance(index, getattr(faiss, made)) or index.metric_type != 0:
        raise StoreError(f"{path}: holds another kind of index than {kind}")
    return index
