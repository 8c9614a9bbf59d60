"""Measure search at size: one song among a million, all pairs of a hundred thousand, memory.

    python -m benchmarks bench_search [--songs 1000000] [--pairs 100000] [--work FOLDER]

The store is made of random walks: every song's 14 score series wander for 40 segments of three
seconds, are softmaxed by head and summarised, as a tagger's would be. Its sounds lie on the sphere,
drawn from 16 directions that count most and a little of all 128; embeddings and tags are noise, and
make the file as large as a real one. One JSON line a question, each asked by sound and by vector,
each measured in a fresh process of one thread: CPU seconds (least, median, most), the answer
checked against a plain computation first, and the peak memory, beside that of an interpreter that
has imported numpy and pyarrow (`baseline`).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import pyarrow as pa

from audiorec.store.schema import Kind, StoreMetadata, schema_of, write_batches
from audiorec.store.store import VectorStore
from audiorec.types import STATISTICS

LISTS = {"sound": 128, "embedding": 624, "heard_tags": 50}
FACTORS, REST = 16, 0.3  # directions of sounds that count, and how much of the others is added
HEADS = {"version": 4, "genre": 10}
SEGMENTS = 40
BLOCK = 4_096
STEP, SPREAD = 0.4, 2.0  # of a walk in logits, and of where walks begin

# What a fresh process runs: a line of set-up, then the question, timed.
PRELUDE = """
import json, sys, time
from pathlib import Path
import numpy as np, pyarrow
def peak(): return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024
def cpu(action, repeats=1):
    took = []
    for _ in range(repeats):
        start = time.process_time(); result = action(); took.append(time.process_time() - start)
    return result, [round(float(np.quantile(took, q)), 4) for q in (0, 0.5, 1)]
def some(store):
    numbers = np.random.default_rng(1).integers(0, len(store), 20)
    return [store.id_array[int(i)].as_py() for i in numbers]
path, by, line = Path(sys.argv[1]), sys.argv[2], {}
"""
QUESTIONS = {
    "baseline": "",
    "open": """
from audiorec.library.library import Library
store, line['open_cpu_s'] = cpu(lambda: Library.open(path))
""",
    "cold, exact": """
from audiorec.library.library import Library
_, line['cpu_s'] = cpu(lambda: Library.open(path).similar(sys.argv[3], 10, by=by).songs)
""",
    "similar exact": """
from audiorec.library.library import Library
store, line['open_cpu_s'] = cpu(lambda: Library.open(path))
space = store.space(by)
units, line['prepare_cpu_s'] = cpu(lambda: space.matrix)
ids = some(store)
for song in ids[:3]:
    row = store.row_number(song)
    query = units[row].astype(np.float64)
    blocks = (units[i : i + 8192] for i in range(0, len(units), 8192))
    plain = np.concatenate([(block * query).sum(axis=1) for block in blocks]).clip(-1, 1)
    found = space.search(units[[row]], 11)[0]
    np.testing.assert_allclose(found.similarities, np.sort(plain)[::-1][:11], atol=1e-12)
    np.testing.assert_allclose(found.similarities, plain[found.rows], atol=1e-12)
asked = iter(ids)
_, line['similar_cpu_s'] = cpu(lambda: store.similar(next(asked), 10, by=by).songs, 20)
_, line['search_cpu_s'] = cpu(lambda: space.search(units[[7]], 10), 10)
allowed = np.random.default_rng(2).random(len(store)) < 0.1
_, line['filtered_cpu_s'] = cpu(lambda: space.search(units[[7]], 10, allowed=allowed), 5)
line['width'] = units.shape[1]
""",
}
PAIRS = """
from audiorec.library.library import Library
from audiorec.search.near import all_pairs
store = Library.open(path)
out = path.with_name('neighbours.parquet')
_, line['all_pairs_cpu_s'] = cpu(lambda: all_pairs(store, out, by=by))
line['job_peak_mb'] = round(peak() / 1e6)
import pyarrow.parquet as pq
table = pq.read_table(out).slice(40, 20)
assert len(table) == 20
space = store.space(by)
expected = space.search(space.units([2]), 20, own=np.array([2]))[0]
assert table.column('neighbour_id').to_pylist() == [n.song_id for n in expected]
"""
POSTLUDE = """
line['peak_mb'] = round(peak() / 1e6)
print(json.dumps(line))
"""


def statistics(scores: np.ndarray) -> np.ndarray:
    """Return the six statistics of many songs at once: (n, T, H) to (n, H * 6)."""
    mean, variance = scores.mean(axis=1), scores.var(axis=1)
    z = (scores - mean[:, None]) / np.sqrt(np.maximum(variance, 1e-12))[:, None]
    values = {
        "max": scores.max(axis=1),
        "min": scores.min(axis=1),
        "mean": mean,
        "variance": variance,
        "kurtosis": np.einsum("nth,nth->nh", z * z, z * z) / SEGMENTS - 3,
        "skewness": np.einsum("nth,nth->nh", z * z, z) / SEGMENTS,
    }
    return np.stack([values[n] for n in STATISTICS], axis=2).reshape(len(scores), -1)


def random_songs(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the vectors of songs whose scores wander: (count, 84), float32."""
    series = []
    for classes in HEADS.values():
        start = SPREAD * rng.standard_normal((count, 1, classes), np.float32)
        steps = STEP * rng.standard_normal((count, SEGMENTS, classes), np.float32)
        logits = start + np.cumsum(steps, axis=1)
        p = np.exp(logits - logits.max(axis=2, keepdims=True))
        series.append(p / p.sum(axis=2, keepdims=True))
    return statistics(np.concatenate(series, axis=2)).astype(np.float32)


