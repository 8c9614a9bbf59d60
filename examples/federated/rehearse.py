"""Two businesses on one machine: keys, alignment, training, vectors, lists. One command.

python examples/federated/rehearse.py [FOLDER] [--data PAIRS] [--model two-tower]
                    needs: pip install ./plugins/audiorec-federated, and torch for two-tower

Each party gets a folder of its own and runs ``audiorec federated`` in processes of its own, which
speak over the loopback. With one-way, the default, the music side then releases its songs once,
with noise, and the partner makes lists as well. PAIRS is the folder of the DisenCDR pairs, of which
the phone shop plays the music side and the sports shop the partner; by default a little world is
made up. A part of the users has no plays at all: for them the songs are guessed from what the
partner knows.
"""

import argparse
import csv
import os
import secrets
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path

import numpy as np

AUDIOREC = [sys.executable, "-m", "audiorec_cli.main"]
PARTIES = ("music", "partner")
SETTINGS = """[federated]
role = "{role}"
keys = "keys"
peer = "{other}.pem"
address = "{address}"
model = "{model}"
{files}
recipe = {{ {recipe} }}
"""
SMALL = "dimension = 32, width = 32, hidden = [64], negatives = 256, batch_size = 64, passes = 2, "
SMALL += "learning_rate = 1e-2, seed = 1, max_epochs = "
RELEASE = "federated release --config music.toml --epsilon 8 --out out"
FILES = {
    "music": 'interactions = "plays.csv"\nside = "songs.csv"\nids = "members.txt"\n'
    "budget = { epsilon = 8.0 }",
    "partner": 'profiles = "profiles.csv"',
}


def made_up(users=900, songs=300, tastes=10):
    """Return plays, profiles and held-out plays of a little world: what people like shows."""
    rng = np.random.default_rng(4)
    plays, profiles, held = defaultdict(list), {}, {}
    for n in range(users):
        taste, second = rng.integers(0, tastes, 2)
        liked = rng.random(12) < 0.8
        drawn = rng.zipf(1.6, 12) % (songs // tastes)
        found = [int(i) * tastes + int(taste if like else second) for i, like in
                 zip(drawn, liked, strict=True)]  # fmt: skip
        name = f"user-{n:04}"
        plays[name] = [f"song-{song}" for song in found]
        known = taste if rng.random() < 0.85 else rng.integers(0, tastes)
        profiles[name] = {"interests": f"taste {known}|taste {second}", "age": 20 + 2 * int(taste)}
    for name in list(plays)[::6]:
        held[name] = sorted(set(plays.pop(name)))
    return plays, profiles, held


def of_pairs(folder):
    """Return the same of a pair of shops: what somebody bought in one is known of them."""
    tables = []
    for name in ("phone_sport", "sport_phone"):
        found = defaultdict(list)
        for line in (folder / name / "train.txt").read_text().splitlines():
            user, item = line.split()[:2]
            found[f"user-{user}"].append(f"{name.partition('_')[0]}-{item}")
        tables.append(found)
    plays, bought = tables
    both = sorted(set(plays) & set(bought))
    chosen = np.random.default_rng(0).permutation(both)[:1000].tolist()
    held = {name: sorted(set(plays.pop(name))) for name in chosen}
    return plays, {name: {"bought": "|".join(items)} for name, items in bought.items()}, held


def write_parties(folder, world, *, address, recipe="", model="one-way"):
    """Write what each party holds, and its settings; return the held-out plays."""
    plays, profiles, held = world
    for role, other in zip(PARTIES, reversed(PARTIES), strict=True):
        (folder / role).mkdir(parents=True, exist_ok=True)
        about = {"role": role, "other": other, "files": FILES[role], "address": address}
        text = SETTINGS.format(**about, recipe=recipe, model=model)
        (folder / role / f"{role}.toml").write_text(text)
    rows = [(user, song, "finish", f"2026-01-{1 + n % 28:02}T00:00:00Z")
            for user, songs in plays.items() for n, song in enumerate(songs)]  # fmt: skip
    header = ("user_id", "song_id", "event", "timestamp")
    _write(folder / "music" / "plays.csv", [header, *rows])
    songs = sorted({song for songs in [*plays.values(), *held.values()] for song in songs})
    _write(folder / "music" / "songs.csv", [("song_id",), *((song,) for song in songs)])
    (folder / "music" / "members.txt").write_text("\n".join(sorted({*plays, *held})) + "\n")
    columns = list(next(iter(profiles.values())))
    table = [(user, *(known[c] for c in columns)) for user, known in profiles.items()]
    _write(folder / "partner" / "profiles.csv", [("user_id", *columns), *table])
    return held


def run(folder, line, *, prefix=(), wait=True):
    """Run a command of audiorec in a party's folder; return what it printed, and what it said."""
    command = [*prefix, *AUDIOREC, *line.split()]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}  # modules come from the installation alone
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=folder, env=environment, **pipes)  # noqa: S603
    return finished(process) if wait else process


