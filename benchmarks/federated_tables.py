"""Two towers across two businesses: hit rates of users who are new to the music, and what leaked.

    python benchmarks/federated_tables.py DATA [--cache DIR] [--pairs phone_sport] [--seeds 5]

DATA is the folder of recall data sets; `vfl_disencdr` in it has pairs of domains with the same
users (DisenCDR). The first of a pair is the music side, the second the partner: "phone <- sport"
recommends phones by what a user bought in sports. Of 1,000 users, drawn once, every event of the
music side is hidden: they are the test, known by the partner's items alone.

* Full rank over all items of the music side. A hit is counted for each hidden event, not for each
  user: 9,376 of them for phone <- sport. Items that nobody else has are misses.
* Intervals: bootstrap over users, of means over the seeds.
* Recipes were chosen on users that only judge, of phone <- sport without noise, never on the test.
* Leaks are those of `audiorec.recall.federated.audit`, undefended in the row of noise 0. Epsilon is
  printed where a bound is valid: see `audiorec.recall.federated.accounting`. The rows "given" have
  the vectors of songs from a decomposition of half of the users' plays, whom the partner does
  not know; the other half is aligned, and learnt from.

Each run is cached, by its settings, so that the command goes on where it was stopped.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import torch

from audiorec.evaluation.classification import Interval
from audiorec.evaluation.full_rank import clustered_interval
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import Context, RecallData, Sound
from audiorec.recall.federated.accounting import account, gradients_of_a_user
from audiorec.recall.federated.attacks import Result
from audiorec.recall.federated.audit import (
    INVERSION,
    MEMBERSHIP,
    MUST_FIND,
    NEAREST,
    SUMMED,
    GradientWitness,
    run_attacks,
)
from audiorec.recall.federated.forward import user_vectors
from audiorec.recall.federated.learner import CentralLearner, CentralTraining
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.ranking import ranks_of
from audiorec.recall.federated.recipe import MmoeRecipe, TwoTowerRecipe
from audiorec.recall.federated.sides import ItemSide, UserSide
from audiorec.recall.federated.user_features import Bag
from audiorec.recall.federated.user_model import weights_of
from audiorec.spec import fingerprint

TEST_USERS = 1_000
NOISES = (0.0, 1.0, 3.0, 8.0)
KINDS = ("two-tower", "mmoe", "given")
ATTACKS = (NEAREST, SUMMED, INVERSION, MEMBERSHIP)
RECIPES: dict[str, TwoTowerRecipe] = {
    "two-tower": TwoTowerRecipe(),
    "mmoe": MmoeRecipe(),
    "given": TwoTowerRecipe(songs="given"),
}


@dataclass(frozen=True)
class World:
    """A pair of domains: what is learnt from, and what is asked."""

    data: RecallData
    people: Profiles  # of all users: the partner's items of each
    learnt: tuple[str, ...]  # users that are learnt from
    test: tuple[str, ...]
    targets: Bag  # of the test users, in numbers of the catalogue

    @property
    def owner(self) -> np.ndarray:
        """The test user of each target."""
        return np.repeat(np.arange(len(self.targets)), np.diff(self.targets.starts))


def read_world(folder: Path, music: str, partner: str) -> World:
    """Read a pair, and hide the events of the test users."""
    own, theirs = (events(folder / name) for name in (f"{music}_{partner}", f"{partner}_{music}"))
    n = 1 + max(int(own[:, 0].max()), int(theirs[:, 0].max()))
    hidden = np.sort(np.random.default_rng(0).permutation(n)[:TEST_USERS])
    is_hidden = np.isin(np.arange(n), hidden)
    ids = [f"user-{row:05d}" for row in range(n)]
    items = lists(own, n, "m")
    bought = ["|".join(found) or None for found in lists(theirs, n, "p")]
    catalogue = sorted({item for found in items for item in found})
    learnt = [row for row in range(n) if not is_hidden[row]]
    plays = Sequences.from_lists([items[row] for row in learnt], [ids[row] for row in learnt])
    data = RecallData(plays, tuple(catalogue))
    number = {item: place for place, item in enumerate(data.song_ids)}
    wanted = [[number[item] for item in items[row]] for row in hidden.tolist()]
    starts = np.cumsum([0, *map(len, wanted)]).astype(np.int64)
    targets = Bag(starts, np.array([i for row in wanted for i in row]), len(catalogue))
    people = Profiles(tuple(ids), {"items": bought}, {})
    return World(data, people, plays.owner_ids, tuple(ids[r] for r in hidden.tolist()), targets)


def events(folder: Path) -> np.ndarray:
    """Return user and item of all events of one domain, those that were its test included."""
    files = [folder / name for name in ("train.txt", "test_original.txt")]
    return np.concatenate([np.loadtxt(file, np.int64, usecols=(0, 1)) for file in files])


def lists(found: np.ndarray, n: int, prefix: str) -> list[list[str]]:
    """Return the items of each user, once each, in the order of the file."""
    items: list[dict[str, None]] = [{} for _ in range(n)]
    for user, item in found.tolist():
        items[user][f"{prefix}{item:05d}"] = None
    return [list(own) for own in items]


def with_given_songs(world: World, width: int) -> World:
    """Give songs vectors by the plays of half of the users, and learn from the other half."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import svds

    plays = world.data.plays
    half = np.random.default_rng(1).permutation(len(plays)) < len(plays) // 2
    outside, inside = (plays.take(np.flatnonzero(side)) for side in (half, ~half))
    ones = np.ones(len(outside.song), np.float64)
    matrix = csr_array(
        (ones, outside.song, outside.starts), shape=(len(outside), len(plays.song_ids))
    )
    start = np.random.default_rng(2).normal(size=min(matrix.shape))
    _, strength, right = svds(matrix, k=width, v0=start)
    vectors = (right * np.sqrt(strength)[:, None]).T
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.where(lengths > 1e-6, vectors / np.maximum(lengths, 1e-6), 0).astype(np.float32)
    sound = Sound(plays.song_ids, units, ("",) * len(units), made_by="a decomposition")
    data = replace(world.data, context=Context(sound=sound))
    return replace(world, data=data, learnt=inside.owner_ids)


