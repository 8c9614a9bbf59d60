"""What each part of the models of sequences is worth: one table, paired, on one split.

    python -m benchmarks sequence_ablations beauty|sports|toys|lastfm|ml100k|grocery DATA [ROW ...]
        [--seeds N] [--set FIELD=VALUE ...] [--kept DIR]

=======  ==================================================================================
beauty   Amazon's products by S3-Rec's split: the last is wanted, the one before not learnt from
sports   the same
toys     the same
lastfm   artists, the same split
ml100k   films with times to the second: each user's last is wanted
grocery  groceries with times to the day: each user's last is wanted
=======  ==================================================================================

ROWs are those of `ROWS`; by default all that say something of the data. Every line is trained alike
(validation part, then everything) and ranked on the whole catalogue; the difference is to the first
row of its family on the same queries, averaged over the seeds, with the middle 95 % of a bootstrap
over users. ``--set`` is of ``sasrec``. What a run found is kept in DIR, and a run that is there is
not made again. DATA holds the folders as their repositories have them.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from interests_tables import Row, run
from recall_tables import Task, s3, s3_lists

from audiorec.evaluation.ranking import clustered_interval
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import Category, SongSide
from audiorec.recall.contract.data import Context
from audiorec.recall.judging.splits import split
from audiorec.recall.sequence.sasrec.forward import DAY_S

SESSION_S = 1_800.0
S3 = {"beauty": "beauty_s3", "sports": "sports_s3", "toys": "toys_s3", "lastfm": "lastfm_seq"}
ROWS = {
    "sasrec": Row("sasrec"),
    "sasrec, two tables": Row("sasrec", {"shared_table": False}),
    "sasrec, no logQ": Row("sasrec", {"log_q": False}),
    "sasrec, no positions": Row("sasrec", {"positions": False}),
    "sasrec, no gaps": Row("sasrec", {"relative_time": False}),
    "sasrec, gaps by session": Row("sasrec", {"session_gap_s": SESSION_S}),
    "sasrec, gaps by day": Row("sasrec", {"session_gap_s": DAY_S}),
    "sasrec, two blocks": Row("sasrec", {"blocks": 2}),
    "sasrec, no side": Row("sasrec", has_side=False),
    "youtube-dnn": Row("youtube-dnn", has_side=False),
    "mind": Row("mind"),
    "mind, fixed logits": Row("mind", {"routing_logits": "fixed"}),
    "mind, K = 1": Row("mind", {"interests": 1}),
    "mind, K = 2": Row("mind", {"interests": 2}),
    "mind, K = 8": Row("mind", {"interests": 8}),
    "mind, equal quotas": Row("mind", {}, {"rule": "equal"}),
    "mind, quotas by weight": Row("mind", {}, {"rule": "weighted"}),
    "mind, no side": Row("mind", has_side=False),
    "comirec-sa": Row("comirec-sa"),
    "comirec-sa, no positions": Row("comirec-sa", {"positions": False}),
}
OF_TIME = ("sasrec, no gaps", "sasrec, gaps by session", "sasrec, gaps by day")
SHOWN = (("hit_rate", 10), ("ndcg", 10), ("hit_rate", 100), ("hit_rate", 200))
KS = (10, 100, 200)
LISTED = ("popularity", "gini", "diversity_kind", "cosine")


def timed(rows: list[tuple[str, str, float]], kinds: dict[str, str]) -> Task:
    """Cut each user's last play off, by time."""
    rows.sort(key=lambda row: (row[0], row[2]))
    users = list(dict.fromkeys(row[0] for row in rows))
    lists: dict[str, list[str]] = {user: [] for user in users}
    for user, item, _ in rows:
        lists[user].append(item)
    plays = Sequences.from_lists(list(lists.values()), users)
    plays = replace(plays, time=np.array([row[2] for row in rows], np.float64))
    return Task(split(plays, "last"), SHOWN, {"kind": kinds})


def ml100k(data: Path) -> Task:
    """Read films that were rated, whatever the rating; nothing is known of them here."""
    lines = (data / "ml100k" / "ml-100k.inter").read_text().splitlines()[1:]
    cells = (line.split("\t") for line in lines)
    return timed([(user, item, float(time)) for user, item, _, time in cells], {})


