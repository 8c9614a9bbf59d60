"""The files of an index: what faiss wrote, the sidecar that says what it is, and who reads them.

    vecs.faiss                      what faiss wrote, meaningless without
    vecs.faiss-00000-5f0e... ...    or, of many songs, pieces of a range of songs each
    vecs.faiss.json                 the sidecar: the extractor, the store's fingerprint, the
                                    scaling, the sha256 of faiss' files, and a digest of all that

    path, `IndexInfo`  ──in_own_processes──▶  Query ──▶ rows, similarities, vectors

faiss believes what it reads: a damaged file may end the process that loads it, or the one that
searches it much later. So each piece of an index lives in a disposable process
(`audiorec.runs.workers`), and `audiorec.search.index` asks them side by side.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from audiorec.errors import MissingExtraError, MissingStoreError, StoreError
from audiorec.files.atomic import replaced
from audiorec.files.json_files import parse_json, sealed, unsealed
from audiorec.files.own_files import open_own, read_own
from audiorec.runs.workers import Limits, Workers
from audiorec.search.scaling import Scaling
from audiorec.types import FloatArray, Int64Array

TIMEOUT_S = 600.0
LEAST_MEMORY = 4 << 30  # bytes of address space, beside four times the file
SCHEMA = "audiorec/index/1"  # of an index in one piece
SCHEMA_OF_PIECES = "audiorec/index/2"
ALIGNED = 8  # a piece begins at a multiple: whole bytes of the bits that say who is allowed
SUFFIX = ".faiss"
MAX_SIDECAR_BYTES = 4 << 20
IndexKind = Literal["flat", "hnsw", "ivf"]
KINDS: tuple[IndexKind, ...] = ("flat", "hnsw", "ivf")
Candidates = tuple[Int64Array, FloatArray, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPiece:
    """A file of faiss: its name, the number of its first song, its songs, and its sha256."""

    file: str
    first: int
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexInfo:
    """The sidecar: what an index is, and of what.

    Attributes
    ----------
    kind : {"flat", "hnsw", "ivf"}
    extractor_id, fingerprint : str
        Of the store when the index was built.
    rows, width : int
        Songs, and numbers of each in the index.
    scaling : mapping
        See `Scaling.to_dict`.
    pieces : tuple of IndexPiece
        In the order of their songs.
    recall_at_10 : float or None
        Part of the ten nearest songs that the index finds, measured when it was built.
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

    @property
    def exact(self) -> bool:
        """Whether no near song can be missing."""
        return self.kind == "flat"


def index_path(store_path: Path) -> Path:
    """Return where the index of a store lies: beside it, ``vecs.parquet`` → ``vecs.faiss``."""
    return store_path.with_suffix(SUFFIX)


def sidecar_path(path: Path) -> Path:
    """Return the path of an index's sidecar: ``vecs.faiss`` → ``vecs.faiss.json``."""
    return path.with_name(f"{path.name}.json")


def write_info(path: Path, info: IndexInfo) -> None:
    """Write the sidecar of the index at `path`, whole or not at all."""
    fields = asdict(info)
    if len(info.pieces) == 1:  # as before there were pieces
        fields["sha256"] = fields.pop("pieces")[0]["sha256"]
    schema = SCHEMA if "sha256" in fields else SCHEMA_OF_PIECES
    with replaced(sidecar_path(path)) as temporary:
        content = sealed({"schema": schema, **fields})
        temporary.write_text(json.dumps(content, allow_nan=False))


