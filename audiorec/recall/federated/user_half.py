"""User half of a model: sends user vectors and trains the user tower on the returned gradients.

    profiles, interests, tags ──UserHalf.vectors──▶ (B, d) of a step, one per business with items
    gradients (B, d) of them  ──learn──▶ updated user tower

An mmoe has an additional task of the partner's own: predict the partner's items of a user. A step
hides one item of each user from its features and predicts it. These labels and the table of items
never leave the partner.

Several processes of the party (`audiorec.learning.processes`) each process a part of a step's rows.
All draw alike, from the first one's secret; the first gathers the vectors, adds noise and sends.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from audiorec.errors import InputError, ShapeError
from audiorec.learning.fit import Line
from audiorec.learning.machine import generator, torch_seed
from audiorec.learning.negatives import SharedSampler
from audiorec.learning.processes import ALONE, Processes
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.ranking import ranks_of, retrieval_losses
from audiorec.recall.federated.recipe import MmoeRecipe, TwoTowerRecipe
from audiorec.recall.federated.shared_draws import BEGIN, JointStep
from audiorec.recall.federated.towers import UserShape, UserTower, secret_of, set_rate, with_secret
from audiorec.recall.federated.user_features import Bag, UserFeatures
from audiorec.types import FloatArray, Int64Array

STEP, JUDGE = 0, 3  # purposes of the secret
SHOWN_AT = 100
Vectors = tuple[FloatArray, ...]


class UserHalf:
    """User side of a model in training: user tower, own items and optimiser.

    Attributes
    ----------
    model : nn.Module
        The user tower, ``tower``; for an mmoe the partner's own items, ``own``; the secret.
    optimiser : Optimizer
    loss : float
        Loss of the own task in the last step, with several processes this process's share; NaN
        without an own task.
    """

    def __init__(
        self,
        features: UserFeatures,
        recipe: TwoTowerRecipe,
        rows: tuple[Int64Array, Int64Array],
        *,
        defence: Defence = NOTHING,
        secret: int | None = None,
        processes: Processes = ALONE,
    ) -> None:
        """Initialise the weights from the recipe's seed.

        Parameters
        ----------
        features : UserFeatures
            Features of n aligned rows.
        recipe : TwoTowerRecipe
        rows : (ndarray, ndarray)
            Training rows and validation rows.
        defence : Defence
            Noise and rounding of vectors before they are sent.
        secret : int, optional
            Seed of dropout and of the own task's draws; random by default.
        processes : Processes
            Processes that train this half together.

        Raises
        ------
        InputError
            If users have no features, or the recipe names a column of own items that is missing.
        """
        if not features.bags and not features.dense.shape[1]:
            raise InputError("the table of users has no column to learn from")
        self.features, self.recipe, self.defence = features, recipe, defence
        self.processes = processes
        self.learnt, self.judged = rows
        self.own = own_column(features, recipe)
        weights = list(recipe.item_weights) if isinstance(recipe, MmoeRecipe) else [1.0]
        self.n_items = len(weights)
        if self.own is not None and isinstance(recipe, MmoeRecipe):
            weights.append(recipe.own_weight)
        towers: dict[str, nn.Module] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(generator(recipe.seed, BEGIN, 0)))
            towers["tower"] = UserTower(UserShape.of(features), recipe, weights)
            if self.own is not None:
                towers["own"] = nn.Embedding(features.bags[self.own].size, recipe.dimension)
        self.model = with_secret(secret, **towers)
        if self.own is not None:
            bag = features.bags[self.own]
            counts = np.bincount(bag.take(self.learnt).code, minlength=bag.size)
            self._sampler = SharedSampler(counts, power=recipe.negative_power)
        self.optimiser: optim.Optimizer = optim.Adam(self.parameter_groups(), fused=True)
        self.loss = float("nan")
        self._waiting: tuple[tuple[int, int], tuple[Tensor, ...], Tensor | None] | None = None

    @property
    def tower(self) -> UserTower:
        """The user tower."""
        return cast(UserTower, self.model["tower"])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the recipe, which must be the same on both sides."""
        return self.recipe.fingerprint

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return parameter groups for an optimiser; weight decay applies to dense layers only."""
        dense = {id(p) for p in self.tower.layers.parameters()}
        groups = [
            [p for p in self.model.parameters() if (id(p) in dense) is decays]
            for decays in (True, False)
        ]
        rate = self.recipe.learning_rate
        decay = (self.recipe.weight_decay, 0.0)
        pairs = zip(groups, decay, strict=True)
        return [{"params": g, "lr": rate, "weight_decay": d} for g, d in pairs if g]

    def vectors(self, step: JointStep) -> Vectors:
        """Return the vectors to send, (B, d) float32 of the step's rows per business with items.

        Empty in processes other than the first, which send nothing.
        """
        tensors, own = self._shares(step)
        self._waiting = ((step.epoch, step.number), tensors, own)
        whole = [self.processes.gather(tensor.detach()) for tensor in tensors]
        if not self.processes.is_first:
            return ()
        return tuple(self._guarded(vectors).numpy().copy() for vectors in whole)

    def learn(self, step: JointStep, gradients: Sequence[FloatArray]) -> None:
        """Train on the returned gradients, one (B, d) per business with items.

        Raises
        ------
        ShapeError
            If they do not belong to the vectors sent last or are not finite.
        """
        waiting, self._waiting = self._waiting, None
        n = len(step.rows)
        shapes = None if waiting is None else [(n, t.shape[1]) for t in waiting[1]]
        fits = waiting is not None and waiting[0] == (step.epoch, step.number)
        if not fits or [g.shape for g in gradients] != shapes:
            raise ShapeError(f"expected gradients {shapes} of the vectors sent last")
        if not all(np.isfinite(g).all() for g in gradients):
            raise ShapeError("gradients must be finite")
        assert waiting is not None  # noqa: S101 - as checked
        _, tensors, own = waiting
        part = self.processes.part(n)
        back: list[Tensor | None] = [
            torch.from_numpy(np.array(g[part], np.float32)) for g in gradients
        ]
        roots = list(tensors)
        if own is not None:
            roots.append(own)
            back.append(None)
        set_rate(self.optimiser, self.recipe, step)
        self.optimiser.zero_grad()
        torch.autograd.backward(roots, back)
        self.optimiser.step()

    def take(self, step: JointStep) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Return the vectors of a step as tensors in a graph, and the loss of the own task."""
        vectors, own = self._shares(step)
        return tuple(map(self._guarded, vectors)), own

    def _shares(self, step: JointStep) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Return the raw vectors of this process's rows, and its share of the own loss."""
        rng = generator(secret_of(self.model), STEP, step.epoch, step.number)
        features, target = self._asked(step.rows, rng)
        bags = [_dropped(bag, self.recipe.value_dropout, rng) for bag in features.bags.values()]
        torch.manual_seed(torch_seed(rng))
        part = self.processes.part(len(step.rows))
        ours = _tensors([bag.between(part) for bag in bags], features.dense[part])
        vectors = self.tower(*ours, among=(part, len(step.rows))).unbind(1)
        own = None if target is None else self._own_loss(vectors[-1], target, part, rng)
        return tuple(vectors[: self.n_items]), own

    def validation(self) -> Vectors:
        """Return the vectors of the validation rows, for each business: (V, d) float32."""
        return self.embed(self.judged)

    def embed(self, rows: Int64Array) -> Vectors:
        """Return the defended vectors of rows (m,), for each business: (m, d) float32."""
        found = self._whole(self.features.take(rows))[: self.n_items]
        return tuple(map(self.defence.vectors, found))

    def figures(self) -> Line:
        """Return the user side's metrics of an epoch; empty for a two-tower.

        ``gate_entropy_<task>`` is 1 if a task uses all experts equally, 0 if it uses a single one.
        ``own_hit_rate@100`` is the hit rate of the own task: one hidden item of each validation
        row, ranked among all own items.
        """
        line: Line = {}
        if not isinstance(self.recipe, MmoeRecipe):
            return line
        rows = self.judged if len(self.judged) else self.learnt
        features, target = self._asked(rows, generator(secret_of(self.model), JUDGE))
        was, _ = self.model.training, self.model.eval()
        with torch.no_grad():
            entropy = self.tower.entropy(*_tensors(features.bags.values(), features.dense))
        self.model.train(was)
        for task, value in enumerate(entropy.tolist()):
            line[f"gate_entropy_{task}"] = round(value, 4)
        if target is not None:
            items = self._own_items()
            similar = self._whole(features)[-1] @ items.T
            has = target >= 0
            one = Bag(np.concatenate([[0], np.cumsum(has)]), target[has], len(items))
            ranks = ranks_of(similar, one, np.ones(len(items), np.bool_))
            line[f"own_hit_rate@{SHOWN_AT}"] = (
                float(np.mean(ranks <= SHOWN_AT)) if len(ranks) else 0.0
            )
        return line

    def state_dict(self) -> dict[str, Any]:
        """Return the state needed to resume training."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])

    def _asked(
        self, rows: Int64Array, rng: np.random.Generator
    ) -> tuple[UserFeatures, Int64Array | None]:
        """Return features of rows with one own item of each hidden, and the hidden item or -1."""
        features = self.features.take(rows)
        if self.own is None:
            return features, None
        bag = features.bags[self.own]
        counts = np.diff(bag.starts)
        place = bag.starts[:-1] + (rng.random(len(rows)) * counts).astype(np.int64)
        has = counts > 0
        target = np.full(len(rows), -1, np.int64)
        target[has] = bag.code[place[has]]
        rest = np.ones(len(bag.code), np.bool_)
        rest[place[has]] = False
        bags = {**features.bags, self.own: bag.keep(rest)}
        return UserFeatures(bags, features.dense, features.known), target

    def _whole(self, features: UserFeatures) -> list[FloatArray]:
        was, _ = self.model.training, self.model.eval()
        with torch.no_grad():
            found = self.tower(*_tensors(features.bags.values(), features.dense))
        self.model.train(was)
        return [vectors.numpy() for vectors in found.unbind(1)]

    def _own_items(self) -> FloatArray:
        with torch.no_grad():
            found: FloatArray = functional.normalize(
                cast(nn.Embedding, self.model["own"]).weight, dim=1
            ).numpy()
        return found

    def _guarded(self, vectors: Tensor) -> Tensor:
        """Return the defended vectors; gradients pass through unchanged."""
        if not self.defence.guards_vectors:
            return vectors
        sent = self.defence.vectors(vectors.detach().numpy())
        return vectors + (torch.from_numpy(sent) - vectors).detach()

    def _own_loss(
        self, vectors: Tensor, target: Int64Array, part: slice, rng: np.random.Generator
    ) -> Tensor:
        """Return the own task's loss for one part of the targets (B,), given its vectors."""
        recipe = self.recipe
        assert isinstance(recipe, MmoeRecipe)  # noqa: S101 - others have no own items
        has = target >= 0
        drawn = np.sort(self._sampler.draw(rng, recipe.own_negatives))
        items = np.unique(np.concatenate([target[has], drawn]))
        far = functional.normalize(self.model["own"](torch.from_numpy(items)), dim=1)
        ours = has[part]
        logits = vectors[torch.from_numpy(ours)] @ far.T / recipe.temperature
        expected = self._sampler.log_expected(drawn, len(drawn)) * recipe.log_q
        losses = retrieval_losses(logits, target[part][ours, None], drawn, items, expected)
        whole = losses.sum()
        self.loss = float(whole.detach()) / max(1, int(has.sum()))
        return whole * recipe.temperature


def own_column(features: UserFeatures, recipe: TwoTowerRecipe) -> str | None:
    """Return the column of the partner's own items; None without an own task.

    There is no own task if no user has two values in that column.

    Raises
    ------
    InputError
        If the recipe names a missing column.
    """
    if not isinstance(recipe, MmoeRecipe) or not recipe.own_weight:
        return None
    sizes = features.sizes
    if recipe.own_column and recipe.own_column not in sizes:
        known = ", ".join(sizes) or "none"
        raise InputError(f"users have no column {recipe.own_column!r}; columns: {known}")
    if not sizes:
        return None
    name = recipe.own_column or max(sizes, key=lambda n: (sizes[n], n))
    return name if (np.diff(features.bags[name].starts) > 1).any() else None


def _dropped(bag: Bag, part: float, rng: np.random.Generator) -> Bag:
    return bag.keep(rng.random(len(bag.code)) >= part) if part else bag


def _tensors(bags: Iterable[Bag], dense: FloatArray) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    pairs = [(torch.from_numpy(b.code), torch.from_numpy(b.starts)) for b in bags]
    return pairs, torch.from_numpy(dense)
