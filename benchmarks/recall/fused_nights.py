"""Nights of ``recall run --day``: the fused lists beside those of each channel.

    python -m benchmarks fused_nights ml100k|spread|nowplaying DATA OUT [--nights 30] [--beside OLD]

==========  ==================================================================================
ml100k      films by the day on which they were rated (``ml100k/``): few users come twice
spread      the same; each user's last ten films, one on each of some drawn nights: a third of
            the users comes every night
nowplaying  the newest 2,000 sessions of sixteen different songs or more
            (``nowplaying_gcegnn/``); a fifth of them goes on every night
==========  ==================================================================================

Each night's lists are judged by what their users play for the first time the day after (``--days
7``: in the seven days after). Prints the figures with intervals of 95 % over users; the difference
of the fused lists to each channel and, with ``--beside OUT2``, to the lists of another revision,
paired by user; and for each night its weights, the largest change of one, and the share of the
pairs of the first ten places that stood there the night before. What is there is not made again.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from recall_nights import DAY_S, plays_of, write_log
from table import tables

from audiorec.evaluation.ranking import clustered_interval, rank_measures
from audiorec.recall.serving.nightly.current import RECORD, read_json
from audiorec.recall.serving.nightly.places import open_night

CHANNELS = {
    "ml100k": ("popular", "rules", "item-knn", "vs-knn", "als", "ease"),
    "nowplaying": ("popular", "rules", "item-knn", "vs-knn", "als"),
}
SHOWN = (("hit_rate", 10), ("mrr", 20), ("ndcg", 20), ("recall", 100))
LAST = 10
SESSIONS, LEAST = 2_000, 16  # of #nowplaying, and different songs of each
EPOCH = 1_600_000_000
COME = {"spread": 1 / 3, "nowplaying": 0.2}
Plays = dict[str, list[tuple[str, int]]]


def sessions_of(data: Path) -> Plays:
    """Return the songs of the newest long sessions, each when it was first played."""
    lines = (data / "nowplaying_gcegnn" / "train_sessions.txt").read_text().splitlines()
    long = [songs for line in lines if len(songs := list(dict.fromkeys(line.split()))) >= LEAST]
    return {
        f"s{row}": [(song, EPOCH + row * 3_600 + 60 * place) for place, song in enumerate(songs)]
        for row, songs in enumerate(long[-SESSIONS:])
    }


def spread(plays: Plays, last: int, come: float, nights: int) -> Plays:
    """Give each user's last plays the times of nights that are drawn, one play a night."""
    rng, start = np.random.default_rng(0), EPOCH // DAY_S * DAY_S
    result: Plays = {}
    for user, of in sorted(plays.items()):
        drawn = np.flatnonzero(rng.random(nights + 1) < come)[: min(last, len(of) - 5)]
        old = of[: len(of) - len(drawn)]
        times = [start - 60 * (len(old) - place) for place in range(len(old))]
        times += [start + int(night) * DAY_S + 3_600 for night in drawn]
        result[user] = [(song, at) for (song, _), at in zip(of, times, strict=True)]
    return result


