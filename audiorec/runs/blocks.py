"""Map a function over the numbered blocks of a job, on any engine, with shared values.

    make, part(i) ──block_runner(engine)──▶ block files, which `files.tables` joins

``make`` is a picklable callable with the data shared by all blocks (songs, a model, settings). It
is written once, memory-mapped by all processes of a machine, and called with ``part(i)``, the data
of block i only, such as the histories of its users. A block depends on ``make(part(i))`` alone, so
any worker may compute it, in any order and repeatedly.
"""

import ctypes
import hashlib
import io
import mmap
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, ClassVar

import numpy as np

from audiorec.errors import AudiorecError, StoreError
from audiorec.files.own_files import replaced
from audiorec.files.tables import PREFIX, SHARED, Elsewhere, write_block
from audiorec.runs.tasks import Engine, Outcome

# Prefixes and suffixes of OpenBLAS symbols in the various numpy wheels.
PREFIXES = ("scipy_openblas_", "openblas_")
ENDS = ("64_", "")
FOLDERS = ("../numpy.libs", ".libs", ".dylibs")  # Linux and Windows; older wheels; macOS
Threads = tuple[Callable[[], int], Callable[[int], None]]  # getter and setter of their number


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit numpy's matrix products to one thread, in the whole process.

        with one_thread():
            similar = users @ songs.T

    numpy's OpenBLAS splits a product among all cores, and the order of summation depends on their
    number. Blocks computed by single-threaded workers would then differ from those of one process
    in their last digits. If numpy uses another BLAS library, nothing happens.
    """
    result = _openblas()
    if result is None:
        yield
        return
    get, put = result
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)


@cache
def _openblas() -> Threads | None:
    """Return getter and setter of the thread count of numpy's OpenBLAS; None without it."""
    import numpy as np

    home = Path(np.__file__).parent
    for path in (path for name in FOLDERS for path in (home / name).glob("*openblas*")):
        try:
            library = ctypes.CDLL(str(path))  # a handle to the library that is already loaded
        except OSError:
            continue
        for begin in PREFIXES:
            for end in ENDS:
                get = getattr(library, f"{begin}get_num_threads{end}", None)
                put = getattr(library, f"{begin}set_num_threads{end}", None)
                if get is not None and put is not None:
                    return get, put
    return None


MIN_BYTES = 1 << 14  # smaller arrays stay in the pickle
MIN_TEXTS = 1 << 10  # shorter tuples of texts stay in the pickle
ALIGNED = 64  # bytes
CHUNK = 1 << 17  # texts encoded at a time
LOADED = 2  # cached values of a process: the shared one, and that of the current task
Place = tuple[int, int]  # start in the file, and length in bytes


@dataclass(frozen=True, slots=True)
class MappedValue:
    """Reference to a stored value, small enough to send with a task.

    Attributes
    ----------
    path : str
        The file, on a disk accessible to all workers.
    sha256 : str
    pickled : bytes
        The value without the parts in the file.
    places : tuple of (start, bytes)
        Positions of the buffers, in order; last come pairs of texts and their offsets.
    n_texts : int
        Number of tuples of texts.
    base : MappedValue or None
        Another value, whose tuples of texts are not stored again.
    """

    path: str
    sha256: str
    pickled: bytes
    places: tuple[Place, ...]
    n_texts: int
    base: "MappedValue | None" = None

    def load(self) -> Any:
        """Return the value; its arrays are views of the mapped file.

        Raises
        ------
        StoreError
            If the file is missing or has another checksum.
        """
        return _loaded(self)[0]


