"""The two halves of a model in training, each with the data of its side.

::

    profiles,     aligned ids ──UserSide.of──▶ `UserHalf`: user tower
    plays, songs, aligned ids ──ItemSide.of──▶ `ItemHalf`: song tower

    UserHalf   vectors(step) ──(B, d)──▶   gradient(step, vectors)   ItemHalf
               learn(step, ·) ◀──(B, d)──  clipped and noised

The item half's draws (positives, negatives, dropout) follow from a secret that the user half must
not know: it would tell in which steps a user has the same song. Noise has no seed: a step that is
repeated after an interruption has the same gradients with other noise. An mmoe has a task of the
partner's own as well: a step hides one of the partner's items of each user and predicts it. These
labels and the table of items never leave the partner.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from audiorec.errors import InputError, ShapeError
from audiorec.learning.fit import Line, Phase
from audiorec.learning.losses import sampled_softmax_loss, shared_hits
from audiorec.learning.machine import generator, torch_seed
from audiorec.learning.negatives import SharedSampler
from audiorec.learning.next_model import SongTable
from audiorec.learning.next_plays import SongFeatures
from audiorec.listening.profiles import Profiles
from audiorec.recall.contract.data import RecallData
from audiorec.recall.contract.next_song import SideEncoder
from audiorec.types import BoolArray, FloatArray, Int64Array
from audiorec_federated.noise import NOTHING, Defence
from audiorec_federated.recipe import MmoeRecipe, PartyRecipe, TwoTowerRecipe
from audiorec_federated.towers import (
    BEGIN,
    JointStep,
    UserTower,
    secret_of,
    set_rate,
    split_rows,
    tensors_of,
    with_secret,
)
from audiorec_federated.users import (
    Bag,
    UserEncoder,
    UserFeatures,
    figures_of,
    logits_of,
    ranks_of,
)

DRAW = 0  # purpose of an item half's secret
STEP, JUDGE = 0, 3  # purposes of a user half's secret
NEGATIVE_POWER = 0.75  # negatives are drawn in proportion to plays to this power
SHOWN_AT = 100


@dataclass(frozen=True, slots=True, eq=False)
class ItemSide:
    """Songs and plays, with users numbered by aligned row."""

    facts: SideEncoder  # encoder of the songs' side information
    features: SongFeatures  # of S songs
    plays: Bag  # songs that n aligned rows play, including repeats

    @classmethod
    def of(cls, data: RecallData, aligned: Sequence[str]) -> "ItemSide":
        """Build the side from the plays of aligned users."""
        own = data.plays.of_owners(aligned)
        facts = SideEncoder.fit(data.context, data.song_ids, ~data.is_cold)
        plays = Bag(own.starts.astype(np.int64), own.song.astype(np.int64), len(data.song_ids))
        return cls(facts, facts.encode(data.context, data.song_ids), plays)


@dataclass(frozen=True, slots=True, eq=False)
class UserSide:
    """Encoder of profiles, and profile features of n users, numbered by aligned row."""

    encoder: UserEncoder
    features: UserFeatures

    @classmethod
    def of(cls, people: Profiles, aligned: Sequence[str], recipe: PartyRecipe) -> "UserSide":
        """Build the side from the profiles of aligned users, in their order."""
        known = people.for_users(aligned)
        encoder = UserEncoder.fit(known, min_users=recipe.min_users, max_values=recipe.max_values)
        return cls(encoder, encoder.encode(known))


class ItemHalf:
    """Item side of a model in training: song tower, optimiser and sampler.

    `prior` (S,) is the popularity term of each song's logit, 0 for the most played one; `learnt`
    (S,) are the songs played by training rows; `loss` is a mean over the rows with plays of the
    last step.
    """

    def __init__(
        self,
        side: ItemSide,
        recipe: TwoTowerRecipe,
        phase: Phase,
        *,
        defence: Defence = NOTHING,
        secret: int | None = None,
    ) -> None:
        """Initialise the weights from the recipe's seed.

        Without a play it answers as with some: an error would tell the partner. In the phase
        ``choose``, a part of the rows is for validation. The secret is the seed of its draws,
        random by default.
        """
        self.plays, self.recipe, self.defence = side.plays, recipe, defence
        self.rows, self.judged = split_rows(len(side.plays), recipe, phase)
        counts = np.bincount(side.plays.take(self.rows).code, minlength=side.plays.size)
        self.learnt: BoolArray = counts > 0
        drawn_from = counts if counts.any() else np.ones_like(counts)
        self.sampler = SharedSampler(drawn_from, power=NEGATIVE_POWER)
        plain = recipe.popularity * np.log(np.maximum(counts, 1))
        self.prior: FloatArray = (plain - plain.max()).astype(np.float32)
        table = SongTable(
            side.features,
            recipe.dimension,
            side_width=recipe.side_width,
            id_dropout=recipe.id_dropout,
            seed=int(generator(recipe.seed, BEGIN, 1).integers(2**62)),
        )
        self.model = with_secret(secret, table=table)
        self.optimiser = adam(self.model, recipe=recipe)
        self.loss = float("nan")

    @property
    def table(self) -> SongTable:
        """The song tower."""
        return cast(SongTable, self.model["table"])

    def begin(self, epoch: int, step: int) -> None:
        """Do nothing: within a process, both halves have one checkpoint."""

    def gradient(self, step: JointStep, vectors: FloatArray) -> FloatArray:
        """Take one training step with vectors (B, d); return their defended gradients (B, d).

        A user's gradient is the expected song vector minus the played one; 0, before noise, for a
        row without a play. `ShapeError` if the vectors are not those of the step, or not finite.
        """
        users = torch.from_numpy(self._checked(vectors, len(step.rows))).requires_grad_()
        played, drawn, seed = self._drawn(step)
        set_rate(self.optimiser, self.recipe, step)
        self.optimiser.zero_grad()
        self._losses(users, played, drawn, seed).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        assert users.grad is not None  # noqa: S101 - each row is in the graph
        return self.defence.gradients(users.grad.numpy())

    def _losses(self, users: Tensor, played: Int64Array, drawn: Int64Array, seed: int) -> Tensor:
        """Return the sum of a step's losses times the temperature."""
        recipe, has = self.recipe, played >= 0
        songs = np.unique(np.concatenate([played[has], drawn]))
        torch.manual_seed(seed)
        far = functional.normalize(self.table.embedded(torch.from_numpy(songs)), dim=1)
        logits = users @ far.T / recipe.temperature + torch.from_numpy(self.prior[songs])
        expected = self.sampler.log_expected(drawn, len(drawn))
        ours = logits[torch.from_numpy(has)]
        whole = retrieval_losses(ours, played[has], drawn, songs, expected).sum()
        self.loss = float(whole.detach()) / max(1, int(has.sum()))
        return whole * recipe.temperature

    def _drawn(self, step: JointStep) -> tuple[Int64Array, Int64Array, int]:
        """Draw a song of each row (B,), -1 for none, sorted negatives and torch's seed."""
        rng = generator(secret_of(self.model), DRAW, 0, step.epoch, step.number)
        plays = self.plays.take(step.rows)
        played = plays.at(plays.draw(rng))
        drawn = np.sort(self.sampler.draw(rng, self.recipe.negatives))
        return played, drawn, torch_seed(rng)

    def figures(self, vectors: FloatArray) -> Line:
        """Rank all learnt songs for the vectors (V, d) of the validation rows; see `figures_of`."""
        users = self._checked(vectors, len(self.judged))
        similar = logits_of(users, self.song_vectors(), self.recipe, self.prior)
        return figures_of(ranks_of(similar, self.plays.take(self.judged), self.learnt))

    def song_vectors(self) -> FloatArray:
        """Return the vectors of all songs, (S, d) of length 1; by side information if unlearnt."""
        was, _ = self.model.training, self.model.eval()
        with torch.no_grad():
            whole = self.table.all_embeddings(torch.from_numpy(self.learnt))
            vectors: FloatArray = functional.normalize(whole, dim=1).numpy()
        self.model.train(was)
        return vectors

    def _checked(self, vectors: FloatArray, n: int) -> FloatArray:
        expected = (n, self.recipe.dimension)
        if vectors.shape != expected or not np.isfinite(vectors).all():
            raise ShapeError(f"expected finite vectors {expected}, got {vectors.shape}")
        return np.array(vectors, np.float32)  # a copy: received buffers are read-only