def make_store(path: Path, songs: int) -> None:
    """Write a store of random walks."""
    classes = tuple(f"{head}/{i}" for head, n in HEADS.items() for i in range(n))
    metadata = StoreMetadata(
        kind=Kind.VECTORS,
        extractor_id="random walks",
        classes=classes,
        lists=LISTS,
        sound_id="random directions",
    )
    schema = schema_of(metadata)
    rng = np.random.default_rng(0)
    axes = rng.standard_normal((FACTORS, LISTS["sound"]), np.float32)

    def batches():
        for start in range(0, songs, BLOCK):
            count = min(BLOCK, songs - start)
            ids = [f"artist {i // 10:06}/song {i:07}.flac" for i in range(start, start + count)]
            values = {"vector": random_songs(count, rng)} | random_lists(count, axes, rng)
            yield pa.RecordBatch.from_arrays(
                [column(f, ids, values) for f in schema], schema=schema
            )

    write_batches(path, batches(), metadata)


def random_lists(count: int, axes: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return what stands beside the vectors of some songs: sounds of length 1, and noise."""
    sound = rng.standard_normal((count, FACTORS), np.float32) @ axes / FACTORS**0.5
    sound += REST * rng.standard_normal(sound.shape, np.float32)
    sound /= np.linalg.norm(sound, axis=1, keepdims=True)
    noise = {
        name: rng.standard_normal((count, width), np.float32).astype(np.float16)
        for name, width in LISTS.items()
        if name != "sound"
    }
    return {"sound": sound, **noise}


def column(field: pa.Field, ids: list[str], values: dict[str, np.ndarray]) -> pa.Array:
    """Return one column of a store for these songs."""
    n = len(ids)
    if field.name == "vector":
        return pa.FixedSizeListArray.from_arrays(
            pa.array(values["vector"].ravel()), type=field.type
        )
    if field.name in values:
        width = values[field.name].shape[1]
        offsets = pa.array(np.arange(0, (n + 1) * width, width, dtype=np.int32))
        flat = pa.array(values[field.name].ravel())
        return pa.ListArray.from_arrays(offsets, flat, type=field.type)
    if field.name in ("song_id", "uri", "content_hash"):
        return pa.array(ids)
    if pa.types.is_timestamp(field.type):
        return pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * n, field.type)
    value: object = "ok" if pa.types.is_string(field.type) else 1
    value = SEGMENTS if field.name == "segments" else value  # fewer than three would be a jingle
    return pa.array([value] * n, field.type)


def ask(question: str, script: str, path: Path, by: str, *arguments: str) -> dict[str, object]:
    """Run one question in a fresh process and print its line."""
    command = [sys.executable, "-c", PRELUDE + script + POSTLUDE, str(path), by, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        line: dict[str, object] = {"failed": done.stderr.strip().splitlines()[-1]}
    else:
        line = json.loads(done.stdout)
    print(json.dumps({"bench": f"search/{question}", "by": by, **line}), flush=True)
    return line


def main() -> None:
    """Make the stores, ask all questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--by", default="sound,vector", help="spaces to ask in")
    parser.add_argument("--work", type=Path, help="keeps the stores for the next call")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        paths = {n: work / f"vecs-{n}.parquet" for n in (args.songs, args.pairs)}
        for songs, path in paths.items():
            if not path.exists():
                make_store(path, songs)
        path = paths[args.songs]
        size_mb = round(path.stat().st_size / 1e6)
        print(json.dumps({"bench": "search/data", "songs": args.songs, "store_mb": size_mb}))
        song = VectorStore.open(path).id_array[args.songs // 2].as_py()
        for by in filter(None, args.by.split(",")):
            for question, script in QUESTIONS.items():
                ask(question, script, path, by, song)
            ask("all pairs", PAIRS, paths[args.pairs], by)


if __name__ == "__main__":
    main()
