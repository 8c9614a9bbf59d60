"""The backbone in torch: the readable reference, and the form for training.

    log-mel (B, 187, 96) ──Musicnn──▶ tags (B, 50), penultimate (B, 200), pools (B, 753)

Layers are named as in the safetensors file. All weights are trainable; in training mode the network
has the dropout and the batch-norm momentum of the original.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from audiorec.errors import WeightsError
from audiorec.tagger.weights import (
    NORM_EPSILON,
    read_metadata,
)

MOMENTUM = 0.01  # of every batch-norm; the framework's default, 1 - 0.99
DROPOUT = 0.5
TIMBRAL_CHANNELS, TEMPORAL_CHANNELS, MIDDLE_CHANNELS = 204, 51, 64
FRONT_CHANNELS = 2 * TIMBRAL_CHANNELS + 3 * TEMPORAL_CHANNELS  # 561
POOLED = FRONT_CHANNELS + 3 * MIDDLE_CHANNELS  # 753
HIDDEN, TAGS = 200, 50


class FrequencyBlock(nn.Module):
    """Convolution, then maximum over frequency: (B, 1, F, 96) to (B, channels, F)."""

    def __init__(self, channels: int, frames: int, bands: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, (frames, bands))
        self.norm = nn.BatchNorm2d(channels, eps=NORM_EPSILON, momentum=MOMENTUM)
        before = (frames - 1) // 2  # an even kernel is padded by one more zero at the end
        self.padding = (0, 0, before, frames - 1 - before)

    def forward(self, image: Tensor) -> Tensor:
        """Return the maxima over frequency."""
        mapped: Tensor = self.norm(self.conv(functional.pad(image, self.padding)).relu())
        return mapped.amax(3)


class TimeBlock(nn.Module):
    """Convolution over time: (B, channels, F) to (B, 64, F)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, MIDDLE_CHANNELS, 7, padding=3)
        self.norm = nn.BatchNorm1d(MIDDLE_CHANNELS, eps=NORM_EPSILON, momentum=MOMENTUM)

    def forward(self, series: Tensor) -> Tensor:
        """Return the block's output."""
        return self.norm(self.conv(series).relu())


class Musicnn(nn.Module):
    """The musicnn network; `forward` takes any number of frames, 187 in audiorec.

        log-mel (B, 187, 96)
          │ batch-norm of one channel
          ├─ timbral blocks, kernels 7 frames × 38 or 67 bands     2 × 204 channels
          ├─ temporal blocks, kernels 128, 64 or 32 frames × 1     3 ×  51 channels
          │ maximum over all frequencies, concatenated             (B, 561, 187)
          ├─ three blocks over time, the last two residual         3 ×  64 channels
          │ all of the above concatenated                          (B, 753, 187)
          │ maximum and mean over time                             (B, 753) each
          │ batch-norm, dense 200, ReLU, batch-norm                penultimate
          └ dense 50, sigmoid                                      tags

    A block is convolution, ReLU, batch-norm, in this order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.input_norm = nn.BatchNorm2d(1, eps=NORM_EPSILON, momentum=MOMENTUM)
        self.timbral_38 = FrequencyBlock(TIMBRAL_CHANNELS, frames=7, bands=38)
        self.timbral_67 = FrequencyBlock(TIMBRAL_CHANNELS, frames=7, bands=67)
        self.temporal_128 = FrequencyBlock(TEMPORAL_CHANNELS, frames=128, bands=1)
        self.temporal_64 = FrequencyBlock(TEMPORAL_CHANNELS, frames=64, bands=1)
        self.temporal_32 = FrequencyBlock(TEMPORAL_CHANNELS, frames=32, bands=1)
        self.mid_1 = TimeBlock(FRONT_CHANNELS)
        self.mid_2 = TimeBlock(MIDDLE_CHANNELS)
        self.mid_3 = TimeBlock(MIDDLE_CHANNELS)
        self.pool_norm = nn.BatchNorm1d(2 * POOLED, eps=NORM_EPSILON, momentum=MOMENTUM)
        self.dense = nn.Linear(2 * POOLED, HIDDEN)
        self.dense_norm = nn.BatchNorm1d(HIDDEN, eps=NORM_EPSILON, momentum=MOMENTUM)
        self.output = nn.Linear(HIDDEN, TAGS)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute the features of B segments, (B, F, 96).

        Returns the logits of the tags, (B, 50); penultimate (B, 200); max_pool, mean_pool (B, 753).
        """
        maps = self.feature_maps(log_mel)
        max_pool, mean_pool = maps.amax(2), maps.mean(2)
        # The dense layer expects the two alternating: max 0, mean 0, max 1, mean 1, ...
        pooled = torch.stack([max_pool, mean_pool], 2).flatten(1)
        hidden = self.dense(self.dropout(self.pool_norm(pooled))).relu()
        penultimate = self.dense_norm(hidden)
        return self.output(self.dropout(penultimate)), penultimate, max_pool, mean_pool

    def feature_maps(self, log_mel: Tensor) -> Tensor:
        """Return all convolutional features over time, (B, F, 96) to (B, 753, F)."""
        # Padding comes after the batch-norm, so padded values are exactly 0.
        image = self.input_norm(log_mel.unsqueeze(1))
        timbral = [self.timbral_38(image), self.timbral_67(image)]
        temporal = [self.temporal_128(image), self.temporal_64(image), self.temporal_32(image)]
        front = torch.cat(timbral + temporal, 1)
        first = self.mid_1(front)
        second = self.mid_2(first) + first
        third = self.mid_3(second) + second
        return torch.cat([front, first, second, third], 1)


def load_network(path: Path) -> Musicnn:
    """Return the network with the weights of a safetensors file, in training mode.

    Raises `WeightsError` for a file without a backbone or with other tensors.
    """
    read_metadata(path)
    network = Musicnn()
    try:
        network.load_state_dict(load_file(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{path}: the tensors do not match musicnn ({reason})") from error
    return network
