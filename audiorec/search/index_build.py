"""Build an index of a store, in pieces that are published together.

    store, by ──▶ scaling ──`PieceTask` per range of songs──▶ vecs.faiss.run/piece-00003.faiss
        ──all built──▶ vecs.faiss-00003-5f0e... beside the store, vecs.faiss.json last

An index of up to `PIECE_SONGS` songs is one file, ``vecs.faiss``. A larger one is built piece by
piece, which bounds memory by one piece. The tasks may run in this process, in others of this
machine, or on a cluster with a shared disk. An interrupted build resumes with the missing pieces.
Readers use the old index until the sidecar is replaced; the old pieces are removed afterwards.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any, ClassVar

import numpy as np

from audiorec.distribution import created_by
from audiorec.engines.tasks import Engine, Outcome, attempt
from audiorec.errors import AudiorecError, InputError, StoreError
from audiorec.files.own_files import (
    RunFolder,
    read_object,
    refuse_irreplaceable,
    replaced,
    sealed,
    write_own,
)
from audiorec.search.index import HNSW_EF, PROBES, Index
from audiorec.search.index_files import (
    ALIGNED,
    KINDS,
    Candidates,
    IndexInfo,
    IndexKind,
    IndexPiece,
    Query,
    Searcher,
    import_faiss,
    index_path,
    is_piece_name,
    open_in_processes,
    piece_name,
    read_piece,
    sha256_of,
    write_info,
)
from audiorec.search.scaling import (
    INDEXED,
    SOUND,
    By,
    Scaling,
    UnitsReader,
    Weighting,
    fit,
    units_reader,
)
from audiorec.search.space import choose_space
from audiorec.search.topk import ROUNDING, nearest
from audiorec.spec import fingerprint
from audiorec.store.store import VectorStore
from audiorec.types import Float64Array, FloatArray

PIECE_SONGS = 1 << 20  # maximum songs per piece
HNSW_LINKS = 16
LISTS_PER_ROOT = 4  # lists of an ivf index: this times the square root of the songs
SONGS_PER_LIST = 40  # minimum songs per list; with fewer, centroids are noise
TRAINING_PER_LIST = 64  # training songs per list centroid
SAMPLE = 200  # queries that measure the recall of a new index
RECALL_AT = 10
BLOCK_ROWS = 65_536  # vectors read at a time
RUN_FILES = r"piece-\d{5}\.(?:faiss|json)"


@dataclass(frozen=True, slots=True)
class PieceTask:
    """A piece to build: sent by an engine to a worker with access to the same disk."""

    store: str
    by: By
    fingerprint: str  # of the store's compared column
    folder: str  # of the run
    index: int
    first: int
    rows: int
    kind: IndexKind
    scaling: Mapping[str, Any]
    jobs: ClassVar[int] = 1

    @property
    def identity(self) -> str:
        """Hash of everything that determines the piece's content, as hex digits."""
        parts = (self.by, self.fingerprint, self.first, self.rows, self.kind, self.scaling)
        return fingerprint({"piece": list(map(str, parts)), "faiss": import_faiss().__version__})

    @property
    def path(self) -> Path:
        """Where the piece is written."""
        return Path(self.folder) / f"piece-{self.index:05d}.faiss"

    def attempt(self, *, stop: Event | None = None) -> Outcome:  # noqa: ARG002 - is finished
        """Build the piece's file; errors are returned, not raised."""
        try:
            if self.made() is None:
                self._make()
        except (AudiorecError, OSError) as error:
            return self.lost(f"{type(error).__name__}: {error}")
        return Outcome(self.index)

    def lost(self, message: str) -> Outcome:
        """Return the outcome of a piece whose worker died too often."""
        return Outcome(self.index, message=message)

    def made(self) -> str | None:
        """Return the sha256 of the piece if its file is complete and belongs to this task."""
        with suppress(OSError, ValueError, KeyError, StoreError):
            note = read_object(self.path.with_suffix(".json"))
            if note["identity"] == self.identity and sha256_of(self.path) == note["sha256"]:
                return str(note["sha256"])
        return None

    def _make(self) -> None:
        store, scaling = VectorStore.open(self.store), Scaling.from_dict(self.scaling)
        if store.fingerprint_of(self.by) != self.fingerprint:
            raise StoreError(f"{self.store}: changed while its index was being built")
        read = units_reader(store, self.by, scaling)
        units = np.empty((self.rows, len(scaling.columns)), np.float32)
        for start in range(0, self.rows, BLOCK_ROWS):
            end = min(start + BLOCK_ROWS, self.rows)
            units[start:end] = read(self.first + np.arange(start, end))
        faiss = import_faiss()
        with replaced(self.path) as temporary:
            # By Python, which raises errors that faiss only prints, as on a full disk.
            with temporary.open("wb") as file:
                writer = faiss.PyCallbackIOWriter(file.write)
                faiss.write_index(_made(faiss, units, self.kind), writer)
            note = {"identity": self.identity, "sha256": sha256_of(temporary)}
        write_own(self.path.with_suffix(".json"), json.dumps(sealed(note)))


