"""Two towers across two businesses: hit rates of users who are new to the music, and what leaked.

    python -m benchmarks federated_tables DATA [--cache DIR] [--pairs phone_sport] [--seeds 5]

DATA is the folder of recall data sets; `vfl_disencdr` in it has pairs of domains with the same
users (DisenCDR). The first of a pair is the music side, the second the partner: "phone <- sport"
recommends phones by what a user bought in sports. Of 1,000 users, drawn once, every event of the
music side is hidden: they are the test, known by the partner's items alone.

* Full rank over all items of the music side. A hit is counted for each hidden event, not for each
  user: 9,376 of them for phone <- sport. Items that nobody else has are misses.
* Intervals: bootstrap over users, of means over the seeds.
* Recipes were chosen on users that only judge, of phone <- sport without noise, never on the test.
* Leaks are those of ``federated_attacks.py``, undefended in the column of noise 0. In
  "silent", 30 % of the users learnt from have no plays: who plays at all is guessed there.
* Noise comes from the system's randomness: a run that is made anew differs in the last digits.

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
from federated_attacks import (
    ATTACKS,
    MUST_FIND,
    NEAREST,
    GradientWitness,
    Result,
    run_attacks,
    watched,
)

from audiorec.evaluation.classification import Interval
from audiorec.evaluation.ranking import clustered_interval
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import RecallData
from audiorec.spec import fingerprint
from audiorec_federated.halves import ItemSide, UserSide
from audiorec_federated.noise import NOTHING, Defence
from audiorec_federated.recipe import MmoeRecipe, TwoTowerRecipe
from audiorec_federated.split import TowersLearner, train_here
from audiorec_federated.users import Bag, logits_of, ranks_of, user_vectors, weights_of

TEST_USERS = 1_000
NOISES = (0.0, 1.0, 3.0, 8.0)
KINDS = ("two-tower", "mmoe", "silent")
SILENT_SHARE = 0.3
RECIPES: dict[str, TwoTowerRecipe] = {
    "two-tower": TwoTowerRecipe(),
    "mmoe": MmoeRecipe(),
    "silent": TwoTowerRecipe(),
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
        return self.targets.owner


def read_world(folder: Path, music: str, partner: str, draw: int = 0) -> World:
    """Read a pair, and hide the events of the test users, drawn by a seed."""
    own, theirs = (events(folder / name) for name in (f"{music}_{partner}", f"{partner}_{music}"))
    n = 1 + max(int(own[:, 0].max()), int(theirs[:, 0].max()))
    hidden = np.sort(np.random.default_rng(draw).permutation(n)[:TEST_USERS])
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


def with_silent_users(world: World) -> World:
    """Take all plays from a part of the users that are learnt from."""
    plays = world.data.plays
    heard = np.random.default_rng(5).random(len(plays)) >= SILENT_SHARE
    return replace(world, data=replace(world.data, sequences=plays.take(np.flatnonzero(heard))))


def run(world: World, kind: str, noise: float, seed: int) -> dict[str, Any]:
    """Train once, rank the test users' targets, attack what crossed."""
    recipe = replace(RECIPES[kind], seed=seed)
    defence = Defence(noise=noise) if noise else NOTHING
    if kind == "silent":
        world = with_silent_users(world)
    users = UserSide.of(world.people, world.learnt, recipe)
    items = ItemSide.of(world.data, world.learnt)
    witness = GradientWitness(len(items.plays), recipe.dimension)
    learners: list[TowersLearner] = []

    def watch(learner: TowersLearner, _phase: str) -> None:
        watched(learner.item, witness.note)
        learners.append(learner)

    began = time.process_time()
    done = train_here(users, items, recipe, defence=defence, secret=seed, watch=watch)
    trained = time.process_time() - began
    leaks = run_attacks(learners[0], witness, seed=seed)
    weights = weights_of(done.learner.user.model.state_dict())
    asked = users.encoder.encode(world.people.for_users(world.test))
    vectors = user_vectors(asked, weights, recipe)
    half: Any = done.learner.item
    similar = logits_of(vectors, half.song_vectors(), recipe, half.prior)
    ranks = ranks_of(similar, world.targets, half.learnt)
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