def run(world: World, kind: str, noise: float, seed: int) -> dict[str, Any]:
    """Train once, rank the test users' targets, attack what crossed."""
    recipe = replace(RECIPES[kind], seed=seed)
    defence = Defence(noise=noise) if noise else NOTHING
    if kind == "given":
        world = with_given_songs(world, recipe.dimension)
    users = UserSide.of(world.people, world.learnt, recipe)
    items = ItemSide.of(world.data, world.learnt)
    watched: list[tuple[CentralLearner, GradientWitness]] = []

    def watch(central: CentralLearner, _phase: str) -> None:
        witness = GradientWitness(len(items.plays), recipe.dimension)
        central.items[0].witness = witness.note
        watched.append((central, witness))

    began = time.process_time()
    done = CentralTraining(recipe, defence, secret=seed, watch=watch).run(users, [items])
    trained = time.process_time() - began
    leaks = run_attacks(*watched[0], seed=seed)
    weights = weights_of(done.learner.user.model.state_dict())
    asked = users.encoder.encode(world.people.for_users(world.test))
    vectors = user_vectors(asked, weights, recipe)[:, 0]
    half = done.learner.items[0]
    ranks = ranks_of(half.similarities(vectors), world.targets, half.learnt)
    best = done.chosen.history[done.chosen.best]
    return {
        "ranks": [int(r) if np.isfinite(r) else -1 for r in np.ceil(ranks)],
        "leaks": {name: plain(found) for name, found in leaks.items()},
        "epochs": [len(done.chosen.history), done.chosen.best_epoch],
        "valid": {n: v for n, v in best.items() if n not in ("epoch", "seconds", "loss")},
        "cpu_s": [round(trained, 1), round(time.process_time() - began - trained, 1)],
    }


def plain(found: Result | None) -> list[float] | None:
    """Return figure, interval and chance."""
    if found is None:
        return None
    return [found.found.value, found.found.low, found.found.high, found.chance]


def version(kind: str) -> int:
    """Return which way of making the songs of a kind a cached run is of."""
    return 2 if kind == "given" else 1


def cached(cache: Path, pair: str, world: World, kind: str, noise: float, seed: int) -> Any:
    """Return a run, made now or before."""
    about = {"recipe": RECIPES[kind].fingerprint, "noise": noise, "seed": seed, "test": TEST_USERS}
    about |= {"version": version(kind)} if version(kind) > 1 else {}
    path = cache / f"{pair}-{kind}-{noise:g}-{seed}-{fingerprint(about)[:8]}.json"
    if not path.is_file():
        found = run(world, kind, noise, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))
        print(f"  {path.name}: {found['cpu_s']} CPU s, epochs {found['epochs']}", flush=True)
    return json.loads(path.read_text())


