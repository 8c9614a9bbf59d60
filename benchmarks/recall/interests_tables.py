"""Several interests a user beside one: the tables of docs/benchmarks/interests.md.

    python -m benchmarks interests_tables beauty|lastfm DATA [ROW ...] [--seeds N] [--kept DIR]
        [--rechub PYTHON]

======  ================================================================================
beauty  Amazon's beauty products by users: 8 : 1 : 1, of a judged one the first 80 % known
lastfm  S3-Rec's split of Last.fm: the last artist is wanted; tags stand for genres
======  ================================================================================

A row is a channel with settings; those with the same model differ in how its lists are made. What
a run found is kept in DIR, and a run that is there is not made again. Intervals are paired: the
differences of two rows on the same queries, averaged over the seeds, and a bootstrap over queries.
PYTHON is that of an environment with ``torch-rechub==0.9.0``, whose MIND is the last row then.
"""

import argparse
import hashlib
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from recall_tables import TASKS, Task

from audiorec.evaluation.ranking import clustered_interval
from audiorec.learning.machine import one_thread
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.candidates import Lists
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import Context, Queries, RecallData
from audiorec.recall.contract.space import InterestSpace
from audiorec.recall.judging.judge import judge
from audiorec.recall.registry import channel_class
from audiorec.types import FloatArray


@dataclass(frozen=True, slots=True)
class Row:
    """A channel, how it learns, and how it answers."""

    channel: str
    learnt: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    has_side: bool = True  # learns from what is known of the songs, where the task says anything


ROWS = {
    "youtube-dnn": Row("youtube-dnn"),
    "sasrec": Row("sasrec"),
    "mind": Row("mind"),
    "mind, none joined": Row("mind", {}, {"one_above": 1.0}),
    "mind, K = 1": Row("mind", {"interests": 1}),
    "mind, K = 2": Row("mind", {"interests": 2}),
    "mind, K = 8": Row("mind", {"interests": 8}),
    "comirec-sa": Row("comirec-sa"),
    "comirec-sa, none joined": Row("comirec-sa", {}, {"one_above": 1.0}),
    "comirec-sa, K = 1": Row("comirec-sa", {"interests": 1}),
    "comirec-sa, K = 2": Row("comirec-sa", {"interests": 2}),
    "comirec-sa, K = 8": Row("comirec-sa", {"interests": 8}),
}
RECHUB = "torch-rechub's MIND"
PAIRS = (
    ("mind", RECHUB),
    ("mind", "mind, none joined"),
    ("mind", "mind, K = 1"),
    ("comirec-sa", "mind"),
    ("comirec-sa", "comirec-sa, none joined"),
    ("comirec-sa", "comirec-sa, K = 1"),
    ("mind", "youtube-dnn"),
    ("comirec-sa", "youtube-dnn"),
    ("mind", "sasrec"),
)
KS = {"beauty": (50, 200), "lastfm": (10, 50, 200)}
SHOWN = {
    "beauty": (("recall", 50), ("hit_rate", 50), ("hit_rate", 200)),
    "lastfm": (("hit_rate", 10), ("hit_rate", 50), ("hit_rate", 200)),
}
LISTED = ("popularity", "gini", "diversity_kind", "kinds_2", "kind_entropy", "cosine", "interests")


def run(row: Row, seed: int, task: Task, ks: tuple[int, ...], kept: Path) -> dict[str, Any]:
    """Return the figures of one run, from what is kept or made now."""
    context = task.context if row.has_side else Context()
    key = json.dumps(
        [row.channel, row.learnt, row.answers, context.side is not None, seed, ks], sort_keys=True
    )
    path = kept / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    channel, cpu_s = fitted(row, seed, task, context, kept)
    found = judge(channel, task.cut, ks=ks, kinds=task.kinds, trained=True)
    queries = Queries(task.cut.histories)
    lists = channel.recall(queries, ks[0], exclude=task.cut.histories)
    listed = [lists.of(row) for row in range(len(lists))]
    figures = {
        "key": key,
        "means": {f"{n}@{k}": found.means[n, k].value for n, k in found.means},
        "per_query": {f"{n}@{k}": v.tolist() for (n, k), v in found.per_query.items()},
        "spread": {
            **found.spread,
            **genres(listed, task.kinds.get("kind", {})),
            **apart(channel, queries),
        },
        "fit_cpu_s": cpu_s,
    }
    path.write_text(json.dumps(figures))
    return figures


