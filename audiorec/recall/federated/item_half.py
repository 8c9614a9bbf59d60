"""Item half of a model: trains the song tower and returns gradients of the user vectors.

    user vectors of a step (B, d) ──ItemHalf.gradient──▶ (B, d), clipped and noised
    vectors of validation users   ──figures──▶ validation metrics

Its draws (positives, negatives, dropout) follow from a secret that the user half must not know: it
would tell in which steps a user has the same song. The secret, the weights and the optimiser's
moments are its state. Noise has no seed (`audiorec.recall.federated.noise`): a step that is
repeated after an interruption has the same gradients with other noise.

Several processes of the party (`audiorec.learning.processes`) each process a part of a step's rows.
The first one draws for all; it gathers the gradients, then clips and noises them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, optim
from torch.nn import functional

from audiorec.errors import InputError, ShapeError
from audiorec.learning.fit import Line
from audiorec.learning.machine import generator, torch_seed
from audiorec.learning.negatives import SharedSampler
from audiorec.learning.next_model import SongTable
from audiorec.learning.processes import ALONE, Processes
from audiorec.learning.song_features import SongFeatures, no_features
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.ranking import figures_of, ranks_of, retrieval_losses
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.shared_draws import BEGIN, JointStep
from audiorec.recall.federated.towers import secret_of, set_rate, with_secret
from audiorec.recall.federated.user_features import Bag
from audiorec.recall.federated.user_model import logits_of
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

DRAW = 0  # purpose of the secret
Witness = Callable[[JointStep, Int64Array, FloatArray, FloatArray], None]


@dataclass(frozen=True, slots=True, eq=False)
class ItemPlays:
    """Plays of n aligned rows among S songs, including repeats.

    Attributes
    ----------
    starts : ndarray, shape (n + 1,), int64
        Row i played ``song[starts[i]:starts[i + 1]]``, which may be empty.
    song : ndarray, shape (P,), int64
    n_songs : int
    """

    starts: Int64Array
    song: Int64Array
    n_songs: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, rows: Int64Array) -> Bag:
        """Return the plays of some rows."""
        return Bag(self.starts, self.song, self.n_songs).take(rows)

    def among(self, songs: BoolArray) -> "ItemPlays":
        """Return the plays of the selected songs (S,) only."""
        kept = Bag(self.starts, self.song, self.n_songs).keep(songs[self.song])
        return ItemPlays(kept.starts, kept.code, self.n_songs)

    def draw(self, rows: Int64Array, n: int, rng: np.random.Generator) -> Int64Array:
        """Draw `n` plays of each row (B,) with replacement: (B, n), -1 for rows without plays."""
        counts = self.starts[rows + 1] - self.starts[rows]
        places = (rng.random((len(rows), n)) * counts[:, None]).astype(np.int64)
        found = np.full(places.shape, -1, np.int64)
        has = counts > 0
        found[has] = self.song[self.starts[rows][has, None] + places[has]]
        return found


class ItemHalf:
    """Item side of a model in training: song tower, optimiser and sampler.

    Attributes
    ----------
    model : nn.Module
        The song tower, ``table``, and the secret.
    optimiser : Optimizer
    witness : callable, optional
        Called in each step with the step, the songs drawn (B, P), -1 for none, and the gradients
        (B, d), raw and as sent: for `audiorec.recall.federated.audit`.
    loss : float
        Loss of the last step, a mean over its rows with plays; with several processes, this
        process's share of it.
    prior : ndarray, shape (S,), float32
        Popularity term of each song's logit; 0 for the most played song.
    learnt : ndarray, shape (S,), bool
        Songs played by training rows.
    """

    def __init__(
        self,
        features: SongFeatures,
        plays: ItemPlays,
        recipe: TwoTowerRecipe,
        rows: tuple[Int64Array, Int64Array],
        *,
        defence: Defence = NOTHING,
        secret: int | None = None,
        number: int = 0,
        given: FloatArray | None = None,
        outside: Int64Array | None = None,
        processes: Processes = ALONE,
    ) -> None:
        """Initialise the weights from the recipe's seed.

        Parameters
        ----------
        features : SongFeatures
            Features of S songs.
        plays : ItemPlays
        recipe : TwoTowerRecipe
        rows : (ndarray, ndarray)
            Training rows and validation rows (`draws.split_rows`).
        defence : Defence
            Clipping and noise of gradients before they are sent.
        secret : int, optional
            Seed of its draws; random by default.
        number : int
            Number of this item side, from 0.
        given : ndarray, shape (S, d), float32, optional
            Fixed song vectors, if songs are not learnt; 0 for a song without one.
        outside : ndarray, shape (S,), int64, optional
            Plays of each song by users who are not aligned. With given songs, only these plays
            set the negative sampling and the prior.
        processes : Processes
            Processes that train this half together.

        Raises
        ------
        InputError
            If no training row has a play, or the recipe needs given vectors and they are missing
            or have the wrong width.
        """
        if len(features) != plays.n_songs:
            raise ShapeError(f"expected features of {plays.n_songs} songs, got {len(features)}")
        self.plays, self.recipe, self.defence, self.number = plays, recipe, defence, number
        self.processes, self.judged = processes, rows[1]
        self.counts = np.bincount(plays.of(rows[0]).code, minlength=plays.n_songs)
        if not self.counts.any():
            raise InputError("no user of the training part has a play: nothing to learn from")
        self.learnt: BoolArray = self.counts > 0
        if recipe.songs == "given":
            features, given = no_features(len(features)), _given(given, recipe.dimension)
            # Aligned users' plays then affect their own rows only.
            self.learnt = np.asarray(given.any(axis=1), np.bool_)
            others = np.zeros(plays.n_songs, np.int64) if outside is None else outside
            self.counts = np.where(self.learnt, 1 + others, 0).astype(np.int64)
            plays = self.plays = plays.among(self.learnt)
        self.sampler = SharedSampler(self.counts, power=recipe.negative_power)
        plain = recipe.popularity * np.log(np.maximum(self.counts, 1))
        self.prior: FloatArray = (plain - plain.max()).astype(np.float32)
        self._chance = _chances(plays, rows[0])
        table = SongTable(
            features,
            recipe.dimension,
            side_width=recipe.side_width,
            id_dropout=recipe.id_dropout,
            seed=int(generator(recipe.seed, BEGIN, 1 + number).integers(2**62)),
        )
        if recipe.songs == "given":
            table.requires_grad_(False).ids.copy_(torch.from_numpy(given))
        self.model = with_secret(secret, table=table)
        self.witness: Witness | None = None
        self._played: Int64Array | None = None
        self.optimiser: optim.Optimizer = optim.Adam(self.parameter_groups(), fused=True)
        self.loss = float("nan")

    @property
    def table(self) -> SongTable:
        """The song tower."""
        return cast(SongTable, self.model["table"])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the recipe, which must be the same on both sides."""
        return self.recipe.fingerprint

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return parameter groups for an optimiser."""
        return [{"params": list(self.model.parameters()), "lr": self.recipe.learning_rate}]

    def gradient(self, step: JointStep, vectors: FloatArray) -> FloatArray:
        """Take one training step; return the defended gradients of the user vectors.

        Parameters
        ----------
        step : JointStep
        vectors : ndarray, shape (B, d), float32
            Vectors of the step's rows, in their order.

        Returns
        -------
        gradients : ndarray, shape (B, d), float32
            Clipped and noised; before that, 0 for a row without a play. In processes other than
            the first they are raw, and must not be sent.

        Raises
        ------
        ShapeError
            If the vectors do not have the shape of the step or are not finite.
        """
        part = self.processes.part(len(step.rows))
        whole = self._checked(vectors, len(step.rows))
        users = torch.from_numpy(whole[part]).requires_grad_()
        set_rate(self.optimiser, self.recipe, step)
        self.optimiser.zero_grad()
        self.take(step, users).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        assert users.grad is not None  # noqa: S101 - `take` uses every row
        gradients: FloatArray = self.processes.gather(users.grad).numpy()
        return self.defended(step, gradients) if self.processes.is_first else gradients

    def defended(self, step: JointStep, gradients: FloatArray) -> FloatArray:
        """Return gradients clipped and noised; the witness gets both forms."""
        sent = self.defence.gradients(gradients)
        if self.witness is not None and self._played is not None:
            self.witness(step, self._played, gradients, sent)
        return sent

    def take(self, step: JointStep, users: Tensor) -> Tensor:
        """Return the sum of a step's losses times the temperature, for users (B, d) in a graph.

        The gradient of a user is then the expected song vector minus the mean of the played ones.
        With several processes, each gets the users of its part and returns its share of the sum.
        """
        recipe = self.recipe
        played, drawn, seed = self._drawn(step)
        has, self._played = played[:, 0] >= 0, played
        if recipe.negative_source == "in-batch":
            drawn = np.sort(played[has].ravel())
            expected = np.log(max(1, len(drawn) - 1) * self._chance[drawn])
        else:
            expected = self.sampler.log_expected(drawn, len(drawn))
        songs = np.unique(np.concatenate([played[has].ravel(), drawn]))
        torch.manual_seed(seed)
        far = functional.normalize(self.table.embedded(torch.from_numpy(songs)), dim=1)
        prior = torch.from_numpy(self.prior[songs])
        logits = users @ far.T / recipe.temperature + prior
        part = self.processes.part(len(step.rows))
        ours, met = torch.from_numpy(has[part]), played[part][has[part]]
        losses = retrieval_losses(logits[ours], met, drawn, songs, expected * recipe.log_q)
        whole = losses.sum()
        self.loss = float(whole.detach()) / max(1, int(has.sum()))
        return whole * recipe.temperature

    def _drawn(self, step: JointStep) -> tuple[Int64Array, Int64Array, int]:
        """Return positives (B, P), sorted negatives and torch's seed, drawn by the first process.

        In-batch training draws no negatives.
        """
        recipe, n = self.recipe, len(step.rows)
        shared = recipe.negatives if recipe.negative_source == "shared" else 0

        def draw() -> Int64Array:
            place = (DRAW, self.number, step.epoch, step.number)
            rng = generator(secret_of(self.model), *place)
            played = self.plays.draw(step.rows, recipe.positives, rng)
            drawn = np.sort(self.sampler.draw(rng, shared)) if shared else np.zeros(0, np.int64)
            return np.concatenate([played.ravel(), drawn, [torch_seed(rng)]]).astype(np.int64)

        cells = n * recipe.positives
        found = self.processes.numbers_from_first(draw, (cells + shared + 1,), np.int64)
        played = found[:cells].reshape(n, recipe.positives)
        return played, found[cells:-1], int(found[-1])

    def figures(self, vectors: FloatArray) -> Line:
        """Rank all learnt songs for the validation rows.

        Parameters
        ----------
        vectors : ndarray, shape (V, d), float32

        Returns
        -------
        line : dict
            ``ndcg`` over all ranks, by which the epoch is chosen, and ``hit_rate@k``: means over
            the plays of validation rows, each song of a row counted once.
        """
        similar = self.similarities(self._checked(vectors, len(self.judged)))
        return figures_of(ranks_of(similar, self.plays.of(self.judged), self.learnt))

    def similarities(self, vectors: FloatArray) -> FloatArray:
        """Return logits of users (m, d) for all songs: (m, S) float32."""
        return logits_of(vectors, self.song_vectors(), self.recipe, self.prior)

    def song_vectors(self) -> FloatArray:
        """Return the vectors of all songs, (S, d) of length 1; by side information if unlearnt."""
        was, _ = self.model.training, self.model.eval()
        with torch.no_grad():
            whole = self.table.all_embeddings(torch.from_numpy(self.learnt))
            found: FloatArray = functional.normalize(whole, dim=1).numpy()
        self.model.train(was)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the state needed to resume training."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])

    def _checked(self, vectors: FloatArray, n: int) -> FloatArray:
        expected = (n, self.recipe.dimension)
        if vectors.shape != expected or not np.isfinite(vectors).all():
            raise ShapeError(f"expected finite vectors {expected}, got {vectors.shape}")
        return np.array(vectors, np.float32)  # a copy: received buffers are read-only


def _given(vectors: FloatArray | None, width: int) -> FloatArray:
    if vectors is None or vectors.shape[1] != width:
        got = "none" if vectors is None else f"{vectors.shape[1]} numbers per song"
        raise InputError(
            f"songs=given needs vectors of dimension={width} numbers (--songs), got {got}"
        )
    return vectors


def _chances(plays: ItemPlays, rows: Int64Array) -> Float64Array:
    """Return the probability that a play drawn for a random row is of each song: (S,), float64."""
    taken = plays.of(rows)
    counts = np.diff(taken.starts)
    weight = np.repeat(1 / np.maximum(counts, 1), counts)
    found = np.bincount(taken.code, weights=weight, minlength=plays.n_songs)
    return found / max(1, int((counts > 0).sum()))
