"""Files of an index: the faiss files, the sidecar that describes them, and their readers.

    vecs.faiss                      the faiss index, unusable without the sidecar
    vecs.faiss-00000-5f0e... ...    or pieces, each covering a range of songs
    vecs.faiss.json                 the sidecar: the extractor, the store's fingerprint, the
                                    scaling, the sha256 of the faiss files, and its own digest

    path, `IndexInfo`  ──open_in_processes──▶  Query ──▶ rows, similarities, vectors

faiss does not validate its input: a damaged file may crash the process that loads it, or one that
searches it much later. So each piece of an index is loaded in a disposable worker process
(`audiorec.runs.workers`), and `audiorec.search.index` queries them in parallel.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audiorec.errors import MissingStoreError, StoreError, import_extra
from audiorec.files.own_files import open_own, read_object, sealed, write_own
from audiorec.runs.workers import Limits, Workers
from audiorec.search.scaling import INDEXED, By, Scaling
from audiorec.types import FloatArray, Int64Array

TIMEOUT_S = 600.0
LEAST_MEMORY = 4 << 30  # bytes of address space, in addition to four times the file
SCHEMA = "audiorec/index/1"  # an index in one piece
SCHEMA_OF_PIECES = "audiorec/index/2"
SCHEMA_OF_SOUND = "audiorec/index/3"  # of sound, in pieces; the others are of the vector
ALIGNED = 8  # pieces start at a multiple, so that each has whole bytes of the allowed-bitmap
SUFFIX = ".faiss"
IndexKind = Literal["flat", "hnsw", "ivf"]
KINDS: tuple[IndexKind, ...] = ("flat", "hnsw", "ivf")
Candidates = tuple[Int64Array, FloatArray, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPiece:
    """One faiss file: its name, its first row in the store, its number of rows, and its sha256."""

    file: str
    first: int
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexInfo:
    """Content of the sidecar: the kind of index, and the store it was built from.

    Attributes
    ----------
    kind : {"flat", "hnsw", "ivf"}
    by : {"sound", "vector"}
        What songs are compared by.
    extractor_id, fingerprint : str
        Of the store at build time; the fingerprint is that of the compared column.
    rows, width : int
        Number of songs, and of columns per song.
    scaling : mapping
        See `Scaling.to_dict`.
    pieces : tuple of IndexPiece
        In the order of their songs.
    recall_at_10 : float or None
        Share of the ten nearest songs that the index finds, measured at build time.
    parameters : mapping of str to int
    created_by, faiss : str
        Versions.
    """

    kind: IndexKind
    extractor_id: str
    fingerprint: str
    rows: int
    width: int
    scaling: Mapping[str, Any] = field(repr=False)
    pieces: tuple[IndexPiece, ...] = field(repr=False)
    recall_at_10: float | None
    parameters: Mapping[str, int]
    created_by: str = ""
    faiss: str = ""
    by: By = "vector"

    @property
    def exact(self) -> bool:
        """Whether a search never misses a near song."""
        return self.kind == "flat"


def index_path(store_path: Path) -> Path:
    """Return the path of a store's index, beside it: ``vecs.parquet`` → ``vecs.faiss``."""
    return store_path.with_suffix(SUFFIX)


def sidecar_path(path: Path) -> Path:
    """Return the path of an index's sidecar: ``vecs.faiss`` → ``vecs.faiss.json``."""
    return path.with_name(f"{path.name}.json")


def write_info(path: Path, info: IndexInfo) -> None:
    """Write the sidecar of the index at `path`, atomically."""
    fields = asdict(info)
    schema = SCHEMA_OF_SOUND
    if info.by == "vector":  # as versions that know no other space write and read it
        fields.pop("by")
        schema = SCHEMA_OF_PIECES
        if len(info.pieces) == 1:
            fields["sha256"] = fields.pop("pieces")[0]["sha256"]
            schema = SCHEMA
    content = sealed({"schema": schema, **fields})
    write_own(sidecar_path(path), json.dumps(content, allow_nan=False))


def read_info(path: Path) -> IndexInfo:
    """Read the sidecar of an index.

    Raises
    ------
    StoreError
        If it is missing, damaged, or of an unsupported schema.
    """
    sidecar = sidecar_path(path)
    try:
        content = read_object(sidecar)
    except FileNotFoundError as error:
        raise MissingStoreError(f"{sidecar}: no such file; build it: audiorec index") from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{sidecar}: damaged; rebuild it: audiorec index") from error
    schema = content.pop("schema", None)
    if schema not in (SCHEMA, SCHEMA_OF_PIECES, SCHEMA_OF_SOUND):
        raise StoreError(f"{sidecar}: not an index sidecar that this audiorec can read")
    try:
        if schema == SCHEMA:
            whole = {"first": 0, "rows": content["rows"], "sha256": content.pop("sha256")}
            content["pieces"] = [{"file": path.name, **whole}]
        pieces = tuple(IndexPiece(**piece) for piece in content.pop("pieces"))
        info = IndexInfo(**content, pieces=pieces)
        good = (
            info.kind in KINDS
            and info.by in INDEXED
            and all(type(v) is int for v in (info.rows, info.width))
        )
        good = good and _go_together(path, info)
        good = good and len(Scaling.from_dict(info.scaling).columns) == info.width
    except (TypeError, KeyError, StoreError) as error:
        raise StoreError(f"{sidecar}: damaged: {error}") from error
    if not good:
        raise StoreError(f"{sidecar}: damaged: its fields contradict each other")
    return info


