"""The half of a model that has songs and plays: it learns, and says how users' vectors should move.

    vectors of a step (B, d) ──ItemHalf.gradient──▶ (B, d), clipped and noised
    vectors of users that judge ──figures──▶ a line of the training

What it draws (songs played, songs against them, noise) follows from a secret of its own, which the
user half must not know: with it, noise could be taken away. The secret, the weights and the
optimiser's moments are its state.

Several processes of the party (`audiorec.learning.processes`) each take a part of a step's rows.
The first one draws, and clips and noises the gradients that it gathers.
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
from audiorec.learning.negatives import SharedSampler
from audiorec.learning.processes import ALONE, Processes
from audiorec.learning.seeds import generator, torch_seed
from audiorec.learning.song_features import SongFeatures, no_features
from audiorec.learning.song_table import SongTable
from audiorec.recall.federated.draws import BEGIN, JointStep
from audiorec.recall.federated.forward import logits_of
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.ranking import figures_of, ranks_of, retrieval_losses
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.secret import secret_of, set_rate, with_secret
from audiorec.recall.federated.user_features import Bag
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

DRAW, NOISE = range(2)  # what the secret is for
Witness = Callable[[JointStep, Int64Array, FloatArray, FloatArray], None]


@dataclass(frozen=True, slots=True, eq=False)
class ItemPlays:
    """Who played what, of n aligned rows and S songs, repeats kept.

    Attributes
    ----------
    starts : ndarray, shape (n + 1,), int64
        Row i played ``song[starts[i]:starts[i + 1]]``; it may have played nothing.
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
        """Return the plays of some songs (S,) alone."""
        kept = Bag(self.starts, self.song, self.n_songs).keep(songs[self.song])
        return ItemPlays(kept.starts, kept.code, self.n_songs)

    def draw(self, rows: Int64Array, n: int, rng: np.random.Generator) -> Int64Array:
        """Draw `n` plays of each row (B,), with replacement: (B, n), -1 where there is none."""
        counts = self.starts[rows + 1] - self.starts[rows]
        places = (rng.random((len(rows), n)) * counts[:, None]).astype(np.int64)
        found = np.full(places.shape, -1, np.int64)
        has = counts > 0
        found[has] = self.song[self.starts[rows][has, None] + places[has]]
        return found