class UserHalf:
    """User side of a model in training: user tower, for an mmoe own items, and optimiser."""

    def __init__(
        self,
        side: UserSide,
        recipe: TwoTowerRecipe,
        phase: Phase,
        *,
        defence: Defence = NOTHING,
        secret: int | None = None,
    ) -> None:
        """Initialise the weights from the recipe's seed; parameters are those of `ItemHalf`.

        `InputError` if users have no features, or not the recipe's column of own items.
        """
        features = side.features
        if not features.bags and not features.dense.shape[1]:
            raise InputError("the table of users has no column to learn from")
        self.features, self.recipe, self.defence = features, recipe, defence
        self.rows, self.judged = split_rows(len(features), recipe, phase)
        self.own = own_column(features, recipe)
        sizes, tasks = [b.size for b in features.bags.values()], 1 if self.own is None else 2
        towers: dict[str, nn.Module] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(generator(recipe.seed, BEGIN, 0)))
            towers["tower"] = UserTower(sizes, features.dense.shape[1], recipe, tasks)
            if self.own is not None:
                towers["own"] = nn.Embedding(features.bags[self.own].size, recipe.dimension)
        self.model = with_secret(secret, **towers)
        if self.own is not None:
            bag = features.bags[self.own]
            counts = np.bincount(bag.take(self.rows).code, minlength=bag.size)
            self._sampler = SharedSampler(counts, power=NEGATIVE_POWER)
        self.optimiser = adam(self.model, recipe=recipe)
        self._waiting: tuple[tuple[int, int], Tensor, Tensor | None] | None = None

    @property
    def tower(self) -> UserTower:
        """The user tower."""
        return cast(UserTower, self.model["tower"])

    def vectors(self, step: JointStep) -> FloatArray:
        """Return the vectors to send, (B, d) float32 of the step's rows."""
        rng = generator(secret_of(self.model), STEP, step.epoch, step.number)
        features, target = self._hide_one(step.rows, rng)
        bags = [_dropped(bag, self.recipe.value_dropout, rng) for bag in features.bags.values()]
        torch.manual_seed(torch_seed(rng))
        coded = [(bag.code, bag.starts) for bag in bags]
        tasks = self.tower(*tensors_of(coded, features.dense)).unbind(1)
        own = None if target is None else self._own_loss(tasks[1], target, rng)
        self._waiting = (step.epoch, step.number), tasks[0], own
        return self.defence.vectors(tasks[0].detach().numpy()).copy()

    def learn(self, step: JointStep, gradients: FloatArray) -> None:
        """Train on gradients (B, d); `ShapeError` if they are not of the vectors sent last."""
        waiting, self._waiting = self._waiting, None
        shape = None if waiting is None else tuple(waiting[1].shape)
        if waiting is None or waiting[0] != (step.epoch, step.number) or gradients.shape != shape:
            raise ShapeError(f"expected gradients {shape} of the vectors sent last")
        if not np.isfinite(gradients).all():
            raise ShapeError("gradients must be finite")
        _, vectors, own = waiting
        back = torch.from_numpy(np.array(gradients, np.float32))
        set_rate(self.optimiser, self.recipe, step)
        self.optimiser.zero_grad()
        pairs = [(vectors, back)] if own is None else [(vectors, back), (own, None)]
        torch.autograd.backward(*map(list, zip(*pairs, strict=True)))  # type: ignore[arg-type]
        self.optimiser.step()

    def embed(self, rows: Int64Array) -> FloatArray:
        """Return the defended vectors of rows (m,): (m, d) float32."""
        features = self.features.take(rows)
        return self.defence.vectors(self.tower.whole(features.coded, features.dense)[0])

    def figures(self) -> Line:
        """Return the user side's metrics of an epoch; empty for a two-tower.

        ``gate_entropy_<task>`` is 1 if a task uses all experts equally, 0 if it uses a single one.
        ``own_hit_rate@100`` is the hit rate of the own task: one hidden item of each validation
        row, ranked among all own items.
        """
        line: Line = {}
        if not isinstance(self.recipe, MmoeRecipe):
            return line
        rows = self.judged if len(self.judged) else self.rows
        features, target = self._hide_one(rows, generator(secret_of(self.model), JUDGE))
        for task, value in enumerate(self.tower.entropy(features.coded, features.dense)):
            line[f"gate_entropy_{task}"] = round(value, 4)
        if target is not None:
            items = functional.normalize(self._own_items.weight.detach(), dim=1).numpy()
            similar = self.tower.whole(features.coded, features.dense)[1] @ items.T
            has = target >= 0
            one = Bag(np.concatenate([[0], np.cumsum(has)]), target[has], len(items))
            ranks = ranks_of(similar, one, np.ones(len(items), np.bool_))
            rate = float(np.mean(ranks <= SHOWN_AT)) if len(ranks) else 0.0
            line[f"own_hit_rate@{SHOWN_AT}"] = rate
        return line

    @property
    def _own_items(self) -> nn.Embedding:
        return cast(nn.Embedding, self.model["own"])

    def _hide_one(
        self, rows: Int64Array, rng: np.random.Generator
    ) -> tuple[UserFeatures, Int64Array | None]:
        """Return features of rows with one own item of each hidden, and the hidden item or -1."""
        features = self.features.take(rows)
        if self.own is None:
            return features, None
        bag = features.bags[self.own]
        place = bag.draw(rng)
        rest = np.ones(len(bag.code), np.bool_)
        rest[place[place >= 0]] = False
        return replace(features, bags={**features.bags, self.own: bag.keep(rest)}), bag.at(place)

    def _own_loss(self, vectors: Tensor, target: Int64Array, rng: np.random.Generator) -> Tensor:
        """Return the own task's loss for the targets (B,), given its vectors."""
        recipe = self.recipe
        assert isinstance(recipe, MmoeRecipe)  # noqa: S101 - others have no own items
        # The task's weight is a factor of what reaches the tower, not of the items' gradients.
        vectors.register_hook(lambda gradient: gradient * recipe.own_weight)  # type: ignore[no-untyped-call]
        has = target >= 0
        drawn = np.sort(self._sampler.draw(rng, recipe.own_negatives))
        items = np.unique(np.concatenate([target[has], drawn]))
        far = functional.normalize(self._own_items(torch.from_numpy(items)), dim=1)
        logits = vectors[torch.from_numpy(has)] @ far.T / recipe.temperature
        expected = self._sampler.log_expected(drawn, len(drawn))
        losses = retrieval_losses(logits, target[has], drawn, items, expected)
        return losses.sum() * recipe.temperature