def piece_name(path: Path, number: int, identity: str) -> str:
    """Return the file name of one of several pieces; its identity keeps builds apart."""
    return f"{path.name}-{number:05d}-{identity}"


def is_piece_name(path: Path, name: str) -> bool:
    """Return whether a file name beside the index at `path` has the form of a piece's name."""
    return re.fullmatch(rf"{re.escape(path.name)}-\d{{5}}-[0-9a-f]{{16}}", name) is not None


def _go_together(path: Path, info: IndexInfo) -> bool:
    """Return whether the pieces are contiguous, complete, and named as files of this index."""
    first = 0
    for piece in info.pieces:
        named = is_piece_name(path, piece.file) if len(info.pieces) > 1 else piece.file == path.name
        whole = type(piece.rows) is int and piece.rows > 0 and type(piece.sha256) is str
        if not named or not whole or piece.first != first or first % ALIGNED:
            return False
        first += piece.rows
    return first == info.rows


def sha256_of(path: Path) -> str:
    """Return the sha256 of one of audiorec's own files, as hex digits."""
    with open_own(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Query:
    """A query to an index: the `fetch` neighbours of each of `units`, or the vectors of `rows`.

    `allowed` is a bitmap of the rows that may be returned, shape (ceil(n / 8),); `effort` holds
    faiss search parameters: ``efSearch`` or ``nprobe``.
    """

    units: FloatArray
    fetch: int = 0
    allowed: npt.NDArray[np.uint8] | None = None
    effort: Mapping[str, int] = field(default_factory=dict)
    rows: Int64Array | None = None


class Searcher:
    """A faiss index loaded in this process."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._faiss = import_faiss()
        self._is_ivf = hasattr(index, "nprobe")
        if self._is_ivf:
            index.make_direct_map()  # to reconstruct vectors by row

    def __call__(self, query: Query) -> list[Candidates]:
        """Return (rows, similarities, vectors) per query, or one such tuple for `query.rows`."""
        if query.rows is not None:
            vectors = self._index.reconstruct_batch(query.rows)
            return [(query.rows, np.zeros(len(query.rows), np.float32), vectors)]
        selector = None
        if query.allowed is not None:
            selector = self._faiss.IDSelectorBitmap(query.allowed)
        result = []
        for unit in query.units:
            parameters = self._parameters(selector, query.effort)
            values, rows = self._index.search(unit[None], query.fetch, params=parameters)
            values, rows = values[0][rows[0] >= 0], rows[0][rows[0] >= 0]
            result.append((rows, values, self._index.reconstruct_batch(rows)))
        return result

    def _parameters(self, selector: Any, effort: Mapping[str, int]) -> Any:
        given = dict(effort) if selector is None else {"sel": selector, **effort}
        if "efSearch" in effort:
            return self._faiss.SearchParametersHNSW(**given)
        if "nprobe" in effort:
            given["nprobe"] = min(self._index.nlist, given["nprobe"])
            return self._faiss.SearchParametersIVF(**given)
        return self._faiss.SearchParameters(**given)


def open_in_processes(
    path: Path, info: IndexInfo
) -> tuple[Callable[[Query], list[Candidates]], Callable[[], None]]:
    """Load each piece in its own worker process; return the query function and its close.

    The query function raises `StoreError` if a file does not match `info`, or if loading it or
    answering the query crashes its process.
    """
    asked = [_in_own_process(path.with_name(piece.file), piece, info) for piece in info.pieces]

    def close() -> None:
        for _, end in asked:
            end()

    if len(asked) == 1:
        return asked[0]
    return search_all_pieces([ask for ask, _ in asked], info.pieces), close


def _in_own_process(
    path: Path, piece: IndexPiece, info: IndexInfo
) -> tuple[Callable[[Query], list[Candidates]], Callable[[], None]]:
    size = path.stat().st_size if path.exists() else 0
    workers = Workers(
        "audiorec.search.index_files:handler",
        (str(path.absolute()), piece.sha256, (piece.rows, info.width), info.kind),
        limits=Limits(timeout_s=TIMEOUT_S, memory_bytes=LEAST_MEMORY + 4 * size),
    )

    def ask(query: Query) -> list[Candidates]:
        (answer,) = workers.map_unordered([query])
        if answer.error is not None:
            raise answer.error
        if answer.failure is not None:
            raise StoreError(f"damaged: {answer.message}")
        return answer.value

    return ask, workers.close


def search_all_pieces(
    asks: Sequence[Callable[[Query], list[Candidates]]], pieces: Sequence[IndexPiece]
) -> Callable[[Query], list[Candidates]]:
    """Return a function that queries all pieces in parallel and merges the results, best first."""
    firsts = np.array([piece.first for piece in pieces])

    def ask(query: Query) -> list[Candidates]:
        if query.rows is not None:
            return [(query.rows, *_of_rows(query.rows))]
        parts = [_part_of(query, piece) for piece in pieces]
        with ThreadPoolExecutor(len(asks)) as threads:
            waiting = [
                threads.submit(one, part)
                for one, part in zip(asks, parts, strict=True)
                if part is not None
            ]
            found = [each.result() for each in waiting]
        first = [f for f, part in zip(firsts.tolist(), parts, strict=True) if part is not None]
        return [_merged(line, first, query.fetch) for line in zip(*found, strict=True)] or [
            _NOTHING for _ in query.units
        ]

    def _of_rows(rows: Int64Array) -> tuple[FloatArray, FloatArray]:
        of = np.searchsorted(firsts, rows, side="right") - 1
        vectors: list[FloatArray] = []
        places: list[Int64Array] = []
        for number in np.unique(of).tolist() or [0]:
            here = np.flatnonzero(of == number)
            part = Query(np.empty((0, 0), np.float32), rows=rows[here] - firsts[number])
            vectors.append(asks[number](part)[0][2])
            places.append(here)
        order = np.argsort(np.concatenate(places))
        return np.zeros(len(rows), np.float32), np.concatenate(vectors)[order]

    return ask


_NOTHING: Candidates = (
    np.empty(0, np.int64),
    np.empty(0, np.float32),
    np.empty((0, 0), np.float32),
)


def _part_of(query: Query, piece: IndexPiece) -> Query | None:
    """Return the query for one piece; None if none of its songs is allowed.

    If a smaller share of the piece than of the index is allowed, its search effort is raised.
    """
    fetch = min(query.fetch, piece.rows)
    if query.allowed is None:
        return Query(query.units, fetch, None, query.effort)
    part = query.allowed[piece.first // ALIGNED : -(-(piece.first + piece.rows) // ALIGNED)]
    own = _bits(part) / piece.rows
    if not own:
        return None
    share = _bits(query.allowed) / (ALIGNED * len(query.allowed))
    more = max(1.0, share / own)
    effort = {name: int(value * more) for name, value in query.effort.items()}
    return Query(query.units, fetch, part, effort)


def _bits(packed: npt.NDArray[np.uint8]) -> int:
    return int(np.count_nonzero(np.unpackbits(packed)))


def _merged(found: Sequence[Candidates], first: Sequence[int], fetch: int) -> Candidates:
    rows = np.concatenate([r + f for (r, _, _), f in zip(found, first, strict=True)])
    values = np.concatenate([v for _, v, _ in found])
    vectors = np.concatenate([u for _, _, u in found])
    best = np.argsort(-values, kind="stable")[:fetch]
    return rows[best], values[best], vectors[best]


def handler(path: str, sha256: str, shape: tuple[int, int], kind: str) -> Callable[[Query], Any]:
    """Return the query function of a worker process, which loads the faiss file on first use.

    The file must have this sha256 and hold `shape` = (songs, columns).
    """
    kept: list[Searcher] = []

    def answer(query: Query) -> list[Candidates]:
        if not kept:
            kept.append(Searcher(read_piece(Path(path), sha256, shape, kind)))
        return kept[0](query)

    return answer


def import_faiss() -> Any:
    """Import faiss, or raise `MissingExtraError`, which names the extra."""
    return import_extra("faiss", "an index", "faiss")


def has_faiss() -> bool:
    """Return whether faiss is installed, without importing it."""
    try:
        return find_spec("faiss") is not None
    except (ImportError, ValueError):
        return False


def read_piece(path: Path, sha256: str, shape: tuple[int, int], kind: str) -> Any:
    """Load a faiss file into this process, after checking it against the sidecar."""
    faiss = import_faiss()
    try:
        digest = sha256_of(path)
    except FileNotFoundError as error:
        raise MissingStoreError(f"{path}: no such file") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    if digest != sha256:
        raise StoreError(f"{path}: checksum does not match its sidecar")
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StoreError(f"{path}: faiss cannot read it: {reason}") from error
    if (index.ntotal, index.d) != shape:
        raise StoreError(f"{path}: holds {index.ntotal} x {index.d} numbers, unlike its sidecar")
    made = {"flat": "IndexFlat", "hnsw": "IndexHNSWFlat", "ivf": "IndexIVFFlat"}[kind]
    if not isinstance(index, getattr(faiss, made)) or index.metric_type != 0:
        raise StoreError(f"{path}: is not an index of kind {kind}, as its sidecar says")
    return index
