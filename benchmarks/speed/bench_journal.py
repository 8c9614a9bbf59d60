"""Compare ways to keep the rows of an unfinished run: records, SQLite, an Arrow stream.

    python -m benchmarks bench_journal [--songs 2000] [--flips 300] [--kills 20]

Each way appends the same made-up songs (a vector and 80 segments of scores), one at a time,
so that a killed writer loses at most the song in flight; none forces every song to the disk.
One JSON line a way: bytes, CPU seconds to append, to open again and to read everything; what
was found of the songs that a killed writer had told of; and what random flipped bits did:
rows lost a flip, rows that were read as other rows, and readers that crashed. Each flip is
read in a process of its own.

SQLite keeps a checksum a row, since it has none of its pages, and is opened as a file of
unknown origin has to be: no trusted schema, schema compared, `quick_check` first.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import numpy as np
import pyarrow as pa

from audiorec.store.records import RecordPart, RecordWriter, _batch, _pack, row_batch
from audiorec.store.schema import series_type, vector_type

SEGMENTS, CLASSES = 80, 14
SCHEMA = pa.schema(
    [
        pa.field("song_id", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("vector", vector_type(84), nullable=False),
        pa.field("scores", series_type(CLASSES), nullable=False),
        pa.field("duration_s", pa.float32(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
    ]
)
TABLE = (
    "CREATE TABLE songs (sequence INTEGER PRIMARY KEY, payload BLOB NOT NULL, "
    "checksum INTEGER NOT NULL) STRICT"
)


class Way(Protocol):
    """One way to keep rows: appended by one process, read by the next."""

    def __init__(self, path: Path) -> None: ...

    def append(self, batch: Any) -> None:
        """Hand one row to the operating system."""

    def close(self) -> None:
        """Let go of the file."""

    @staticmethod
    def rows(path: Path) -> Iterator[Any]:
        """Yield the batches that can be read; none where nothing can."""


class Records:
    """Frames with length and checksum: what audiorec does."""

    def __init__(self, path: Path) -> None:
        writer = RecordWriter(path, {})
        self.append, self.close = writer.append, writer.close

    @staticmethod
    def rows(path: Path) -> Iterator[Any]:
        """Yield every row whose checksum is right."""
        part = RecordPart(path)
        if part.header is not None:
            part.use(SCHEMA)
            yield from part.slices(0, len(part))
        part.close()


class Sqlite:
    """The standard library's SQLite, one transaction a row."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(TABLE)
        self.close = self._connection.close

    def append(self, batch: Any) -> None:
        """Insert one row."""
        payload = _pack(batch)
        values = (batch.column("sequence")[0].as_py(), payload, crc32(payload))
        self._connection.execute("INSERT INTO songs VALUES (?, ?, ?)", values)

    @staticmethod
    def rows(path: Path) -> Iterator[Any]:
        """Yield every row whose checksum is right, from a database that is whole."""
        try:
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA trusted_schema = OFF")
            schema = connection.execute("SELECT sql FROM sqlite_schema").fetchall()
            if schema != [(TABLE,)] or connection.execute("PRAGMA quick_check").fetchall() != [
                ("ok",)
            ]:
                return
            for payload, checksum in connection.execute("SELECT payload, checksum FROM songs"):
                if crc32(payload) == checksum:
                    yield _batch(payload, SCHEMA)
        except sqlite3.Error:
            return


