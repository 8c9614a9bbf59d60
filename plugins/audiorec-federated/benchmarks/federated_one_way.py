"""One-way: hit rates beside two-tower, what a release with noise keeps, what vectors tell.

    python -m benchmarks federated_one_way DATA [--cache DIR] [--pairs phone_sport] [--draws 5]
                                           [--parts rates,releases,attacks,canaries] [--towers 5]

DATA is the folder of recall data sets; the worlds are those of `federated_tables.py`: full rank, a
hit is counted for each hidden event of 1,000 test users. These are drawn anew for each draw, and
figures are means over the draws; intervals are a bootstrap over users.

* rates: the recipe chosen on validation users, and two-tower without noise, paired. A
  two-tower that is not in the cache is trained (half a minute for phones, two for clothes), in as
  many of the draws as --towers says; the differences are of these draws.
* releases: songs with noise (`audiorec_federated.release`) at delta 1e-5. Its settings are
  constants, chosen on phone <- electronic and electronic <- phone.
* attacks: on the vectors of the partner, as they are sent and with rounding or noise, and what that
  costs. The attacker knows the profiles of half of the users, or the projection itself.
* told: what a partner finds out from a release: who plays at all, of whom 30 % are silenced by
  chance, and whose plays were learnt from, with the plays at hand. Means over the draws, with a
  bootstrap over them.
* canaries: users whose coin decides whether their one play is in the data; the auditor guesses the
  coins from the noised numbers that the released bundle is made of. The lower bound on epsilon
  must stay below the claim.
* heads, if named in --parts: networks at home in place of the ridge regression, a softmax over the
  songs of no or some hidden units, for as many epochs as are best for a tenth of the users learnt
  from. For pairs that settings are chosen on: phone_electronic.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import torch
from federated_attacks import audited, lower_bound
from federated_tables import (
    World,
    cached,
    hit,
    percent,
    popularity,
    read_world,
    row,
    with_silent_users,
)
from torch import nn

from audiorec.evaluation.ranking import clustered_interval
from audiorec.types import BoolArray, FloatArray
from audiorec_federated.audit import auc
from audiorec_federated.ledger import noise_for
from audiorec_federated.noise import Defence
from audiorec_federated.one_way import OneWay, Release, fit_users, rows_of, who_plays
from audiorec_federated.recipe import OneWayRecipe
from audiorec_federated.release import released
from audiorec_federated.users import Bag, UserFeatures, UserModel, ranks_of

PAIRS = "phone_sport,cloth_sport,sport_phone,sport_cloth"
PARTS = "rates,releases,attacks,told,canaries"
EPSILONS = (1.0, 2.0, 4.0, 8.0, 16.0)
DELTA = 1e-5
CANARIES = 2_000
HIDDEN, EPOCHS = (0, 256), 25  # of heads
RECIPE = OneWayRecipe()
DEFENCES = {
    "as sent": Defence(),
    "float16": Defence(rounding="float16"),
    **{f"noise {n:g}": Defence(vector_noise=n) for n in (0.5, 1.0, 2.0, 4.0)},
}


@dataclass(frozen=True)
class Draw:
    """One draw of hidden users, with the partner's model and vectors."""

    world: World
    model: UserModel
    vectors: FloatArray  # of all users, in the order of `World.people`

    @classmethod
    def of(cls, data: Path, pair: str, draws: int) -> "list[Draw]":
        """Read all draws and fit the partner's side, which sees all profiles and no play."""
        folder, names = data / "vfl_disencdr", pair.split("_")
        worlds = [read_world(folder, *names, draw=number) for number in range(draws)]
        model = fit_users(worlds[0].people, RECIPE)
        vectors = model.embed(worlds[0].people)
        return [cls(world, model, vectors) for world in worlds]

    @property
    def own(self) -> FloatArray:
        """Vectors of the users that are learnt from."""
        return self.of_users(self.world.learnt)

    def of_users(self, users: Iterable[str], vectors: FloatArray | None = None) -> FloatArray:
        """Return the vectors of some users."""
        found = self.vectors if vectors is None else vectors
        return rows_of(tuple(users), self.world.people.user_ids, found)

    def ranks(self, channel: OneWay, asked: FloatArray, learnt: BoolArray) -> dict[str, Any]:
        """Return the ranks of the targets, in the form of `federated_tables.run`."""
        found = np.ceil(ranks_of(channel.similarities(asked), self.world.targets, learnt))
        return {"ranks": [int(r) if np.isfinite(r) else -1 for r in found]}

    def one_way(self, vectors: FloatArray | None = None) -> dict[str, Any]:
        """Return the ranks of a one-way model, learnt from given vectors of all users."""
        world = self.world
        learnt = self.of_users(world.learnt, vectors)
        channel = OneWay.of_vectors(RECIPE, world.data, world.learnt, learnt)
        return self.ranks(channel, self.of_users(world.test, vectors), world.data.counts > 0)

    def released(self, epsilon: float) -> dict[str, Any]:
        """Return the ranks of a release."""
        world = self.world
        made = Release(epsilon=epsilon, delta=DELTA, noise=noise_for(epsilon, DELTA))
        channel = released(self.of_users(world.learnt), world.data.plays, made, RECIPE)
        assert channel.release is not None
        model = self.model.cut(channel.recipe, channel.release.scale)
        asked = model.embed(world.people.for_users(world.test))
        return self.ranks(channel, asked, np.ones(len(world.data.song_ids), np.bool_))