class MappedWriter:
    """Splitter of a value into parts; its checksum is known before anything is written.

        MappedWriter(value).write(path) ──▶ `MappedValue`, sent with a task ──load──▶ the value

    Arrays, Arrow buffers and long tuples of texts go into one file that every process maps, so they
    share its pages in memory. The rest is a small pickle that is sent with the task. The file
    therefore contains data only, no executable content, and a process reads it only if its checksum
    is the one sent with the task. A loaded value is read-only, and is cached for the next task.

    Parameters
    ----------
    value : object
        Any picklable value.
    base : MappedWriter, optional
        Keeper of a value that is loaded as well; its tuples of texts are not stored again.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "shared.bin"
    >>> kept = MappedWriter({"songs": np.arange(9_000.0)}).write(path)
    >>> len(kept.pickled) < 300, kept.load()["songs"][[1, 8_999]].tolist()
    (True, [1.0, 8999.0])
    """

    def __init__(self, value: Any, base: "MappedWriter | None" = None) -> None:
        known = {} if base is None else base.numbers
        pickler = _Pickler(known)
        pickler.dump(value)
        self.pickled = pickler.stream.getvalue()
        self._alive = (value, pickler.texts)  # keeps the objects alive, so that ids stay valid
        self.numbers: Mapping[int, int] = {id(t): n for n, t in enumerate(pickler.texts)}
        self._parts = [*pickler.buffers]
        for texts in pickler.texts:
            self._parts += _written(texts)
        digest = hashlib.sha256()
        places, start = [], 0
        for part in self._parts:
            places.append((start, part.nbytes))
            digest.update(part)
            padding = bytes(-part.nbytes % ALIGNED)
            digest.update(padding)
            start += part.nbytes + len(padding)
        self.places, self.sha256 = tuple(places), digest.hexdigest()

    @property
    def fingerprint(self) -> str:
        """Hash of the whole value, sixteen hex digits."""
        return hashlib.sha256(self.sha256.encode() + self.pickled).hexdigest()[:16]

    def write(self, path: Path, base: MappedValue | None = None) -> MappedValue:
        """Write the file and return a reference; `base` is the reference of the base."""
        with replaced(path) as part, part.open("wb") as file:
            for buffer in self._parts:
                file.write(buffer)
                file.write(bytes(-buffer.nbytes % ALIGNED))
        return MappedValue(
            str(path.absolute()),
            self.sha256,
            self.pickled,
            self.places,
            len(self.numbers),
            base,
        )


class _Pickler(pickle.Pickler):
    """Pickler that leaves out large buffers and long tuples of texts."""

    def __init__(self, known: Mapping[int, int]) -> None:
        self.stream, self.buffers, self.texts = io.BytesIO(), [], []  # type: ignore[var-annotated]
        self._known, self._own = known, {}  # type: ignore[var-annotated]
        super().__init__(self.stream, protocol=5, buffer_callback=self._take)

    def _take(self, buffer: pickle.PickleBuffer) -> bool:
        """Take a large buffer out of the pickle; return True to keep a small one in it."""
        raw = buffer.raw()
        if raw.nbytes < MIN_BYTES:
            return True
        self.buffers.append(raw)
        return False

    def persistent_id(self, value: Any) -> tuple[str, int] | None:
        """Return where a long tuple of texts is stored, here or in the base, and its number."""
        if type(value) is not tuple or len(value) < MIN_TEXTS:
            return None
        if (number := self._known.get(id(value))) is not None:
            return "base", number
        if (number := self._own.get(id(value))) is None:
            if not all(type(text) is str for text in value):
                return None
            number = self._own[id(value)] = len(self.texts)
            self.texts.append(value)
        return "own", number


class _Unpickler(pickle.Unpickler):
    def __init__(
        self, kept: MappedValue, buffers: Sequence[memoryview], texts: Mapping[str, Any]
    ) -> None:
        super().__init__(io.BytesIO(kept.pickled), buffers=buffers)
        self._texts = texts

    def persistent_load(self, at: tuple[str, int]) -> Any:
        """Return a tuple of texts by its number."""
        where, number = at
        return self._texts[where][number]


def _written(texts: tuple[str, ...]) -> list[memoryview]:
    """Return texts as bytes, and their offsets."""
    parts, starts = [], np.zeros(len(texts) + 1, np.int64)
    for first in range(0, len(texts), CHUNK):  # avoids a second copy of ten million ids
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts[first : first + CHUNK]]
        starts[first + 1 : first + 1 + len(encoded)] = [len(text) for text in encoded]
        parts.append(b"".join(encoded))
    return [memoryview(b"".join(parts)), memoryview(np.cumsum(starts).tobytes())]


