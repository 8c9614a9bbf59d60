"""The audio tower: embed the segments of a song as one vector of unit length.

    segments (T, D) ──standardise──▶ linear + hidden layer ──▶ (T, E)
                    ──attention or mean over segments──▶ (E,) ──▶ unit length

The last hidden weights and the attention start at zero, so a new tower is its linear part and a
plain mean; `audiorec.recall.audio.closed_form` initialises the linear part.

An `EndToEndTower` reads log-mel segments and also trains the backbone.

    log-mel (N, 187, 96) ──masked in training──▶ backbone ──▶ penultimate (N, 200) ──▶ Tower

The backbone is given by the caller: any module that returns logits, the penultimate layer and two
pools. Its batch-norms keep their original statistics, also in training: a batch of a few songs
would estimate them worse.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiorec.errors import MissingExtraError, WeightsError
from audiorec.recall.audio.model import MIN_SCALE, WEIGHT_LIMIT, TowerSpec
from audiorec.tagger.backbone_torch import Musicnn

# SpecAugment on segments of 187 frames and 96 bands: masks at most a sixth of the frames and an
# eighth of the bands.
TIME_MASK, FREQUENCY_MASK = 32, 12


class Tower(nn.Module):
    """The network; see the module docstring."""

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

    The backbone takes log-mel (B, T, M) and returns logits, penultimate (B, D), maximum and mean
    pools.
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
        embedded: Tensor = self.tower(self.penultimate(log_mel), owner, n_songs)
        return embedded

    def penultimate(self, log_mel: Tensor) -> Tensor:
        """Return the tower's input for N segments: (N, D)."""
        if self.training:
            image = log_mel.transpose(1, 2).unsqueeze(1)  # (N, 1, M, T), as the masks require
            for mask in self.masks:
                image = mask(image)
            log_mel = image.squeeze(1).transpose(1, 2)
        _, penultimate, _, _ = self.backbone(log_mel)
        hidden: Tensor = penultimate
        return hidden

    def start_from(self, mean: Tensor, scale: Tensor, weights: Tensor | None) -> None:
        """See `Tower.start_from`; the statistics are of the backbone's penultimate layer."""
        self.tower.start_from(mean, scale, weights)


def _masks() -> list[Any]:
    """Return torchaudio's two masks, which differ for each segment."""
    try:
        from torchaudio.transforms import FrequencyMasking, TimeMasking
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingExtraError("training end to end", "train", str(error)) from error
    # `iid_masks` draws one mask per example, from torch's generator.
    return [
        TimeMasking(TIME_MASK, iid_masks=True),
        FrequencyMasking(FREQUENCY_MASK, iid_masks=True),
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
