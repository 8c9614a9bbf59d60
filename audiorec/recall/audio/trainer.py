"""The audio tower, and its training: liked songs near their users, while held-out artists improve.

    `TowerInputs` of each phase, recipe ──train_twice──▶ `TrainedTower`: the state, and the history

Epoch 0 is the initial state. After every epoch the embeddings of all songs go to `judge`, which
scores held-out artists; `audiorec.learning.fit` keeps the best state.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.errors import InputError, WeightsError, import_extra
from audiorec.learning.fit import Line, Phase, fit_refit
from audiorec.learning.losses import hinge_loss, softmax_loss
from audiorec.learning.machine import generator, one_thread, torch_seed
from audiorec.recall.audio.data import Batches, PairBatch, TrainingData
from audiorec.recall.audio.model import MIN_SCALE, WEIGHT_LIMIT, TowerSpec, UserAudioRecipe
from audiorec.store.features import SongSegments
from audiorec.tagger.backbone_torch import Musicnn
from audiorec.types import FloatArray, Int64Array

# SpecAugment on segments of 187 frames and 96 bands: masks at most a sixth of the frames and an
# eighth of the bands.
TIME_MASK, FREQUENCY_MASK = 32, 12


class Tower(nn.Module):
    """The audio tower: embed the segments of a song as one vector of unit length.

        segments (T, D) ──standardise──▶ linear + hidden layer ──▶ (T, E)
                        ──attention or mean over segments──▶ (E,) ──▶ unit length

    The last hidden weights and the attention start at zero, so a new tower is its linear part and a
    plain mean; `audiorec.recall.audio.model` initialises the linear part.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: TowerSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", torch.zeros(spec.width))
        self.register_buffer("scale", torch.ones(spec.width))
        self.linear = nn.Linear(spec.width, spec.embedding)
        nn.init.zeros_(self.linear.bias)
        self.dropout = nn.Dropout(spec.dropout)
        self.input_dropout = nn.Dropout(spec.input_dropout)
        if spec.hidden:
            self.hidden = nn.Linear(spec.width, spec.hidden)
            self.output = _zeros(nn.Linear(spec.hidden, spec.embedding))
        if spec.pooling == "attention":
            self.attention = nn.Linear(spec.width, spec.attention)
            self.importance = _zeros(nn.Linear(spec.attention, 1))

    def forward(self, segments: Tensor, owner: Tensor, n_songs: int) -> Tensor:
        """Embed songs given their segments, (B, D): shape (n_songs, E), of unit length.

        `owner` (B,) int64 is the song of each segment, 0 to ``n_songs - 1``; no song is empty.
        """
        x = self.input_dropout((segments - self.mean) / self.scale)
        mapped = self.linear(x)
        if self.spec.hidden:
            mapped = mapped + self.output(self.dropout(self.hidden(x).relu()))
        pooled = self._pool(x, mapped, owner, n_songs)
        return functional.normalize(pooled, dim=1, eps=1e-9)

    def start_from(self, mean: Tensor, scale: Tensor, weights: Tensor | None) -> None:
        """Set the standardisation, (D,) each, and the linear part, (E, D)."""
        with torch.no_grad():
            self.mean.copy_(mean)
            self.scale.copy_(scale.clamp_min(MIN_SCALE))
            if weights is not None:
                self.linear.weight.copy_(weights)

    def _pool(self, x: Tensor, mapped: Tensor, owner: Tensor, n_songs: int) -> Tensor:
        """Return the weighted mean of each song's segments: (B, E) to (n_songs, E)."""
        if self.spec.pooling == "mean":
            weight = torch.ones_like(mapped[:, :1])
        else:
            logits = self.importance(self.attention(x).tanh())
            weight = (WEIGHT_LIMIT * (logits / WEIGHT_LIMIT).tanh()).exp()
        total = mapped.new_zeros(n_songs, 1).index_add(0, owner, weight)
        sums = mapped.new_zeros(n_songs, mapped.shape[1]).index_add(0, owner, mapped * weight)
        return sums / total


