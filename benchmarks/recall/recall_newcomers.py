"""Who has never played a song gets a list at every door, and what it is worth.

    python -m benchmarks recall_newcomers WORK [--users 4000] [--newcomers 1000] [--channels NAMES]

A simulated world (`audiorec.simulation`), where age and country have a say in what is played. The
plays of some users are taken out of its log: of a thousand the profile is known, of a thousand
more neither; these have one skipped song in the log, as a user who only looked in. A thousand ids
are in no file at all; and the server is told the profiles of the first kind without their ids,
as an app does for those who came today. For each kind of newcomer, how many get a list from

===============  ==========================================================================
``run``          ``audiorec recall run``: the file of fused lists; strangers are not in it
``candidates``   ``audiorec recall candidates`` of each trained model, the least of them
``recommend``    `Recommender.recommend`, what ``audiorec recommend`` calls
``serve``        ``POST /v1/recommend`` with the id, or the profile, on the folder of the run
===============  ==========================================================================

and how many of the first ten songs of the list of the run they later finish, beside the ten that
are popular now; with intervals of 95 % over users, paired. What they finish are the plays that were
taken out.
"""

import argparse
import http.client
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from bench_serve import BEARER, serving, write_edition
from recall_nights import share_of
from table import tables

from audiorec.listening.interactions import read_interactions
from audiorec.listening.profiles import read_profiles
from audiorec.recall.contract.candidates import DefaultList
from audiorec.recall.serving.one_user.recommend import Recommender
from audiorec.simulation.world import WorldSpec, simulate_world
from audiorec.store.store import VectorStore

FIRST = 10
TOLD = "profile in the request"
USUAL = ("rules", "item-knn", "popular", "youtube-dnn")


def audiorec(work: Path, *words: str) -> None:
    """Run a command in a folder."""
    script = "from audiorec_cli.main import main; main()"
    command = [sys.executable, "-c", script, *words]
    subprocess.run(command, cwd=work, check=True, capture_output=True)


def write_world(work: Path, users: int, songs: int, newcomers: int) -> dict[str, list[str]]:
    """Write store, log and profiles; return the newcomers by kind."""
    write_edition(work / "vecs.parquet", 1, songs)
    simulate_world(VectorStore.open(work / "vecs.parquet"), work / "world", WorldSpec(users=users))
    log = pq.read_table(work / "world" / "interactions.parquet")
    people = pq.read_table(work / "world" / "profiles.parquet")
    finished = log.filter(pc.equal(log.column("event").cast("string"), "finish"))
    known = sorted(set(finished.column("user_id").to_pylist()))
    drawn = np.random.default_rng(0).permutation(known)[: 2 * newcomers].tolist()
    kinds = {"profile alone": drawn[:newcomers], "neither": drawn[newcomers:]}
    new = pa.array(drawn)
    later = pc.is_in(log.column("user_id"), value_set=new)
    pq.write_table(log.filter(later), work / "later.parquet")
    looked = pa.table({"user_id": kinds["neither"]})
    first = log.filter(pc.invert(later))
    row = first.slice(0, 1).to_pylist()[0]
    rows = [{**row, "user_id": user, "event": "skip"} for user in looked["user_id"].to_pylist()]
    skips = pa.Table.from_pylist(rows, schema=first.schema)
    pq.write_table(pa.concat_tables([first, skips]), work / "plays.parquet")
    unknown = pc.is_in(people.column("user_id"), value_set=pa.array(kinds["neither"]))
    pq.write_table(people.filter(pc.invert(unknown)), work / "people.parquet")
    return {**kinds, "in no file": [f"stranger-{n}" for n in range(newcomers)]}


def by_user(path: Path) -> dict[str, list[str]]:
    """Return the first songs of each user in a file of lists."""
    table = pq.read_table(path, filters=[("rank", "<=", FIRST)], columns=["user_id", "song_id"])
    found: dict[str, list[str]] = {}
    for user, song in zip(*(table.column(n).to_pylist() for n in range(2)), strict=True):
        found.setdefault(user, []).append(song)
    return found


