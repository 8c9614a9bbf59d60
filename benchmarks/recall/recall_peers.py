"""Channels beside models of implicit and RecTools, each with settings of an equal budget.

    python -m benchmarks recall_peers ml100k|nowplaying|hetrec DATA WORK [--budget 100]
    (where implicit is) python benchmarks/peers/implicit_lists.py WORK/NAME
    (where RecTools is) python benchmarks/peers/rectools_lists.py WORK/NAME ease sasrec
    python -m benchmarks recall_peers NAME DATA WORK

Sets, splits and validation parts are those of ``recall_fused.py``. The first call writes what the
others read, and chooses the settings of the channels by ``benchmarks/peers/settings.py``, as the
other scripts do for theirs; the second one prints two tables: what was chosen and what it cost, and
the figures of all lists, with differences of each channel to the other's model of its kind. The
test part is read once, after everything is chosen. Networks have three times the budget.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from recall_fused import DEPTH, SETS, held_part, judged, lead, table
from recall_tables import made
from settings import Settings, Space, search
from table import tables

from audiorec.recall.contract.batch_recall import write_candidates
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.contract.training import train_channel
from audiorec.recall.judging.splits import JudgingSplit
from audiorec.recall.simple.knn import MOST_SONGS

SPACES: dict[str, Space] = {
    "rules": {"window": [5, 10, 20], "history": [5, 10, 20], "fade": [0.1, 0.3, 0.6, 1.0]},
    "vs-knn": {
        "neighbours": [50, 100, 200, 500],
        "newest": [500, 1000, 2000, 5000],
        "history": [10, 50],
    },
    "item-knn": {
        "weighting": ["tf-idf", "cosine", "bm25"],
        "neighbours": [20, 50, 100, 200, 500],
        "shrink": [0.0, 10.0, 50.0, 100.0],
        "history": [20, 100, 1000],
    },
    "als": {
        "factors": [32, 64, 128, 256],
        "iterations": [10, 15, 25],
        "unseen": [None, 2.0, 4.0, 8.0, 16.0, 32.0],
        "regularisation": [None, 0.001, 0.003, 0.01, 0.03, 0.1],
    },
    "ease": {
        "regularisation": [10.0, 30.0, 50.0, 100.0, 300.0, 1000.0],
        "dropout": [0.0, 0.3, 0.5, 0.67, 0.8],
    },
    "sasrec": {
        "dimension": [64, 128, 256],
        "temperature": [0.125, 0.0625, 0.04],
        "dropout": [0.1, 0.3, 0.5],
        "learning_rate": [0.005, 0.015, 0.03],
        "blocks": [1, 2],
    },
}
NEEDS_ORDER = ("rules", "vs-knn", "sasrec")
PEERS = {"item-knn": "implicit-item-item", "als": "implicit-als"}
PEERS |= {"ease": "rectools-ease", "sasrec": "rectools-sasrec"}


def names_of(cut: JudgingSplit) -> list[str]:
    """Return the channels that can learn from a log."""
    left = NEEDS_ORDER if cut.learn.is_counted else ()
    left += ("ease",) if len(cut.learn.song_ids) > MOST_SONGS else ()
    return [name for name in SPACES if name not in left]


def write_for_peers(folder: Path, cut: JudgingSplit) -> None:
    """Write what is learnt from and known of each query, with counts and in order."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, of in (("learn", cut.learn), ("known", cut.histories)):
        key = of.owner * len(of.song_ids) + of.song
        pair, place = np.unique(key, return_inverse=True)
        counts = np.bincount(place, of.weight)
        user, song = pair // len(of.song_ids), pair % len(of.song_ids)
        ids = pa.array(of.owner_ids, pa.string()), pa.array(of.song_ids, pa.string())
        columns = {
            "user_id": ids[0].take(pa.array(user)),
            "song_id": ids[1].take(pa.array(song)),
            "count": pa.array(counts),
        }
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
        order = {"user_id": ids[0].take(pa.array(of.owner)), "song_id": ids[1].take(of.song)}
        pq.write_table(pa.table({**order, "place": of.place}), folder / f"{name}-order.parquet")


def write_wanted(folder: Path, cut: JudgingSplit) -> None:
    """Write what is wanted of each query of a validation part."""
    of = cut.wanted
    ids = pa.array(cut.histories.owner_ids, pa.string()), pa.array(of.song_ids, pa.string())
    columns = {"user_id": ids[0].take(pa.array(of.owner)), "song_id": ids[1].take(of.song)}
    pq.write_table(pa.table(columns), folder / "wanted.parquet")


def lists_of(name: str, settings: Settings, cut: JudgingSplit, *, keep_heard: bool) -> pa.Table:
    """Train a channel as ``recall train`` does it, and return its lists."""
    channel = made(":".join([name, *(f"{n}={json.dumps(v)}" for n, v in settings.items())]))
    with tempfile.TemporaryDirectory() as kept:
        train_channel(channel, RecallData(cut.learn), Path(kept) / "model")
        path, hidden = Path(kept) / "lists.parquet", None if keep_heard else cut.histories
        write_candidates(path, channel, Queries(cut.histories), DEPTH, exclude=hidden)
        return pq.read_table(path, columns=["user_id", "song_id", "rank"])


def main() -> None:
    """Read the arguments; choose the settings of the channels, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SETS)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--budget", type=float, default=100.0)
    arguments = parser.parse_args()
    read, keep, _ = SETS[arguments.name]
    work = arguments.work / arguments.name
    work.mkdir(parents=True, exist_ok=True)
    cut = read(arguments.data, work)
    held = held_part(cut, keep_heard=keep)
    write_for_peers(work, cut)
    write_for_peers(work / "held", held)
    write_wanted(work / "held", held)
    for name in (names := names_of(cut)):

        def lists(settings: Settings, folder: Path, name: str = name) -> pa.Table:
            part = held if folder == work / "held" else cut
            return lists_of(name, settings, part, keep_heard=keep)

        budget = arguments.budget * (3 if name == "sasrec" else 1)
        search(name, SPACES[name], lists, work, budget)
    peers = [name for name in names if (work / f"tuned-{PEERS.get(name)}.json").exists()]
    shown = [*names, *(PEERS[name] for name in peers)]
    if not peers:
        print("no lists of peers yet", file=sys.stderr)
        return
    print("\n".join(tables((work / f"tuned-{name}.json").read_text() for name in shown)))
    found = {n: judged(work / f"tuned-{n}.parquet", cut, keep_heard=keep) for n in shown}
    print(f"{arguments.name}: {len(cut):,} queries", *table(found), sep="\n")
    for name in peers:
        gaps = lead(found, [name], [PEERS[name]], cut)
        print(f"| {' | '.join([f'`{name}` over {PEERS[name]}', *gaps])} |")
    gaps = lead(found, names, [PEERS[name] for name in peers], cut)
    print(f"| {' | '.join(['our best over their best', *gaps])} |")


if __name__ == "__main__":
    main()
