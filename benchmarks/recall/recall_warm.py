"""Warm start against training anew, day by day: quality and CPU time.

    python -m benchmarks recall_warm nowplaying|ml100k|simulated DATA OUT [CHANNEL ...]
        [--days 10] [--sessions 2000] [--set NAME=VALUE]

==========  ==================================================================================
nowplaying  the newest sessions (``nowplaying_gcegnn/``): the file is in order but has no times,
            so 30 sessions are a day
ml100k      the last days on which a film was rated (``ml100k/``); a user's ratings of a day
            are a session
simulated   a simulated world whose songs have a sound, for channels that need one; it is written
            to DATA if it is not there, and what a user plays on a day is a session
==========  ==================================================================================

On each day one channel is trained anew on all plays so far, and one goes on from the day before
(``recall train --from``); the first day's is the same for both. A third does the same, but every
sixth is trained anew (``full_every``), and a fourth, *never*, stays with the first. Each is asked
for the next song after every prefix of the 500 sessions that follow; songs that were heard before
may come again. Prints a line for each day, and the totals: the share of quality, and its
difference, paired by prefix, with intervals of 95 % over owners. OUT keeps the figures of each
day, and a second call continues after the last one.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_serve import write_edition
from recall_nights import plays_of

from audiorec.evaluation.ranking import clustered_interval, mean_ranks, rank_measures
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.recall import (
    Context,
    Queries,
    RecallData,
    channel_class,
    load_channel,
    read_context,
)
from audiorec.recall.contract.channel import Channel
from audiorec.simulation.world import WorldSpec, simulate_world
from audiorec.store.store import VectorStore
from audiorec_cli.shared.training import with_recipe

DAY_S = 86_400.0
PER_DAY = 30  # sessions of #nowplaying
ASKED = 500  # sessions that follow a day
USERS, SONGS, WORLD_DAYS = 300, 400, 60  # of the simulated world
STORE = "vecs.parquet"
SHOWN = (("hit_rate", 10), ("ndcg", 10))
ARMS = ("anew", "warm", "sixth", "never")
FULL_EVERY = 6


@dataclass(frozen=True, slots=True)
class Session:
    """Songs of one owner in order, and the day they were played on."""

    owner: str
    day: int
    songs: list[str]


def nowplaying(data: Path, sessions: int) -> list[Session]:
    """Read the newest sessions; whole days end with the last one."""
    lines = (data / "nowplaying_gcegnn" / "train_sessions.txt").read_text().splitlines()
    first = -len(lines) % PER_DAY
    rows = enumerate(lines[-sessions:], first + len(lines) - sessions)
    return [Session(f"s{row}", row // PER_DAY, line.split()) for row, line in rows]


def ml100k(data: Path, sessions: int) -> list[Session]:  # noqa: ARG001 - as the other
    """Read the films that a user rated on a day as a session, in order of days."""
    return by_days(plays_of(data))


def simulated(data: Path, sessions: int) -> list[Session]:  # noqa: ARG001
    """Read what simulated users finish; write the world before, if it is not there."""
    if not (data / STORE).is_file():
        data.mkdir(parents=True, exist_ok=True)
        write_edition(data / STORE, 1, SONGS)
        spec = WorldSpec(users=USERS, days=WORLD_DAYS)
        simulate_world(VectorStore.open(data / STORE), data / "world", spec)
    plays = to_sequences(read_interactions(data / "world" / "interactions.parquet"))
    rows = zip(plays.owner.tolist(), plays.song.tolist(), plays.time.tolist(), strict=True)
    found: dict[str, list[tuple[str, float]]] = {}
    for owner, song, at in rows:
        found.setdefault(plays.owner_ids[owner], []).append((plays.song_ids[song], at))
    return by_days(found)


def by_days(plays: Mapping[str, Sequence[tuple[str, float]]]) -> list[Session]:
    """Return what each user plays on a day as a session, in order of days."""
    by_day: dict[tuple[int, str], list[str]] = {}
    for user, of in plays.items():
        for song, at in of:
            by_day.setdefault((int(at // DAY_S), user), []).append(song)
    days = {day: number for number, day in enumerate(sorted({day for day, _ in by_day}))}
    return [Session(user, days[day], songs) for (day, user), songs in sorted(by_day.items())]


SETS = {"nowplaying": nowplaying, "ml100k": ml100k, "simulated": simulated}


def log_of(sessions: Sequence[Session]) -> Sequences:
    """Return all plays by owner; the time of a play is its day."""
    lists: dict[str, list[str]] = {}
    days: dict[str, list[int]] = {}
    for one in sessions:
        lists.setdefault(one.owner, []).extend(one.songs)
        days.setdefault(one.owner, []).extend([one.day] * len(one.songs))
    times = [day * DAY_S for of in days.values() for day in of]
    found = Sequences.from_lists(list(lists.values()), list(lists))
    return Sequences(
        found.owner_ids, found.song_ids, found.starts, found.song, np.array(times, np.float64)
    )


def ranks_of(channel: Channel, known: Sequences, asked: Sequence[Session]) -> np.ndarray:
    """Return the rank of each song of sessions but the first of an owner, among all songs.

    It is asked for with all that its owner had played before.
    """
    before = {name: known[row].tolist() for row, name in enumerate(known.owner_ids)}
    histories, wanted, ranks = [], [], []
    for one in asked:
        past = [known.song_ids[song] for song in before.get(one.owner, [])]
        for place in range(0 if past else 1, len(one.songs)):
            histories.append([*past, *one.songs[:place]])
            wanted.append(one.songs[place])
    number = {song: row for row, song in enumerate(channel.song_ids)}
    numbers = np.array([number.get(song, -1) for song in wanted], np.int64)
    done = 0
    for block in channel.blocks(Queries(Sequences.from_lists(histories))):
        rows = np.arange(len(block))
        ranks.append(mean_ranks(block, rows, numbers[done : done + len(block)]))
        done += len(block)
    return np.concatenate(ranks)


def clusters(sessions: list[Session], known: Sequences, asked: Sequence[Session]) -> list[int]:
    """Return the number of the owner of each rank, the same on all days."""
    there = set(known.owner_ids)
    number = {owner: n for n, owner in enumerate(dict.fromkeys(one.owner for one in sessions))}
    return [
        number[one.owner]
        for one in asked
        for _ in range(0 if one.owner in there else 1, len(one.songs))
    ]


def trained(made: Channel, data: RecallData, start: Channel | None, out: Path) -> float:
    """Train a channel, keep it in a folder, and return the CPU seconds."""
    began = time.process_time()
    made.fit(data, start=start)
    spent = time.process_time() - began
    made.save(out)
    return spent


def arm_of(arm: str, number: int) -> str:
    """Return the first arm whose model of a day is the same."""
    if number <= 0 or (arm == "sixth" and number % FULL_EVERY == 0):
        return "anew"
    return "warm" if arm == "sixth" and number < FULL_EVERY else arm


def figures_of(
    sessions: list[Session],
    context: Context,
    days: int,
    name: str,
    settings: list[str],
    out: Path,
    arm: str,
) -> Iterator[dict[str, Any]]:
    """Yield CPU seconds and ranks of each day; a day whose file is there is read."""
    last = sessions[-ASKED].day
    for number, today in enumerate(range(last - days, last)):
        path = out / f"{name}-{arm}-{number:02}.json"
        if not path.is_file():
            log = log_of([one for one in sessions if one.day <= today])
            asked = [one for one in sessions if one.day > today][:ASKED]
            model, spent = out / f"{name}-{arm}-{number:02}", 0.0
            same = arm_of(arm, number)
            before = out / f"{name}-{arm_of(arm, number - 1)}-{max(number - 1, 0):02}"
            if same not in ("never", arm):  # what another arm has done
                line = json.loads((out / f"{name}-{same}-{number:02}.json").read_text())
                load_channel(out / f"{name}-{same}-{number:02}").save(model)
                path.write_text(json.dumps(line))
                yield line
                continue
            if arm != "never":
                channel = with_recipe(channel_class(name), {}, settings)
                start = None if arm == "anew" else load_channel(before)
                data = RecallData(log, context.song_ids, context)
                spent = trained(channel, data, start, model)
            else:
                load_channel(before).save(model)
            ranks = ranks_of(load_channel(model), log, asked).tolist()
            line = {"day": number, "plays": len(log.song), "cpu": spent, "ranks": ranks}
            path.write_text(json.dumps({**line, "session": clusters(sessions, log, asked)}))
            print(f"{path.stem}: {spent:.1f} CPU-s", file=sys.stderr, flush=True)
        yield json.loads(path.read_text())


def report(name: str, found: dict[str, list[dict[str, Any]]]) -> None:
    """Print a line for each day and the totals; day 0 is the same for all."""
    arms = tuple(found)  # the first is *anew*
    heads = ["day", "plays", *(f"{a}: {m}@{k}" for m, k in SHOWN for a in arms), "CPU-s"]
    print("| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", sep="\n")
    days = list(zip(*(found[arm][1:] for arm in arms), strict=True))
    values = {(arm, at): [] for arm in arms for at in SHOWN}
    for lines in days:
        cells = []
        for at in SHOWN:
            for arm, line in zip(arms, lines, strict=True):
                ranks = np.array(line["ranks"], np.float64)
                of = rank_measures(ranks, np.arange(len(ranks)), len(ranks), [at[1]])[at]
                values[arm, at].append(of)
                cells.append(f"{of.mean():.4f}")
        row = [lines[0]["day"], f"{lines[0]['plays']:,}", *cells]
        row.append(", ".join(f"{line['cpu']:.1f}" for line in lines))
        print("| " + " | ".join(map(str, row)) + " |")
    groups = np.unique(np.concatenate([one[0]["session"] for one in days]), return_inverse=True)[1]
    cpu = {arm: sum(line["cpu"] for line in found[arm][1:]) for arm in arms}
    rng = np.random.default_rng(0)
    print(f"\n{name}: {len(groups):,} prefixes of {groups.max() + 1:,} owners")
    for arm in arms[1:]:
        print(
            f"CPU time: {arm} {cpu[arm]:.0f} s of {cpu['anew']:.0f} s, {cpu[arm] / cpu['anew']:.1%}"
        )
    for at in SHOWN:
        of = {arm: np.concatenate(values[arm, at]) for arm in arms}
        for arm in arms[1:]:
            gap = clustered_interval(of[arm] - of["anew"], groups, rng)
            share = of[arm].mean() / of["anew"].mean()
            shown = f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"
            print(f"{at[0]}@{at[1]}: {arm} {share:.1%} of training anew, {shown}", flush=True)


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SETS)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("channels", nargs="*", default=["sasrec"])
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=ARMS)
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    sessions = SETS[arguments.name](arguments.data, arguments.sessions)
    store = arguments.data / STORE if arguments.name == "simulated" else None
    context = read_context(vectors=store)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.channels:
        what = (sessions, context, arguments.days + 1, name, arguments.set, arguments.out)
        arms = [arm for arm in ARMS if arm in arguments.arms]
        # Day by day, so that what else the machine does takes from all alike.
        days = list(zip(*(figures_of(*what, arm) for arm in arms), strict=True))
        if arms[0] == "anew" and len(arms) > 1:
            found = dict(zip(arms, map(list, zip(*days, strict=True)), strict=True))
            report(f"{arguments.name}, {name}", found)


if __name__ == "__main__":
    main()