def grocery(data: Path) -> Task:
    """Read the training rows of ReChorus, whose others are not public, and their categories."""
    folder = data / "grocery_rechorus"
    lines = (folder / "train.csv").read_text().splitlines()[1:]
    cells = (line.split("\t") for line in lines)
    meta = (line.split("\t") for line in (folder / "item_meta.csv").read_text().splitlines()[1:])
    kinds = {row[0]: row[1] for row in meta}
    return timed([(user, item, float(time)) for user, item, time in cells], kinds)


def of_s3(data: Path, folder: str) -> Task:
    """Read a set of S3-Rec with its attributes as side information: the first three of each."""
    task, data = s3(data, folder), data / folder
    known = json.loads(next(data.glob("*attributes.json")).read_text())
    items = tuple(sorted({item for songs in s3_lists(data) for item in songs}))
    firsts = {item: list(dict.fromkeys(map(str, known.get(item, [])))) for item in items}
    columns = {
        f"attribute_{place}": [(firsts[i][place:] or [""])[0] for i in items] for place in range(3)
    }
    return replace(task, context=Context(side=side_of(items, columns)))


def side_of(items: tuple[str, ...], columns: dict[str, list[str]]) -> SongSide:
    """Return columns of texts as side information; empty is unknown."""
    none = np.zeros(len(items), np.bool_)
    categories = {}
    for name, texts in columns.items():
        values = sorted(set(texts) - {""})
        number = {text: n for n, text in enumerate(values)} | {"": -1}
        codes = np.array([number[text] for text in texts], np.int32)
        categories[name] = Category(codes, tuple(values), none)
    released = np.full(len(items), np.nan, np.float32)
    return SongSide(song_ids=items, categories=categories, released=released)


TASKS: dict[str, Callable[[Path], Task]] = {
    **{name: partial(of_s3, folder=folder) for name, folder in S3.items()},
    "ml100k": ml100k,
    "grocery": grocery,
}


def telling(task: Task) -> list[str]:
    """Return the rows that say something of the data."""
    has_times = not np.isnan(task.cut.learn.time).all()
    silent = set(() if has_times else OF_TIME)
    if task.context.side is None:
        silent |= {name for name, row in ROWS.items() if not row.has_side} - {"youtube-dnn"}
    return [name for name in ROWS if name not in silent]


def numbers(runs: list[dict], names: Iterable[str]) -> list[str]:
    """Return means over the seeds of what lists and interests are like."""
    found = (np.mean([run["spread"].get(name, np.nan) for run in runs]) for name in names)
    return ["" if np.isnan(v) else f"{v:,.0f}" if v >= 20 else f"{v:.3f}" for v in found]


def main() -> None:
    """Print one table in Markdown: a line a row, the first of a family the whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=TASKS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--kept", type=Path, default=Path("ablations-kept"))
    arguments = parser.parse_args()
    kept = arguments.kept / arguments.data
    kept.mkdir(parents=True, exist_ok=True)
    task = TASKS[arguments.data](arguments.folder)
    pairs = (text.partition("=") for text in arguments.set)
    given = {name: json.loads(value) for name, _, value in pairs}
    measures = [f"{name}@{k}" for name, k in SHOWN]
    head = ["row", *measures, *LISTED, "ndcg@10 to the whole", "CPU-s"]
    print(f"{arguments.data}: {len(task.cut):,} queries, {arguments.seeds} seeds")
    print("| " + " | ".join(head) + " |", "|---" * len(head) + "|", sep="\n")
    wholes: dict[str, np.ndarray] = {}
    for name in arguments.rows or telling(task):
        row = ROWS[name]
        if row.channel == "sasrec":
            row = replace(row, learnt={**given, **row.learnt})
        runs = [run(row, seed, task, KS, kept) for seed in range(arguments.seeds)]
        own = np.mean([r["per_query"]["ndcg@10"] for r in runs], axis=0)
        whole = wholes.setdefault(row.channel, own)
        gap = clustered_interval(own - whole, task.cut.cluster, np.random.default_rng(0))
        cells = [name, *(f"{np.mean([r['means'][m] for r in runs]):.4f}" for m in measures)]
        cells += numbers(runs, LISTED)
        is_whole = own is whole
        cells.append("" if is_whole else f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]")
        cells.append(f"{np.mean([r['fit_cpu_s'] for r in runs]):.0f}")
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
