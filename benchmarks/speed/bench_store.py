"""Time the care of a large store: opening, info, verify, compact, look-up by alias, damage.

    python -m benchmarks bench_store [--songs 100000] [--parts 25] [--only damage]

Makes a store of made-up songs in a temporary folder, divided among parts in turn so that
they interleave, and prints one JSON line a measure: CPU seconds; for compact the peak memory
of its own process; for opening what the memory of its own process grew by, beside the size of
the vectors, which are not read. The result is checked before it is reported: the compacted
file is that of one writer, byte for byte, and verifies. What it costs that damage is seen is
measured in turns, each way three times; the least counts.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.files.arrow import float_leaves, open_parquet
from audiorec.files.tables import parquet_writer
from audiorec.library.library import Library
from audiorec.store.inventory import inventory
from audiorec.store.schema import DICTIONARY_COLUMNS, Kind, StoreMetadata, schema_of, write_batches
from audiorec.store.verify import verify
from audiorec.types import STATISTICS

METADATA = StoreMetadata(
    kind=Kind.VECTORS,
    extractor_id="0123456789abcdef",
    classes=tuple(f"head/{n}" for n in range(14)),
    created_by="benchmark",
)
BATCH_ROWS = 20_000
COMPACT = """
import resource, sys, time
from pathlib import Path
from audiorec.store.compact import compact
parts = sorted(Path(sys.argv[1]).glob("part-*.parquet"))[::-1]
start = time.process_time()
compact([*parts, parts[0]], Path(sys.argv[2]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(time.process_time() - start, peak)
"""
OPEN = """
import json, sys, time
from audiorec.library.library import Library
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
before, start = peak(), time.process_time()
store = Library.open(sys.argv[1])
cpu, gained = time.process_time() - start, peak() - before
print(json.dumps({"cpu_s": round(cpu, 2), "gained_mib": round(gained, 1), "rows": len(store)}))
"""


@dataclass(frozen=True)
class MadeLibrary:
    """Where the made-up stores are."""

    folder: Path
    whole: Path
    songs: int


def main() -> None:
    """Make, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int, default=100_000)
    parser.add_argument("--parts", type=int, default=25)
    parser.add_argument("--only", choices=["damage"], help="only what concerns damage")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        library = make_library(Path(name), args.songs, 0 if args.only else args.parts)
        found = damage(library) if args.only else chain(measures(library), damage(library))
        for bench, figures in found:
            about = {"songs": args.songs, "parts": args.parts, "python": platform.python_version()}
            print(json.dumps({"bench": bench, **figures, **about}), flush=True)


def measures(library: MadeLibrary) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield a name and its figures."""
    out = library.folder / "compacted.parquet"
    command = [sys.executable, "-c", COMPACT, str(library.folder), str(out)]
    compacted = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert out.read_bytes() == library.whole.read_bytes()
    megabytes = round(library.whole.stat().st_size / 1e6, 1)
    yield (
        "compact",
        {"cpu_s": round(float(compacted[0]), 2), "peak_mib": int(compacted[1]), "mb": megabytes},
    )
    said = subprocess.run(
        [sys.executable, "-c", OPEN, str(out)], check=True, capture_output=True, text=True
    )
    opened = json.loads(said.stdout)
    assert opened.pop("rows") == library.songs
    vectors = library.songs * 14 * len(STATISTICS) * 4 / 2**20
    yield "open", {**opened, "vectors_mib": round(vectors, 1)}
    start = time.process_time()
    assert inventory(out)["rows"] == library.songs
    yield "info", {"cpu_s": round(time.process_time() - start, 2)}
    start = time.process_time()
    assert verify(out).is_good
    yield "verify", {"cpu_s": round(time.process_time() - start, 2)}
    store = Library.open(out)
    last = library.songs - 1
    queries = {"id": song_id(last), "path": f"/music/{song_id(last)}", "stem": f"{last:08} a song"}
    queries |= {"isrc": f"USABC{last:07}"}
    for kind, query in queries.items():
        start = time.process_time()
        assert store.resolve(query) == song_id(last)
        yield f"resolve {kind}", {"cpu_s": round(time.process_time() - start, 3)}


def damage(library: MadeLibrary) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield what checksums and the seal cost where they are written and read."""
    whole, out = library.whole, library.folder / "written.parquet"
    schema = schema_of(METADATA)
    texts = [name for name in DICTIONARY_COLUMNS if name in schema.names]
    plain = {"use_dictionary": texts, "use_byte_stream_split": float_leaves(schema)}

    def groups() -> Iterator[Any]:
        with open_parquet(whole) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)

    def write(**options: Any) -> None:
        with pq.ParquetWriter(out, schema, compression="zstd", **plain, **options) as writer:
            for table in groups():
                writer.write_table(table)

    def write_whole() -> None:
        with parquet_writer(out, schema, texts=texts) as writer:
            for table in groups():
                writer.write_table(table)

    def read(*, checked: bool) -> None:
        with pq.ParquetFile(whole, page_checksum_verification=checked) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group, columns=["vector"])

    ways: dict[str, Callable[[], object]] = {
        "read all columns": lambda: [None for _ in groups()],
        "read and write without checksums": write,
        "read and write with checksums": lambda: write(write_page_checksum=True),
        "read and write with checksums and seal": write_whole,
        "read vectors without checksums": lambda: read(checked=False),
        "read vectors with checksums": lambda: read(checked=True),
        "open": lambda: Library.open(whole),
        "verify": lambda: verify(whole),
    }
    least: dict[str, float] = {}
    for _ in range(3):
        for name, way in ways.items():
            start = time.process_time()
            way()
            took = time.process_time() - start
            least[name] = min(took, least.get(name, took))
    for name, took in least.items():
        yield name, {"cpu_s": round(took, 4)}
    out.unlink()
    write()
    ours, theirs = whole.stat().st_size, out.stat().st_size
    yield "size", {"mb": round(ours / 1e6, 3), "without_mb": round(theirs / 1e6, 3)}