def _zeros(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class EndToEndTower(nn.Module):
    """A backbone below a tower of width D; masking in training needs torchaudio.

        log-mel (N, 187, 96) ──masked in training──▶ backbone ──▶ penultimate (N, 200) ──▶ Tower

    The backbone is any module that takes log-mel (B, T, M) and returns logits, penultimate (B, D),
    maximum and mean pools. Its batch-norms keep their original statistics, also in training: a
    batch of a few songs would estimate them worse.
    """

    def __init__(self, backbone: nn.Module, tower: Tower) -> None:
        super().__init__()
        self.spec = tower.spec
        self.backbone = backbone
        self.tower = tower
        self.masks = nn.ModuleList(_masks())

    def train(self, mode: bool = True) -> "EndToEndTower":
        """Switch the mode, but keep the backbone's batch-norms and dropout in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, log_mel: Tensor, owner: Tensor, n_songs: int) -> Tensor:
        """Embed songs: (N, T, M) to (n_songs, E); see `Tower.forward`."""
        return self.tower(self.penultimate(log_mel), owner, n_songs)

    def penultimate(self, log_mel: Tensor) -> Tensor:
        """Return the tower's input for N segments: (N, D)."""
        if self.training:
            image = log_mel.transpose(1, 2).unsqueeze(1)  # (N, 1, M, T), as the masks require
            for mask in self.masks:
                image = mask(image)
            log_mel = image.squeeze(1).transpose(1, 2)
        _, penultimate, _, _ = self.backbone(log_mel)
        return penultimate

    def start_from(self, mean: Tensor, scale: Tensor, weights: Tensor | None) -> None:
        """See `Tower.start_from`; the statistics are of the backbone's penultimate layer."""
        self.tower.start_from(mean, scale, weights)


def _masks() -> list[Any]:
    """Return torchaudio's two masks, which differ for each segment."""
    of = import_extra("torchaudio.transforms", "training end to end", "train")
    # `iid_masks` draws one mask per example, from torch's generator.
    return [
        of.TimeMasking(TIME_MASK, iid_masks=True),
        of.FrequencyMasking(FREQUENCY_MASK, iid_masks=True),
    ]


def song_means(tower: EndToEndTower, values: Any, offsets: Any, *, device: str = "cpu") -> Tensor:
    """Return the mean penultimate features of each song, unmasked: (S, D), float32."""
    tower.eval().to(device)
    means = []
    with torch.inference_mode():
        for first, last in pairwise(offsets):
            block = torch.from_numpy(values[first:last].astype("float32")).to(device)
            means.append(tower.penultimate(block).mean(0).cpu())
    return torch.stack(means)


def load_tower(spec: TowerSpec, tensors: Mapping[str, npt.NDArray[Any]]) -> EndToEndTower:
    """Return the network of an end-to-end model; raises `WeightsError` if weights do not fit."""
    tower = EndToEndTower(Musicnn(), Tower(spec))
    state = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
    try:
        tower.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"the weights do not fit an end-to-end model ({reason})") from error
    return tower.eval()


AudioTower = Tower | EndToEndTower
Judge = Callable[[FloatArray, FloatArray], float]
SONGS_AT_ONCE = 256  # per block, when all songs are embedded


@dataclass(frozen=True, slots=True, eq=False)
class TowerInputs:
    """The inputs of one training."""

    tower: AudioTower  # untrained; it is changed in place
    data: TrainingData
    # maps anchors (U, E) and songs (S, E) to a figure, higher is better; None: training runs for
    # all epochs, and the last state is kept
    evaluate: Judge | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedTower:
    """Result of a training."""

    tower: AudioTower  # in its best state, in evaluation mode, on the CPU
    best_epoch: int  # 0 if nothing beat the start
    history: list[dict[str, Any]]  # ``epoch``, ``loss``, ``auc`` and ``seconds`` of each epoch
    finished: bool  # False if it was stopped; it resumes from the checkpoint


def train_twice(
    lesson_for: Callable[[Phase], TowerInputs], recipe: UserAudioRecipe, **run: Any
) -> TrainedTower:
    """Choose the number of epochs on held-out artists, then train on these too.

    The history covers both phases; the best epoch and its figure are those of the first. `run` are
    options of `fit_refit`. An unusable device raises an `InputError`.
    """
    with quiet_torch(recipe):
        done = fit_refit(
            lambda phase: TowerLearner(lesson_for(phase), recipe),
            max_epochs=recipe.max_epochs,
            patience=recipe.patience,
            clip=recipe.clip,
            **run,
        )
        best = (done.refit or done.chosen).best_epoch
        return done.learner.trained(done.history, best, finished=done.finished)


