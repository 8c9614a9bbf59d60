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


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """When a training saves a checkpoint within an epoch, and from which one it resumes."""

    # seconds between two checkpoints within an epoch; one is written after each epoch as well
    every_s: float = EVERY_S

    def found(self, path: Path, fingerprint: str) -> LoadedCheckpoint | None:
        """Return the checkpoint to resume from; None to start from the beginning."""
        return load_checkpoint(path, fingerprint)

    def begin(self, path: Path) -> None:
        """Clear away before training; all processes have read their checkpoint."""

    def is_due(self, steps: int, seconds: float) -> bool:  # noqa: ARG002 - a subclass counts steps
        """Return whether to save after `steps` of the epoch, `seconds` after the last time."""
        return seconds >= self.every_s

    def make_room(self, path: Path) -> None:
        """Move away what a new checkpoint must not replace."""


def previous_path(path: Path) -> Path:
    """Return the path of the previous checkpoint, if two are kept.

    Examples
    --------
    >>> previous_path(Path("choose.safetensors")).name
    'choose.before.safetensors'
    """
    return path.with_name(f"{path.stem}.before{path.suffix}")


def checkpoint_places(path: Path, fingerprint: str) -> list[tuple[int, int]]:
    """Return (epoch, batch) of each of the one or two checkpoints kept at `path`."""
    found = [load_checkpoint(one, fingerprint) for one in (path, previous_path(path))]
    return [(state.epoch, state.batch) for _, state in filter(None, found)]


def load_latest(
    path: Path, fingerprint: str, place: tuple[int, int] | None = None
) -> LoadedCheckpoint | None:
    """Return the later of two kept checkpoints, or the one at `place`.

    Raises `StoreError` if there is no checkpoint at `place`.
    """
    found = filter(None, (load_checkpoint(one, fingerprint) for one in (path, previous_path(path))))
    for tensors, state in found:
        if place is None or (state.epoch, state.batch) == place:
            return tensors, state
    if place is not None:
        raise StoreError(f"{path}: no checkpoint of epoch {place[0]}, step {place[1]}")
    return None


def keep_only(path: Path, place: tuple[int, int] | None) -> None:
    """Remove all kept checkpoints except the one at `place`; all if it is None."""
    for one in (path, previous_path(path)):
        if os.path.lexists(one):
            refuse_foreign(one)
            if place is None or _place_of(one) != place:
                one.unlink()
    if not path.exists() and previous_path(path).exists():
        previous_path(path).replace(path)


def fingerprint_at(path: Path) -> str:
    """Return the fingerprint stored in a checkpoint; empty if it is missing or unreadable."""
    return str(_said(path).get("fingerprint", ""))


def _place_of(path: Path) -> tuple[int, int] | None:
    content = _said(path)
    epoch, batch = content.get("epoch"), content.get("batch")
    return (epoch, batch) if isinstance(epoch, int) and isinstance(batch, int) else None


def _said(path: Path) -> dict[str, Any]:
    """Return the metadata of a checkpoint without reading its tensors."""
    with suppress(OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        refuse_foreign(path)
        with safe_open(path, framework="pt") as opened:
            content = json.loads((opened.metadata() or {})[METADATA_KEY])
        if isinstance(content, dict):
            return content
    return {}


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
