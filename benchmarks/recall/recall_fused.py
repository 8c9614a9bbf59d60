"""Channels and their fusion by default on three public sets: a table with the difference.

    python -m benchmarks recall_fused ml100k|nowplaying|hetrec DATA WORK [CHANNEL ...]

==========  ==================================================================================
ml100k      the last film of each of 943 users is wanted (``ml100k/``)
nowplaying  8,000 of the given prefixes after the newest 8,000 sessions, repeats kept
            (``nowplaying_gcegnn/``)
hetrec      play counts of Last.fm, a fifth of each user's artists is hidden (``lastfm2k/``)
==========  ==================================================================================

Every channel is trained and asked as ``recall train`` and ``recall candidates`` do it. Weights are
learnt as ``recall tune`` does it: a validation part is kept back from what is learnt (the last play
of each user; of sessions, whole ones; of counts, a random fifth), the channels are trained on the
rest, and their lists for at most 2,000 of its users are weighed. Intervals of 95 % over users, or
prefixes; *over* is the difference to the best channel. Beside other libraries: ``recall_peers.py``.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
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
from audiorec.recall.contract.training import train_channel
from audiorec.recall.judging.judge import Judgement, judge
from audiorec.recall.judging.splits import JudgingSplit, SplitName, split
from audiorec.recall.serving.lists import fuse_files
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


def held_part(cut: JudgingSplit, *, keep_heard: bool) -> JudgingSplit:
    """Return a validation part of what is learnt from, of at most 2,000 owners."""
    plays = cut.learn
    how: SplitName = "random" if plays.is_counted else "sessions" if keep_heard else "last"
    part = split(plays, how)
    rows = np.sort(np.random.default_rng(0).permutation(len(part))[:USERS])
    histories, wanted = part.histories.take(rows), part.wanted.take(rows)
    return replace(part, histories=histories, wanted=wanted, cluster=part.cluster[rows])


def learnt(names: list[str], cut: JudgingSplit, work: Path, *, keep_heard: bool) -> Learnt:
    """Learn weights on a validation part of what is learnt from."""
    part = held_part(cut, keep_heard=keep_heard)
    held = work / "held"
    held.mkdir(exist_ok=True)
    paths = [lists_of(name, part, held, keep_heard=keep_heard) for name in names]
    return learn(proposed_to(paths, part.wanted), names)


def judged(path: Path, cut: JudgingSplit, *, keep_heard: bool) -> Judgement:
    """Judge the first hundred of lists."""
    table = pq.read_table(path, columns=["user_id", "song_id", "rank"])
    short = path.with_suffix(".first")
    pq.write_table(table.filter(pc.less_equal(table.column("rank"), K)), short)
    return judge(read_candidates(short), cut, ks=[10, 20, K], keep_heard=keep_heard)


def table(found: dict[str, Judgement]) -> list[str]:
    """Return the lines of the table of figures."""
    heads = [f"{name}@{k}" for name, k in SHOWN]
    lines = ["| " + " | ".join(["list", *heads]) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, one in found.items():
        lines.append("| " + " | ".join([name, *(str(one.means[at]) for at in SHOWN)]) + " |")
    return lines


def lead(
    found: dict[str, Judgement], of: list[str], over: list[str], cut: JudgingSplit
) -> list[str]:
    """Return by measure how far the best of some lists is ahead of the best of others, in pairs."""
    rng, cells = np.random.default_rng(0), []
    for at in SHOWN:
        first, second = (
            max(names, key=lambda name: found[name].means[at].value) for names in (of, over)
        )
        gap = found[first].per_query[at] - found[second].per_query[at]
        named = [name.strip("`") for name, among in ((first, of), (second, over)) if len(among) > 1]
        names = " over ".join(f"`{name}`" for name in named)
        cells.append(f"{clustered_interval(gap, cut.cluster, rng)} {names}".rstrip())
    return cells


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
    found = {name: judged(path, cut, keep_heard=keep) for name, path in every.items()}
    print(f"{arguments.name}: {len(cut):,} queries", *table(found), sep="\n")
    gaps = " | ".join(lead(found, ["fused"], list(paths), cut))
    print(f"| fused, over our best | {gaps} |")


if __name__ == "__main__":
    main()