def by_server(work: Path, asked: dict[str, dict[str, object]]) -> dict[str, list[str]]:
    """Return the first songs that a server gives each user, by what it is told of the user."""
    found = {}
    with serving(work / "vecs.parquet", "--recall", str(work / "serving")) as (port, _):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for user, said in asked.items():
            body = json.dumps({**said, "k": FIRST})
            headers = {**BEARER, "Content-Type": "application/json"}
            connection.request("POST", "/v1/recommend", body, headers)
            reply = connection.getresponse()
            answer = json.loads(reply.read())
            found[user] = [song["song_id"] for song in answer.get("songs", [])]
    return found


def main() -> None:
    """Read the arguments, ask at every door, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--users", type=int, default=4_000)
    parser.add_argument("--songs", type=int, default=1_000)
    parser.add_argument("--newcomers", type=int, default=1_000)
    parser.add_argument("--channels", nargs="+", default=list(USUAL))
    of = parser.parse_args()
    work = of.work
    work.mkdir(parents=True)
    kinds = write_world(work, of.users, of.songs, of.newcomers)
    everybody = [user for users in kinds.values() for user in users]
    (work / "recall.toml").write_text(
        '[recall]\ninteractions = "plays.parquet"\nprofiles = "people.parquet"\nout = "serving"\n'
        f"channels = {json.dumps(of.channels)}\n"
    )
    audiorec(work, "recall", "run", "-c", "recall.toml", "-q")
    found = {"run": by_user(work / "serving" / "fused.parquet")}
    files = ("-i", "plays.parquet", "--profiles", "people.parquet")
    for name in of.channels:
        model = f"serving/models/{name}"
        audiorec(work, "recall", "candidates", model, *files, "-o", f"{name}.parquet", "-q")
        found[f"candidates {name}"] = by_user(work / f"{name}.parquet")
    log, people = read_interactions(work / "plays.parquet"), read_profiles(work / "people.parquet")
    recommender = Recommender(log=log, people=people, models=work / "serving" / "models")
    found["recommend"] = {
        user: [song.song_id for song in recommender.recommend(user, FIRST)] for user in everybody
    }
    found["serve"] = by_server(work, {user: {"user": user} for user in everybody})
    rows = pq.read_table(work / "people.parquet").to_pylist()
    said = {
        row.pop("user_id"): {"profile": {n: v for n, v in row.items() if v is not None}}
        for row in rows
    }
    said = {user: said[user] for user in kinds["profile alone"]}
    later = pq.read_table(work / "later.parquet", columns=["user_id", "song_id", "event"])
    later = later.filter(pc.equal(later.column("event").cast("string"), "finish"))
    wanted: dict[str, set[str]] = {}
    for user, song in zip(*(later.column(n).to_pylist() for n in range(2)), strict=True):
        wanted.setdefault(user, set()).add(song)
    popular = set(DefaultList.of(log).song_ids.to_pylist()[:FIRST])
    lines = []
    told = by_server(work, said)
    for kind, users in {**kinds, TOLD: list(said)}.items():
        if kind == TOLD:
            found = {door: told if door == "serve" else {} for door in found}
        counts = {door: sum(bool(of.get(user)) for user in users) for door, of in found.items()}
        least = min(n for door, n in counts.items() if door.startswith("candidates"))
        line: dict[str, object] = {"newcomers": kind, "users": len(users), "run": counts["run"]}
        line |= {"candidates": least, "recommend": counts["recommend"], "serve": counts["serve"]}
        if kind != "in no file":
            own = found["serve" if kind == TOLD else "run"]
            lists = (own, dict.fromkeys(users, popular))
            hits = [
                np.array([len(wanted.get(u, set()) & set(of.get(u, ()))) for u in users], float)
                for of in lists
            ]
            line |= {"finished_of_ten": share_of(hits[0]), "popular": share_of(hits[1])}
            line |= {"over_popular": share_of(hits[0] - hits[1])}
        else:
            line |= dict.fromkeys(("finished_of_ten", "popular", "over_popular"), "")
        lines.append(json.dumps(line))
        print(lines[-1], flush=True)
    print("\n".join(tables(lines)))


if __name__ == "__main__":
    main()
