"""Train a tower: liked songs nearer to their users, for as long as unheard artists gain.

    TrainingData, recipe ──train_tower──▶ `TrainedTower`: the best state, and the history

Epoch 0 is the start. After every epoch the embeddings of all songs go to `judge`, which
looks at artists that are never learnt from; the best state is kept, and training ends when
`patience` epochs brought nothing better.

With a `checkpoint` a training that was killed goes on at its last finished batch and ends
with the same weights: on a processor bit for bit on one machine, on a GPU nearly, since its
sums come in any order.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.errors import InputError
from audiorec.learning.checkpoint import (
    TrainingState,
    load_checkpoint,
    optimiser_state,
    optimiser_tensors,
    restoring,
    save_checkpoint,
)
from audiorec.learning.losses import hinge_loss, softmax_loss
from audiorec.learning.negatives import semi_hard
from audiorec.learning.torch_use import one_thread
from audiorec.recall.audio.batches import Batches, PairBatch, TrainingData
from audiorec.recall.audio.recipe import MetricRecipe
from audiorec.recall.audio.tower import EndToEndTower, Tower
from audiorec.store.segments import SongSegments
from audiorec.types import FloatArray, Int64Array

AudioTower = Tower | EndToEndTower
Judge = Callable[[FloatArray, FloatArray], float]
CHECKPOINT_EVERY_S = 30.0
SONGS_AT_ONCE = 256  # when all songs are embedded


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedTower:
    """What came of a training.

    Attributes
    ----------
    tower : Tower or EndToEndTower
        In its best state, in evaluation mode, on the processor.
    anchors : ndarray, shape (U, E), or None
        Learnt embeddings of the users, of unit length; None where none were learnt.
    best_epoch : int
        0 if nothing beat the start.
    history : list of dict
        ``epoch``, ``loss``, ``figure`` and ``seconds`` of each epoch.
    finished : bool
        False if it was stopped; the checkpoint goes on from there.
    """

    tower: AudioTower
    anchors: FloatArray | None
    best_epoch: int
    history: list[dict[str, Any]]
    finished: bool


def train_tower(
    tower: AudioTower,
    data: TrainingData,
    recipe: MetricRecipe,
    *,
    judge: Judge | None = None,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    device: str = "cpu",
    progress: Callable[[dict[str, Any]], None] | None = None,
    stop: Event | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> TrainedTower:
    """Train a tower in place.

    Parameters
    ----------
    tower : Tower or EndToEndTower
    data : TrainingData
    recipe : MetricRecipe
    judge : callable, optional
        Given anchors (U, E) and songs (S, E), says how good they are; higher is better.
        Without it training runs for all epochs and the last state is kept.
    checkpoint : Path, optional
        The checkpoint; if one with this `fingerprint` exists, training resumes from it.
    fingerprint : str
        Stands for the data, the tower and the recipe.
    device : str
    progress : callable, optional
        Called with every line of the history.
    stop : Event, optional
        Once set, training ends after the batch in work.
    checkpoint_every_s : float

    Raises
    ------
    InputError
        If the device cannot be used.
    """
    with one_thread("training a metric model"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        trainer = _Trainer(tower, data, recipe, device)
        trainer.judge, trainer.stop, trainer.tell = judge, stop, progress
        trainer.checkpoint, trainer.every_s = checkpoint, checkpoint_every_s
        return trainer.run(fingerprint)


def embed_songs(tower: AudioTower, songs: SongSegments, *, device: str = "cpu") -> FloatArray:
    """Return the embeddings of all songs by all of their segments: shape (S, E), float32."""
    training = tower.training
    tower.eval()
    try:
        with torch.inference_mode():
            blocks = [
                _embed(tower, songs, np.arange(i, min(i + SONGS_AT_ONCE, len(songs))), 0, device)
                for i in range(0, len(songs), SONGS_AT_ONCE)
            ]
            embeddings: FloatArray = torch.cat(blocks).float().cpu().numpy()
    finally:
        tower.train(training)
    return embeddings


class _Trainer:
    """The state of one training."""

    judge: Judge | None
    stop: Event | None
    tell: Callable[[dict[str, Any]], None] | None
    checkpoint: Path | None
    every_s: float

    def __init__(
        self, tower: AudioTower, data: TrainingData, recipe: MetricRecipe, device: str
    ) -> None:
        self.tower, self.data, self.recipe, self.device = tower, data, recipe, device
        self.model = nn.ModuleDict({"tower": tower})
        self.fixed: Tensor | None = None
        table = torch.tensor(data.anchors) if data.anchors is not None else None
        if table is not None and data.anchors_are_learnt:
            self.model["anchors"] = nn.Embedding(len(table), table.shape[1], _weight=table)
        try:
            self.model.to(device)
            if table is not None and not data.anchors_are_learnt:
                self.fixed = table.to(device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).split("\n", 1)[0]
            raise InputError(f"cannot use device {device!r}: {reason}") from error
        self.batches = Batches(data, recipe)
        self.optimiser = torch.optim.AdamW(
            self._parameter_groups(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )

    def run(self, fingerprint: str) -> TrainedTower:
        """Train from the checkpoint, or from the start."""
        at = self._resume(fingerprint)
        if at is None:
            self.best = _copied(self.model.state_dict())
            first = {"epoch": 0, "loss": None, "figure": self._figure(), "seconds": 0.0}
            at = TrainingState(fingerprint=fingerprint, history=[first])
        for line in at.history:
            self._tell(line)
        while not self._is_done(at):
            at, finished = self._epoch(at)
            if not finished:
                return self._result(at, finished=False)
        if self.judge is not None:
            self.model.load_state_dict(self.best)
        return self._result(at, finished=True)

    def _epoch(self, at: TrainingState) -> tuple[TrainingState, bool]:
        """Train to the end of the epoch, judge it, keep the state; False if it was stopped."""
        started = saved = time.monotonic()
        loss_sum, batch = at.loss_sum, at.batch
        self.model.train()
        for item in self.batches.epoch(at.epoch, at.batch):
            loss_sum += self._step(item)
            batch += 1
            stopped = self.stop is not None and self.stop.is_set()
            if stopped or time.monotonic() - saved >= self.every_s:
                here = _moved(at, batch=batch, loss_sum=loss_sum)
                self._save(here)
                saved = time.monotonic()
                if stopped:
                    return here, False
        figure = self._figure()
        line = {
            "epoch": at.epoch,
            "loss": loss_sum / max(1, len(self.batches)),
            "figure": figure,
            "seconds": round(time.monotonic() - started, 3),
        }
        best_epoch = at.best_epoch
        if figure is not None and figure > at.history[best_epoch]["figure"]:
            best_epoch, self.best = at.epoch, _copied(self.model.state_dict())
        after = TrainingState(
            fingerprint=at.fingerprint,
            epoch=at.epoch + 1,
            best_epoch=best_epoch,
            history=[*at.history, line],
        )
        self._save(after)
        self._tell(line)
        return after, True

    def _step(self, batch: PairBatch) -> float:
        """Learn from one batch; returns its loss."""
        torch.manual_seed(int(np.random.default_rng([*batch.key, 2]).integers(2**62)))
        rng = np.random.default_rng([*batch.key, 3])
        anchors = self._anchors(batch.anchor, rng)
        others, usable = self._chosen(batch, anchors)
        songs, place = np.unique(np.concatenate([batch.liked, others.ravel()]), return_inverse=True)
        embedded = _embed(
            self.tower, self.data.songs, songs, self.recipe.segments, self.device, rng
        )
        liked = (anchors * embedded[place[: len(anchors)]]).sum(1)
        against = embedded[place[len(anchors) :]].view(*others.shape, -1)
        similarities = torch.einsum("be,bne->bn", anchors, against)
        loss = self._loss(liked, similarities, torch.from_numpy(usable).to(self.device))
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def _anchors(self, numbers: Int64Array, rng: np.random.Generator) -> Tensor:
        """Return the anchors' embeddings, (B, E)."""
        if self.data.anchors is None:
            unique, place = np.unique(numbers, return_inverse=True)
            return self._embed(unique, rng)[place]
        index = torch.from_numpy(numbers).to(self.device)
        table = self.model["anchors"](index) if self.fixed is None else self.fixed[index]
        return functional.normalize(table, dim=1)

    def _embed(self, songs: Int64Array, rng: np.random.Generator) -> Tensor:
        """Return the embeddings of some songs by a few segments of each, (n, E)."""
        limit = self.recipe.segments
        return _embed(self.tower, self.data.songs, songs, limit, self.device, rng)

    def _chosen(self, batch: PairBatch, anchors: Tensor) -> tuple[Int64Array, Any]:
        """Return the songs that stand against the liked ones, and which count."""
        rule = self.recipe.negatives
        if not rule.semi_hard:
            return batch.others, batch.usable
        songs, place = np.unique(
            np.concatenate([batch.liked, batch.others.ravel()]), return_inverse=True
        )
        rng = np.random.default_rng([*batch.key, 4])
        with torch.no_grad():
            found = _embed(
                self.tower, self.data.songs, songs, self.recipe.segments, self.device, rng
            )
            known = found[place[len(anchors) :]].view(*batch.others.shape, -1)
            drawn = torch.einsum("be,bne->bn", anchors, known).cpu().numpy()
            liked = (anchors * found[place[: len(anchors)]]).sum(1).cpu().numpy()
        columns = semi_hard(drawn, liked, batch.usable, batch.is_disliked, count=rule.count)
        rows = np.arange(len(columns))[:, None]
        return batch.others[rows, columns], batch.usable[rows, columns]

    def _loss(self, liked: Tensor, others: Tensor, usable: Tensor) -> Tensor:
        if self.recipe.loss == "hinge":
            return hinge_loss(liked, others, usable, margin=self.recipe.margin)
        return softmax_loss(liked, others, usable, temperature=self.recipe.temperature)

    def _figure(self) -> float | None:
        """Return what the judge says of the present state."""
        if self.judge is None:
            return None
        songs = embed_songs(self.tower, self.data.songs, device=self.device)
        anchors = songs if self.data.anchors is None else self._all_anchors()
        return float(self.judge(anchors, songs))

    def _all_anchors(self) -> FloatArray:
        with torch.no_grad():
            everyone = np.arange(len(self.data.anchors if self.data.anchors is not None else ()))
            table: FloatArray = self._anchors(everyone, np.random.default_rng(0)).cpu().numpy()
        return table

    def _is_done(self, at: TrainingState) -> bool:
        if at.epoch > self.recipe.max_epochs:
            return True
        last = at.epoch - 1
        return self.judge is not None and last - at.best_epoch >= self.recipe.patience

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Give the backbone, where there is one, a learning rate of its own."""
        slow = [p for n, p in self.model.named_parameters() if ".backbone." in n]
        quick = [p for n, p in self.model.named_parameters() if ".backbone." not in n]
        groups: list[dict[str, Any]] = [{"params": quick}]
        if slow:
            groups.append({"params": slow, "lr": self.recipe.backbone_learning_rate})
        return groups

    def _save(self, at: TrainingState) -> None:
        if self.checkpoint is None:
            return
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        tensors |= {f"best.{name}": t for name, t in self.best.items()}
        tensors |= optimiser_tensors(self.optimiser.state_dict())
        save_checkpoint(self.checkpoint, tensors, at)

    def _resume(self, fingerprint: str) -> TrainingState | None:
        found = None if self.checkpoint is None else load_checkpoint(self.checkpoint, fingerprint)
        if found is None:
            return None
        tensors, at = found
        assert self.checkpoint is not None  # noqa: S101 - it was found there
        with restoring(self.checkpoint):
            self.model.load_state_dict(_below(tensors, "model."))
            self.best = _below(tensors, "best.")
            groups = self.optimiser.state_dict()["param_groups"]
            self.optimiser.load_state_dict(optimiser_state(tensors, groups))
        return at

    def _result(self, at: TrainingState, *, finished: bool) -> TrainedTower:
        learnt = None
        if "anchors" in self.model:
            learnt = self._all_anchors()
        return TrainedTower(
            tower=self.tower.eval().cpu(),
            anchors=learnt,
            best_epoch=at.best_epoch if self.judge is not None else at.epoch - 1,
            history=at.history,
            finished=finished,
        )

    def _tell(self, line: dict[str, Any]) -> None:
        if self.tell is not None:
            self.tell(line)


def _embed(
    tower: AudioTower,
    songs: SongSegments,
    numbers: Int64Array,
    limit: int,
    device: str,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """Return the embeddings of some songs by at most `limit` segments each."""
    rows, owner = songs.rows(numbers, limit=limit, rng=rng)
    values = torch.from_numpy(np.asarray(songs.values[rows], np.float32)).to(device)
    embedded: Tensor = tower(values, torch.from_numpy(owner).to(device), len(numbers))
    return embedded


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _moved(at: TrainingState, *, batch: int, loss_sum: float) -> TrainingState:
    return TrainingState(
        fingerprint=at.fingerprint,
        epoch=at.epoch,
        batch=batch,
        loss_sum=loss_sum,
        best_epoch=at.best_epoch,
        history=at.history,
    )