def own_column(features: UserFeatures, recipe: TwoTowerRecipe) -> str | None:
    """Return the column of the partner's own items; None if no user has two values in it."""
    if not isinstance(recipe, MmoeRecipe) or not recipe.own_weight:
        return None
    sizes = {name: bag.size for name, bag in features.bags.items()}
    if recipe.own_column and recipe.own_column not in sizes:
        known = ", ".join(sizes) or "none"
        raise InputError(f"users have no column {recipe.own_column!r}; columns: {known}")
    if not sizes:
        return None
    name = recipe.own_column or max(sizes, key=lambda n: (sizes[n], n))
    return name if (features.bags[name].lengths > 1).any() else None


def adam(*modules: nn.Module, recipe: TwoTowerRecipe) -> optim.Optimizer:
    """Return an optimiser of all parameters of some modules."""
    parameters = [p for module in modules for p in module.parameters()]
    return optim.Adam(parameters, lr=recipe.learning_rate, fused=True)


def retrieval_losses(
    logits: Tensor,
    met: Int64Array,
    drawn: Int64Array,
    items: Int64Array,
    expected: npt.NDArray[np.floating],
) -> Tensor:
    """Return the sampled softmax loss of each user, (B,), from logits (B, n) for `items`.

    `met` (B,) are the positives, `drawn` (N,) the shared negatives, sorted, with repeats, `items`
    (n,) both, sorted, without repeats, `expected` (N,) the log of the expected count of `drawn`.
    """
    own = torch.from_numpy(np.searchsorted(items, met))[:, None]
    return sampled_softmax_loss(
        logits.gather(1, own).flatten(),
        logits[:, torch.from_numpy(np.searchsorted(items, drawn))],
        log_expected=torch.from_numpy(expected).to(logits),
        hits=shared_hits(torch.from_numpy(drawn), torch.from_numpy(met)),
    )


def _dropped(bag: Bag, part: float, rng: np.random.Generator) -> Bag:
    return bag.keep(rng.random(len(bag.code)) >= part) if part else bag