def build_index(
    store: VectorStore,
    out: Path | None = None,
    *,
    by: str | Path = "auto",
    kind: IndexKind = "ivf",
    piece_songs: int = PIECE_SONGS,
    engine: Engine | None = None,
) -> IndexInfo:
    """Build an index of a store's songs, by sound or by vector; return its sidecar.

    Parameters
    ----------
    store : VectorStore
    out : Path, optional
        Path of the faiss file; by default `index_path`, the only path that searches look at.
        The sidecar is written beside it.
    by : {"auto", "sound", "vector"}
        The space; by default the one that searches use: sound, or the vector under the default
        weights in a store without. A search in another space does not use the index.
    kind : {"flat", "hnsw", "ivf"}
        Compare all songs (exact); a graph (fast to search, slow to build); inverted lists of
        near songs (fast to build).
    piece_songs : int
        Maximum songs per piece; a larger store is split into pieces of nearly equal size.
    engine : callable, optional
        Runs the tasks elsewhere: takes `PieceTask` objects and yields an `Outcome` for
        each. By default they run here, one after the other.

    Raises
    ------
    InputError
        If the store has no songs, or none with a sound, or `by` or `kind` is unknown.
    MissingExtraError
        If faiss cannot be imported.
    StoreError
        If a piece could not be built; finished pieces are kept, and calling this again
        builds the missing ones. Also if another run is building the index.
    """
    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if piece_songs < ALIGNED:
        raise InputError(f"piece_songs must be at least {ALIGNED}, got {piece_songs}")
    if len(store) == 0:
        raise InputError(f"{store.path}: no songs to index")
    faiss = import_faiss()
    out = index_path(store.path) if out is None else out
    refuse_irreplaceable(out)
    space = _space(store, by)
    scaling = _scaling(store, space)
    info = IndexInfo(
        kind=kind,
        by=space,
        extractor_id=store.metadata.extractor_id,
        fingerprint=store.fingerprint_of(space),
        rows=len(store),
        width=len(scaling.columns),
        scaling=scaling.to_dict(),
        pieces=(),
        recall_at_10=None,
        parameters={},
        created_by=created_by(),
        faiss=faiss.__version__,
    )
    run = RunFolder(out, RUN_FILES)
    try:
        tasks = _tasks(store, info, run.path, piece_songs)
        missing = [task for task in tasks if task.made() is None]
        for outcome in engine(missing) if engine else map(attempt, missing):
            if outcome.message:
                raise StoreError(f"{out}: piece {outcome.index} was not built: {outcome.message}")
        pieces = _put(tasks, out)
        info = replace(info, pieces=pieces, parameters=_parameters(kind, tasks[0].rows, space))
        info = replace(info, recall_at_10=_recall(store, out, info, scaling))
        write_info(out, info)
        _remove_others(out, info)
        run.clear()
    finally:
        run.release(remove=not run.names())
    return info


def _space(store: VectorStore, by: str | Path) -> By:
    """Return the space to index; refuse one that cannot be."""
    space = choose_space(store, by).by
    if space not in INDEXED:
        raise InputError(f"an index is of {' or '.join(INDEXED)}, not of {space}")
    if space == SOUND and not store.songs_with(SOUND):
        raise InputError(
            f"{store.path}: no song has a sound to index; add it: audiorec extract FOLDER "
            f"--upgrade --out {store.path}"
        )
    return space


def _scaling(store: VectorStore, by: By) -> Scaling:
    if by == SOUND:
        return Scaling.plain(store.metadata.lists[SOUND])
    return fit(store.blocks, Weighting.of_store(store.metadata))


