"""The youtube-dnn network in torch, and its training.

    LearntPlays, recipe ──fit_refit──▶ `UsersModel`, trained on everything

Each play is an example: its history is what came strictly before, its target the song itself,
among all songs by a (sampled) softmax over cosines. A validation part chooses the number of epochs.

All randomness follows from the seed and the step number, and checkpoints go to the work folder: a
run that is killed and started again ends with the same weights.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.errors import InputError
from audiorec.learning.fit import EVERY_S, Line, Phase, Refitted, fit_refit, log_epochs
from audiorec.learning.losses import sampled_softmax_loss
from audiorec.learning.machine import generator, one_thread, torch_seed
from audiorec.learning.negatives import SharedSampler
from audiorec.learning.processes import ALONE, Processes, dropout
from audiorec.listening.history import Histories
from audiorec.listening.profiles import Encoder
from audiorec.recall.sequence.youtube_dnn.model import (
    JUDGE,
    STEP,
    Catalogue,
    Examples,
    LikeBatch,
    TrainingPlays,
    UsersModel,
    YouTubeDNNRecipe,
    epoch_places,
    epochs_of,
    held_out,
    held_out_new,
    n_columns,
    standardisation,
    standardised,
)
from audiorec.spec import fingerprint
from audiorec.types import BoolArray, FloatArray, Int64Array, LineProgress, unit

TABLE_SPREAD = 0.1  # initial standard deviation of songs: small, so that directions change quickly


class Network(nn.Module):
    """Parameters and forward pass, given standardised songs (S, V) and demographics (U, P).

    The parameters are ``weight_i`` (in, out), ``bias_i`` (out,), ``song_embeddings`` (S, E) of
    any length, ``song_bias`` (S,) and ``id_embeddings`` (S, I).
    """

    song_embeddings: Tensor
    song_bias: Tensor
    id_embeddings: Tensor
    _inputs: Tensor
    _demographics: Tensor

    def __init__(
        self, recipe: YouTubeDNNRecipe, inputs: FloatArray, demographics: FloatArray, n_columns: int
    ) -> None:
        super().__init__()
        self.recipe = recipe
        # Constants, so not in a checkpoint.
        self.register_buffer("_inputs", torch.from_numpy(inputs), persistent=False)
        self.register_buffer("_demographics", torch.from_numpy(demographics), persistent=False)
        self.n_layers = len(recipe.hidden) + 1
        draw = torch.Generator().manual_seed(recipe.seed)
        sizes = (n_columns, *recipe.hidden, recipe.dimension)
        n_songs = len(inputs)

        def add(name: str, *shape: int, spread: float) -> None:
            values = torch.randn(shape, generator=draw) * spread if spread else torch.zeros(shape)
            self.register_parameter(name, nn.Parameter(values))

        for i, (width, out) in enumerate(itertools.pairwise(sizes)):
            add(f"weight_{i}", width, out, spread=(2.0 / width) ** 0.5)
            add(f"bias_{i}", out, spread=0.0)
        add("song_embeddings", n_songs, recipe.dimension, spread=TABLE_SPREAD)
        add("song_bias", n_songs, spread=0.0)
        add("id_embeddings", n_songs, recipe.ids, spread=TABLE_SPREAD)
        if recipe.is_residual:
            # A user starts as the mean of the history's songs: near similar songs.
            with torch.no_grad():
                self.id_embeddings.copy_(self.song_embeddings)
                self.get_parameter(f"weight_{self.n_layers - 1}").zero_()

    def users(self, batch: LikeBatch, *, training: bool) -> Tensor:
        """Return the embeddings of a batch: shape (B, E), of length 1."""
        by_id = _means(batch.by_id, self.id_embeddings)
        x = torch.cat(
            [
                _means(batch.by_vector, self._inputs),
                by_id,
                torch.from_numpy(batch.lengths).to(self.song_bias.dtype),
                self._demographics[torch.from_numpy(batch.user)],
            ],
            dim=1,
        )
        for i in range(self.n_layers):
            x = x @ self.get_parameter(f"weight_{i}") + self.get_parameter(f"bias_{i}")
            if i + 1 < self.n_layers:
                x = dropout(functional.relu(x), self.recipe.dropout, training)
        return functional.normalize(x + by_id if self.recipe.is_residual else x, dim=1)

    def songs(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings (n, E) of length 1, and biases (n,), of songs."""
        return functional.normalize(self.song_embeddings[rows], dim=1), self.song_bias[rows]

    def take(self, start: UsersModel) -> None:
        """Take over the weights of a model, and the rows of the songs that it has a place for."""
        placed = torch.from_numpy(start.song_embeddings.any(axis=1))
        with torch.no_grad():
            for i, (weight, bias) in enumerate(start.layers):
                self.get_parameter(f"weight_{i}").copy_(torch.from_numpy(weight))
                self.get_parameter(f"bias_{i}").copy_(torch.from_numpy(bias))
            for name in ("song_embeddings", "song_bias", "id_embeddings"):
                own, rows = self.get_parameter(name), torch.from_numpy(getattr(start, name))
                own[placed] = rows[placed]

    def groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups: dense weights decay, biases and song tables do not."""
        named = list(self.named_parameters())
        decays = [p for name, p in named if name.startswith("weight_")]
        others = [p for name, p in named if not name.startswith("weight_")]
        return [
            {"params": decays, "weight_decay": self.recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]

    def arrays(self) -> dict[str, FloatArray]:
        """Return copies of the parameters as numpy arrays."""
        return {name: p.numpy().copy() for name, p in self.state_dict().items()}


def _means(rows: Histories, table: Tensor) -> Tensor:
    """Return the weighted means of rows of a table, zeros for an empty list: (B, width)."""
    if not table.shape[1] or not len(rows.song):
        # Keeps a gradient of 0, so that every batch has one.
        return table.sum() * 0.0 + table.new_zeros(len(rows), table.shape[1])
    total = np.zeros(len(rows))
    np.add.at(total, rows.owner, rows.weight)
    shares = torch.from_numpy(rows.weight / np.repeat(total, rows.lengths)).to(table.dtype)
    return functional.embedding_bag(
        torch.from_numpy(rows.song),
        table,
        torch.from_numpy(rows.starts[:-1]),
        mode="sum",
        per_sample_weights=shares,
    )


PURPOSE = "training youtube-dnn"
METRICS_FILE = "metrics.jsonl"
WARM_UP = 100  # warm-up steps of the learning rate; at most a twentieth of all
JUDGE_CELLS = 1 << 24  # logits in memory at once: 64 MB
MAX_JUDGED = 5_000  # validation plays that are ranked, each among all songs
RECALL_AT = 50
Batch = tuple[Int64Array, np.random.Generator, float]  # positions, generator, learning rate


def train(
    data: TrainingPlays,
    recipe: YouTubeDNNRecipe,
    half_life: float | None,
    *,
    start: UsersModel | None = None,
    is_new: BoolArray | None = None,
    work: Path | None = None,
    progress: LineProgress | None = None,
    stop: Event | None = None,
    processes: Processes = ALONE,
    every_s: float = EVERY_S,
) -> tuple[UsersModel, Refitted["YouTubeDNNLearner"]] | None:
    """Train a model; return it and its training, or None if it was stopped.

    `work` is a folder for checkpoints and ``metrics.jsonl``: training resumes from a checkpoint of
    the same data and recipe. Too few plays, or neither vectors nor ids to learn from, raise an
    `InputError`. A training can go on from a model of the same songs, `start`, whose rows are 0 for
    new songs; it is judged on plays that it has not learnt from, `is_new` (E,), before it does.
    """
    if recipe.ids == 0 and not (data.vectors.shape[1] and data.has_vector.any()):
        raise InputError("youtube-dnn needs song vectors, or ids: set id_width above 0")
    begun = ""
    held: BoolArray | None
    if start is None:
        held = held_out(data.likes, recipe)
    else:
        held, begun = held_out_new(data.likes, is_new), start.digest
    nothing = np.zeros(len(data.likes.song), np.bool_)

    def make(phase: Phase) -> YouTubeDNNLearner:
        out = held if held is not None and phase == "choose" else nothing
        return YouTubeDNNLearner(data, recipe, half_life, out, start, is_new, processes)

    with one_thread(PURPOSE), torch.random.fork_rng(devices=[]):
        done = fit_refit(
            make,
            max_epochs=epochs_of(data.likes, recipe),
            patience=recipe.patience,
            choose=held is not None,
            goes_on=start is not None,
            work=work,
            fingerprint=fingerprint(
                {"recipe": asdict(recipe), "data": data.fingerprint, "start": begun}
            ),
            tell=progress if work is None else log_epochs(work / METRICS_FILE, progress),
            stop=stop,
            every_s=every_s,
            clip=recipe.clip,
            processes=processes,
        )
        return (done.learner.trained(), done) if done.finished else None


class YouTubeDNNLearner:
    """The network and its training plays; those of `held` (E,) are left out."""

    def __init__(
        self,
        data: TrainingPlays,
        recipe: YouTubeDNNRecipe,
        half_life: float | None,
        held: BoolArray,
        start: UsersModel | None = None,
        is_new: BoolArray | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.data, self.recipe, self.half_life = data, recipe, half_life
        self.processes, self.is_new = processes, is_new
        self.learnt_from = ~held
        self.epochs = epochs_of(data.likes, recipe)
        self.counts = np.bincount(data.likes.song[~held], minlength=len(data.vectors))
        # A song without a training play has no embedding to judge.
        judged = np.flatnonzero(held & (self.counts[data.likes.song] > 0))
        if held.any() and not len(judged):
            raise InputError("youtube-dnn: no held-out play is of a song that others play")
        self.judged = generator(recipe.seed, JUDGE).permutation(judged)[:MAX_JUDGED]
        self.mean, self.scale = standardisation(data)
        if start is not None:
            self.mean, self.scale = start.input_mean, start.input_scale
        inputs = standardised(data.vectors, data.has_vector, self.mean, self.scale)
        known = np.arange(len(data.vectors))
        catalogue = Catalogue(known=known, inputs=inputs, has_input=data.has_vector)
        self.examples = Examples(data.likes, catalogue, recipe, half_life)
        learners = np.unique(data.likes.owner[~held])
        names = [data.profiles.user_ids[i] for i in learners]
        self.encoder = Encoder.fit(data.profiles.for_users(names))
        if start is not None:
            self.encoder = start.encoder
        demographics = self.encoder.encode(data.profiles)
        width = n_columns(data.vectors.shape[1], recipe.ids, self.encoder)
        self.model = Network(recipe, inputs, demographics, width)
        if start is not None:
            self.model.take(start)
        self.optimiser = torch.optim.Adam(self.model.groups(), lr=recipe.learning_rate, fused=True)
        self.sampler = SharedSampler(self.counts, power=recipe.negative_power)

    def start(self) -> None:
        """Return no line: the untrained model is not judged."""

    def batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield positions of examples, a generator, and the learning rate."""
        places = epoch_places(self.data.likes, self.learnt_from, self.recipe, epoch, self.is_new)
        size = self.recipe.batch_size
        n = -(-len(places) // size)
        for number in range(first, n):
            rng = generator(self.recipe.seed, STEP, epoch, number)
            done, steps = (epoch - 1) * n + number + 1, n * self.epochs
            rise = min(1.0, done / min(WARM_UP, max(1, steps // 20)))
            fall = (1 + math.cos(math.pi * min(1.0, done / steps))) / 2
            rate = self.recipe.learning_rate * rise * fall
            yield places[number * size : (number + 1) * size], rng, rate

    def step(self, batch: Batch) -> float:
        """Train on this process's part of a batch; return its share of the mean loss."""
        places, rng, rate = batch
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(torch_seed(rng))
        hidden = self.recipe.history_dropout if self.encoder.names else 0.0
        drop = rng.random(len(places)) < hidden
        songs, log_expected = self._opponents(rng)
        part = self.processes.part(len(places))
        self.optimiser.zero_grad()
        likes = self.examples.batch(places[part], drop=drop[part])
        with self.processes.within(len(places)):
            users = self.model.users(likes, training=True)
        losses = self._losses(users, likes.target, songs, log_expected)[0]
        loss = self.processes.mean(losses)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def evaluate(self, epoch: int, loss: float, _seconds: float) -> Line:
        """Return loss and recall of the validation part among all learnt songs."""
        songs = np.flatnonzero(self.counts)
        all_of_them = np.zeros(len(songs), np.float32)
        rows = max(1, JUDGE_CELLS // len(songs))
        losses, above = [], []
        with torch.no_grad():
            for start in range(0, len(self.judged), rows):
                batch = self.examples.batch(self.judged[start : start + rows])
                users = self.model.users(batch, training=False)
                result = self._losses(users, batch.target, songs, all_of_them)
                losses.append(result[0].numpy())
                above.append(result[1].numpy())
        return {
            "epoch": epoch,
            "loss": loss,
            "held_out_loss": float(np.mean(np.concatenate(losses), dtype=np.float64)),
            f"held_out_recall_at_{RECALL_AT}": float((np.concatenate(above) < RECALL_AT).mean()),
        }

    def score(self, line: Line) -> float:
        """Return the negative validation loss: higher is better."""
        return -float(line["held_out_loss"])

    def trained(self) -> UsersModel:
        """Return the network, which is in its best state, as a numpy model."""
        data, arrays = self.data, self.model.arrays()
        layers = range(self.model.n_layers)
        return UsersModel(
            song_embeddings=unit(arrays["song_embeddings"].astype(np.float64)),
            song_bias=arrays["song_bias"],
            id_embeddings=arrays["id_embeddings"],
            song_inputs=np.where(data.has_vector[:, None], data.vectors, 0).astype(np.float32),
            has_input=data.has_vector,
            input_mean=self.mean,
            input_scale=self.scale,
            layers=tuple((arrays[f"weight_{i}"], arrays[f"bias_{i}"]) for i in layers),
            encoder=self.encoder,
            half_life=self.half_life,
            max_history=self.recipe.max_history,
        )

    def _losses(
        self, users: Tensor, target: Int64Array, songs: Int64Array, log_expected: FloatArray
    ) -> tuple[Tensor, Tensor]:
        """Return the losses (B,) of the targets among `songs`, and how many songs rank higher."""
        own, own_bias = self.model.songs(torch.from_numpy(target))
        others, bias = self.model.songs(torch.from_numpy(songs))
        positive = (users * own).sum(1) / self.recipe.temperature + own_bias
        negative = users @ others.T / self.recipe.temperature + bias
        hits = torch.from_numpy(songs[None] == target[:, None])
        expected = torch.from_numpy(log_expected).to(negative.dtype)
        losses = sampled_softmax_loss(positive, negative, log_expected=expected, hits=hits)
        return losses, ((negative > positive[:, None]) & ~hits).sum(1)

    def _opponents(self, rng: np.random.Generator) -> tuple[Int64Array, FloatArray]:
        """Return negatives and their log expected counts: all played songs, or a sample."""
        played, n = np.flatnonzero(self.counts), self.recipe.negatives
        if len(played) <= n:
            return played, np.zeros(len(played), np.float32)
        songs = self.sampler.draw(rng, n)
        return songs, self.sampler.log_expected(songs, n)
