"""Several nights of ``recall run``: lists of users who did not come stay as good.

    python -m benchmarks recall_nights DATA OUT [--nights 3]

Each user's last play is wanted. A tenth of the users, drawn by seed, come every day: one of their
last plays before it arrives between two nights. The others do not come, so nothing new is known of
them. Two plans, each into a folder of its own below OUT:

=============  ==================================================================================
nothing        no impressions: nothing counts as shown
impressions    the app reports the first ten places that a user who came has seen
=============  ==================================================================================

``--faults`` runs two nights of the plan *nothing* and a third whose log has one of these faults,
and prints what the record of the lists says beside the night before: the thresholds of
`audiorec.runs.record.run_warnings` lie between faults and usual nights.

========  =========================================================
none      nothing is wrong: the usual third night
half      half of the rows are lost, drawn by seed
old       the newer half of each user's rows is lost
renamed   all songs have other ids
popular   every channel but ``popular`` has weight 0
gone      all rows of half of the users name one song
========  =========================================================

``--promotion`` runs the nights by day, each compared with the one that is served, and then the
night after them with each fault, and prints what `audiorec.recall.serving.nightly.promotion` says.

Prints a line for each night: the share of the (user, song) pairs of the night before that are
still there, the mean plays of a song in the first ten places, the share of all songs that stand in
some, and the hit rate at 10 of users who did not come, its difference to the first night (paired by
user), and that of users who came; with intervals of 95 % over users. DATA holds ``ml100k/``.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv
from table import tables

from audiorec.evaluation.ranking import clustered_interval
from audiorec.recall.serving.nightly.current import read_json
from audiorec.recall.serving.nightly.places import open_night
from audiorec.recall.serving.nightly.promotion import BY, PROMOTION
from audiorec.runs.record import run_warnings
from audiorec_cli.shared.jobs import Recorder

CHANNELS = ("popular", "rules", "item-knn", "ease")
COME = 0.1  # share of the users who come every day
SHOWN = 10  # places that a user sees
DAY_S = 86_400
HEADS = ("plan", "night", "pairs_kept", "plays_of_a_top-10_song", "coverage")
HEADS += ("hit@10,_did_not_come", "over_night_1", "hit@10,_came")
FAULTS = ("none", "half", "old", "renamed", "popular", "gone")
PLANS = {
    "nothing": "",
    "impressions": 'exposures = "shown"',
}


def plays_of(data: Path) -> dict[str, list[tuple[str, int]]]:
    """Return the films that each user rated, oldest first, with times."""
    path = data / "ml100k" / "ml-100k.inter"
    table = csv.read_csv(path, parse_options=csv.ParseOptions(delimiter="\t"))
    columns = [table.column(n).to_pylist() for n in range(4)]
    found: dict[str, list[tuple[str, int]]] = {}
    for user, film, _, at in sorted(zip(*columns, strict=True), key=lambda row: (row[3], row[1])):
        found.setdefault(f"u{user}", []).append((f"f{film}", int(at)))
    return found


def logs(
    plays: dict[str, list[tuple[str, int]]], come: set[str], nights: int
) -> Iterator[list[tuple[str, str, int]]]:
    """Yield the rows of the log before each night."""
    newest = max(at for of in plays.values() for _, at in of)
    held = {user: nights if user in come else 0 for user in plays}
    rows = [(u, *one) for u, of in plays.items() for one in of[: len(of) - 1 - held[u]]]
    for night in range(nights):
        new = [(u, plays[u][-1 - nights + night][0], newest + (night + 1) * DAY_S) for u in come]
        rows = [*rows, *new]
        yield rows


def write_log(path: Path, rows: list[tuple[str, str, int]]) -> None:
    """Write rows as a log of finished plays."""
    users, songs, times = zip(*rows, strict=True)
    at = pa.array(times, pa.int64()).cast(pa.timestamp("s", tz="UTC"))
    table = {"user_id": users, "song_id": songs, "timestamp": at, "event": ["finish"] * len(rows)}
    pq.write_table(pa.table(table), path)


def report_shown(folder: Path, lists: pa.Table, come: set[str], night: int, at: int) -> None:
    """Write the impressions of the users who come after a night."""
    first = lists.filter(pc.less_equal(lists.column("rank"), SHOWN))
    seen = first.filter(pc.is_in(first.column("user_id"), value_set=pa.array(sorted(come))))
    moment = pa.repeat(pa.scalar(at, pa.int64()).cast(pa.timestamp("s", tz="UTC")), len(seen))
    columns = {name: seen.column(name) for name in ("user_id", "song_id")}
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({**columns, "shown_at": moment}), folder / f"{night:02}.parquet")


def run_plan(data: Path, out: Path, name: str, nights: int) -> list[tuple[str, ...]]:
    """Run the nights of one plan and return a line for each."""
    plays = plays_of(data)
    drawn = np.random.default_rng(0).permutation(sorted(plays))
    come = set(drawn[: round(COME * len(drawn))].tolist())
    wanted = {user: of[-1][0] for user, of in plays.items()}
    out.mkdir(parents=True)
    config = f'[recall]\ninteractions = "plays.parquet"\nout = "serving"\n{PLANS[name]}\n'
    channels = ", ".join(f'"{channel}"' for channel in CHANNELS)
    (out / "recall.toml").write_text(f"{config}channels = [{channels}]\n")
    groups = sorted(set(plays) - come), sorted(come)
    lines, before, first = [], set(), None
    report_shown(out / "shown", NO_LISTS, come, 0, 0)
    for night, rows in enumerate(logs(plays, come, nights), start=1):
        write_log(out / "plays.parquet", rows)
        open_night(out / "recall.toml").job.run()
        lists = pq.read_table(out / "serving" / "fused.parquet")
        report_shown(out / "shown", lists, come, night, max(at for _, _, at in rows))
        pairs = set(
            zip(*(lists.column(n).to_pylist() for n in ("user_id", "song_id")), strict=True)
        )
        kept = f"{len(before & pairs) / len(before):.3f}" if before else ""
        before = pairs
        top = lists.filter(pc.less_equal(lists.column("rank"), 10))
        counts = dict(zip(*np.unique([row[1] for row in rows], return_counts=True), strict=True))
        mean = np.mean([counts.get(song, 0) for song in top.column("song_id").to_pylist()])
        coverage = f"{len(top.column('song_id').unique()) / len(counts):.3f}"
        hits = hit_users(top, wanted)
        away, came = (np.array([user in hits for user in group], np.float64) for group in groups)
        first = away if first is None else first
        shares = [share_of(one) for one in (away, away - first, came)]
        lines.append((name, str(night), kept, f"{mean:.0f}", coverage, *shares))
        print(*lines[-1], sep="\t", file=sys.stderr, flush=True)
    return lines


def faulty(rows: list[tuple[str, str, int]], fault: str) -> list[tuple[str, str, int]]:
    """Return the rows of a log with a fault."""
    drawn = np.random.default_rng(0).random(len(rows)) < 1 / 2
    if fault == "half":
        return [row for row, is_kept in zip(rows, drawn, strict=True) if is_kept]
    if fault == "old":
        middle = np.median([at for _, _, at in rows])
        return [row for row in rows if row[2] <= middle]
    if fault == "renamed":
        return [(user, f"new-{song}", at) for user, song, at in rows]
    if fault == "gone":
        users = {user: n % 2 for n, user in enumerate(sorted({user for user, _, _ in rows}))}
        return [(u, "gone" if users[u] else s, at) for u, s, at in rows]
    return rows


def run_faults(data: Path, out: Path) -> Iterator[dict[str, object]]:
    """Yield, for each fault, how the third night differs from the second."""
    plays = plays_of(data)
    come = set(np.random.default_rng(0).permutation(sorted(plays))[: round(COME * len(plays))])
    nights = list(logs(plays, come, 3))
    for fault in FAULTS:
        folder = out / fault
        folder.mkdir(parents=True)
        counts = []
        for night, rows in enumerate(nights, start=1):
            is_last = night == len(nights)
            weights = "[recall.weights]\n" + "".join(f"{n} = 0\n" for n in CHANNELS[1:])
            more = weights if is_last and fault == "popular" else ""
            (folder / "recall.toml").write_text(
                f'[recall]\ninteractions = "plays.parquet"\nout = "serving"\n'
                f"channels = {json.dumps(CHANNELS)}\n{more}"
            )
            write_log(folder / "plays.parquet", faulty(rows, fault) if is_last else rows)
            record = open_night(folder / "recall.toml").job.run()
            counts.append({"users": record["users"], **record["lists"]})
        yield {"fault": fault, **differences(counts[-2], counts[-1])}


def run_promotion(data: Path, out: Path, nights: int, share: float) -> Iterator[dict[str, object]]:
    """Yield the verdict on each of some usual nights, and on the next one with each fault."""
    plays = plays_of(data)
    come = set(np.random.default_rng(0).permutation(sorted(plays))[: round(COME * len(plays))])
    usual = list(logs(plays, come, nights + 1))
    wanted = {user: of[-1][0] for user, of in plays.items()}
    folder = out / "usual"
    folder.mkdir(parents=True)
    for night, rows in enumerate(usual[:-1], start=1):
        yield {"night": str(night), **judged_night(folder, rows, wanted, share)}
    for fault in FAULTS:
        faulty_one = out / fault
        shutil.copytree(folder, faulty_one)
        weights = "[recall.weights]\n" + "".join(f"{n} = 0\n" for n in CHANNELS[1:])
        more = weights if fault == "popular" else ""
        rows = faulty(usual[-1], fault)
        if fault == "old":  # its newest rows are of today, or the run would not start
            rows = rows + usual[-1][-1:]
        yield {
            "night": f"{nights + 1}, {fault}",
            **judged_night(faulty_one, rows, wanted, share, more),
        }


def judged_night(
    folder: Path,
    rows: list[tuple[str, str, int]],
    wanted: dict[str, str],
    share: float,
    more: str = "",
) -> dict[str, object]:
    """Run a night by day and return its verdict."""
    day = datetime.fromtimestamp(max(at for _, _, at in rows), UTC).date()
    write_log(folder / "plays.parquet", rows)
    (folder / "recall.toml").write_text(
        f'[recall]\ninteractions = "plays.parquet"\nout = "serving"\njudge_share = {share}\n'
        f"channels = {json.dumps(CHANNELS)}\n{more}"
    )
    night = open_night(folder / "recall.toml", day)
    night.job.run()
    verdict = read_json(night.job.plan.out / PROMOTION)
    decision = night.promote()
    assert decision is not None
    print(decision.why, file=sys.stderr)
    top = pq.read_table(night.job.plan.out / "fused.parquet", filters=[("rank", "<=", 10)])
    hits = hit_users(top, wanted)
    rates = {n: interval_of(one) for n, one in verdict.get(BY, {}).items()}
    return {
        "hit@10": share_of(np.array([user in hits for user in sorted(wanted)], np.float64)),
        "judged": verdict.get("users", 0),
        "new": rates.get("new", ""),
        "served": rates.get("served", ""),
        "difference": interval_of(verdict.get("difference", [])),
        "promoted": "yes" if decision.is_served else "no",
    }


def interval_of(values: list[float]) -> str:
    """Return a value with its interval as a cell of a table."""
    return "{:.3f} [{:.3f}, {:.3f}]".format(*values) if values else ""


def differences(before: dict[str, float], now: dict[str, float]) -> dict[str, object]:
    """Return what is compared of two nights, and the warnings."""
    shares = [
        (now[name] / now["users"]) / (before[name] / before["users"])
        for name in before
        if name.startswith("answered/")
    ]
    last, this = (Recorder("", "", None).ended(0, counts=of) for of in (before, now))
    warned = run_warnings(this, [last])
    return {
        "pairs_kept": round(now.get("lists/kept", 1.0), 3),
        "popularity,_times": round(now["lists/popularity"] / before["lists/popularity"], 2),
        "songs,_times": round(now["lists/songs"] / before["lists/songs"], 2),
        "users_answered,_least": round(min(shares), 2),
        "warnings": len(warned),
    }


NO_LISTS = pa.table(
    {"user_id": pa.array([], pa.string()), "song_id": pa.array([], pa.string()),
     "rank": pa.array([], pa.int32())}
)  # fmt: skip


def hit_users(top: pa.Table, wanted: dict[str, str]) -> set[str]:
    """Return the users whose wanted song is among the first ten."""
    pairs = zip(top.column("user_id").to_pylist(), top.column("song_id").to_pylist(), strict=True)
    return {user for user, song in pairs if wanted.get(user) == song}


def share_of(hits: np.ndarray) -> str:
    """Return the mean over users, with its interval."""
    return str(clustered_interval(hits, np.arange(len(hits)), np.random.default_rng(0)))


def main() -> None:
    """Read the arguments, run the plans and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--promotion", action="store_true")
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--plan", choices=PLANS, action="append")
    arguments = parser.parse_args()
    if arguments.faults or arguments.promotion:
        found = []
        nights = (arguments.nights, arguments.share)
        made = (
            run_faults(arguments.data, arguments.out)
            if arguments.faults
            else run_promotion(arguments.data, arguments.out, *nights)
        )
        for one in made:
            found.append(json.dumps(one))
            print(found[-1], flush=True)
        print("\n".join(tables(found)))
        return
    lines = [
        line
        for name in arguments.plan or PLANS
        for line in run_plan(arguments.data, arguments.out / name, name, arguments.nights)
    ]
    print("\n".join(tables(json.dumps(dict(zip(HEADS, line, strict=True))) for line in lines)))


if __name__ == "__main__":
    main()