def hits(runs: list[Any], world: World, k: int) -> str:
    """Return the hit rate in percent: the mean over seeds, its interval over users."""
    ranks = np.array([one["ranks"] for one in runs])
    values = ((ranks > 0) & (ranks <= k)).mean(axis=0)
    found = clustered_interval(values, world.owner, np.random.default_rng(0))
    return percent(found)


def percent(found: Interval) -> str:
    """Return a figure and its interval in percent."""
    return f"{100 * found.value:.2f} [{100 * found.low:.2f}, {100 * found.high:.2f}]"


def popularity(world: World) -> list[Any]:
    """Return the ranks of the targets by how often an item was bought."""
    counts = world.data.counts
    similar = np.tile(counts.astype(np.float32), (len(world.targets), 1))
    ranks = ranks_of(similar, world.targets, counts > 0)
    return [{"ranks": [int(r) if np.isfinite(r) else -1 for r in np.ceil(ranks)]}]


def leak(runs: list[Any], attack: str, undefended: list[Any]) -> str:
    """Return what an attack got, a mean over seeds of figure and interval."""
    base, own = (
        np.array([one["leaks"][attack] for one in found if one["leaks"].get(attack)])
        for found in (undefended, runs)
    )
    if not len(own) or not len(base):
        return "-"
    value, low, high, _ = own.mean(axis=0)
    strong = base[:, 1].mean() > base[:, 3].mean()
    strong &= attack != NEAREST or base[:, 0].mean() >= MUST_FIND
    return f"{value:.3f} [{low:.3f}, {high:.3f}]" if strong else "does not count"


def epsilon(runs: list[Any], kind: str, noise: float) -> str:
    """Return epsilon of the longest of the trainings, where it is valid."""
    if not noise:
        return "-"
    steps = max(
        gradients_of_a_user(RECIPES[kind], chosen=one["epochs"][0], refitted=one["epochs"][1])
        for one in runs
    )
    found = account(RECIPES[kind], Defence(noise=noise), steps)
    return "not valid" if found.epsilon is None else f"{found.epsilon:,.0f} ({steps} gradients)"


def table(
    cache: Path, pair: str, world: World, seeds: int, wanted: list[tuple[str, float]]
) -> None:
    """Print the table of one pair."""
    n, music, partner = len(world.targets.code), *pair.split("_")
    print(
        f"\n{music} <- {partner}: {len(world.learnt):,} users learnt from, {TEST_USERS:,} tested, "
    )
    print(f"{n:,} targets, full rank of {len(world.data.song_ids):,} items, {seeds} seeds\n")
    chances: dict[str, float] = {}
    head = ["model", "noise", "HR@10 %", "HR@100 %", *(a.split(",")[0] for a in ATTACKS)]
    print(f"| {' | '.join([*head, 'epsilon'])} |\n|{' --- |' * (len(head) + 1)}")
    known = popularity(world)
    cells = ["popularity", "", hits(known, world, 10), hits(known, world, 100)]
    print(f"| {' | '.join([*cells, *[''] * (len(ATTACKS) + 1)])} |")
    for kind, noise in wanted:
        runs = [cached(cache, pair, world, kind, noise, seed) for seed in range(seeds)]
        base = [cached(cache, pair, world, kind, 0.0, seed) for seed in range(seeds)]
        cells = [kind, f"{noise:g}", hits(runs, world, 10), hits(runs, world, 100)]
        cells += [leak(runs, attack, base) for attack in ATTACKS]
        print(f"| {' | '.join([*cells, epsilon(runs, kind, noise)])} |", flush=True)
        chances |= {
            a: float(np.mean([one["leaks"][a][3] for one in runs if one["leaks"].get(a)] or [0]))
            for a in ATTACKS
        }
        cpu = np.mean([one["cpu_s"] for one in runs], axis=0)
        print(f"  {kind}, noise {noise:g}: {cpu[0]:.1f} CPU s a training", flush=True)
    told = ", ".join(f"{a.split(',')[0]} {value:.4f}" for a, value in chances.items())
    print(f"chance: {told}")


def main() -> None:
    """Print a table for each pair."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "audiorec_federated")
    parser.add_argument("--pairs", default="phone_sport,cloth_sport")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--noises", default=",".join(f"{n:g}" for n in NOISES))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [(k, float(n)) for k in given.kinds.split(",") for n in given.noises.split(",")]
    for pair in given.pairs.split(","):
        world = read_world(given.data / "vfl_disencdr", *pair.split("_"))
        table(given.cache, pair, world, given.seeds, wanted)


if __name__ == "__main__":
    main()
