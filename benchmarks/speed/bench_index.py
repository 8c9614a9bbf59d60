"""An index in one piece beside one in several: what building and asking it cost, by size.

    python -m benchmarks bench_index [--songs 1000000 2000000] [--pieces 1 4] [--work FOLDER]

Stores are those of `benchmarks/speed/bench_search.py`: songs whose scores wander. Each line is of
fresh processes: CPU-seconds and the most memory of the build, CPU-seconds and wall seconds until a
new process can answer, then the wall milliseconds of a question (median of 20 songs, ten
neighbours, over all processes of the index), and recall@10 against comparing all songs. Every index
is ``ivf``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_search import make_store

BUILD = """
import json, resource, sys, time
from pathlib import Path
from audiorec.search.index_build import build_index
from audiorec.store.store import VectorStore
store = VectorStore.open(Path(sys.argv[1]))
info = build_index(store, piece_songs=-(-len(store) // int(sys.argv[2])))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
cpu = time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
print(json.dumps({"pieces": len(info.pieces), "build_cpu_s": round(cpu, 1), "peak_mb": round(peak),
                  "recall_at_10": round(info.recall_at_10, 4)}))
"""
ASK = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from audiorec.library.library import Library
started = time.perf_counter()
store = Library.open(Path(sys.argv[1]))
songs = np.random.default_rng(1).integers(0, len(store), 21)
space = store.space()
queries = [space.units([song]) for song in songs.tolist()]
space.search(queries[0], 10)
ready_cpu, ready = time.process_time(), time.perf_counter() - started
assert space.index is not None, space.note
took = []
for query in queries[1:]:
    began = time.perf_counter(); space.search(query, 10); took.append(time.perf_counter() - began)
print(json.dumps({"ready_cpu_s": round(ready_cpu, 1), "ready_s": round(ready, 1),
                  "search_ms": round(1000 * float(np.median(took)), 2)}))
"""


def told(script: str, *arguments: str) -> dict[str, float]:
    """Run a script in a fresh process and return what it prints."""
    command = [sys.executable, "-c", script, *arguments]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def main() -> None:
    """Print a line for each size and number of pieces."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--songs", type=int, nargs="+", default=[1_000_000, 2_000_000])
    parser.add_argument("--pieces", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--work", type=Path, help="keeps the stores for the next call")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for songs in args.songs:
            path = (args.work or Path(temporary)) / f"vecs-{songs}.parquet"
            if not path.exists():
                make_store(path, songs)
            for pieces in args.pieces:
                line = told(BUILD, str(path), str(pieces)) | told(ASK, str(path))
                print(json.dumps({"bench": "index", "songs": songs, **line}), flush=True)


if __name__ == "__main__":
    main()
