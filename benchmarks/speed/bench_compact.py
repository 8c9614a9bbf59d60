"""Measure the joining of a sharded run's parts into one store: time, memory, bytes a song.

    python -m benchmarks bench_compact [--songs 10000 100000] [--shard-songs 2000] [--repeats 3]
                                       [--scores]

The parts are made up: vectors of random numbers, which compress as badly as any can, and a
failure for every hundredth song. Each part is written as a shard writes it, a quarter of
them twice under another name. One JSON line a size: CPU seconds as minimum, median and
maximum, and the peak memory of a fresh process that does nothing else. The result is checked
before it is timed: every song once, in order, and the same bytes from the parts in reverse.
"""

import argparse
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from audiorec.extraction.shards import MARK, local_parts, part_name
from audiorec.library.library import Library
from audiorec.store.compact import combine
from audiorec.store.schema import Kind, StoreMetadata, schema_of, write_table

CLASSES = tuple(f"head/{i:02d}" for i in range(14))
AT = datetime(2024, 1, 1, tzinfo=UTC)
SEGMENTS = 80  # of a song of four minutes
FAILURES_EVERY = 100
# What the timed process runs: CPU seconds of the joining, and its own peak memory.
SCRIPT = """
import sys, time
from pathlib import Path
from audiorec.extraction.shards import local_parts
from audiorec.store.compact import combine
start = time.process_time()
with local_parts(sys.argv[1]) as parts:
    combine(parts, {k: Path(sys.argv[2]) / f"{k}.parquet" for k in parts})
peak = open("/proc/self/status").read().split("VmHWM:")[1].split()[0]
print(time.process_time() - start, peak)
"""


def metadata(kind: Kind) -> StoreMetadata:
    """Return the metadata of a made-up part."""
    return StoreMetadata(kind=kind, extractor_id="0123456789abcdef", classes=CLASSES)


def filled(kind: Kind, columns: dict[str, object], n: int) -> pa.Table:
    """Return a table of n rows: the columns given, and constants in the others."""
    plain = {
        pa.string(): "mp3",
        pa.int32(): 80,
        pa.int64(): 9_000_000,
        pa.float32(): 240.0,
        pa.timestamp("us", tz="UTC"): AT,
    }
    schema = schema_of(metadata(kind))
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        arrays.append(
            pa.array([plain[field.type]] * n, field.type)
            if values is None
            else pa.array(values, field.type)
            if isinstance(values, list)
            else values
        )
    return pa.Table.from_arrays(arrays, schema=schema)


def write_part(folder: Path, index: int, count: int, songs: range, scores: bool) -> None:
    """Write the files of one shard."""
    rng = np.random.default_rng(index)
    good = [i for i in songs if i % FAILURES_EVERY]
    bad = [i for i in songs if not i % FAILURES_EVERY]
    schema = schema_of(metadata(Kind.VECTORS))
    numbers = pa.array(rng.standard_normal(len(good) * 84, np.float32))
    names = {
        "song_id": [f"{i:09d}" for i in good],
        "vector": pa.FixedSizeListArray.from_arrays(numbers, type=schema.field("vector").type),
        "content_hash": [
            hashlib.blake2b(str(i).encode(), digest_size=16).hexdigest() for i in good
        ],
        "uri": [f"/music/{i % 997:03d}/artist {i % 9973}/{i:09d}.mp3" for i in good],
        "title": [f"Song number {i}" for i in good],
        "artist": [f"Artist {i % 9973}" for i in good],
        "extractor_id": ["0123456789abcdef"] * len(good),
    }
    tables = {Kind.VECTORS: filled(Kind.VECTORS, names, len(good))}
    errors = {"song_id": [f"{i:09d}" for i in bad], "uri": [f"/music/{i:09d}.mp3" for i in bad]}
    tables[Kind.ERRORS] = filled(Kind.ERRORS, errors, len(bad))
    if scores:
        tables[Kind.SCORES] = score_table(names, len(good), rng)
    for kind, table in tables.items():
        write_table(folder / part_name(index, count, kind), table, metadata(kind))
    (folder / part_name(index, count, MARK)).write_text("{}")