def fitted(row: Row, seed: int, task: Task, context: Context, kept: Path) -> tuple[Channel, float]:
    """Return a trained channel, and the CPU seconds that it took; a model is trained once."""
    kind: Any = channel_class(row.channel)
    recipe = kind.Recipe(**row.learnt, seed=seed)
    known = context.side is not None
    key = hashlib.sha256(f"{row.channel} {recipe} {known}".encode()).hexdigest()[:16]
    folder = kept / f"model-{key}"
    if not (folder / "cpu_s").exists():
        started = time.process_time()
        with one_thread("a benchmark"):
            made = kind(recipe).fit(RecallData(task.cut.learn, context.song_ids, context))
        spent = time.process_time() - started
        made.save(folder)
        (folder / "cpu_s").write_text(str(spent))
    channel = kind.load(folder)
    channel.recipe = replace(channel.recipe, **row.answers)
    return channel, float((folder / "cpu_s").read_text())


def rechub(python: Path, seed: int, task: Task, ks: tuple[int, ...], kept: Path) -> dict[str, Any]:
    """Return the figures of torch-rechub's MIND, which another environment trains."""
    path = kept / f"rechub-{seed}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    learn, asked = task.cut.learn, task.cut.histories.among(task.cut.learn.song_ids)
    plays, out = kept / "rechub-plays.npz", kept / f"rechub-{seed}.npz"
    given = {"starts": learn.starts, "song": learn.song, "n_songs": len(learn.song_ids)}
    np.savez(plays, asked_starts=asked.starts, asked_song=asked.song, **given)
    script = Path(__file__).parents[1] / "peers" / "rechub_mind.py"
    command = [python, script, plays, out, "--seed", str(seed)]
    subprocess.run(command, check=True, capture_output=True)
    made = np.load(out)
    similar = np.einsum("qkd,sd->qks", made["interests"], made["songs"])
    similar[~made["interests"].any(axis=2)] = -np.inf
    best = similar.max(axis=1)
    best[asked.owner, asked.song] = -np.inf
    order = np.argsort(-best, axis=1, kind="stable")[:, : ks[-1]]
    owner = np.repeat(np.arange(len(order)), order.shape[1])
    ranked = Sequences.from_pairs(owner, order.ravel(), asked.owner_ids, learn.song_ids)
    found = judge(Lists(ranked, "torch-rechub"), task.cut, ks=ks, kinds=task.kinds)
    lists = [[learn.song_ids[song] for song in row[: ks[0]]] for row in order.tolist()]
    figures = {
        "means": {f"{n}@{k}": found.means[n, k].value for n, k in found.means},
        "per_query": {f"{n}@{k}": v.tolist() for (n, k), v in found.per_query.items()},
        "spread": {
            **found.spread,
            **genres(lists, task.kinds.get("kind", {})),
            **cosines(made["interests"][asked.lengths > 1]),
        },
        "fit_cpu_s": float(made["cpu_s"]),
    }
    path.write_text(json.dumps(figures))
    return figures


def genres(lists: Iterable[list[str]], kind: Mapping[str, str]) -> dict[str, float]:
    """Return the share of lists with two kinds or more, and the mean entropy of kinds, in bits."""
    several, entropies = [], []
    for songs in lists:
        counts = Counter(kind[song] for song in songs if song in kind)
        if not counts:
            continue
        shares = np.array(list(counts.values())) / sum(counts.values())
        several.append(len(counts) > 1)
        entropies.append(float(-(shares * np.log2(shares)).sum()))
    if not several:
        return {}
    return {"kinds_2": float(np.mean(several)), "kind_entropy": float(np.mean(entropies))}


