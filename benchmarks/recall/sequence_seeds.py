"""A channel with several seeds on public listening: how much of a figure is chance.

    python -m benchmarks sequence_seeds NAME DATA CHANNEL [--seeds 5] [--kept DIR]

NAME and DATA are those of `benchmarks/recall/recall_tables.py`. Printed are the mean over the
seeds, ± its standard deviation from seed to seed, and the middle 95 % of a bootstrap over users or
sessions of the mean over the seeds. What a seed found is kept in DIR, and a training that is
stopped goes on there; every seed is judged once.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from recall_tables import TASKS, Task

from audiorec.evaluation.ranking import clustered_interval
from audiorec.recall.contract.data import RecallData
from audiorec.recall.judging.judge import Cost, judge
from audiorec.recall.registry import channel_class


def run(name: str, seed: int, task: Task, folder: Path) -> dict[str, Any]:
    """Return the figures of one seed, from what is kept or made now."""
    path = folder / f"{name}-{seed}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    kind: Any = channel_class(name)
    work = folder / f"{name}-{seed}.work"
    work.mkdir(parents=True, exist_ok=True)
    cost = Cost.started()
    channel = kind(kind.Recipe(seed=seed))
    channel.fit(RecallData(task.cut.learn, task.context.song_ids, task.context), work=work)
    fit_cpu_s = cost.lap()
    ks = sorted({k for _, k in task.shown})
    found = judge(
        channel,
        task.cut,
        ks=ks,
        keep_heard=task.keep_heard,
        context=task.context,
        kinds=task.kinds,
        trained=True,
    )
    figures = {
        "per_query": {f"{n}@{k}": found.per_query[n, k].tolist() for n, k in task.shown},
        "spread": dict(found.spread),
        "epochs": channel.trained.epochs,
        "fit_cpu_s": fit_cpu_s,
        "recall_cpu_s": found.recall_cpu_s,
    }
    path.write_text(json.dumps(figures))
    return figures


def main() -> None:
    """Print a line a measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=TASKS)
    parser.add_argument("data", type=Path)
    parser.add_argument("channel")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kept", type=Path, default=Path("seeds-kept"))
    arguments = parser.parse_args()
    task = TASKS[arguments.name](arguments.data)
    folder = arguments.kept / arguments.name
    runs = [run(arguments.channel, seed, task, folder) for seed in range(arguments.seeds)]
    print(f"{arguments.name}, {arguments.channel}: {len(task.cut):,} queries, {len(runs)} seeds")
    for name, k in task.shown:
        each = np.array([r["per_query"][f"{name}@{k}"] for r in runs])
        seeds = np.nanmean(each, axis=1)
        mean = clustered_interval(each.mean(axis=0), task.cut.cluster, np.random.default_rng(0))
        spread = f" ± {seeds.std(ddof=1):.4f}" if len(seeds) > 1 else ""
        listed = ", ".join(f"{value:.4f}" for value in seeds)
        print(f"{name}@{k} {mean.value:.4f}{spread} [{mean.low:.4f}, {mean.high:.4f}]: {listed}")
    for what in ("epochs", "fit_cpu_s", "recall_cpu_s"):
        print(what, ", ".join(f"{r[what]:.0f}" for r in runs))
    for what in runs[0]["spread"]:
        print(what, f"{np.mean([r['spread'][what] for r in runs]):.3f}")


if __name__ == "__main__":
    main()
