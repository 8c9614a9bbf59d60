"""The undo file: one line per changed file, synced to disk before the file is changed.

    `Undo.append(record)`  ──▶  one line of JSON with its digest, synced
    `read_records(path)`   ──▶  the records, newest first

After a kill at any point there is either no line or a partial line, and the file is unchanged; or
a complete line, and the file's digest tells whether it is the old or the new one.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audiorec.columns import StoreColumns
from audiorec.errors import DamagedFileError, InputError, MissingFileError, StoreError
from audiorec.files.own_files import parse_json, refuse_link, sealed, sync, unsealed
from audiorec_retag.change import MOST_BYTES, Delta, FileState

SCHEMA = "audiorec/retag-undo/1"
MOST_LINE_BYTES = 2 * MOST_BYTES  # patches encoded as text, with margin
_NEW = os.O_WRONLY | os.O_APPEND | os.O_CREAT
_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One changed file, and how to restore the old one.

    Attributes
    ----------
    song_id : str
    path : str
        Absolute, as it was opened.
    put : mapping of str to list of str
        The fields written, for human readers.
    old, new : FileState
    delta : Delta
    """

    song_id: str
    path: str
    put: Mapping[str, list[str]]
    old: FileState
    new: FileState
    delta: Delta

    def to_line(self) -> bytes:
        """Return the record as one line of JSON."""
        content = {
            "schema": SCHEMA,
            StoreColumns.ID: self.song_id,
            "path": self.path,
            "put": {name: list(values) for name, values in self.put.items()},
            "old": asdict(self.old),
            "new": asdict(self.new),
            **self.delta.to_json(),
        }
        return json.dumps(sealed(content)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Record":
        """Parse a line that `to_line` made; raise `ValueError` if it is not one."""
        try:
            content = unsealed(parse_json(line, max_bytes=MOST_LINE_BYTES))
            if content["schema"] != SCHEMA:
                raise ValueError(f"the schema is not {SCHEMA}")
            old, new = (FileState(**_state(content[name])) for name in ("old", "new"))
            return cls(
                song_id=str(content[StoreColumns.ID]),
                path=str(content["path"]),
                put=dict(content["put"]),
                old=old,
                new=new,
                delta=Delta.from_json(content, old.size, new.size),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"fields are missing or invalid: {error}") from error


def _state(content: Any) -> dict[str, Any]:
    size, sha256, mtime_ns = content["size"], content["sha256"], content["mtime_ns"]
    if not (isinstance(size, int) and isinstance(mtime_ns, int) and isinstance(sha256, str)):
        raise TypeError("size, sha256 or mtime_ns")
    if not 0 < size < 1 << 48 or not -(1 << 63) <= mtime_ns < 1 << 63:
        raise ValueError("a size or a time is out of range")
    return {"size": size, "sha256": sha256, "mtime_ns": mtime_ns}


class Undo:
    """Append-only writer of an undo file.

    Raises `InputError` if a file of another kind exists there, or it cannot be written.

    Parameters
    ----------
    path : Path
        A new file, or an existing undo file to append to; a partial line left by a killed run is
        removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_link(path)
        if path.exists():
            _end_of_whole_lines(path)
        try:
            self._file = os.open(path, _NEW | _PLAIN, 0o600)  # tags are private
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None
        if path.exists():
            os.truncate(path, _end_of_whole_lines(path))
        sync(path.parent)

    def __enter__(self) -> "Undo":
        return self

    def __exit__(self, *exc_info: object) -> None:
        os.close(self._file)

    def append(self, record: Record) -> None:
        """Append a line; it is synced to disk when this returns."""
        line = record.to_line()
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be written: {error.strerror}; no further file is changed"
            ) from error


def read_records(path: Path) -> Iterator[Record | DamagedFileError]:
    """Yield the records of an undo file, newest first; a damaged line yields its error.

    Raises `MissingFileError` if there is none, `DamagedFileError` if it is another kind of file.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such undo file")
    with path.open("rb") as file:
        if not _begins_as_ours(file.readline(MOST_LINE_BYTES)):
            raise DamagedFileError(f"{path}: is not an undo file of audiorec retag")
        file.seek(0)
        starts, at = [], 0
        while line := file.readline(MOST_LINE_BYTES):
            if line.endswith(b"\n"):  # a partial line has not changed its file
                starts.append((at, len(line)))
            at += len(line)
        for number, (start, length) in reversed(list(enumerate(starts, 1))):
            file.seek(start)
            try:
                yield Record.from_line(file.read(length))
            except ValueError as error:
                yield DamagedFileError(f"{path}: line {number} is damaged: {error}")


def _begins_as_ours(line: bytes) -> bool:
    begin = json.dumps({"schema": SCHEMA}).encode()[:-1]
    return begin.startswith(line[: len(begin)])  # a partial line may be shorter


def _end_of_whole_lines(path: Path) -> int:
    """Return where the last complete line ends; raise `InputError` if it is not an undo file."""
    with path.open("rb") as file:
        first = file.readline(MOST_LINE_BYTES)
        if not _begins_as_ours(first):
            raise InputError(f"{path}: exists and is not an undo file; name another")
        end = len(first) if first.endswith(b"\n") else 0
        while line := file.readline(MOST_LINE_BYTES):
            end += len(line) if line.endswith(b"\n") else 0
    return end
