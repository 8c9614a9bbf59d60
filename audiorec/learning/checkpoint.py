"""Training checkpoints: the state of a run as one file that cannot run code.

A safetensors file contains the model, its best state so far and the optimiser's moments; its
metadata contain the progress of the run as JSON. The file is replaced by an atomic rename, so a
kill leaves the old or the new state, never a partial one. No generator state is stored: every draw
is seeded by the seed, the epoch and the batch (see `audiorec.learning.fit`).
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from audiorec.errors import StoreError
from audiorec.files.own_files import refuse_foreign, replaced

METADATA_KEY = "audiorec_training"
FORMAT_VERSION = 2
EVERY_S = 30.0  # seconds between two checkpoints within an epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """Progress of a training run."""

    fingerprint: str  # of the data and the recipe
    epoch: int = 1  # epoch and batch to train next
    batch: int = 0
    loss_sum: float = 0.0  # over the completed batches of this epoch
    best_epoch: int = 0  # 0 is the untrained model
    # one entry per epoch, as in ``metrics.jsonl``
    history: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0  # in completed epochs


LoadedCheckpoint = tuple[dict[str, Tensor], TrainingState]


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], progress: TrainingState) -> None:
    """Write a checkpoint to `path` atomically."""
    content = {name: getattr(progress, name) for name in progress.__slots__}
    kept = {n: tensor.detach().cpu().contiguous().clone() for n, tensor in tensors.items()}
    content |= {"format_version": FORMAT_VERSION, "sha256": _digest(kept, content)}
    with replaced(path) as temporary, _system_errors():
        save_file(kept, temporary, metadata={METADATA_KEY: json.dumps(content, allow_nan=False)})


def load_checkpoint(path: Path, fingerprint: str) -> LoadedCheckpoint | None:
    """Return the state at `path`; None if it is missing, damaged or of another training run.

    A link, or anything but a regular file, is refused with a `StoreError`.
    """
    if not os.path.lexists(path):
        return None
    refuse_foreign(path)
    with suppress(OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        with safe_open(path, framework="pt") as opened:
            content = json.loads((opened.metadata() or {})[METADATA_KEY])
        version, digest = content.pop("format_version"), content.pop("sha256")
        if version == FORMAT_VERSION and content["fingerprint"] == fingerprint:
            tensors = load_file(path)
            if digest == _digest(tensors, content):
                return tensors, TrainingState(**content)
    return None


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Turn errors while a checkpoint is restored into a `StoreError` that names the file."""
    try:
        yield
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise StoreError(
            f"{path}: not a checkpoint of this training run: {str(error).splitlines()[0]}; "
            "remove its folder to start from the beginning"
        ) from error


@contextmanager
def _system_errors() -> Iterator[None]:
    """Turn a safetensors error that quotes one of the system, such as a full disk, into that."""
    try:
        yield
    except SafetensorError as error:
        quoted = re.search(r"\(os error (\d+)\)", str(error))
        if quoted is None:
            raise
        raise OSError(int(quoted[1]), os.strerror(int(quoted[1]))) from error


def _digest(tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> str:
    """Return a checksum of everything needed to resume."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def optimiser_tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Flatten ``optimiser.state_dict()`` into tensors named ``optimiser.<number>.<key>``."""
    return {
        f"optimiser.{number}.{key}": value
        for number, values in state["state"].items()
        for key, value in values.items()
    }


def optimiser_state(tensors: Mapping[str, Tensor], groups: Any) -> dict[str, Any]:
    """Undo `optimiser_tensors`; `groups` are the ``param_groups`` of a fresh optimiser."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = tensor
    return {"state": state, "param_groups": groups}