def make_library(folder: Path, songs: int, parts: int) -> MadeLibrary:
    """Write all songs to one file, and in turn to `parts` files."""
    order = np.array(sorted(range(songs), key=song_id))
    whole = folder / "whole.parquet"
    write_batches(whole, batches(order), METADATA)
    for part in range(parts):
        path = folder / f"part-{part:05}.parquet"
        write_batches(path, batches(order[part::parts]), METADATA)
    return MadeLibrary(folder, whole, songs)


def song_id(number: int) -> str:
    """Return an id that sorts otherwise than its number."""
    return f"artist {number % 9973:05}/album {number % 7}/{number:08} a song.mp3"


def batches(numbers: np.ndarray) -> Iterator[Any]:
    """Yield the rows of some songs; a song has the same row in every file."""
    for start in range(0, len(numbers), BATCH_ROWS):
        yield from table(numbers[start : start + BATCH_ROWS].tolist()).to_batches()


def table(numbers: list[int]) -> Any:
    """Return rows whose vectors are possible statistics."""
    n, schema = len(numbers), schema_of(METADATA)
    seeds = np.array(numbers, np.float64)[:, None] * np.arange(1, 14 * len(STATISTICS) + 1)
    noise = np.modf(np.abs(np.sin(seeds)) * 1e4)[0].reshape(n, 14, len(STATISTICS))
    vectors = noise.astype(np.float32)
    vectors[:, :, :3] = np.sort(vectors[:, :, :3], axis=2)[:, :, [2, 0, 1]]  # max, min, mean
    flat = pa.array(vectors.ravel())
    ids = [song_id(i) for i in numbers]
    columns: dict[str, Any] = {
        "song_id": ids,
        "vector": pa.FixedSizeListArray.from_arrays(flat, type=schema.field("vector").type),
        "content_hash": [f"{i:032x}" for i in numbers],
        "uri": [f"/music/{name}" for name in ids],
        "size": numbers,
        "mtime_ns": numbers,
        "title": [f"song {i}" for i in numbers],
        "artist": [f"artist {i % 9973}" for i in numbers],
        "isrc": [f"USABC{i:07}" for i in numbers],
    }
    same: dict[str, Any] = {
        "duration_s": 200.0,
        "segments": 66,
        "status": "ok",
        "source_rate": 44_100,
        "source_channels": 2,
        "codec": "mp3",
        "decoder": "soundfile",
        "packet_errors": 0,
        "extractor_id": METADATA.extractor_id,
        "extracted_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    arrays = [
        columns[f.name]
        if isinstance(columns.get(f.name), pa.Array)
        else pa.array(columns.get(f.name, [same.get(f.name)] * n), f.type)
        for f in schema
    ]
    return pa.table(arrays, schema=schema)


if __name__ == "__main__":
    main()