def _texts_from(content: memoryview, starts: memoryview) -> tuple[str, ...]:
    """Undo `_written`."""
    whole = content.tobytes()
    at = np.frombuffer(starts, np.int64).tolist()
    return tuple(whole[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(at))


@lru_cache(maxsize=LOADED)
def _loaded(kept: MappedValue) -> tuple[Any, list[tuple[str, ...]]]:
    """Return a value and its tuples of texts."""
    whole = memoryview(_mapped(Path(kept.path), kept.sha256))
    parts = [whole[start : start + length] for start, length in kept.places]
    n_buffers = len(parts) - 2 * kept.n_texts
    own = [_texts_from(parts[at], parts[at + 1]) for at in range(n_buffers, len(parts), 2)]
    texts = {"own": own, "base": [] if kept.base is None else _loaded(kept.base)[1]}
    return _Unpickler(kept, parts[:n_buffers], texts).load(), own


def _mapped(path: Path, sha256: str) -> Any:
    """Map a file after verifying its checksum."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            result = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    except FileNotFoundError as error:
        raise StoreError(f"{path}: not found; all workers need access to this disk") from error
    if hashlib.sha256(result).hexdigest() != sha256:
        raise StoreError(f"{path}: checksum differs from the file written for this run")
    return result


Make = Callable[[Any], Any]
Part = Callable[[int], Any]


@dataclass(frozen=True, slots=True)
class BlockTask:
    """Task that computes one block on a worker.

    Attributes
    ----------
    index : int
    shared : MappedValue
        The pair ``(make, schema)``.
    own : MappedValue
        Data of this block only.
    folder : str
        Folder of the block's file; empty: return the value instead.
    """

    index: int
    shared: MappedValue
    own: MappedValue
    folder: str = ""
    jobs: ClassVar[int] = 1

    def attempt(self, *, stop: Event | None = None) -> Outcome:  # noqa: ARG002 - is finished
        """Compute the block; expected errors are returned as an outcome, not raised."""
        try:
            make, schema = self.shared.load()
            result = make(self.own.load())
            if not self.folder:
                return Outcome(self.index, result)
            write_block(Path(self.folder), self.index, result, schema)
        except (AudiorecError, OSError) as error:
            return self.lost(f"{type(error).__name__}: {error}")
        except MemoryError:
            return self.lost("the worker ran out of memory")
        return Outcome(self.index)

    def lost(self, message: str) -> Outcome:
        """Return the outcome of a block that was lost or failed."""
        return Outcome(self.index, message=message)


def block_runner(engine: Engine, make: Make, part: Part, schema: Any) -> Elsewhere:
    """Return a function that computes blocks of `audiorec.files.tables.run_blocks` on an engine."""

    def run(folder: Path, missing: Sequence[int]) -> Iterator[tuple[int, str]]:
        for outcome in outcomes_of(engine, make, part, missing, folder, schema=schema):
            yield outcome.index, outcome.message

    return run


def outcomes_of(
    engine: Engine,
    make: Make,
    part: Part,
    numbers: Sequence[int],
    folder: Path,
    *,
    schema: Any = None,
) -> Iterator[Outcome]:
    """Yield the outcomes of some blocks, each with its value or, with a `schema`, in a file.

    While they run, `folder` holds what the workers read (`audiorec.files.tables.INPUTS`).
    """
    out = "" if schema is None else str(folder)
    keeper, own = MappedWriter((make, schema)), {}
    kept = keeper.write(folder / SHARED)

    def tasks() -> Iterator[BlockTask]:
        for i in numbers:
            own[i] = folder / f"{PREFIX}{i:06d}.bin"
            yield BlockTask(i, kept, MappedWriter(part(i), keeper).write(own[i], kept), out)

    try:
        for outcome in engine(tasks()):
            own.pop(outcome.index).unlink(missing_ok=True)
            yield outcome
    finally:
        for path in (*own.values(), folder / SHARED):
            path.unlink(missing_ok=True)
