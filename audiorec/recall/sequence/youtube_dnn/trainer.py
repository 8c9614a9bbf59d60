"""Train youtube-dnn: predict each play from the plays before it.

    LearntPlays, recipe ──fit_refit──▶ `UsersModel`, trained on everything

Each play is an example: its history is what came strictly before, its target the song itself,
among all songs by a (sampled) softmax over cosines. A validation part chooses the number of epochs.

All randomness follows from the seed and the step number, and checkpoints go to the work folder: a
run that is killed and started again ends with the same weights.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from threading import Event

import numpy as np
import torch
from torch import Tensor

from audiorec.errors import InputError
from audiorec.learning.checkpoint import EVERY_S
from audiorec.learning.fit import Line, Phase, Refitted, fit_refit, log_epochs
from audiorec.learning.losses import sampled_softmax_loss
from audiorec.learning.machine import generator, one_thread, torch_seed
from audiorec.learning.negatives import SharedSampler
from audiorec.learning.processes import ALONE, Processes
from audiorec.listening.profiles import Encoder
from audiorec.recall.sequence.youtube_dnn.examples import (
    JUDGE,
    STEP,
    Examples,
    TrainingPlays,
    epoch_places,
    epochs_of,
    held_out,
    standardisation,
)
from audiorec.recall.sequence.youtube_dnn.model import (
    Catalogue,
    UsersModel,
    n_columns,
    of_unit_length,
    standardised,
)
from audiorec.recall.sequence.youtube_dnn.network import Network
from audiorec.recall.sequence.youtube_dnn.recipe import YouTubeDNNRecipe
from audiorec.spec import fingerprint
from audiorec.types import BoolArray, FloatArray, Int64Array, LineProgress

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
    work: Path | None = None,
    progress: LineProgress | None = None,
    stop: Event | None = None,
    processes: Processes = ALONE,
    every_s: float = EVERY_S,
) -> tuple[UsersModel, Refitted["YouTubeDNNLearner"]] | None:
    """Train a model; return it and its training, or None if it was stopped.

    `work` is a folder for checkpoints and ``metrics.jsonl``: training resumes from a checkpoint of
    the same data and recipe. Too few plays, or neither vectors nor ids to learn from, raise an
    `InputError`.
    """
    if recipe.ids == 0 and not (data.vectors.shape[1] and data.has_vector.any()):
        raise InputError("youtube-dnn needs song vectors, or ids: set id_width above 0")
    held = held_out(data.likes, recipe)

    def make(phase: Phase) -> YouTubeDNNLearner:
        out = held if phase == "choose" else np.zeros_like(held)
        return YouTubeDNNLearner(data, recipe, half_life, out, processes=processes)

    with one_thread(PURPOSE), torch.random.fork_rng(devices=[]):
        done = fit_refit(
            make,
            max_epochs=epochs_of(data.likes, recipe),
            patience=recipe.patience,
            work=work,
            fingerprint=fingerprint({"recipe": asdict(recipe), "data": data.fingerprint}),
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
        *,
        processes: Processes = ALONE,
    ) -> None:
        self.data, self.recipe, self.half_life = data, recipe, half_life
        self.processes = processes
        self.learnt_from = ~held
        self.epochs = epochs_of(data.likes, recipe)
        self.counts = np.bincount(data.likes.song[~held], minlength=len(data.vectors))
        # A song without a training play has no embedding to judge.
        judged = np.flatnonzero(held & (self.counts[data.likes.song] > 0))
        if held.any() and not len(judged):
            raise InputError("youtube-dnn: no held-out play is of a song that others play")
        self.judged = generator(recipe.seed, JUDGE).permutation(judged)[:MAX_JUDGED]
        self.mean, self.scale = standardisation(data)
        inputs = standardised(data.vectors, data.has_vector, self.mean, self.scale)
        known = np.arange(len(data.vectors))
        catalogue = Catalogue(known=known, inputs=inputs, has_input=data.has_vector)
        self.examples = Examples(data.likes, catalogue, recipe, half_life)
        learners = np.unique(data.likes.user[~held])
        names = [data.profiles.user_ids[i] for i in learners]
        self.encoder = Encoder.fit(data.profiles.for_users(names))
        demographics = self.encoder.encode(data.profiles)
        width = n_columns(data.vectors.shape[1], recipe.ids, self.encoder)
        self.model = Network(recipe, inputs, demographics, width)
        self.optimiser = torch.optim.Adam(self.model.groups(), lr=recipe.learning_rate, fused=True)
        self.sampler = SharedSampler(self.counts, power=recipe.negative_power)

    def start(self) -> None:
        """Return no line: the untrained model is not judged."""

    def batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield positions of examples, a generator, and the learning rate."""
        places = epoch_places(self.data.likes, self.learnt_from, self.recipe, epoch)
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
                found = self._losses(users, batch.target, songs, all_of_them)
                losses.append(found[0].numpy())
                above.append(found[1].numpy())
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
            song_embeddings=of_unit_length(arrays["song_embeddings"]),
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
