"""Values shared by many processes, their arrays memory-mapped once per machine.

    keep(value, path) ──▶ `MappedValue`, sent with a task ──MappedValue.load──▶ the value

Arrays, Arrow buffers and long tuples of texts go into one file that every process maps, so they
share its pages in memory. The rest is a small pickle that is sent with the task. The file therefore
contains data only, no executable content, and a process reads it only if its checksum is the one
sent with the task.

A loaded value is read-only, and is cached for the next task of the process.
"""

import hashlib
import io
import mmap
import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import StoreError
from audiorec.files.own_files import open_own, replaced

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

    The parts are large arrays and long tuples of texts; the rest is pickled.

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


def _read(content: memoryview, starts: memoryview) -> tuple[str, ...]:
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
    own = [_read(parts[at], parts[at + 1]) for at in range(n_buffers, len(parts), 2)]
    texts = {"own": own, "base": [] if kept.base is None else _loaded(kept.base)[1]}
    return _Unpickler(kept, parts[:n_buffers], texts).load(), own


def _mapped(path: Path, sha256: str) -> Any:
    """Map a file after verifying its checksum."""
    try:
        with open_own(path) as file:
            size = os.fstat(file.fileno()).st_size
            found = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    except FileNotFoundError as error:
        raise StoreError(f"{path}: not found; all workers need access to this disk") from error
    if hashlib.sha256(found).hexdigest() != sha256:
        raise StoreError(f"{path}: checksum differs from the file written for this run")
    return found
