"""Train with a partner that keeps all it receives: two processes over TLS, the usual noise.

    python -m benchmarks federated_curious [DATA] [--users 1600] [--silent 0.3] [--epochs 4]

DATA is the folder of recall data sets: phones are the music side, sports the partner (DisenCDR,
`vfl_disencdr`). Without it a little world is made up. A part of the users who are aligned plays
nothing. Afterwards the kept messages are attacked, with the truth at hand:

* *Differences.* The gradients of a step are subtracted, row by row, from those of the step of the
  same number in the epoch before. Noise that both share would cancel. Chance is what subtracting
  other rows of the same message gives, whose noise cannot be shared. Silent users: of two pairs of
  silent rows, is that of one place nearer together? Chance is exactly a half. Same songs: does the
  nearest difference belong to a user who shares a song? The gain over other rows is 0 by chance.
* *Lengths.* Who plays at all, by the length of one gradient, and of the sum of all.

Prints one JSON line; intervals of 95 % are a bootstrap over users.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from federated_attacks import activity
from federated_rehearsal import rehearse
from scipy.sparse import csr_array

from audiorec.evaluation.ranking import clustered_interval
from audiorec.recall.federated.alignment import read_alignment
from audiorec.recall.federated.plan import PartyPlan
from audiorec.recall.federated.protocol import MessageKind, decode
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.towers import split_rows, steps_of
from audiorec.recall.federated.users import Bag

KEPT_FILE = "kept"
# The partner follows the protocol, and writes down each answer. The first arguments are those of
# the command that it replaces.
KEEPING = f"""
import runpy, sys
from audiorec.recall.federated.link import FlightTransport
file, ask = open("{KEPT_FILE}", "wb"), FlightTransport.ask

def keep(self, data, timeout_s):
    answer = ask(self, data, timeout_s)
    file.write(len(answer).to_bytes(8, "little") + answer)
    file.flush()
    return answer

FlightTransport.ask = keep
del sys.argv[1:3]
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
Steps = dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]  # rows and gradients of each


def made_up(users: int, silent: float, seed: int = 0) -> Any:
    """Return plays of one song each, profiles that tell it in part, and silent users."""
    rng = np.random.default_rng(seed)
    songs = rng.integers(0, 12, users)
    names = [f"user-{n:04}" for n in range(users)]
    mute: dict[str, list[str]] = {name: [] for name in names if rng.random() < silent}
    plays = {u: [f"song-{s}"] for u, s in zip(names, songs, strict=True) if u not in mute}
    known = np.where(rng.random(users) < 0.7, songs, rng.integers(0, 12, users)) // 2
    profiles = {u: {"interests": f"taste {k}"} for u, k in zip(names, known, strict=True)}
    return plays, profiles, mute


def of_pairs(data: Path, users: int, silent: float) -> Any:
    """Return the same of phones and sports; a part of the users is silenced."""
    plays, profiles, _ = rehearse.of_pairs(data / "vfl_disencdr")
    rng = np.random.default_rng(5)
    names = rng.permutation(sorted(set(plays) & set(profiles))).tolist()[:users]
    mute = {name: [] for name in names if rng.random() < silent}
    heard = {name: plays[name] for name in names if name not in mute}
    return heard, {name: profiles[name] for name in names}, mute


def train(folder: Path, world: Any, recipe: str) -> None:
    """Let both parties align and train; the partner keeps all it receives."""
    address = f"127.0.0.1:{rehearse.free_port()}"
    rehearse.write_parties(folder, world, address=address, recipe=recipe, model="two-tower")
    for role, other in zip(rehearse.PARTIES, reversed(rehearse.PARTIES), strict=True):
        rehearse.run(folder / role, f"federated align --config {role}.toml")
        certificate = (folder / role / "keys" / "certificate.pem").read_bytes()
        (folder / other / f"{role}.pem").write_bytes(certificate)
    rehearse.both(folder, "align --yes", prefix={})
    rehearse.both(folder, "train", prefix={"partner": [sys.executable, "-c", KEEPING]})


def received(folder: Path) -> tuple[Steps, tuple[str, ...]]:
    """Return what the partner has afterwards: gradients with their rows, and who these are."""
    plan = PartyPlan.read(folder / "partner" / "partner.toml")
    ids, recipe = read_alignment(plan.alignment).user_ids, plan.settings()
    assert isinstance(recipe, TwoTowerRecipe)
    data, at = (folder / "partner" / KEPT_FILE).read_bytes(), 0
    found: Steps = {}
    rows = {
        (epoch, step.number): step.rows
        for epoch in range(1, recipe.max_epochs + 1)
        for step in steps_of(split_rows(len(ids), recipe, "choose")[0], recipe, epoch)
    }
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 8], "little")
        message = decode(data[at + 8 : end])
        at = end
        if message.kind == MessageKind.GRADIENTS:
            place = (message["epoch"], message["step"])
            found[place] = (rows[place], message.array().astype(np.float64))
    return found, ids


def truth(world: Any, ids: tuple[str, ...]) -> Bag:
    """Return the plays of the aligned rows."""
    number: dict[str, int] = {}
    lists = [[number.setdefault(s, len(number)) for s in world[0].get(u, [])] for u in ids]
    starts = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    return Bag(starts, np.array([s for own in lists for s in own], np.int64), len(number))


