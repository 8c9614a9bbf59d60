"""Train the user model: from what was liked before, tell what is liked next.

One example is one like: its history is what the user liked strictly before, its target the
song itself, among all songs by a (sampled) softmax over cosines. Users that are held out, or
the last like of each user, say when to stop.

Everything random follows from the seed and the number of the step, and the state is written to
the work folder on the way: a run that is killed and started again ends with the same weights.
"""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiorec.errors import InputError
from audiorec.learning.fit import EVERY_S, Line, fit, noting
from audiorec.learning.losses import sampled_softmax_loss
from audiorec.learning.negatives import SharedSampler
from audiorec.learning.seeds import generator, torch_seed
from audiorec.learning.torch_use import import_torch, one_thread
from audiorec.listening.profiles import Encoder
from audiorec.recall.sequence.youtube_dnn.examples import (
    JUDGE,
    STEP,
    Examples,
    UsersData,
    epoch_places,
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
from audiorec.recall.sequence.youtube_dnn.recipe import UsersRecipe
from audiorec.spec import fingerprint
from audiorec.types import FloatArray, Int64Array

PURPOSE = "training a user model"
CHECKPOINT_FILE = "checkpoint.safetensors"
METRICS_FILE = "metrics.jsonl"
JUDGE_SONGS = 20_000  # from as few songs as this on, held-out likes are judged among all
JUDGE_ROWS = 1_024
MAX_JUDGED = 20_000  # held-out likes
RECALL_AT = 50
DEFAULT = UsersRecipe()


def train_users(
    data: UsersData,
    recipe: UsersRecipe = DEFAULT,
    *,
    work: Path | None = None,
    progress: Callable[[Line], None] | None = None,
    stop: threading.Event | None = None,
    checkpoint_every_s: float = EVERY_S,
) -> tuple[UsersModel, list[Line]] | None:
    """Train a user model; return it, and the metrics of each epoch, or None if it was stopped.

    `work` is a folder for the state and ``metrics.jsonl``: training resumes from a checkpoint of
    the same data and recipe. Too few users or likes, or neither vectors nor ids to learn from,
    are an `InputError`.
    """
    if recipe.id_width == 0 and not (data.vectors.shape[1] and data.has_vector.any()):
        raise InputError("a user model needs vectors of songs, or ids")
    with one_thread(PURPOSE), import_torch(PURPOSE).random.fork_rng(devices=[]):
        learner = _UserLearner(data, recipe)
        done = fit(
            learner,
            max_epochs=recipe.max_epochs,
            patience=recipe.patience,
            checkpoint=None if work is None else work / CHECKPOINT_FILE,
            fingerprint=fingerprint({"recipe": asdict(recipe), "data": data.fingerprint}),
            tell=progress if work is None else noting(work / METRICS_FILE, progress),
            stop=stop,
            every_s=checkpoint_every_s,
        )
        return (learner.trained(done.history, done.best), done.history) if done.finished else None


class _UserLearner:
    """The user model as a network, and the likes that it learns from; see `fit`."""

    def __init__(self, data: UsersData, recipe: UsersRecipe) -> None:
        self.data, self.recipe = data, recipe
        held = held_out(data.likes, recipe)
        self.learnt_from = ~held
        self.counts = np.bincount(data.likes.song[~held], minlength=len(data.song_ids))
        # A song that nobody likes in training has no embedding worth judging by.
        judged = np.flatnonzero(held & (self.counts[data.likes.song] > 0))
        if not len(judged):
            raise InputError("no held-out like is of a song that others like; give more likes")
        self.judged = generator(recipe.seed, JUDGE).permutation(judged)[:MAX_JUDGED]
        self.mean, self.scale = standardisation(data)
        inputs = standardised(data.vectors, data.has_vector, self.mean, self.scale)
        known = np.arange(len(data.song_ids))
        catalogue = Catalogue(known=known, inputs=inputs, has_input=data.has_vector)
        self.examples = Examples(data.likes, catalogue, recipe)
        learners = np.unique(data.likes.user[~held])
        names = [data.profiles.user_ids[i] for i in learners]
        self.encoder = Encoder.fit(data.profiles.for_users(names))
        demographics = self.encoder.encode(data.profiles)
        width = n_columns(data.vectors.shape[1], recipe.id_width, self.encoder)
        self.model = Network(recipe, inputs, demographics, width)
        self.optimiser = torch.optim.Adam(self.model.groups(), lr=recipe.learning_rate)
        self.sampler = SharedSampler(self.counts, power=recipe.negative_power)

    def start(self) -> None:
        """Nothing is said of the untrained model."""

    def batches(self, epoch: int, first: int) -> Iterator[tuple[Int64Array, np.random.Generator]]:
        """Yield places of examples and what draws the rest; seeds count epochs from 0."""
        places = epoch_places(self.data.likes, self.learnt_from, self.recipe, epoch - 1)
        size = self.recipe.batch_size
        for number in range(first, -(-len(places) // size)):
            rng = generator(self.recipe.seed, STEP, epoch - 1, number)
            yield places[number * size : (number + 1) * size], rng

    def step(self, batch: tuple[Int64Array, np.random.Generator]) -> float:
        places, rng = batch
        torch.manual_seed(torch_seed(rng))
        drop = rng.random(len(places)) < self.recipe.history_dropout
        songs, log_expected = self._opponents(rng, self.recipe.negatives)
        self.optimiser.zero_grad()
        likes = self.examples.batch(places, drop=drop)
        users = self.model.users(likes, training=True)
        loss = self._losses(users, likes.target, songs, log_expected)[0].mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def judge(self, epoch: int, loss: float, _seconds: float) -> Line:
        songs, log_expected = self._opponents(generator(self.recipe.seed, JUDGE, 1), JUDGE_SONGS)
        losses, above = [], []
        with torch.no_grad():
            for start in range(0, len(self.judged), JUDGE_ROWS):
                batch = self.examples.batch(self.judged[start : start + JUDGE_ROWS])
                users = self.model.users(batch, training=False)
                found = self._losses(users, batch.target, songs, log_expected)
                losses.append(found[0].numpy())
                above.append(found[1].numpy())
        held_out_loss = float(np.mean(np.concatenate(losses), dtype=np.float64))
        line: Line = {"epoch": epoch, "loss": loss, "held_out_loss": held_out_loss}
        if len(songs) == np.count_nonzero(self.counts):
            in_front = np.concatenate(above) < RECALL_AT
            line[f"held_out_recall_at_{RECALL_AT}"] = float(in_front.mean())
        return line

    def worth(self, line: Line) -> float:
        return -float(line["held_out_loss"])

    def trained(self, history: list[Line], best: int) -> UsersModel:
        """Return the network, which is in its best state, as a model."""
        data, arrays = self.data, self.model.arrays()
        layers = range(self.model.n_layers)
        return UsersModel(
            song_ids=data.song_ids,
            song_embeddings=of_unit_length(arrays["song_embeddings"]),
            song_bias=arrays["song_bias"],
            id_embeddings=arrays["id_embeddings"],
            song_inputs=np.where(data.has_vector[:, None], data.vectors, 0).astype(np.float32),
            has_input=data.has_vector,
            input_mean=self.mean,
            input_scale=self.scale,
            layers=tuple((arrays[f"weight_{i}"], arrays[f"bias_{i}"]) for i in layers),
            encoder=self.encoder,
            half_life_days=self.recipe.half_life_days,
            max_history=self.recipe.max_history,
            info=self._info(history, best),
        )

    def _losses(
        self, users: Tensor, target: Int64Array, songs: Int64Array, log_expected: FloatArray
    ) -> tuple[Tensor, Tensor]:
        """Return the losses (B,) of the targets among `songs`, and how many beat each."""
        own, own_bias = self.model.songs(torch.from_numpy(target))
        others, bias = self.model.songs(torch.from_numpy(songs))
        positive = (users * own).sum(1) / self.recipe.temperature + own_bias
        negative = users @ others.T / self.recipe.temperature + bias
        hits = torch.from_numpy(songs[None] == target[:, None])
        losses = sampled_softmax_loss(
            positive, negative, log_expected=torch.from_numpy(log_expected), hits=hits
        )
        return losses, ((negative > positive[:, None]) & ~hits).sum(1)

    def _opponents(self, rng: np.random.Generator, n: int) -> tuple[Int64Array, FloatArray]:
        """Return all songs that anybody likes, or `n` drawn; log how often each is expected."""
        liked = np.flatnonzero(self.counts)
        if len(liked) <= n:
            return liked, np.zeros(len(liked), np.float32)
        songs = self.sampler.draw(rng, n)
        return songs, self.sampler.log_expected(songs, n)

    def _info(self, history: list[Line], best: int) -> Line:
        popular = np.argsort(-self.counts, kind="stable")[:RECALL_AT]
        targets = self.data.likes.song[self.judged]
        return {
            "data": {
                **self.data.info,
                "fingerprint": self.data.fingerprint,
                "users": len(np.unique(self.data.likes.user)),
                "songs": len(self.data.song_ids),
                "likes": len(self.data.likes.song),
                "demographics": list(self.encoder.names),
            },
            "recipe": json.loads(json.dumps(asdict(self.recipe))),
            "seed": self.recipe.seed,
            "figures": {
                **history[best],
                "epochs": len(history),
                "held_out_likes": len(self.judged),
                f"popularity_recall_at_{RECALL_AT}": float(np.isin(targets, popular).mean()),
            },
            "versions": {"numpy": np.__version__, "torch": torch.__version__},
        }