def read_info(path: Path) -> IndexInfo:
    """Read the sidecar of an index.

    Raises
    ------
    StoreError
        If it is missing, damaged, or of a newer form.
    """
    sidecar = sidecar_path(path)
    try:
        text = read_own(sidecar, MAX_SIDECAR_BYTES)
        content = unsealed(parse_json(text, max_bytes=MAX_SIDECAR_BYTES))
    except FileNotFoundError as error:
        raise MissingStoreError(
            f"{sidecar}: no such file; build it: audiorec index build"
        ) from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{sidecar}: damaged: build it again: audiorec index build") from error
    schema = content.pop("schema", None)
    if schema not in (SCHEMA, SCHEMA_OF_PIECES):
        raise StoreError(f"{sidecar}: not the sidecar of an index that this audiorec reads")
    try:
        if schema == SCHEMA:
            whole = {"first": 0, "rows": content["rows"], "sha256": content.pop("sha256")}
            content["pieces"] = [{"file": path.name, **whole}]
        pieces = tuple(IndexPiece(**piece) for piece in content.pop("pieces"))
        info = IndexInfo(**content, pieces=pieces)
        good = info.kind in KINDS and all(type(v) is int for v in (info.rows, info.width))
        good = good and _go_together(path, info)
        good = good and len(Scaling.from_dict(info.scaling).columns) == info.width
    except (TypeError, KeyError, StoreError) as error:
        raise StoreError(f"{sidecar}: damaged: {error}") from error
    if not good:
        raise StoreError(f"{sidecar}: damaged: its fields do not go together")
    return info


def piece_name(path: Path, number: int, identity: str) -> str:
    """Return the name of one of several pieces: another index has others beside them."""
    return f"{path.name}-{number:05d}-{identity}"


def is_piece_name(path: Path, name: str) -> bool:
    """Whether a file beside the index at `path` is named as a piece of it."""
    return re.fullmatch(rf"{re.escape(path.name)}-\d{{5}}-[0-9a-f]{{16}}", name) is not None


def _go_together(path: Path, info: IndexInfo) -> bool:
    """Whether pieces follow each other, and are files beside the sidecar and no others."""
    first = 0
    for piece in info.pieces:
        named = is_piece_name(path, piece.file) if len(info.pieces) > 1 else piece.file == path.name
        whole = type(piece.rows) is int and piece.rows > 0 and type(piece.sha256) is str
        if not named or not whole or piece.first != first or first % ALIGNED:
            return False
        first += piece.rows
    return first == info.rows


def sha256_of(path: Path) -> str:
    """Return the sha256 of the content of a file of audiorec's own as hex digits."""
    with open_own(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Query:
    """What an index is asked: `fetch` neighbours of each of `units`, or the vectors of `rows`.

    `allowed` has a bit for each row that may be found, shape (ceil(n / 8),); `effort` holds
    faiss' own parameters: ``efSearch`` or ``nprobe``.
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


def in_own_processes(
    path: Path, info: IndexInfo
) -> tuple[Callable[[Query], list[Candidates]], Callable[[], None]]:
    """Return what asks an index, each piece read in a process of its own, and what ends these.

    The first raises a `StoreError` where a file is not the one that `info` describes, or
    its process dies over it or over the question.
    """
    asked = [_in_own_process(path.with_name(piece.file), piece, info) for piece in info.pieces]

    def close() -> None:
        for _, end in asked:
            end()

    if len(asked) == 1:
        return asked[0]
    return asked_as_one([ask for ask, _ in asked], info.pieces), close


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
        found: list[Candidates] = answer.value
        return found

    return ask, workers.close


def asked_as_one(
    asks: Sequence[Callable[[Query], list[Candidates]]], pieces: Sequence[IndexPiece]
) -> Callable[[Query], list[Candidates]]:
    """Return what asks all pieces side by side and merges what they answer, the best first."""
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
    """Return what one piece is asked; None where none of its songs is allowed.

    Of a piece whose songs are hidden more than others', more is looked at.
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
    """Return what answers queries in a process of its own; faiss' file is read at the first.

    It must have this sha256 and hold `shape` = (songs, numbers of each).
    """
    kept: list[Searcher] = []

    def answer(query: Query) -> list[Candidates]:
        if not kept:
            kept.append(Searcher(read_piece(Path(path), sha256, shape, kind)))
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


def read_piece(path: Path, sha256: str, shape: tuple[int, int], kind: str) -> Any:
    """Read faiss' file into this process, if it is the one that the sidecar means."""
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
