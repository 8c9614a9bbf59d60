"""Embedding tables in memory or in files, for graphs that are larger than memory.

    rows that a step updates ──read, changed in place──▶ pages of a file, which the system writes
    back and evicts when it needs the memory

A table in a file holds the same numbers and is trained by the same steps, so the model is the same
bit for bit; a step whose rows are not in memory waits for the disk. The files are unlinked as soon
as they are open: however the training ends, their space is freed.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from audiorec.errors import InputError
from audiorec.learning.machine import free_memory
from audiorec.types import FloatArray

Where = Literal["auto", "memory", "files"]
SHARE = 0.5  # share of the free memory above which tables go into files
NUMBER_BYTES = 4


def table_folder(n_bytes: int, where: Where, work: Path | None) -> Path | None:
    """Return the folder for tables of `n_bytes` that do not fit into memory; None if they do.

    Parameters
    ----------
    n_bytes : int
    where : {"auto", "memory", "files"}
        ``auto``: files if the tables would take more than half of the free memory.
    work : Path, optional
        The run's folder; by default, that of temporary files.
    """
    free = free_memory()
    large = where == "files" or (where == "auto" and free is not None and n_bytes > SHARE * free)
    if not large:
        return None
    folder = Path(tempfile.gettempdir()) if work is None else work
    if shutil.disk_usage(folder).free < n_bytes:
        raise InputError(
            f"{folder}: tables of {n_bytes / 1e9:.1f} GB fit neither into memory nor here: write "
            "the model to another disk, or set a smaller dimension"
        )
    return folder


def zero_rows(room: Path | None, rows: int, width: int) -> Tensor:
    """Return zeros (rows, width), float32: in memory, or in a file in the folder `room`."""
    if room is None or rows * width == 0:
        return torch.zeros(rows, width)
    handle, name = tempfile.mkstemp(prefix=".rows-", dir=room)
    try:
        os.truncate(handle, rows * width * NUMBER_BYTES)
        found = torch.from_file(name, shared=True, size=rows * width, dtype=torch.float32)
    finally:
        os.close(handle)
        Path(name).unlink()
    return found.view(rows, width)


def zero_array(room: Path | None, rows: int, width: int) -> FloatArray:
    """Return the same as a numpy array."""
    found: FloatArray = zero_rows(room, rows, width).numpy()
    return found


def trainable(rows: Tensor, *, sparse: bool = True) -> nn.Embedding:
    """Wrap rows as a trainable table; with `sparse`, a step costs only the rows that it uses."""
    return nn.Embedding(len(rows), rows.shape[1], sparse=sparse, _weight=rows)


def trainable_copy(start: FloatArray, *, sparse: bool = True) -> nn.Embedding:
    """Copy an array into a trainable table in memory."""
    return trainable(torch.from_numpy(np.array(start, np.float32)), sparse=sparse)
