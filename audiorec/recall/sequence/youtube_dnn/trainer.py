"""Train the user model: from what was liked before, tell what is liked next.

One example is one like: its history is what the user liked strictly before, its target the
song itself, among all songs by a (sampled) softmax over cosines. Users that are held out, or
the last like of each user, say when to stop.

Everything random follows from the seed and the number of the step, and the state is written to
the work folder on the way: a run that is killed and started again ends with the same weights.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import InputError
from audiorec.files.atomic import replaced
from audiorec.learning.losses import sampled_softmax_loss
from audiorec.learning.negatives import SharedSampler
from audiorec.learning.torch_use import import_torch, one_thread
from audiorec.recall.sequence.youtube_dnn.examples import (
    JUDGE,
    STEP,
    Examples,
    UsersData,
    epoch_places,
    generator,
    held_out,
    standardisation,
)
from audiorec.recall.sequence.youtube_dnn.model import (
    Catalogue,
    UsersModel,
    n_columns,
    standardised,
    unit,
)
from audiorec.recall.sequence.youtube_dnn.network import Network
from audiorec.recall.sequence.youtube_dnn.profiles import Encoder
from audiorec.recall.sequence.youtube_dnn.recipe import UsersRecipe
from audiorec.spec import fingerprint
from audiorec.types import FloatArray, Int64Array

PURPOSE = "training a user model"
CHECKPOINT_FILE = "checkpoint.safetensors"
METRICS_FILE = "metrics.jsonl"
CHECKPOINT_EVERY_S = 60.0
JUDGE_SONGS = 20_000  # from as few songs as this on, held-out likes are judged among all
JUDGE_ROWS = 1_024
MAX_JUDGED = 20_000  # held-out likes
RECALL_AT = 50
DEFAULT = UsersRecipe()

Metrics = dict[str, Any]


def train_users(
    data: UsersData,
    recipe: UsersRecipe = DEFAULT,
    *,
    work: Path | None = None,
    progress: Callable[[Metrics], None] | None = None,
    stop: threading.Event | None = None,
) -> tuple[UsersModel, list[Metrics]] | None:
    """Train a user model.

    Parameters
    ----------
    data : UsersData
    recipe : UsersRecipe
    work : Path, optional
        A folder for the state and ``metrics.jsonl``. Training resumes from a
        checkpoint of the same data and recipe.
    progress : callable, optional
        Called with the metrics of each epoch.
    stop : threading.Event, optional
        Once it is set, the state is written and the training ends.

    Returns
    -------
    trained : (model, metrics of each epoch) or None
        The weights of the best epoch; None if it was stopped.

    Raises
    ------
    InputError
        If there are too few users or likes, or neither vectors nor ids to learn from.
    MissingExtraError
        If torch cannot be imported.
    """
    if recipe.id_width == 0 and not (data.vectors.shape[1] and data.has_vector.any()):
        raise InputError("a user model needs vectors of songs, or ids")
    with one_thread(PURPOSE), import_torch(PURPOSE).random.fork_rng(devices=[]):
        run = _Run(data, recipe, work, progress)
        if not run.go(stop or threading.Event()):
            return None
        return run.model(), run.metrics


class _Run:
    """One training: data made ready, parameters, optimiser, and where it is."""

    def __init__(
        self,
        data: UsersData,
        recipe: UsersRecipe,
        work: Path | None,
        progress: Callable[[Metrics], None] | None,
    ) -> None:
        self.data, self.recipe, self.work, self.progress = data, recipe, work, progress
        held = held_out(data.likes, recipe)
        self.learnt_from = ~held
        self.counts = np.bincount(data.likes.song[~held], minlength=len(data.song_ids))
        # A song that nobody likes in training has no embedding worth judging by.
        judged = np.flatnonzero(held & (self.counts[data.likes.song] > 0))
        if not len(judged):
            raise InputError("no held-out like is of a song that others like; give more likes")
        self.judged = generator(recipe, JUDGE).permutation(judged)[:MAX_JUDGED]
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
        self.network = Network(recipe, inputs, demographics, width)
        adam = import_torch(PURPOSE).optim.Adam
        self.optimiser = adam(self.network.groups(), lr=recipe.learning_rate)
        self.songs = Opponents(self.counts, recipe)
        self.epoch = self.step = 0
        self.loss_sum = 0.0  # over the steps of this epoch
        self.metrics: list[Metrics] = []
        self.best = self.network.arrays()
        self.fingerprint = fingerprint({"recipe": asdict(recipe), "data": data.fingerprint})

    def go(self, stop: threading.Event) -> bool:
        """Train until patience ends; False if it was stopped before."""
        self._restore()
        while not self._over():
            if not self._epoch(stop):
                self._save()
                return False
            self._judge()
            self._save()
        return True

    def model(self) -> UsersModel:
        """Return the model of the best epoch."""
        data, best = self.data, self.best
        layers = range(self.network.n_layers)
        return UsersModel(
            song_ids=data.song_ids,
            song_embeddings=unit(best["song_embeddings"]),
            song_bias=best["song_bias"],
            id_embeddings=best["id_embeddings"],
            song_inputs=np.where(data.has_vector[:, None], data.vectors, 0).astype(np.float32),
            has_input=data.has_vector,
            input_mean=self.mean,
            input_scale=self.scale,
            layers=tuple((best[f"weight_{i}"], best[f"bias_{i}"]) for i in layers),
            encoder=self.encoder,
            half_life_days=self.recipe.half_life_days,
            max_history=self.recipe.max_history,
            info=self._info(),
        )

    def _over(self) -> bool:
        if not self.metrics:
            return False
        since_best = len(self.metrics) - 1 - self._best_epoch()
        return since_best >= self.recipe.patience or self.epoch >= self.recipe.max_epochs

    def _best_epoch(self) -> int:
        return int(np.argmin([m["held_out_loss"] for m in self.metrics]))

    def _epoch(self, stop: threading.Event) -> bool:
        """Go through the rest of one epoch; False if it was stopped."""
        places = epoch_places(self.data.likes, self.learnt_from, self.recipe, self.epoch)
        size = self.recipe.batch_size
        saved = time.monotonic()
        while self.step * size < len(places):
            if stop.is_set():
                return False
            self.loss_sum += self._learn(places[self.step * size : (self.step + 1) * size])
            self.step += 1
            if time.monotonic() - saved > CHECKPOINT_EVERY_S:
                self._save()
                saved = time.monotonic()
        return True

    def _learn(self, places: Int64Array) -> float:
        """Make one step; return its loss."""
        torch = import_torch(PURPOSE)
        rng = generator(self.recipe, STEP, self.epoch, self.step)
        torch.manual_seed(int(rng.integers(2**62)))
        drop = rng.random(len(places)) < self.recipe.history_dropout
        songs, log_expected = self.songs.draw(rng)
        self.optimiser.zero_grad()
        batch = self.examples.batch(places, drop=drop)
        users = self.network.users(batch, training=True)
        loss = self._losses(users, batch.target, songs, log_expected)[0].mean()
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    def _losses(
        self, users: Any, target: Int64Array, songs: Int64Array, log_expected: FloatArray
    ) -> tuple[Any, Any]:
        """Return the losses (B,) of the targets among `songs`, and how many beat each."""
        torch = import_torch(PURPOSE)
        own, own_bias = self.network.songs(torch.from_numpy(target))
        others, bias = self.network.songs(torch.from_numpy(songs))
        positive = (users * own).sum(1) / self.recipe.temperature + own_bias
        negative = users @ others.T / self.recipe.temperature + bias
        hits = torch.from_numpy(songs[None] == target[:, None])
        losses = sampled_softmax_loss(
            positive, negative, log_expected=torch.from_numpy(log_expected), hits=hits
        )
        return losses, ((negative > positive[:, None]) & ~hits).sum(1)

    def _judge(self) -> None:
        """Note the metrics of the epoch that is done, and go on to the next."""
        torch = import_torch(PURPOSE)
        songs, log_expected = self.songs.judges(generator(self.recipe, JUDGE, 1))
        losses, above = [], []
        with torch.no_grad():
            for start in range(0, len(self.judged), JUDGE_ROWS):
                batch = self.examples.batch(self.judged[start : start + JUDGE_ROWS])
                users = self.network.users(batch, training=False)
                found = self._losses(users, batch.target, songs, log_expected)
                losses.append(found[0].numpy())
                above.append(found[1].numpy())
        self.epoch += 1
        metrics: Metrics = {
            "epoch": self.epoch,
            "loss": self.loss_sum / max(1, self.step),
            "held_out_loss": float(np.mean(np.concatenate(losses), dtype=np.float64)),
        }
        if len(songs) == np.count_nonzero(self.counts):
            in_front = np.concatenate(above) < RECALL_AT
            metrics[f"held_out_recall_at_{RECALL_AT}"] = float(in_front.mean())
        self.metrics.append(metrics)
        if self._best_epoch() == len(self.metrics) - 1:
            self.best = self.network.arrays()
        self.step, self.loss_sum = 0, 0.0
        if self.progress is not None:
            self.progress(metrics)

    def _save(self) -> None:
        if self.work is None:
            return
        from audiorec.learning.checkpoint import TrainingState, optimiser_tensors, save_checkpoint

        torch = import_torch(PURPOSE)
        tensors = {f"now.{name}": value for name, value in self.network.parameters.items()}
        tensors |= {f"best.{name}": torch.from_numpy(a) for name, a in self.best.items()}
        tensors |= optimiser_tensors(self.optimiser.state_dict())
        where = TrainingState(
            fingerprint=self.fingerprint,
            epoch=self.epoch,
            batch=self.step,
            loss_sum=self.loss_sum,
            best_epoch=self._best_epoch() + 1 if self.metrics else 0,
            history=self.metrics,
        )
        save_checkpoint(self.work / CHECKPOINT_FILE, tensors, where)
        lines = "".join(json.dumps(m) + "\n" for m in self.metrics)
        with replaced(self.work / METRICS_FILE) as temporary:
            temporary.write_text(lines)

    def _restore(self) -> None:
        if self.work is None:
            return
        from audiorec.learning.checkpoint import load_checkpoint, optimiser_state, restoring

        path = self.work / CHECKPOINT_FILE
        found = load_checkpoint(path, self.fingerprint)
        if found is None:
            return
        tensors, where = found
        self.epoch, self.step, self.loss_sum = where.epoch, where.batch, where.loss_sum
        self.metrics = list(where.history)
        names = list(self.network.parameters)
        with restoring(path):
            self.network.load({name: tensors[f"now.{name}"].numpy() for name in names})
            self.best = {name: tensors[f"best.{name}"].numpy() for name in names}
            groups = self.optimiser.state_dict()["param_groups"]
            self.optimiser.load_state_dict(optimiser_state(tensors, groups))

    def _info(self) -> Metrics:
        best = self.metrics[self._best_epoch()]
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
                **best,
                "epochs": self.epoch,
                "held_out_likes": len(self.judged),
                f"popularity_recall_at_{RECALL_AT}": float(np.isin(targets, popular).mean()),
            },
            "versions": {"numpy": np.__version__, "torch": import_torch(PURPOSE).__version__},
        }


class Opponents:
    """Which songs stand against a target: all that anybody likes, or a draw of them."""

    def __init__(self, counts: Int64Array, recipe: UsersRecipe) -> None:
        self._all = np.flatnonzero(counts)
        self._n = recipe.negatives
        self._sampler = SharedSampler(counts, power=recipe.negative_power)

    def draw(self, rng: np.random.Generator) -> tuple[Int64Array, FloatArray]:
        """Return the songs of one step, and the logarithm of how often each is expected."""
        return self._take(rng, self._n)

    def judges(self, rng: np.random.Generator) -> tuple[Int64Array, FloatArray]:
        """Return the songs that held-out likes are judged among."""
        return self._take(rng, JUDGE_SONGS)

    def _take(self, rng: np.random.Generator, n: int) -> tuple[Int64Array, FloatArray]:
        if len(self._all) <= n:
            return self._all, np.zeros(len(self._all), np.float32)
        songs = self._sampler.draw(rng, n)
        return songs, self._sampler.log_expected(songs, n)