@contextmanager
def quiet_torch(recipe: UserAudioRecipe) -> Iterator[None]:
    """Train in one thread, and leave torch's global generator unchanged."""
    with one_thread("training user-audio"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        yield


def embed_songs(tower: AudioTower, songs: SongSegments, *, device: str = "cpu") -> FloatArray:
    """Return the embeddings of all songs from all of their segments: (S, E), float32."""
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


class TowerLearner:
    """A tower that learns to place songs near users; see `fit`."""

    def __init__(self, lesson: TowerInputs, recipe: UserAudioRecipe) -> None:
        self.tower, self.data, self.judged_by = lesson.tower, lesson.data, lesson.evaluate
        self.recipe, self.device = recipe, recipe.device
        tower, data, device = self.tower, self.data, self.device
        self.model = nn.ModuleDict({"tower": tower})
        try:
            self.model.to(device)
            table = torch.tensor(data.anchors, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).split("\n", 1)[0]
            raise InputError(f"cannot use device {device!r}: {reason}") from error
        self.anchors = functional.normalize(table, dim=1)
        self.sampled = Batches(data, recipe)
        self.optimiser = torch.optim.AdamW(
            self._parameter_groups(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )

    def start(self) -> Line:
        """Return the figures of the untrained tower."""
        return {"epoch": 0, "loss": None, "auc": self._auc(), "seconds": 0.0}

    def batches(self, epoch: int, first: int) -> Iterator[PairBatch]:
        """Yield the batches of an epoch from number `first`."""
        return self.sampled.epoch(epoch, first)

    def evaluate(self, epoch: int, loss: float, seconds: float) -> Line:
        """Return the figures of an epoch."""
        return {"epoch": epoch, "loss": loss, "auc": self._auc(), "seconds": seconds}

    def score(self, line: Line) -> float:
        """Return the judge's figure; without a judge, later is better."""
        return float(line["epoch"] if self.judged_by is None else line["auc"])

    def step(self, batch: PairBatch) -> float:
        """Train on a batch; return its loss."""
        torch.manual_seed(torch_seed(generator(*batch.key, 2)))
        rng = generator(*batch.key, 3)
        anchors = self.anchors[torch.from_numpy(batch.anchor).to(self.device)]
        liked, similarities = self._similarities(anchors, batch.liked, batch.others, rng)
        loss = self._loss(liked, similarities, torch.from_numpy(batch.usable).to(self.device))
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def _similarities(
        self, anchors: Tensor, liked: Int64Array, others: Int64Array, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return similarities of B anchors to the liked songs, (B,), and to the others, (B, n)."""
        songs, place = np.unique(np.concatenate([liked, others.ravel()]), return_inverse=True)
        embedded = self._embed(songs, rng)
        against = embedded[place[len(anchors) :]].view(*others.shape, -1)
        near = (anchors * embedded[place[: len(anchors)]]).sum(1)
        return near, torch.einsum("be,bne->bn", anchors, against)

    def _embed(self, songs: Int64Array, rng: np.random.Generator) -> Tensor:
        """Return the embeddings of some songs from a few segments of each, (n, E)."""
        limit = self.recipe.segments
        return _embed(self.tower, self.data.songs, songs, limit, self.device, rng)

    def _loss(self, liked: Tensor, others: Tensor, usable: Tensor) -> Tensor:
        if self.recipe.loss == "hinge":
            return hinge_loss(liked, others, usable, margin=self.recipe.margin)
        return softmax_loss(liked, others, usable, temperature=self.recipe.temperature)

    def _auc(self) -> float | None:
        """Return the judge's figure of the current state."""
        if self.judged_by is None:
            return None
        songs = embed_songs(self.tower, self.data.songs, device=self.device)
        return float(self.judged_by(self.anchors.cpu().numpy(), songs))

    def trained(self, history: list[Line], best_epoch: int, *, finished: bool) -> TrainedTower:
        """Return the trained tower and its history."""
        return TrainedTower(
            tower=self.tower.eval().cpu(),
            best_epoch=best_epoch,
            history=history,
            finished=finished,
        )

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimiser's groups; a backbone gets its own learning rate."""
        slow = [p for n, p in self.model.named_parameters() if ".backbone." in n]
        quick = [p for n, p in self.model.named_parameters() if ".backbone." not in n]
        groups: list[dict[str, Any]] = [{"params": quick}]
        if slow:
            groups.append({"params": slow, "lr": self.recipe.backbone_learning_rate})
        return groups


def _embed(
    tower: AudioTower,
    songs: SongSegments,
    numbers: Int64Array,
    limit: int,
    device: str,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """Return the embeddings of some songs from at most `limit` segments each."""
    rows, owner = songs.rows(numbers, limit=limit, rng=rng)
    values = torch.from_numpy(np.asarray(songs.values[rows], np.float32)).to(device)
    return tower(values, torch.from_numpy(owner).to(device), len(numbers))