def rate(draws: list[Draw], runs: list[Any], k: int, less: list[Any] | None = None) -> str:
    """Return the hit rate of one run per draw, or what it is above another, in percent."""
    values, owners = [], []
    for number, (draw, run) in enumerate(zip(draws, runs, strict=True)):
        values.append(hit([run], k) - (0 if less is None else hit([less[number]], k)))
        owners.append(np.array(draw.world.test)[draw.world.owner])
    _, owner = np.unique(np.concatenate(owners), return_inverse=True)
    return percent(clustered_interval(np.concatenate(values), owner, np.random.default_rng(0)))


def table(*heads: str) -> None:
    """Print the head of a table."""
    print(row(*heads) + "\n|" + " --- |" * len(heads))


def rates(draws: list[Draw], pair: str, cache: Path, n: int) -> None:
    """Print hit rates of popularity, one-way, and two-tower in the first n draws."""
    towers = [
        cached(cache, pair, draw.world, "two-tower", 0.0, 0, number)
        for number, draw in enumerate(draws[:n])
    ]
    ours = [draw.one_way() for draw in draws]
    table("model", "HR@10 %", "HR@100 %", "above two-tower, HR@10", "above two-tower, HR@100")
    shown = {"popularity": [popularity(draw.world)[0] for draw in draws], "one-way": ours}
    shown |= {f"two-tower, {n} draws": towers} if n else {}
    for name, found in shown.items():
        cells = [rate(draws[: len(found)], found, k) for k in (10, 100)]
        if n and name == "one-way":
            cells += [rate(draws[:n], found[:n], k, towers) for k in (10, 100)]
        print(row(name, *cells, *[""] * (4 - len(cells))), flush=True)


def releases(draws: list[Draw]) -> None:
    """Print what releases keep, by epsilon."""
    table("epsilon", "noise", "HR@10 %", "HR@100 %")
    for epsilon in EPSILONS:
        found = [draw.released(epsilon) for draw in draws]
        noise = f"{noise_for(epsilon, DELTA):.3f}"
        print(row(f"{epsilon:g}", noise, *(rate(draws, found, k) for k in (10, 100))), flush=True)


def attacks(draws: list[Draw]) -> None:
    """Print what vectors tell, and the price of telling less."""
    heads = ("vectors", "frequent items, AUC", "rare items, AUC", "best guess is right", "HR@100 %")
    table(*heads)
    whole = draws[0].model.encoder.encode(draws[0].world.people)
    for name, defence in DEFENCES.items():
        sent = [defence.vectors(draw.vectors) for draw in draws]
        found = [draw.one_way(vectors) for draw, vectors in zip(draws, sent, strict=True)]
        told = [
            f"{v:.3f}" for v in (*probes(whole, sent[0]), guess(draws[0].model, whole, sent[0]))
        ]
        print(row(name, *told, rate(draws, found, 100)), flush=True)
    often = np.bincount(whole.bags["items"].code).max() / len(whole)
    print(f"\nThe most frequent item belongs to {often:.3f} of the users.")
    print(f"Who was in the table, by the projection itself: AUC {membership(draws[0]):.3f}.\n")


