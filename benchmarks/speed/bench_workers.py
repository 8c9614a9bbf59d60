"""Compare what a poison item costs: a plain joblib loky pool, and audiorec's disposable workers.

    python -m benchmarks bench_workers [--items 200] [--poison 37] [--jobs 2]

Each item sleeps 5 ms; one kills its process, as a decoder that crashes does. One JSON line a
way: answers that arrived, items without an answer, whether the guilty one is known, seconds.
"""

import argparse
import json
import os
import signal
import time

from audiorec.runs.workers import Workers

SECONDS = 0.005  # an item's work


def work(poison: int, item: int) -> int:
    """Sleep, or die."""
    if item == poison:
        os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(SECONDS)
    return item


def handler(poison: int):
    """Make what a child of `Workers` runs."""
    return lambda item: work(poison, item)


def plain_loky(items: int, poison: int, jobs: int) -> dict[str, object]:
    """Run on joblib's default pool; it ends with the first process that dies."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    arrived, known = 0, False
    try:
        pool = Parallel(n_jobs=jobs, return_as="generator_unordered")
        for _ in pool(delayed(work)(poison, item) for item in range(items)):
            arrived += 1
    except TerminatedWorkerError:
        pass
    return {"arrived": arrived, "lost": items - arrived, "guilty_item_known": known}


def disposable(items: int, poison: int, jobs: int) -> dict[str, object]:
    """Run on audiorec's workers."""
    with Workers("bench_workers:handler", (poison,), jobs=jobs) as workers:
        answers = list(workers.map_unordered(range(items)))
    arrived = sum(answer.failure is None for answer in answers)
    guilty = [answer.item for answer in answers if answer.failure is not None]
    return {
        "arrived": arrived,
        "lost": items - arrived,
        "guilty_item_known": guilty == [poison],
    }


def main() -> None:
    """Run both ways and print their lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--poison", type=int, default=37)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    os.environ["PYTHONPATH"] = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    for way in (plain_loky, disposable):
        start = time.perf_counter()
        result = way(args.items, args.poison, args.jobs)
        line = {
            "bench": f"workers/{way.__name__}",
            "items": args.items,
            "jobs": args.jobs,
            **result,
        }
        print(json.dumps({**line, "wall_s": round(time.perf_counter() - start, 2)}), flush=True)


if __name__ == "__main__":
    main()
