"""What each part of SASRec is worth: the channel with and without it, on one split, paired.

    python benchmarks/sequence_ablations.py beauty|nowplaying|ml100k|grocery DATA [NAME ...]
        [--set FIELD=VALUE ...] [--seeds N]

==========  ===========================================================================
beauty      S3-Rec's split: the last item is wanted, the one before it not learnt from
nowplaying  sessions without times; 10,000 of the given prefixes; repeats kept
ml100k      films with times to the second: each user's last is wanted
grocery     groceries with times to the day: each user's last is wanted
==========  ===========================================================================

NAMEs are ``whole`` and lines of `ABLATIONS`; all that say something of the data by default. Every
line is trained alike (validation part, then everything) and ranked on the whole catalogue; the
difference to ``whole`` is on the same queries, with the middle 95 % of a bootstrap over users or
sessions. DATA holds the folders as their repositories have them.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from recall_tables import Task, nowplaying, s3, s3_lists

from audiorec.evaluation.full_rank import clustered_interval
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import Category, SongSide
from audiorec.recall.contract.data import Context
from audiorec.recall.judging.judge import Judgement, judge
from audiorec.recall.judging.splits import split
from audiorec.recall.sequence.sasrec.channel import Sasrec
from audiorec.recall.sequence.sasrec.recipe import SasrecRecipe

ABLATIONS: dict[str, dict[str, object]] = {
    "whole": {},
    "no-shared-table": {"shared_table": False},
    "no-logq": {"log_q": False},
    "no-positions": {"positions": False},
    "no-time": {"relative_time": False},
    "no-side": {},  # without the context
    "two-blocks": {"blocks": 2},
}
SHOWN = (("hit_rate", 10), ("ndcg", 10), ("hit_rate", 20), ("mrr", 20), ("hit_rate", 100))


def timed(rows: list[tuple[str, str, float]]) -> Task:
    """Cut each user's last play off, by time."""
    rows.sort(key=lambda row: (row[0], row[2]))
    users = list(dict.fromkeys(row[0] for row in rows))
    lists: dict[str, list[str]] = {user: [] for user in users}
    for user, item, _ in rows:
        lists[user].append(item)
    plays = Sequences.from_lists(list(lists.values()), users)
    plays = replace(plays, time=np.array([row[2] for row in rows], np.float64))
    return Task(split(plays, "last"), SHOWN)


def ml100k(data: Path) -> Task:
    """Read films that were rated, whatever the rating."""
    lines = (data / "ml100k" / "ml-100k.inter").read_text().splitlines()[1:]
    cells = (line.split("\t") for line in lines)
    return timed([(user, item, float(time)) for user, item, _, time in cells])


def grocery(data: Path) -> Task:
    """Read the training rows of ReChorus, whose others are not public."""
    lines = (data / "grocery_rechorus" / "train.csv").read_text().splitlines()[1:]
    cells = (line.split("\t") for line in lines)
    return timed([(user, item, float(time)) for user, item, time in cells])


TASKS = {
    "beauty": lambda data: s3(data, "beauty_s3"),
    "nowplaying": nowplaying,
    "ml100k": ml100k,
    "grocery": grocery,
}


def attributes(data: Path) -> Context:
    """Return the attributes of Beauty as side information: an item's first three."""
    folder = data / "beauty_s3"
    known = json.loads(next(folder.glob("*attributes.json")).read_text())
    items = tuple(sorted({item for songs in s3_lists(folder) for item in songs}))
    none = np.zeros(len(items), np.bool_)
    categories = {}
    for place in range(3):
        texts = [
            str(known.get(i, [])[place]) if len(known.get(i, [])) > place else "" for i in items
        ]
        values = sorted(set(texts) - {""})
        number = {text: n for n, text in enumerate(values)} | {"": -1}
        codes = np.array([number[text] for text in texts], np.int32)
        categories[f"attribute_{place}"] = Category(codes, tuple(values), none)
    released = np.full(len(items), np.nan, np.float32)
    return Context(side=SongSide(song_ids=items, categories=categories, released=released))


def trained(task: Task, recipe: SasrecRecipe, context: Context) -> Judgement:
    """Train a channel and judge it."""
    ks = sorted({k for _, k in SHOWN})
    channel = Sasrec(recipe)
    return judge(channel, task.cut, ks=ks, keep_heard=task.keep_heard, context=context)


def main() -> None:
    """Print one table in Markdown: a line an ablation, the first the whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=TASKS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    task = TASKS[arguments.data](arguments.folder)
    context = attributes(arguments.folder) if arguments.data == "beauty" else Context()
    has_times = not np.isnan(task.cut.learn.time).all()
    says_nothing = {"no-side": context.side is None, "no-time": not has_times}
    names = arguments.names or [n for n in ABLATIONS if not says_nothing.get(n)]
    pairs = (text.partition("=") for text in arguments.set)
    base = SasrecRecipe(**{name: json.loads(value) for name, _, value in pairs})
    head = ["SASRec", *(f"{name}@{k}" for name, k in SHOWN), "ndcg@10 to the whole", "CPU-s"]
    print(f"{arguments.data}: {len(task.cut):,} queries, {arguments.seeds} seeds")
    print("| " + " | ".join(head) + " |", "|---" * len(head) + "|", sep="\n")
    whole = np.zeros(len(task.cut))
    for name in ["whole", *(n for n in names if n != "whole")]:
        known = Context() if name == "no-side" else context
        recipes = [replace(base, seed=s, **ABLATIONS[name]) for s in range(arguments.seeds)]  # type: ignore[arg-type]
        found = [trained(task, recipe, known) for recipe in recipes]
        mean = {at: np.mean([f.per_query[at] for f in found], axis=0) for at in SHOWN}
        whole = mean["ndcg", 10] if name == "whole" else whole
        rng = np.random.default_rng(0)
        gap = clustered_interval(mean["ndcg", 10] - whole, task.cut.cluster, rng)
        shown = "" if name == "whole" else f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"
        cost = f"{np.mean([f.fit_cpu_s for f in found]):.0f}"
        cells = [name, *(f"{np.nanmean(mean[at]):.4f}" for at in SHOWN), shown, cost]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
