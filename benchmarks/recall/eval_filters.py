"""What filters for plays that say nothing are worth: recall, learnt with them and without.

    python -m benchmarks eval_filters world
    python -m benchmarks eval_filters ml100k|grocery DATA
    python -m benchmarks eval_filters LOG.parquet

======== =====================================================================================
world    made-up listening, once as it is and once with planted loops, floods, chains of skips
         and cafes where everybody's music runs through one account
ml100k   ratings with times, RecBole's file: many in an hour, so that ``flood`` takes some
grocery  purchases with days, ReChorus's file
LOG      a listening log of one's own
======== =====================================================================================

Learning is filtered; histories and wanted songs are not, and are the same for all filters. The
newest tenth of the plays is asked for (ml100k: each user's last, since a user rates in one
evening). Differences to no filter are on the same users, with their interval. Use it to decide on
a validation part: what comes after it stays unseen.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.evaluation.ranking import clustered_interval
from audiorec.listening.events import EVENTS, Interactions
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import FILTERS, Sequences, noise, to_sequences, without_noise
from audiorec.recall.judging.judge import Judgement, evaluate
from audiorec.recall.judging.splits import JudgingSplit, split
from audiorec.recall.registry import channel_class
from audiorec.simulation.world import WorldSpec, simulate

CHANNELS = ("popular", "item-knn", "vs-knn")
BY = ("recall", 20)
SONGS, FEATURES = 400, 20  # of the made-up world
LOOPERS, FLOODERS, SKIPPERS, CAFES = 40, 40, 40, 3  # users of whom plays are planted
NIGHT_S, HOUR_S, DAY_S = 8 * 3600.0, 3600.0, 86_400.0


def clean_world() -> Interactions:
    """Make listening up, as ``audiorec listening simulate`` does."""
    features = np.random.default_rng(1).normal(size=(SONGS, FEATURES))
    ids = [f"song-{number:04}" for number in range(SONGS)]
    return simulate(ids, features, WorldSpec(users=800, days=60, sessions_per_day=0.4)).interactions


def planted(log: Interactions, seed: int = 0) -> Interactions:
    """Add plays that say nothing, before the newest tenth of the log."""
    rng = np.random.default_rng(seed)
    end = float(np.quantile(log.timestamp, 0.85))
    begin = float(log.timestamp.min())
    drawn = rng.permutation(len(log.user_ids))
    user, song, time, event = [], [], [], []

    def add(who: int, songs: Any, every: float, what: str) -> None:
        start = begin + rng.random() * (end - begin)
        user.append(np.full(len(songs), who))
        song.append(np.asarray(songs))
        time.append(start + every * np.arange(len(songs)))
        event.append(np.full(len(songs), EVENTS.index(what)))

    for who in drawn[:LOOPERS].tolist():
        for _ in range(5):  # nights
            add(who, np.full(150, rng.integers(SONGS)), NIGHT_S / 150, "finish")
    for who in drawn[LOOPERS : LOOPERS + FLOODERS].tolist():
        add(who, rng.integers(0, SONGS, 400), HOUR_S / 400, "finish")
    for who in drawn[-SKIPPERS:].tolist():
        add(who, rng.integers(0, SONGS, 60), 3.0, "skip")
    cafes = [f"zz-cafe-{number}" for number in range(CAFES)]
    for number in range(CAFES):
        for _ in range(20):  # days
            who = len(log.user_ids) + number
            add(who, rng.integers(0, SONGS, 250), 14 * HOUR_S / 250, "finish")
    return with_rows(log, cafes, *map(np.concatenate, (user, song, time, event)))


def with_rows(
    log: Interactions, users: list[str], user: Any, song: Any, time: Any, event: Any
) -> Interactions:
    """Return a log with more rows; new users come after the others."""
    n = len(user)
    return replace(
        log,
        user_ids=(*log.user_ids, *users),
        user=np.append(log.user, user).astype(np.int32),
        song=np.append(log.song, song).astype(np.int32),
        timestamp=np.append(log.timestamp, time),
        event=np.append(log.event, event).astype(np.int8),
        played_ratio=np.append(log.played_ratio, np.full(n, np.nan, np.float32)),
        weight=np.append(log.weight, np.ones(n, np.float32)),
    )


def columns_of(path: Path, names: tuple[str, str, str], separator: str) -> Interactions:
    """Read users, items and seconds of a public table as finished plays."""
    lines = path.read_text().splitlines()
    head = [name.partition(":")[0] for name in lines[0].split(separator)]
    places = [head.index(name) for name in names]
    rows = [line.split(separator) for line in lines[1:]]
    users, items, times = ([row[place] for row in rows] for place in places)
    user_ids, user = np.unique(users, return_inverse=True)
    song_ids, song = np.unique(items, return_inverse=True)
    return Interactions(
        user_ids=tuple(user_ids.tolist()),
        song_ids=tuple(song_ids.tolist()),
        user=user.astype(np.int32),
        song=song.astype(np.int32),
        timestamp=np.array(times, np.float64),
        event=np.full(len(rows), EVENTS.index("finish"), np.int8),
        played_ratio=np.full(len(rows), np.nan, np.float32),
        weight=np.ones(len(rows), np.float32),
    )


def cut_of(log: Interactions, name: str) -> JudgingSplit:
    """Cut the whole log, with all of its plays."""
    return split(to_sequences(log), "last" if name == "ml100k" else "time")


def learnt_from(log: Interactions, cut: JudgingSplit, names: tuple[str, ...]) -> Sequences:
    """Return what is learnt from once some filters have taken their rows."""
    plays = to_sequences(without_noise(log, names))
    if cut.name == "time":
        return plays.keep(plays.time < cut.wanted.time.min())
    last = np.ones(len(plays.song), np.bool_)
    last[plays.starts[1:][plays.lengths > 0] - 1] = False
    return plays.keep(last)


def report(log: Interactions, name: str) -> None:
    """Print a line for each filter: what it takes, and what recall becomes."""
    cut = cut_of(log, name)
    print(f"\n{name}: {len(log):,} rows, {len(cut):,} users asked, split {cut.name}")
    print("| filter | rows | " + " | ".join(f"`{c}`" for c in CHANNELS) + " |")
    print("|---" * (len(CHANNELS) + 2) + "|")
    before: dict[str, Judgement] = {}
    for filters in ((), *((one,) for one in FILTERS), tuple(FILTERS)):
        taken = np.zeros(len(log), np.bool_)
        for one in filters:
            taken |= noise(log, one)
        if filters and not taken.any():
            print(f"| {shown(filters)} | 0 |" + " |" * len(CHANNELS))
            continue
        part = replace(cut, learn=learnt_from(log, cut, filters))
        cells = []
        for channel in CHANNELS:
            # Nobody rates or buys a thing twice in these two.
            again = name not in ("ml100k", "grocery")
            found = evaluate(channel_class(channel)(), part, ks=[BY[1]], keep_heard=again)
            before.setdefault(channel, found)
            gap = found.per_query[BY] - before[channel].per_query[BY]
            change = clustered_interval(gap, cut.cluster, np.random.default_rng(0))
            signed = f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
            cells.append(signed if filters else str(found.means[BY]))
        print(f"| {shown(filters)} | {int(taken.sum()):,} | {' | '.join(cells)} |", flush=True)


def shown(filters: tuple[str, ...]) -> str:
    """Return how a choice of filters is called."""
    return "all" if len(filters) > 1 else f"`{filters[0]}`" if filters else "none"


def main() -> None:
    """Read or make a log, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", help="world, ml100k, grocery, or a listening log")
    parser.add_argument("data", type=Path, nargs="?", default=Path())
    arguments = parser.parse_args()
    match arguments.log:
        case "world":
            log = clean_world()
            report(log, "world as it is")
            report(planted(log), "world with planted plays")
        case "ml100k":
            path = arguments.data / "ml100k" / "ml-100k.inter"
            report(columns_of(path, ("user_id", "item_id", "timestamp"), "\t"), "ml100k")
        case "grocery":
            path = arguments.data / "grocery_rechorus" / "train.csv"
            report(columns_of(path, ("user_id", "item_id", "time"), "\t"), "grocery")
        case path:
            report(read_interactions(Path(path)), path)


if __name__ == "__main__":
    main()