class ArrowStream:
    """Arrow IPC messages one after the other: what audiorec did before."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._file.write(SCHEMA.serialize())
        self.close = self._file.close

    def append(self, batch: Any) -> None:
        """Write one message."""
        self._file.write(batch.serialize())

    @staticmethod
    def rows(path: Path) -> Iterator[Any]:
        """Yield the rows before the first that cannot be read."""
        with pa.memory_map(os.fspath(path)) as file:
            try:
                schema = pa.ipc.read_schema(pa.ipc.read_message(file))
                while file.tell() < file.size():
                    batch = pa.ipc.read_record_batch(pa.ipc.read_message(file), schema)
                    batch.validate(full=True)
                    if len(batch) != 1 or not batch.column(0)[0].as_py():
                        return
                    yield batch
            except (pa.ArrowException, OSError, EOFError, ValueError):
                return


WAYS: dict[str, type[Way]] = {"records": Records, "sqlite": Sqlite, "arrow stream": ArrowStream}


def song(number: int) -> Any:
    """Return one made-up row; the same number gives the same row."""
    rng = np.random.default_rng(number)
    values = {
        "song_id": f"artist {number % 97}/album/{number:06d} song.mp3",
        "content_hash": f"{number:032x}",
        "vector": rng.random(84, np.float32),
        "scores": rng.random((SEGMENTS, CLASSES), np.float32),
        "duration_s": 240.0,
        "sequence": number,
    }
    return row_batch(values, SCHEMA)


def measure(name: str, folder: Path, songs: int) -> tuple[Path, dict[str, Any]]:
    """Append, open and read; returns the file and the figures."""
    way, path = WAYS[name], folder / f"{name}.journal"
    batches = [song(i) for i in range(songs)]
    writer = way(path)
    started = time.process_time()
    for batch in batches:
        writer.append(batch)
    appended = time.process_time() - started
    writer.close()
    started = time.process_time()
    first = next(iter(way.rows(path)))
    opened = time.process_time() - started
    started = time.process_time()
    found = list(way.rows(path))
    read = time.process_time() - started
    assert first.equals(batches[0])
    assert all(a.equals(b) for a, b in zip(found, batches, strict=True))
    return path, {
        "way": name,
        "songs": songs,
        "bytes_a_song": round(path.stat().st_size / songs),
        "append_ms_a_song": round(1e3 * appended / songs, 3),
        "open_ms": round(1e3 * opened, 1),
        "read_ms_a_song": round(1e3 * read / songs, 3),
    }


def killed(name: str, folder: Path, kills: int) -> dict[str, int]:
    """Kill a writer after some songs, over and over; count told songs that are not found."""
    context = multiprocessing.get_context("fork")
    told_in_all = lost = 0
    for number in range(kills):
        path = folder / f"{name}-{number}.journal"
        told = context.Value("i", 0)
        process = context.Process(target=_write_on, args=(name, path, told))
        process.start()
        while told.value < 20 + 7 * number:
            time.sleep(0.0005)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        found = sum(1 for _ in WAYS[name].rows(path))
        told_in_all += told.value
        lost += max(0, told.value - found)
    return {"kills": kills, "told_songs": told_in_all, "told_songs_lost": lost}


def _write_on(name: str, path: Path, told: Any) -> None:
    writer = WAYS[name](path)
    for number in range(10**9):
        writer.append(song(number))
        told.value = number + 1


def flipped(name: str, path: Path, songs: int, flips: int) -> dict[str, Any]:
    """Flip one random bit at a time; each file is read in a child, which may die."""
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    lost = wrong = crashed = everything = 0
    for bit in rng.integers(0, 8 * len(content), flips).tolist():
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        outcome = _in_child(name, path)
        if outcome is None:
            crashed += 1
            continue
        good, others = outcome
        lost += songs - good
        wrong += others
        everything += good == 0
    path.write_bytes(content)
    return {
        "flips": flips,
        "songs_lost_a_flip": round(lost / flips, 2),
        "flips_that_lost_everything": everything,
        "songs_read_as_others": wrong,
        "crashes": crashed,
    }


def _in_child(name: str, path: Path) -> tuple[int, int] | None:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_count, args=(name, path, sender))
    process.start()
    sender.close()
    try:
        outcome: tuple[int, int] = receiver.recv()
    except EOFError:
        return None
    finally:
        process.join()
    return outcome


def _count(name: str, path: Path, sender: Any) -> None:
    good = others = 0
    for batch in WAYS[name].rows(path):
        number = batch.column("sequence")[0].as_py()
        if 0 <= number < 10**6 and batch.equals(song(number)):
            good += 1
        else:
            others += 1
    sender.send((good, others))


def main() -> None:
    """Print one line a way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--songs", type=int, default=2_000)
    parser.add_argument("--flips", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in WAYS:
            _, figures = measure(name, Path(folder), options.songs)
            figures |= killed(name, Path(folder), options.kills)
            small, _ = measure(name, Path(folder) / _made(folder, name), 100)
            figures |= flipped(name, small, 100, options.flips)
            print(json.dumps(figures), flush=True)


def _made(folder: str, name: str) -> str:
    place = f"{name} flips"
    (Path(folder) / place).mkdir()
    return place


if __name__ == "__main__":
    main()
