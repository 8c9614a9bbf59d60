"""Two businesses on one machine: keys, alignment, training, vectors, lists. One command.

python examples/federated/rehearse.py [FOLDER] [--data PAIRS] [--model two-tower]
python examples/federated/rehearse.py --seeds 10
                    needs: pip install ./plugins/audiorec-federated, and torch for two-tower

Each party gets a folder of its own and runs ``audiorec federated`` in processes of its own, which
speak over the loopback. With one-way, the default, the music side then releases its songs once,
with noise, and the partner makes lists as well. PAIRS is the folder of the DisenCDR pairs, of which
the phone shop plays the music side and the sports shop the partner; by default a little world is
made up. A part of the users has no plays at all: for them the songs are guessed from what the
partner knows.

With --seeds, it makes up as many worlds instead, and compares in one process what the model, and a
release of it, finds in each: without noise, and with that of epsilon 8. Intervals are those of the
mean over worlds, paired (95 %, Student's t).
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

from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import RecallData
from audiorec_federated.ledger import noise_for
from audiorec_federated.made_up import World, made_up, write_music, write_partner
from audiorec_federated.one_way import OneWay, OneWayRecipe, Release, fit_users
from audiorec_federated.release import released as release_of

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
# The usual 100 is for thousands of users; a tenth of the listeners chooses 1 (--seeds).
ONE_WAY = "regularisation = 1.0"
RELEASE = "federated release --config music.toml --epsilon 8 --out out"
FILES = {
    "music": 'interactions = "plays.csv"\nside = "songs.csv"\nids = "members.txt"\n'
    "budget = { epsilon = 8.0 }",
    "partner": 'profiles = "profiles.csv"',
}


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
    profiles = {name: {"bought": "|".join(items)} for name, items in bought.items()}
    return World(plays, profiles, held)


def write_parties(folder, world, *, address, recipe="", model="one-way"):
    """Write what each party holds, and its settings; return the held-out plays."""
    for role, other in zip(PARTIES, reversed(PARTIES), strict=True):
        (folder / role).mkdir(parents=True, exist_ok=True)
        about = {"role": role, "other": other, "files": FILES[role], "address": address}
        text = SETTINGS.format(**about, recipe=recipe, model=model)
        (folder / role / f"{role}.toml").write_text(text)
    write_music(folder / "music", world)
    write_partner(folder / "partner", world)
    return world.held


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
    recipe = "" if data else {"one-way": ONE_WAY, "two-tower": f"{SMALL}{epochs}"}[model]
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


REGULARISATIONS = (1.0, 10.0, 100.0)  # of which one is chosen without the newcomers
EPSILON, DELTA = 8.0, 1e-5
NO_NOISE = 1e-3  # deviations, as a multiple of what one user can change
KINDS = {
    "most played": "the same ten songs for everybody",
    "one-way": "as the music side trains it: no noise, regularisation 100",
    "one-way, chosen": "the same; regularisation chosen on a tenth of the listeners",
    "release, no noise": "the songs of a release, each user's plays bounded, no noise",
    "release, epsilon 8": "the same with the noise of epsilon 8",
}
DIFFERENCES = (
    ("release, epsilon 8", "one-way"),
    ("release, epsilon 8", "one-way, chosen"),
    ("release, epsilon 8", "release, no noise"),
    ("release, no noise", "one-way"),
)


def compare_seeds(n):
    """Print hit rates at 10 of newcomers in n made-up worlds, and differences; return all rates."""
    rates = [rates_of(made_up(seed)) for seed in range(n)]
    print(f"hit rate at 10 of newcomers, mean over {n} worlds")
    for name, words in KINDS.items():
        print(f"  {np.mean([one[name] for one in rates]):.3f}  {name}: {words}")
    print("difference, paired by world")
    for first, second in DIFFERENCES:
        mean, half = interval([one[first] - one[second] for one in rates])
        shown = f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"
        print(f"  {shown}  {first} - {second}")
    return rates


def interval(values):
    """Return the mean, and half the width of its 95 % interval."""
    from scipy.stats import t as student

    n = len(values)
    return np.mean(values), student.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5


def rates_of(world):
    """Return the hit rate at 10 of each kind of model in a world."""
    names = list(world.profiles)
    known = [world.profiles[name] for name in names]
    interests = {"interests": [one["interests"] for one in known]}
    ages = {"age": np.array([float(one["age"]) for one in known])}
    people = Profiles(tuple(names), interests, ages)
    plays = [world.plays.get(name, []) for name in names]
    popular = Counter(song for songs in plays for song in songs).most_common(10)
    lists = {key: {song for song, _ in popular} for key in world.held}
    chosen = OneWayRecipe(regularisation=chosen_for(people, plays))
    rates = {
        "most played": rate(lists, world.held, plays),
        "one-way": one_way_rate(OneWayRecipe(), people, plays, world.held),
        "one-way, chosen": one_way_rate(chosen, people, plays, world.held),
    }
    for name, noise in (
        ("release, no noise", NO_NOISE),
        ("release, epsilon 8", noise_for(EPSILON, DELTA)),
    ):
        rates[name] = release_rate(noise, people, plays, world.held)
    return rates


def chosen_for(people, plays):
    """Return the regularisation that finds most for a tenth of those who listen."""
    listeners = [row for row, songs in enumerate(plays) if songs]
    drawn = np.random.default_rng(0).permutation(listeners)[: len(listeners) // 10]
    judged = {people.user_ids[row]: sorted(set(plays[row])) for row in drawn.tolist()}
    hidden = set(drawn.tolist())
    rest = [[] if row in hidden else songs for row, songs in enumerate(plays)]

    def found(value):
        return one_way_rate(OneWayRecipe(regularisation=value), people, rest, judged)

    return max(REGULARISATIONS, key=found)


def one_way_rate(recipe, people, plays, held):
    """Return the hit rate of a one-way model that is learnt from all plays."""
    model = fit_users(people, recipe)
    data = RecallData(Sequences.from_lists(plays, people.user_ids))
    channel = OneWay.of_vectors(recipe, data, people.user_ids, model.embed(people))
    return rate(top(channel, model.embed(people.for_users(tuple(held))), held), held, plays)


def release_rate(noise, people, plays, held):
    """Return the hit rate of a release with some noise."""
    recipe = OneWayRecipe()
    model = fit_users(people, recipe)
    sequences = Sequences.from_lists(plays, people.user_ids)
    made = Release(epsilon=EPSILON, delta=DELTA, noise=noise)
    # Reproducible, for a comparison alone: a release that is handed out has the system's noise.
    draw = np.random.default_rng(len(plays)).standard_normal
    channel = release_of(model.embed(people), sequences, made, recipe, draw=draw)
    cut = model.cut(channel.recipe, channel.release.scale)
    return rate(top(channel, cut.embed(people.for_users(tuple(held))), held), held, plays)


def top(channel, vectors, held, k=10):
    """Return the songs listed for each newcomer."""
    order = np.argsort(-channel.similarities(vectors), axis=1, kind="stable")[:, :k]
    lists = [{channel.song_ids[place] for place in row} for row in order.tolist()]
    return dict(zip(held, lists, strict=True))


def rate(lists, held, plays):
    """Return the share of held-out plays, of songs that somebody has played, in the lists."""
    known = {song for songs in plays for song in songs}
    wanted = [(user, song) for user, songs in held.items() for song in songs if song in known]
    return sum(song in lists[user] for user, song in wanted) / len(wanted)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/rehearsal"))
    parser.add_argument("--data", type=Path, help="vfl_disencdr, unpacked")
    parser.add_argument("--model", choices=("one-way", "two-tower"), default="one-way")
    parser.add_argument("--seeds", type=int, help="compare noise and none in so many worlds")
    given = parser.parse_args()
    if given.seeds:
        compare_seeds(given.seeds)
    else:
        rehearse(given.folder.resolve(), given.data, model=given.model)