def cached(
    cache: Path, pair: str, world: World, kind: str, noise: float, seed: int, draw: int = 0
) -> Any:
    """Return a run, made now or before."""
    about = {"recipe": RECIPES[kind].fingerprint, "noise": noise, "seed": seed, "test": TEST_USERS}
    about["version"] = 3  # of the noise and of the attacks
    about |= {"draw": draw} if draw else {}
    path = cache / f"{pair}-{kind}-{noise:g}-{seed}-{fingerprint(about)[:8]}.json"
    if not path.is_file():
        found = run(world, kind, noise, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))
        print(f"  {path.name}: {found['cpu_s']} CPU s, epochs {found['epochs']}", flush=True)
    return json.loads(path.read_text())


def hit(runs: list[Any], k: int) -> np.ndarray:
    """Return how often each target was among the first k, a mean over seeds."""
    ranks = np.array([one["ranks"] for one in runs])
    found: np.ndarray = ((ranks > 0) & (ranks <= k)).mean(axis=0)
    return found


def hits(runs: list[Any], world: World, k: int, less: list[Any] | None = None) -> str:
    """Return the hit rate in percent with its interval over users; or what it is above another."""
    values = hit(runs, k) - (0 if less is None else hit(less, k))
    return percent(clustered_interval(values, world.owner, np.random.default_rng(0)))


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
        return ""
    value, low, high, _ = own.mean(axis=0)
    strong = base[:, 1].mean() > base[:, 3].mean()
    strong &= attack != NEAREST or base[:, 0].mean() >= MUST_FIND
    return f"{value:.3f} [{low:.3f}, {high:.3f}]" if strong else "does not count"


def row(*cells: str) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def rates(world: World, runs: dict[tuple[str, float], list[Any]]) -> None:
    """Print the hit rates of one pair, and what noise changes in them."""
    heads = ("model", "noise", "HR@10 %", "HR@100 %", "by noise, HR@10", "by noise, HR@100")
    print(row(*heads) + "\n|" + " --- |" * len(heads))
    shown = {("popularity", 0.0): popularity(world)} | runs
    for (kind, noise), found in shown.items():
        if kind != "silent":
            cells = [hits(found, world, k) for k in (10, 100)]
            cells += [hits(found, world, k, runs[kind, 0.0]) if noise else "" for k in (10, 100)]
            print(row(kind, f"{noise:g}", *cells))


def leaks(kind: str, runs: dict[float, list[Any]]) -> None:
    """Print what each attack got against one model, by noise."""
    heads = ["no noise", *(f"noise {noise:g}" for noise in runs if noise)]
    print(f"\nWhat leaks, {kind}\n")
    print(row("attack", "chance", *heads) + "\n|" + " --- |" * (2 + len(heads)))
    for attack in ATTACKS:
        cells = [leak(found, attack, runs[0.0]) for found in runs.values()]
        if any(cells):
            chance = np.mean([one["leaks"][attack][3] for one in runs[0.0]])
            print(row(attack, f"{chance:.3f}", *cells))


def table(cache: Path, pair: str, world: World, seeds: int, kinds: list[str], noises: Any) -> None:
    """Print the tables of one pair."""
    n, music, partner = len(world.targets.code), *pair.split("_")
    runs = {
        (kind, noise): [cached(cache, pair, world, kind, noise, seed) for seed in range(seeds)]
        for kind in kinds
        for noise in noises
    }
    print(
        f"\n{music} <- {partner}: {len(world.learnt):,} users learnt from, {TEST_USERS:,} tested, "
        f"{n:,} targets, full rank of {len(world.data.song_ids):,} items, {seeds} seeds\n"
    )
    rates(world, runs)
    for kind in kinds:
        leaks(kind, {noise: runs[kind, noise] for noise in noises})


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
    noises = sorted({0.0, *map(float, given.noises.split(","))})
    for pair in given.pairs.split(","):
        world = read_world(given.data / "vfl_disencdr", *pair.split("_"))
        table(given.cache, pair, world, given.seeds, given.kinds.split(","), noises)


if __name__ == "__main__":
    main()