def _tasks(store: VectorStore, info: IndexInfo, folder: Path, most: int) -> list[PieceTask]:
    """Split the songs into pieces of nearly equal size."""
    n = info.rows
    size = -(-n // -(-n // most))
    size += -size % ALIGNED
    return [
        PieceTask(
            store=str(store.path.absolute()),
            by=info.by,
            fingerprint=info.fingerprint,
            folder=str(folder.absolute()),
            index=number,
            first=first,
            rows=min(size, n - first),
            kind=info.kind,
            scaling=info.scaling,
        )
        for number, first in enumerate(range(0, n, size))
    ]


def _put(tasks: Sequence[PieceTask], out: Path) -> tuple[IndexPiece, ...]:
    """Move finished pieces to their final paths."""
    pieces = []
    for task in tasks:
        digest = task.made()
        if digest is None:
            raise StoreError(f"{out}: piece {task.index} was not built")
        name = out.name if len(tasks) == 1 else piece_name(out, task.index, task.identity)
        task.path.replace(out.with_name(name))
        pieces.append(IndexPiece(file=name, first=task.first, rows=task.rows, sha256=digest))
    return tuple(pieces)


def _remove_others(out: Path, info: IndexInfo) -> None:
    """Remove files of an earlier index: its pieces, or its only file."""
    kept = {piece.file for piece in info.pieces}
    for place in out.parent.iterdir():
        ours = place.name == out.name or is_piece_name(out, place.name)
        if ours and place.name not in kept and not place.is_dir():
            place.unlink(missing_ok=True)


def _parameters(kind: IndexKind, rows: int, by: By = "vector") -> dict[str, int]:
    """Return the parameters of a piece of this many songs."""
    if kind == "flat":
        return {}
    if kind == "hnsw":
        return {"links": HNSW_LINKS, "ef": HNSW_EF}
    lists = max(1, min(int(LISTS_PER_ROOT * rows**0.5), rows // SONGS_PER_LIST))
    return {"lists": lists, "probes": PROBES[by]}


def _made(faiss: Any, units: FloatArray, kind: IndexKind) -> Any:
    """Return a faiss index over the units."""
    n, width = units.shape
    parameters = _parameters(kind, n)
    if kind == "flat":
        index = faiss.IndexFlatIP(width)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(width, parameters["links"], faiss.METRIC_INNER_PRODUCT)
    else:
        coarse, inner = faiss.IndexFlatIP(width), faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexIVFFlat(coarse, width, parameters["lists"], inner)
        index.cp.max_points_per_centroid = TRAINING_PER_LIST
        index.cp.min_points_per_centroid = 1
        index.train(units)
    index.add(units)
    return index


def _recall(store: VectorStore, out: Path, info: IndexInfo, scaling: Scaling) -> float:
    """Return the recall@10 of the index over a sample of songs."""
    rng, k = np.random.default_rng(0), min(RECALL_AT, info.rows)
    chosen = np.sort(rng.choice(info.rows, min(SAMPLE, info.rows), replace=False))
    read = units_reader(store, info.by, scaling)
    queries = read(chosen)
    best = _exact(read, info.rows, queries, k)
    ask, close = _asking(out, info)
    hits = 0
    try:
        index = Index(info, ask)
        for query, least in zip(queries, best[:, -1], strict=True):
            result = index.search(query[None], best.shape[1])
            # Compare similarities, not rows: tied songs are interchangeable. Where the index
            # returns None, a search compares all songs, so all are found.
            if result is None:
                hits += best.shape[1]
            else:
                hits += int(np.count_nonzero(result[1] >= least - ROUNDING))
    finally:
        close()
    return hits / best.size


def _asking(
    out: Path, info: IndexInfo
) -> tuple[Callable[[Query], list[Candidates]], Callable[[], None]]:
    """Return a query function for a new index, and its close; a single piece is read here."""
    if len(info.pieces) > 1:
        return open_in_processes(out, info)
    made = read_piece(out, info.pieces[0].sha256, (info.rows, info.width), info.kind)
    return Searcher(made), lambda: None


def _exact(read: UnitsReader, songs: int, queries: FloatArray, k: int) -> Float64Array:
    """Return the similarities of the exact `k` nearest songs: shape (Q, k), best first."""
    best = np.full((len(queries), k), -np.inf)
    for first in range(0, songs, BLOCK_ROWS):
        rows = np.arange(first, min(first + BLOCK_ROWS, songs))
        both = np.concatenate([best, nearest(read(rows), queries, min(k, len(rows)))[1]], axis=1)
        best = -np.sort(-both, axis=1)[:, :k]
    return best