def apart(channel: Channel, queries: Queries) -> dict[str, float]:
    """Return the mean cosine between a user's interests, and how many users have."""
    if not isinstance(channel, InterestSpace):
        return {}
    lengths = queries.histories.among(channel.song_ids).lengths
    found: Any = channel
    return cosines(found.interests(queries)[lengths > 1])  # one play cannot stand for two


def cosines(interests: FloatArray) -> dict[str, float]:
    """Return the mean cosine between the interests (Q, K, d) of one user, and how many there are.

    An interest that is not there is 0.
    """
    there = interests.any(axis=2)
    pairs = there[:, :, None] & there[:, None] & ~np.eye(there.shape[1], dtype=np.bool_)
    found = np.einsum("qid,qjd->qij", interests, interests)[pairs]
    mean = float(found.mean()) if len(found) else float("nan")
    return {"cosine": mean, "interests": float(there.sum(axis=1).mean())}


def line(name: str, runs: list[dict[str, Any]], shown: tuple[tuple[str, int], ...]) -> str:
    """Return a line of the table: means over the seeds, and their standard deviation."""
    cells = []
    for measure, k in shown:
        values = [r["means"][f"{measure}@{k}"] for r in runs]
        spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.4f}{spread}")
    for what in LISTED:
        value = float(np.mean([r["spread"].get(what, np.nan) for r in runs]))
        cells.append("" if np.isnan(value) else f"{value:,.0f}" if value >= 20 else f"{value:.3f}")
    cells.append(f"{np.mean([r['fit_cpu_s'] for r in runs]):.0f}")
    return "| " + " | ".join([name, str(len(runs)), *cells]) + " |"


def difference(one: list[dict[str, Any]], other: list[dict[str, Any]], at: str, task: Task) -> str:
    """Return by how much one row is ahead: the mean, its interval, and seeds where it is."""
    n = min(len(one), len(other))
    gaps = [np.array(a["per_query"][at]) - b["per_query"][at] for a, b in zip(one, other)]  # noqa: B905
    mean = clustered_interval(np.mean(gaps, axis=0), task.cut.cluster, np.random.default_rng(0))
    ahead = sum(float(np.nanmean(gap)) > 0 for gap in gaps)
    return f"{at} {mean.value:+.4f} [{mean.low:+.4f}, {mean.high:+.4f}], ahead in {ahead} of {n}"


def main() -> None:
    """Print one table in Markdown, and below it paired differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=KS)
    parser.add_argument("data", type=Path)
    parser.add_argument("rows", nargs="*", default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kept", type=Path, default=Path("interests-kept"))
    parser.add_argument("--rechub", type=Path, metavar="PYTHON")
    arguments = parser.parse_args()
    name, kept = arguments.name, arguments.kept / arguments.name
    kept.mkdir(parents=True, exist_ok=True)
    task = TASKS[{"beauty": "comirec"}.get(name, name)](arguments.data)
    measures = [f"{n}@{k}" for n, k in SHOWN[name]]
    head = ["row", "seeds", *measures, *LISTED, "CPU-s"]
    print(f"{name}: {len(task.cut):,} queries, lists of {KS[name][0]}")
    print("| " + " | ".join(head) + " |", "|---" * len(head) + "|", sep="\n")
    found = {}
    for row in arguments.rows:
        runs = [run(ROWS[row], seed, task, KS[name], kept) for seed in range(arguments.seeds)]
        found[row] = runs
        print(line(row, runs, SHOWN[name]), flush=True)
    if arguments.rechub is not None:
        seeds = range(arguments.seeds)
        runs = [rechub(arguments.rechub, seed, task, KS[name], kept) for seed in seeds]
        found[RECHUB] = runs
        print(line(RECHUB, runs, SHOWN[name]), flush=True)
    print()
    for one, other in PAIRS:
        if one in found and other in found:
            gaps = [difference(found[one], found[other], at, task) for at in measures]
            print(f"- {one} against {other}: " + "; ".join(gaps))


if __name__ == "__main__":
    main()