def pairs(steps: Steps) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Return rows and gradients of the same step of two epochs, as far as both reach."""
    found = []
    for (epoch, number), (rows, gradients) in steps.items():
        other = steps.get((epoch + 1, number))
        if other is not None:
            n = min(len(rows), len(other[0]))
            found.append((rows[:n], gradients[:n], other[0][:n], other[1][:n]))
    return found


def silent_trials(found: Any, silent: np.ndarray, rng: np.random.Generator) -> Any:
    """Return whether silent rows of one place are nearer than those of two, and whose each is."""
    hits, owners = [], []
    for rows, ours, others, theirs in found:
        mute = np.flatnonzero(silent[others])
        for i in np.flatnonzero(silent[rows] & silent[others]):
            rest = mute[mute != i]
            if len(rest):
                own, other = (np.linalg.norm(ours[i] - theirs[k]) for k in (i, rng.choice(rest)))
                hits.append(float(own < other))
                owners.append(rows[i])
    return np.array(hits), np.array(owners)


def song_trials(found: Any, shares: np.ndarray, rng: np.random.Generator) -> Any:
    """Return whether the nearest difference shares a song: of one place, of others, and whose."""
    hits: list[list[np.ndarray]] = [[], []]
    owners = []
    for rows, ours, _, theirs in found:
        plays = np.flatnonzero(shares[rows, rows])
        for kept, order in zip(
            hits, (np.arange(len(rows)), rng.permutation(len(rows))), strict=True
        ):
            apart = (ours - theirs[order])[plays]
            apart /= np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-30)
            near = apart @ apart.T
            np.fill_diagonal(near, -np.inf)
            kept.append(shares[rows[plays], rows[plays][near.argmax(axis=1)]].astype(np.float64))
        owners.append(rows[plays])
    return *(np.concatenate(one) for one in hits), np.concatenate(owners)


def attack(steps: Steps, plays: Bag, seed: int = 0) -> dict[str, Any]:
    """Attack what the partner kept."""
    rng, n = np.random.default_rng(seed), len(plays)
    silent = np.diff(plays.starts) == 0
    ones = np.ones(len(plays.code), np.int32)
    matrix = csr_array((ones, plays.code, plays.starts), shape=(n, plays.size))
    shares = (matrix @ matrix.T).toarray() > 0
    found = pairs(steps)
    hits, owners = silent_trials(found, silent, rng)
    own, other, players = song_trials(found, shares, rng)
    near = [np.linalg.norm(a - b, axis=1).min() for _, a, _, b in found]
    sums, rows = np.zeros((n, found[0][1].shape[1])), np.arange(n)
    for at, gradients in steps.values():
        sums[at] += gradients
    one = np.concatenate([gradients for _, gradients in steps.values()])
    who = np.concatenate([at for at, _ in steps.values()])
    first = np.unique(who, return_index=True)[1]
    return {
        "users": n,
        "silent": int(silent.sum()),
        "gradients_a_user": round(len(who) / n, 1),
        "shortest_difference": round(float(min(near)), 3),
        "silent_by_difference": [*figures(hits, owners, rng), len(hits)],
        "same_song_by_difference": [*figures(own, players, rng), len(own)],
        "same_song_by_a_random_row": round(chance(shares, found), 4),
        "same_song_by_other_rows": figures(other, players, rng),
        "same_song_gain": figures(own - other, players, rng),
        "plays_by_one_length": plain(activity(one[first], plays, who[first], rng)),
        "plays_by_summed_length": plain(activity(sums, plays, rows, rng)),
    }


def chance(shares: np.ndarray, found: Any) -> float:
    """Return how often a random other row of a step, with a play, shares a song."""
    rates = []
    for rows, *_ in found:
        plays = rows[shares[rows, rows]]
        among = shares[np.ix_(plays, plays)]
        rates.append((among.sum() - len(plays)) / max(1, len(plays) * (len(plays) - 1)))
    return float(np.mean(rates))


def figures(values: np.ndarray, owners: np.ndarray, rng: np.random.Generator) -> list[float]:
    """Return a mean and its interval over users."""
    found = clustered_interval(values, owners, rng)
    return [round(float(v), 4) for v in (found.value, found.low, found.high)]


def plain(found: Any) -> list[float]:
    """Return the figure of an attack and its interval."""
    return [round(float(v), 4) for v in (found.found.value, found.found.low, found.found.high)]


def curious(folder: Path, world: Any, recipe: str) -> dict[str, Any]:
    """Train and attack; return all figures."""
    train(folder, world, recipe)
    steps, ids = received(folder)
    return attack(steps, truth(world, ids))


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--users", type=int, default=1600)
    parser.add_argument("--silent", type=float, default=0.3)
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    about = (given.users, given.silent)
    world = made_up(*about) if given.data is None else of_pairs(given.data, *about)
    with tempfile.TemporaryDirectory() as name:
        found = curious(Path(name), world, f"max_epochs = {given.epochs}")
    print(json.dumps({"bench": "federated-curious", **found}))


if __name__ == "__main__":
    main()
