"""Channels, their fusion by default, and peers on three public sets: a table with differences.

    python -m benchmarks recall_fused ml100k|nowplaying|hetrec DATA WORK [CHANNEL ...]
    (in an environment with implicit) python benchmarks/peers/implicit_lists.py WORK/NAME
    (in one with RecTools) python benchmarks/peers/rectools_lists.py WORK/NAME
    python -m benchmarks recall_fused NAME DATA WORK

==========  ==================================================================================
ml100k      the last film of each of 943 users is wanted (``ml100k/``)
nowplaying  8,000 of the given prefixes after the newest 8,000 sessions, repeats kept
            (``nowplaying_gcegnn/``)
hetrec      play counts of Last.fm, a fifth of each user's artists is hidden (``lastfm2k/``)
==========  ==================================================================================

Every channel is trained and asked as ``recall train`` and ``recall candidates`` do it. Weights are
learnt as ``recall tune`` does it: a validation part is kept back from what is learnt (the last play
of each user; of sessions, whole ones; of counts, a random fifth), the channels are trained on the
rest, and their lists for at most 2,000 of its users are weighed. What a peer has to read lies in
WORK/NAME (``learn.parquet``, ``known.parquet``), and its lists, ``peer-*.parquet``, are judged with
the others. Intervals of 95 % over users, or prefixes; *over* is the difference to the best channel
of ours, *peer over ours* that of each peer to the best channel of ours other than ``als``.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv
from recall_nights import plays_of
from recall_tables import made, nowplaying

from audiorec.evaluation.ranking import clustered_interval
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.recall.contract.batch_recall import write_candidates
from audiorec.recall.contract.candidates import read_candidates
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.contract.job import train_channel
from audiorec.recall.judging.judge import Judgement, judge
from audiorec.recall.judging.splits import JudgingSplit, SplitName, split
from audiorec.recall.serving.job import fuse_files
from audiorec.recall.serving.nightly.steps import LEAST
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.recall.serving.tune import Learnt, learn, proposed_to

DEPTH, K = 200, 100
PREFIXES, NEWEST = 8_000, 8_000
USERS = 2_000  # of the validation part
EASE = "ease:dropout=0.67:regularisation=50"  # chosen on a fifth of what hetrec learns from
KNN = ("item-knn", 'item-knn:weighting="cosine"', 'item-knn:weighting="bm25"')
SHOWN = (("hit_rate", 10), ("recall", 20), ("recall", 100), ("mrr", 20))


def ml100k(data: Path, work: Path) -> JudgingSplit:  # noqa: ARG001 - as the others
    """Read films in the order in which each user rated them."""
    plays = {user: [film for film, _ in of] for user, of in plays_of(data).items()}
    return split(Sequences.from_lists(list(plays.values()), list(plays)), "last")


def prefixes(data: Path, work: Path) -> JudgingSplit:  # noqa: ARG001
    """Read the newest sessions and some of the test prefixes."""
    return nowplaying(data, PREFIXES, NEWEST).cut


def hetrec(data: Path, work: Path) -> JudgingSplit:
    """Read play counts as a log without times."""
    table = csv.read_csv(
        data / "lastfm2k" / "user_artists.dat", parse_options=csv.ParseOptions(delimiter="\t")
    )
    log = work / "counts.parquet"
    pq.write_table(table.rename_columns(["user_id", "song_id", "weight"]), log)
    return split(to_sequences(read_interactions(log)), "random")


SETS: dict[str, tuple[Callable[[Path, Path], JudgingSplit], bool, tuple[str, ...]]] = {
    "ml100k": (ml100k, False, ("popular", "rules", "vs-knn", *KNN, "ease", EASE, "sasrec", "als")),
    "nowplaying": (prefixes, True, ("popular", "rules", "vs-knn", *KNN, "sasrec", "als")),
    "hetrec": (hetrec, False, ("popular", "rules", *KNN, "ease", EASE, "als")),
}


def write_for_peers(work: Path, cut: JudgingSplit) -> None:
    """Write what is learnt from and what is known of each query, with counts and in order."""
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
        pq.write_table(pa.table(columns), work / f"{name}.parquet")
        order = {"user_id": ids[0].take(pa.array(of.owner)), "song_id": ids[1].take(of.song)}
        pq.write_table(pa.table({**order, "place": of.place}), work / f"{name}-order.parquet")


def lists_of(text: str, cut: JudgingSplit, work: Path, *, keep_heard: bool) -> Path:
    """Train a channel, ask it, and return its candidates; what is there is not made again."""
    stem = "".join(c if c.isalnum() or c == "-" else "_" for c in text)
    path = work / f"{stem}.parquet"
    if not path.is_file():
        channel = made(text)
        train_channel(channel, RecallData(cut.learn), work / stem)
        hidden = None if keep_heard else cut.histories
        write_candidates(path, channel, Queries(cut.histories), DEPTH, exclude=hidden)
    return path


def learnt(names: list[str], cut: JudgingSplit, work: Path, *, keep_heard: bool) -> Learnt:
    """Learn weights on a validation part of what is learnt from."""
    plays = cut.learn
    how: SplitName = "random" if plays.is_counted else "sessions" if keep_heard else "last"
    part = split(plays, how)
    rows = np.sort(np.random.default_rng(0).permutation(len(part))[:USERS])
    histories, wanted = part.histories.take(rows), part.wanted.take(rows)
    part = replace(part, histories=histories, wanted=wanted, cluster=part.cluster[rows])
    held = work / "held"
    held.mkdir(exist_ok=True)
    paths = [lists_of(name, part, held, keep_heard=keep_heard) for name in names]
    return learn(proposed_to(paths, wanted), names)


def judged(path: Path, cut: JudgingSplit, *, keep_heard: bool) -> Judgement:
    """Judge the first hundred of lists."""
    table = pq.read_table(path, columns=["user_id", "song_id", "rank"])
    short = path.with_suffix(".first")
    pq.write_table(table.filter(pc.less_equal(table.column("rank"), K)), short)
    return judge(read_candidates(short), cut, ks=[10, 20, K], keep_heard=keep_heard)


def table(found: dict[str, Judgement], cut: JudgingSplit, ours: list[str]) -> list[str]:
    """Return the lines of the table: figures, and differences to our best channel."""
    heads = [f"{name}@{k}" for name, k in SHOWN]
    lines = ["| " + " | ".join(["list", *heads]) + " |", "|---" * (len(heads) + 1) + "|"]
    rng = np.random.default_rng(0)
    for name, one in found.items():
        lines.append("| " + " | ".join([name, *(str(one.means[at]) for at in SHOWN)]) + " |")

    def gaps(of: str, among: list[str]) -> str:
        cells = []
        for at in SHOWN:
            best = max(among, key=lambda name: found[name].means[at].value)
            gap = found[of].per_query[at] - found[best].per_query[at]
            cells.append(f"{clustered_interval(gap, cut.cluster, rng)} `{best.strip('`')}`")
        return " | ".join(cells)

    lines.append(f"| fused, over our best | {gaps('fused', ours)} |")
    others = [name for name in ours if name != "`als`"]
    peers = [name for name in found if name.startswith("peer")]
    return [*lines, *(f"| {one}, over our best but `als` | {gaps(one, others)} |" for one in peers)]


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SETS)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("channels", nargs="*")
    arguments = parser.parse_args()
    read, keep, names = SETS[arguments.name]
    work = arguments.work / arguments.name
    work.mkdir(parents=True, exist_ok=True)
    cut = read(arguments.data, work)
    write_for_peers(work, cut)
    paths = {}
    for name in arguments.channels or names:
        paths[f"`{name}`"] = lists_of(name, cut, work, keep_heard=keep)
        print(name, flush=True)
    found_weights = learnt(list(arguments.channels or names), cut, work, keep_heard=keep)
    for name, one in found_weights.weights.items():
        print(f"{name}: {one}")
    print(f"fused over {found_weights.best} on the validation part: {found_weights.lead:+}")
    weights = tuple(max(one.value, LEAST) for one in found_weights.weights.values())
    fused = work / "fused.parquet"
    fuse_files(list(paths.values()), fused, FusionRecipe(k=K, weights=weights))
    every = {**paths, "fused": fused}
    every |= {path.stem.replace("-", " ", 1): path for path in sorted(work.glob("peer-*.parquet"))}
    found = {name: judged(path, cut, keep_heard=keep) for name, path in every.items()}
    print(f"{arguments.name}: {len(cut):,} queries", *table(found, cut, list(paths)), sep="\n")


if __name__ == "__main__":
    main()