def rows_of(name: str, data: Path, nights: int) -> tuple[Plays, list[date]]:
    """Return the plays of a set, and the days on which a night runs."""
    plays = sessions_of(data) if name == "nowplaying" else plays_of(data)
    if name != "ml100k":
        last = LAST if name == "spread" else 6
        plays = spread(plays, last, COME[name], nights)
        first = datetime.fromtimestamp(EPOCH // DAY_S * DAY_S, UTC).date()
    else:
        newest = max(at for of in plays.values() for _, at in of)
        first = datetime.fromtimestamp(newest, UTC).date() - timedelta(days=nights)
    return plays, [first + timedelta(days=n) for n in range(nights)]


def run_nights(
    channels: Sequence[str], plays: Plays, days: list[date], out: Path, more: str = ""
) -> list[Path]:
    """Run the nights and return their folders; `more` ends the settings of each."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "recall.toml").write_text(
        '[recall]\ninteractions = "plays.parquet"\nout = "serving"\nleast_rows = 0.0\n'
        f"channels = {json.dumps(channels)}\n{more}"
    )
    if not (out / "plays.parquet").exists():
        write_log(
            out / "plays.parquet", [(u, song, at) for u, of in plays.items() for song, at in of]
        )
    result = []
    for day in days:
        folder = out / "serving" / f"dt={day}"
        if not (folder / RECORD).exists():
            night = open_night(out / "recall.toml", day)
            night.job.run()
            night.promote()
        print(day, flush=True)
        result.append(folder)
    return result


def wanted_of(plays: Plays, day: date, n_days: int) -> dict[str, list[str]]:
    """Return the songs that users with plays until a day play for the first time after it."""
    ends = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + DAY_S
    result = {}
    for user, of in plays.items():
        before = {song for song, at in of if at < ends}
        new = [song for song, at in of if ends <= at < ends + n_days * DAY_S]
        new = [song for song in dict.fromkeys(new) if song not in before]
        if before and new:
            result[user] = new
    return result


def ranks_in(path: Path, wanted: dict[str, list[str]]) -> np.ndarray:
    """Return the rank of each wanted song in a file of lists; inf where it is not."""
    table = pq.read_table(path, columns=["user_id", "song_id", "rank", "cold"])
    table = table.filter(pc.is_in(table.column("user_id"), value_set=pa.array(sorted(wanted))))
    columns = (table.column(n).to_pylist() for n in ("user_id", "song_id", "rank", "cold"))
    place = {
        (user, song): rank for user, song, rank, cold in zip(*columns, strict=True) if not cold
    }
    pairs = [(user, song) for user in sorted(wanted) for song in wanted[user]]
    return np.array([place.get(pair, np.inf) for pair in pairs], np.float64)


def judged(
    paths: dict[str, list[Path]], days: list[date], plays: Plays, n_days: int
) -> tuple[dict[str, dict[tuple[str, int], np.ndarray]], np.ndarray]:
    """Return every measure of each user-night by list, and the user of each."""
    found: dict[str, list[dict[tuple[str, int], np.ndarray]]] = {name: [] for name in paths}
    users: list[str] = []
    for night, day in enumerate(days):
        wanted = wanted_of(plays, day, n_days)
        if not wanted:
            continue
        users += sorted(wanted)
        query = np.repeat(np.arange(len(wanted)), [len(wanted[u]) for u in sorted(wanted)])
        for name, of in paths.items():
            ranks = ranks_in(of[night], wanted)
            found[name].append(rank_measures(ranks, query, len(wanted), [10, 20, 100]))
    every = {
        name: {at: np.concatenate([one[at] for one in of]) for at in SHOWN}
        for name, of in found.items()
    }
    return every, np.unique(users, return_inverse=True)[1]


def by_list(
    found: dict[str, dict[tuple[str, int], np.ndarray]], user: np.ndarray
) -> Iterator[dict[str, object]]:
    """Yield the figures of each list, and what the fused lists have over it."""
    for name, one in found.items():
        row: dict[str, object] = {"list": name}
        for at in SHOWN:
            rng = np.random.default_rng(0)
            row[f"{at[0]}@{at[1]}"] = str(clustered_interval(one[at], user, rng))
        yield row
    for name, one in found.items():
        if name == "fused":
            continue
        row = {"list": f"fused over {name}"}
        for at in SHOWN:
            rng = np.random.default_rng(0)
            gap = clustered_interval(found["fused"][at] - one[at], user, rng)
            row[f"{at[0]}@{at[1]}"] = f"{gap:+}"
        yield row


def top_of(path: Path) -> dict[str, set[str]]:
    """Return the first ten songs of each user with a list of their own."""
    table = pq.read_table(path, columns=["user_id", "song_id", "rank", "channel"])
    keep = pc.and_(
        pc.less_equal(table.column("rank"), 10), pc.not_equal(table.column("channel"), "default")
    )
    top: dict[str, set[str]] = {}
    kept = table.filter(keep)
    pairs = (kept.column(name).to_pylist() for name in ("user_id", "song_id"))
    for user, song in zip(*pairs, strict=True):
        top.setdefault(user, set()).add(song)
    return top


def by_night(folders: list[Path]) -> Iterator[dict[str, object]]:
    """Yield the weights of each night, and what changed since the one before."""
    last: dict[str, float] = {}
    before: dict[str, set[str]] = {}
    for folder in folders:
        record = read_json(folder / RECORD)
        weights = record["fusion"]["weights"] or [1.0] * len(record["order"])
        now = {n: w / sum(weights) for n, w in zip(record["order"], weights, strict=True)}
        top = top_of(folder / "fused.parquet")
        both = [user for user in top if user in before]
        old = sum(len(before[user]) for user in both)
        kept = sum(len(before[user] & top[user]) for user in both) / old if old else None
        change = max(
            (abs(now[n] / w - 1) for n, w in last.items() if w > 0.1 and n in now), default=0
        )
        yield {
            "night": folder.name.removeprefix("dt="),
            **{n: round(w, 3) for n, w in now.items()},
            "largest_change": f"{change:.0%}",
            "top_ten_kept": "" if kept is None else f"{kept:.3f}",
        }
        last, before = now, top


def main() -> None:
    """Read the arguments, run the nights and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=("ml100k", "spread", "nowplaying"))
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--beside", type=Path)
    given = parser.parse_args()
    plays, days = rows_of(given.name, given.data, given.nights)
    channels = CHANNELS.get(given.name, CHANNELS["ml100k"])
    folders = run_nights(channels, plays, days, given.out)
    paths = {"fused": [folder / "fused.parquet" for folder in folders]}
    paths |= {n: [f / "candidates" / f"{n}.parquet" for f in folders] for n in channels}
    if given.beside:
        paths["beside"] = [given.beside / "serving" / f.name / "fused.parquet" for f in folders]
    for some in sorted({10, given.nights}):
        cut = {name: of[-some:] for name, of in paths.items()}
        found, user = judged(cut, days[-some:], plays, given.days)
        print(f"the last {some} nights, {len(user)} user-nights, {len(set(user))} users")
        print("\n".join(tables(json.dumps(row) for row in by_list(found, user))))
    print("\n".join(tables(json.dumps(row) for row in by_night(folders))))


if __name__ == "__main__":
    main()