def finished(process):
    """Wait for a command; return what it printed, and what it said."""
    printed, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(process.args)}\n{said}")
    return printed, said


def both(folder, line, *, prefix):
    """Run the same command on both sides at once, as two businesses would."""
    started = {
        role: run(
            folder / role,
            f"federated {line} --config {role}.toml",
            prefix=prefix.get(role, ()),
            wait=False,
        )
        for role in PARTIES
    }
    return [finished(process)[1].splitlines()[-1] for process in started.values()]


def judged(file, folder, held, k=10):
    """Return the hit rate of the lists and of the most played songs, a held-out play each."""
    import pyarrow.parquet as pq

    table = pq.read_table(file, columns=["user_id", "song_id", "rank"])
    lists = defaultdict(set)
    for row in table.to_pylist():
        if row["rank"] <= k:
            lists[row["user_id"]].add(row["song_id"])
    with (folder / "music" / "plays.csv").open() as file:
        counts = Counter(row["song_id"] for row in csv.DictReader(file))
    popular = {song for song, _ in counts.most_common(k)}
    wanted = [(user, song) for user, songs in held.items() for song in songs if song in counts]
    hits = sum(song in lists[user] for user, song in wanted)
    return hits / len(wanted), sum(song in popular for _, song in wanted) / len(wanted)


def rehearse(folder, data=None, *, model="one-way", address=None, prefix=None, epochs=6):
    """Do it all; print what came of it, and return it."""
    prefix, started = prefix or {}, time.monotonic()
    address = address or f"127.0.0.1:{free_port()}"
    world = made_up() if data is None else of_pairs(Path(data))
    is_small = data is None and model == "two-tower"
    recipe = f"{SMALL}{epochs}" if is_small else ""  # the usual one
    held = write_parties(folder, world, address=address, recipe=recipe, model=model)
    for role, other in zip(PARTIES, reversed(PARTIES), strict=True):
        run(folder / role, f"federated align --config {role}.toml")
        certificate = (folder / role / "keys" / "certificate.pem").read_bytes()
        (folder / other / f"{role}.pem").write_bytes(certificate)
    print("keys: made, and certificates exchanged")
    print("align:", both(folder, "align --yes", prefix=prefix)[0].partition(":")[0])
    print("train:", both(folder, "train", prefix=prefix)[0].rpartition(":")[0])
    leaks, said = run(folder / "partner", "federated audit --config partner.toml")
    for line in leaks.splitlines()[1:]:
        attack, by, chance, undefended, defended = line.split("\t")
        print(f"audit: {attack}, by the {by}: {undefended} -> {defended} (chance {chance})")
    print("audit:", said.strip())
    run(folder / "partner", "recall users model --profiles profiles.csv --out vectors.parquet")
    asked = "recall candidates model --users ../partner/vectors.parquet --k 10 --out cands.parquet"
    run(folder / "music", asked)
    ours, popular = judged(folder / "music" / "cands.parquet", folder, held)
    print(f"{len(held)} users without a play: hit rate at 10 {ours:.3f}, most played {popular:.3f}")
    result = {"ours": ours, "popular": popular, "held": held}
    if model == "one-way":
        result["released"] = released(folder, held)
        print(f"by the partner, from songs with noise: hit rate at 10 {result['released']:.3f}")
    print(f"done in {time.monotonic() - started:.0f} s: {folder}")
    return result


def released(folder, held):
    """Let the music side release its songs, and the partner make lists; return their hit rate."""
    print("release:", run(folder / "music", RELEASE)[1].strip())
    run(folder / "partner", "federated release --config partner.toml --from ../music/out --out all")
    run(folder / "partner", "recall candidates all --profiles profiles.csv --k 10 --out c.parquet")
    return judged(folder / "partner" / "c.parquet", folder, held)[0]


def free_port():
    """Return a port that nobody listens on, and that no system gives to a program by itself."""
    while True:
        with socket.socket() as one, suppress(OSError):
            port = 20_000 + secrets.randbelow(10_000)
            one.bind(("127.0.0.1", port))
            return port


def _write(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/rehearsal"))
    parser.add_argument("--data", type=Path, help="vfl_disencdr, unpacked")
    parser.add_argument("--model", choices=("one-way", "two-tower"), default="one-way")
    given = parser.parse_args()
    rehearse(given.folder.resolve(), given.data, model=given.model)