class ItemHalf:
    """The side that has songs and plays.

    Attributes
    ----------
    model : nn.Module
        The song tower, ``table``, and the secret.
    optimiser : Optimizer
    witness : callable, optional
        Called in each step with it, the songs drawn (B, P), -1 for none, and the gradients (B, d)
        as they were and as they leave: for `audiorec.recall.federated.audit`.
    loss : float
        Of the last step, a mean over its rows that have plays; of several processes this one's
        share of it.
    prior : ndarray, shape (S,), float32
        What a song's plays say alone, in its logit; 0 for the song played most.
    learnt : ndarray, shape (S,), bool
        Songs that rows that are learnt from have played.
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
        """Begin with the weights that the recipe's seed gives.

        Parameters
        ----------
        features : SongFeatures
            Of S songs.
        plays : ItemPlays
        recipe : TwoTowerRecipe
        rows : (ndarray, ndarray)
            Rows that are learnt from, and rows that judge (`draws.split_rows`).
        defence : Defence
            What is done to gradients before they leave.
        secret : int, optional
            Of its draws and its noise; drawn by default.
        number : int
            Which business it is, of several.
        given : ndarray, shape (S, d), float32, optional
            The vectors of songs, where they are not learnt; 0 for a song without one.
        outside : ndarray, shape (S,), int64, optional
            Plays of songs by users who are not aligned: where songs are given, the only plays
            that negatives are drawn by, and that count in a logit.
        processes : Processes
            That train this half together.

        Raises
        ------
        InputError
            If no row that is learnt from has a play, or no vectors of this width are given where
            the recipe takes those.
        """
        if len(features) != plays.n_songs:
            raise ShapeError(f"features of {plays.n_songs} songs expected, got {len(features)}")
        self.plays, self.recipe, self.defence, self.number = plays, recipe, defence, number
        self.processes, self.judged = processes, rows[1]
        self.counts = np.bincount(plays.of(rows[0]).code, minlength=plays.n_songs)
        if not self.counts.any():
            raise InputError("nobody that is learnt from has a play: there is nothing to learn")
        self.learnt: BoolArray = self.counts > 0
        if recipe.songs == "given":
            features, given = no_features(len(features)), _given(given, recipe.dimension)
            # Nothing but a row's own plays may depend on who played what.
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
        """Of the recipe: both sides must have the same."""
        return self.recipe.fingerprint

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return what an optimiser takes."""
        return [{"params": list(self.model.parameters()), "lr": self.recipe.learning_rate}]

    def gradient(self, step: JointStep, vectors: FloatArray) -> FloatArray:
        """Learn from one step; return what may leave of the gradients of users' vectors.

        Parameters
        ----------
        step : JointStep
        vectors : ndarray, shape (B, d), float32
            Of the step's rows, in their order.

        Returns
        -------
        gradients : ndarray, shape (B, d), float32
            Clipped and noised. 0 before that for a row without a play. In a process that is not
            the first: as they are, and not to leave.

        Raises
        ------
        ShapeError
            If the vectors are not those of the step, or not finite.
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
        return self.guarded(step, gradients) if self.processes.is_first else gradients

    def guarded(self, step: JointStep, gradients: FloatArray) -> FloatArray:
        """Return gradients as they may leave; the witness sees them before and after."""
        sent = self.defence.gradients(gradients, self._rng(NOISE, step))
        if self.witness is not None and self._played is not None:
            self.witness(step, self._played, gradients, sent)
        return sent

    def take(self, step: JointStep, users: Tensor) -> Tensor:
        """Return the sum of a step's losses, times the temperature: users (B, d) with a graph.

        The gradient of a user is then the songs that are expected less those that were played. Of
        several processes, each has the users of its part, and returns its share of the sum.
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
        """Let the first process draw: songs played (B, P), sorted negatives, and torch's seed.

        There are no negatives where they are the songs of the batch.
        """
        recipe, n = self.recipe, len(step.rows)
        shared = recipe.negatives if recipe.negative_source == "shared" else 0

        def draw() -> Int64Array:
            rng = self._rng(DRAW, step)
            played = self.plays.draw(step.rows, recipe.positives, rng)
            drawn = np.sort(self.sampler.draw(rng, shared)) if shared else np.zeros(0, np.int64)
            return np.concatenate([played.ravel(), drawn, [torch_seed(rng)]]).astype(np.int64)

        cells = n * recipe.positives
        found = self.processes.numbers_from_first(draw, (cells + shared + 1,), np.int64)
        played = found[:cells].reshape(n, recipe.positives)
        return played, found[cells:-1], int(found[-1])

    def figures(self, vectors: FloatArray) -> Line:
        """Rank all learnt songs for the rows that judge.

        Parameters
        ----------
        vectors : ndarray, shape (V, d), float32

        Returns
        -------
        line : dict
            ``ndcg`` over all ranks, by which an epoch is chosen, and ``hit_rate@k``: means over
            the plays of rows that judge, each song of a row once.
        """
        similar = self.similarities(self._checked(vectors, len(self.judged)))
        return figures_of(ranks_of(similar, self.plays.of(self.judged), self.learnt))

    def similarities(self, vectors: FloatArray) -> FloatArray:
        """Return how much users (m, d) may like each song, as a logit: (m, S) float32."""
        return logits_of(vectors, self.song_vectors(), self.recipe, self.prior)

    def song_vectors(self) -> FloatArray:
        """Return the vectors of all songs, (S, d) of length 1; unlearnt ones go by their side."""
        was, _ = self.model.training, self.model.eval()
        with torch.no_grad():
            whole = self.table.whole(torch.from_numpy(self.learnt))
            found: FloatArray = functional.normalize(whole, dim=1).numpy()
        self.model.train(was)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return all that training goes on with."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])

    def _rng(self, purpose: int, step: JointStep) -> np.random.Generator:
        return generator(secret_of(self.model), purpose, self.number, step.epoch, step.number)

    def _checked(self, vectors: FloatArray, n: int) -> FloatArray:
        expected = (n, self.recipe.dimension)
        if vectors.shape != expected or not np.isfinite(vectors).all():
            raise ShapeError(f"finite vectors {expected} expected, got {vectors.shape}")
        return np.array(vectors, np.float32)  # a copy: what came over a wire is read-only


def _given(vectors: FloatArray | None, width: int) -> FloatArray:
    if vectors is None or vectors.shape[1] != width:
        got = "none" if vectors is None else f"{vectors.shape[1]} numbers a song"
        raise InputError(
            f"songs=given takes vectors of dimension={width} numbers (--songs), got {got}"
        )
    return vectors


def _chances(plays: ItemPlays, rows: Int64Array) -> Float64Array:
    """Return how likely a play that is drawn for some row is of each song: (S,), float64."""
    taken = plays.of(rows)
    counts = np.diff(taken.starts)
    weight = np.repeat(1 / np.maximum(counts, 1), counts)
    found = np.bincount(taken.code, weights=weight, minlength=plays.n_songs)
    return found / max(1, int((counts > 0).sum()))