def score_table(names: dict[str, object], n: int, rng: np.random.Generator) -> pa.Table:
    """Return a part's score series: SEGMENTS rows of 14 numbers a song."""
    schema = schema_of(metadata(Kind.SCORES))
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * SEGMENTS)
    kind = schema.field("scores").type
    flat = pa.array(rng.random(n * SEGMENTS * 14, np.float32))
    inner = pa.FixedSizeListArray.from_arrays(flat, type=kind.value_type)
    starts = pa.array(np.tile(3 * np.arange(SEGMENTS, dtype=np.float32), n))
    columns = {
        **{k: names[k] for k in ("song_id", "content_hash", "extractor_id")},
        "start_s": pa.ListArray.from_arrays(offsets, starts, type=schema.field("start_s").type),
        "scores": pa.ListArray.from_arrays(offsets, inner, type=kind),
    }
    return filled(Kind.SCORES, columns, n)


def digests(parts: dict[Kind, list[Path]], out: Path) -> dict[str, str]:
    """Join parts and return the sha256 of each file."""
    out.mkdir()
    combine(parts, {kind: out / f"{kind}.parquet" for kind in parts})
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir()}
    shutil.rmtree(out)
    return found


def check(folder: Path, scratch: Path, n_songs: int) -> None:
    """Refuse to time a wrong answer."""
    with local_parts(str(folder)) as parts:
        straight = digests(parts, scratch / "straight")
        twice = {kind: [*paths[::-1], *copies(paths, scratch)] for kind, paths in parts.items()}
        assert digests(twice, scratch / "reverse") == straight
        out = scratch / "vecs.parquet"
        combine({Kind.VECTORS: parts[Kind.VECTORS]}, {Kind.VECTORS: out})
    ids = Library.open(out).ids
    assert list(ids) == [f"{i:09d}" for i in range(n_songs) if i % FAILURES_EVERY]
    out.unlink()


def copies(paths: list[Path], scratch: Path) -> list[Path]:
    """Copy a quarter of the parts under other names."""
    found = []
    for path in paths[::4]:
        copy = scratch / f"again-{path.name}"
        shutil.copy(path, copy)
        found.append(copy)
    return found


def main() -> None:
    """Make, check, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--shard-songs", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scores", action="store_true")
    args = parser.parse_args()
    for n_songs in args.songs:
        with tempfile.TemporaryDirectory() as name:
            folder, scratch = Path(name) / "parts", Path(name) / "scratch"
            folder.mkdir()
            scratch.mkdir()
            count = -(-n_songs // args.shard_songs)
            for i in range(count):
                songs = range(i * n_songs // count, (i + 1) * n_songs // count)
                write_part(folder, i, count, songs, args.scores)
            check(folder, scratch, n_songs)
            print(json.dumps(measure(folder, scratch, n_songs, args)), flush=True)


def measure(
    folder: Path, scratch: Path, n_songs: int, args: argparse.Namespace
) -> dict[str, object]:
    """Join the parts in fresh processes."""
    runs = []
    for _ in range(args.repeats):
        command = [sys.executable, "-c", SCRIPT, str(folder), str(scratch)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        runs.append(tuple(map(float, done.stdout.split())))
    cpu = sorted(seconds for seconds, _ in runs)
    size = sum(path.stat().st_size for path in folder.iterdir())
    return {
        "bench": "compact",
        "songs": n_songs,
        "parts": len(list(folder.glob("*.vecs.parquet"))),
        "scores": args.scores,
        "part_bytes_per_song": round(size / n_songs, 1),
        "store_bytes_per_song": round(
            sum(p.stat().st_size for p in scratch.glob("[vse]*.parquet")) / n_songs, 1
        ),
        "cpu_s_min_median_max": [round(cpu[0], 2), round(cpu[len(cpu) // 2], 2), round(cpu[-1], 2)],
        "peak_mb": round(max(peak for _, peak in runs) * 1024 / 1e6, 1),
        "machine": f"{platform.machine()} {platform.system()}, Python {platform.python_version()}",
    }


if __name__ == "__main__":
    main()