def probes(features: UserFeatures, vectors: FloatArray) -> tuple[float, float]:
    """Return the mean AUC of frequent and of rare items, by ridge on half of the users."""
    bag = features.bags["items"]
    counts = np.bincount(bag.code, minlength=bag.size)
    order = np.argsort(-counts, kind="stable")
    owner = np.repeat(np.arange(len(bag)), np.diff(bag.starts))
    rng = np.random.default_rng(0)
    half = rng.permutation(len(bag)) < len(bag) // 2
    inputs = np.concatenate([np.ones((len(vectors), 1)), vectors], axis=1)
    gram = inputs[half].T @ inputs[half] + np.eye(inputs.shape[1])
    found = []
    for items in (order[:100], rng.permutation(np.flatnonzero(counts == 6))[:100]):
        has = np.zeros((len(bag), len(items)), np.bool_)
        for place, item in enumerate(items.tolist()):
            has[owner[bag.code == item], place] = True
        scores = inputs @ np.linalg.solve(gram, inputs[half].T @ has[half])
        found.append(
            np.nanmean([auc(s, h) for s, h in zip(scores[~half].T, has[~half].T, strict=True)])
        )
    return float(found[0]), float(found[1])


def guess(model: UserModel, features: UserFeatures, vectors: FloatArray) -> float:
    """Return how often the item nearest to a vector, by the projection, is the user's own."""
    bag, places = features.bags["items"], model.weights["values.0"].astype(np.float64)
    lengths = np.linalg.norm(places, axis=1, keepdims=True)
    units = places / np.where(lengths > 0, lengths, 1)
    hits = []
    for number in range(0, len(bag), 5):
        own = bag.code[bag.starts[number] : bag.starts[number + 1]]
        if len(own):
            hits.append(int((units @ vectors[number]).argmax()) in own.tolist())
    return float(np.mean(hits))


def membership(draw: Draw) -> float:
    """Return the AUC of who was in the table, by what the projection leaves of their rows."""
    people, rng = draw.world.people, np.random.default_rng(0)
    inside = np.sort(rng.permutation(len(people))[: len(people) // 2])
    model = fit_users(people.for_users([people.user_ids[row] for row in inside]), RECIPE)
    bag = model.encoder.encode(people).bags["items"]
    table = model.weights["values.0"].astype(np.float64)
    scale = np.linalg.norm(table, axis=1)
    kept = []
    for number in range(len(bag)):
        own = bag.code[bag.starts[number] : bag.starts[number + 1]]
        length = max(1e-9, float(np.sqrt((scale[own] ** 2).sum())))
        kept.append(np.linalg.norm(table[own].sum(axis=0)) / length)
    is_inside = np.isin(np.arange(len(people)), inside)
    return float(auc(np.array(kept), is_inside))


def told(draws: list[Draw]) -> None:
    """Print what a partner finds out from a release, and from the music side's own model."""
    table("songs", "plays at all, AUC", "was learnt from, AUC")
    rng, cells = np.random.default_rng(0), {}
    for draw in draws:
        world = with_silent_users(draw.world)
        models = {"the model itself": OneWay.of_vectors(RECIPE, world.data, world.learnt, draw.own)}
        for epsilon in EPSILONS:
            made = Release(epsilon=epsilon, delta=DELTA, noise=noise_for(epsilon, DELTA))
            plays = world.data.plays.of_owners(world.learnt)
            models[f"epsilon {epsilon:g}"] = released(draw.own, plays, made, RECIPE)
        for name, channel in models.items():
            cells.setdefault(name, []).append(found_out(draw, world, channel))
    for name, found in cells.items():
        both = [np.array([one[n] for one in found]) for n in (0, 1)]
        drawn = [rng.choice(one, (1000, len(one))).mean(axis=1) for one in both]
        shown = [
            (one.mean(), *np.percentile(d, [2.5, 97.5])) for one, d in zip(both, drawn, strict=True)
        ]
        print(
            row(name, *(f"{m:.3f} [{low:.3f}, {high:.3f}]" for m, low, high in shown)), flush=True
        )


def found_out(draw: Draw, world: World, channel: OneWay) -> tuple[float, float]:
    """Return the AUC of who plays at all, and of whose plays were learnt from.

    The silent users were drawn by chance, so nothing but a leak tells them apart; their plays were
    not learnt from, and the attacker of the second knows them.
    """
    scale = np.ones(channel.recipe.dimension) if channel.release is None else channel.release.scale
    few = draw.own[:, : len(scale)] * scale
    users = (few / np.maximum(np.linalg.norm(few, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    expected = channel.similarities(users)
    heard = draw.world.data.plays.of_owners(world.learnt)
    is_silent = world.data.plays.of_owners(world.learnt).lengths == 0
    known = users.any(axis=1)
    has = known & (heard.lengths > 0)
    owner = np.repeat(np.arange(len(heard)), heard.lengths)
    expected[~known] = 0
    sums = np.bincount(owner, expected[owner, heard.song], minlength=len(heard))
    own, mean = sums / np.maximum(heard.lengths, 1), expected.mean(axis=1)
    return auc(mean[known], ~is_silent[known]), auc((own - mean)[has], ~is_silent[has])


def canaries(draw: Draw) -> None:
    """Print what an audit in one run can say against the claims."""
    table("claimed epsilon", "guesses", "right", "lower bound")
    vectors, plays = draw.of_users(draw.world.learnt), draw.world.data.plays
    for epsilon in EPSILONS:
        guesses, right = audited(vectors, plays, noise_for(epsilon, DELTA), members=CANARIES)
        bound = lower_bound(CANARIES, guesses, right, DELTA)
        print(row(f"{epsilon:g}", str(guesses), str(right), f"{bound:.2f}"), flush=True)


def heads(draws: list[Draw]) -> None:
    """Print what networks in place of the regression find, paired with it."""
    table("head", "HR@10 %", "HR@100 %", "above ridge, HR@10", "above ridge, HR@100")
    ridge = [draw.one_way() for draw in draws]
    print(row("ridge", *(rate(draws, ridge, k) for k in (10, 100)), "", ""), flush=True)
    for hidden in HIDDEN:
        found = [learnt_head(draw, hidden) for draw in draws]
        cells = [rate(draws, found, k, less) for less in (None, ridge) for k in (10, 100)]
        print(row(f"{hidden} hidden units" if hidden else "softmax", *cells), flush=True)


def learnt_head(draw: Draw, hidden: int) -> dict[str, Any]:
    """Return the ranks of a network from vectors to songs, of the epoch best for held-out users."""
    plays, vectors = who_plays(draw.world.data.plays), torch.from_numpy(4 * draw.own)
    asked = torch.from_numpy(4 * draw.of_users(draw.world.test))
    learnt = draw.world.data.counts > 0
    rng, best = np.random.default_rng(0), -1.0
    torch.manual_seed(0)
    order = rng.permutation(len(vectors))
    held, rest = order[: len(order) // 10], order[len(order) // 10 :]
    judged = draw.world.data.plays.take(held)
    targets = Bag(judged.starts, judged.song, len(learnt))
    last = nn.Linear(hidden or vectors.shape[1], len(learnt))
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.copy_(torch.log(torch.from_numpy(plays[rest].sum(axis=0) + 1e-3)))
    first = [nn.Linear(vectors.shape[1], hidden), nn.ReLU()] if hidden else []
    net = nn.Sequential(*first, nn.Dropout(0.3), last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-4)
    for _ in range(EPOCHS):
        net.train()
        for rows in np.array_split(rng.permutation(rest), len(rest) // 256):
            met = torch.from_numpy(plays[rows].toarray().astype(np.float32))
            met /= met.sum(1, keepdim=True).clamp(min=1).sqrt()
            optimiser.zero_grad()
            (-(net(vectors[rows]).log_softmax(1) * met).sum(1).mean()).backward()
            optimiser.step()
        net.eval()
        with torch.no_grad():
            score = float((ranks_of(net(vectors[held]).numpy(), targets, learnt) <= 100).mean())
            if score > best:
                best, similar = score, net(asked).numpy()
    ranks = np.ceil(ranks_of(similar, draw.world.targets, learnt))
    return {"ranks": [int(r) if np.isfinite(r) else -1 for r in ranks]}


def main() -> None:
    """Print the tables of each pair."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(gettempdir()) / "audiorec_federated")
    parser.add_argument("--pairs", default=PAIRS)
    parser.add_argument("--parts", default=PARTS)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--towers", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for pair in given.pairs.split(","):
        music, partner = pair.split("_")
        draws = Draw.of(given.data, pair, given.draws)
        n, size = len(draws[0].world.learnt), len(draws[0].world.data.song_ids)
        print(
            f"\n{music} <- {partner}: {n:,} users learnt from, {size:,} items, {given.draws} draws"
        )
        for part in given.parts.split(","):
            print(f"\n{part}\n")
            if part == "rates":
                rates(draws, pair, given.cache, min(given.towers, given.draws))
            else:
                known = {"releases": releases, "attacks": attacks, "told": told, "heads": heads}
                known.get(part, lambda draws: canaries(draws[0]))(draws)


if __name__ == "__main__":
    main()
