"""Tables of rows, in memory or in files: what lets a graph be larger than memory.

    rows that a step touches ──read, changed in place──▶ pages of a file, which the system writes
    back and drops when memory is wanted for something else

A table in a file holds the same numbers and is trained by the same steps, so that the model is the
same bit for bit; a step that touches rows which are not in memory waits for the disk. Files have
no name from the moment they are opened: whatever ends the training frees their space.
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
from audiorec.types import FloatArray

Where = Literal["auto", "memory", "files"]
SHARE = 0.5  # of the free memory, that tables may take before they go into files
NUMBER_BYTES = 4
MEMORY = Path("/proc/meminfo")


def room_for(n_bytes: int, where: Where, work: Path | None) -> Path | None:
    """Return the folder of the files of tables that take so many bytes; None: memory.

    Parameters
    ----------
    n_bytes : int
    where : {"auto", "memory", "files"}
        ``auto``: files if the tables would take more than half of the memory that is free.
    work : Path, optional
        The folder of the run; without one, that of temporary files.
    """
    free = _free_memory()
    large = where == "files" or (where == "auto" and free is not None and n_bytes > SHARE * free)
    if not large:
        return None
    folder = Path(tempfile.gettempdir()) if work is None else work
    if shutil.disk_usage(folder).free < n_bytes:
        raise InputError(
            f"{folder}: tables of {n_bytes / 1e9:.1f} GB find no room in memory nor here: write "
            "the model to another disk, or set a smaller dimension"
        )
    return folder


def rows_in(room: Path | None, rows: int, width: int) -> Tensor:
    """Return zeros (rows, width), float32: in memory, or in a file of the folder `room`."""
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


def array_in(room: Path | None, rows: int, width: int) -> FloatArray:
    """Return the same as an array."""
    found: FloatArray = rows_in(room, rows, width).numpy()
    return found


def learnt(rows: Tensor, *, sparse: bool = True) -> nn.Embedding:
    """Return rows that are learnt; with `sparse`, a step costs only the rows that it touches."""
    return nn.Embedding(len(rows), rows.shape[1], sparse=sparse, _weight=rows)


def table(start: FloatArray, *, sparse: bool = True) -> nn.Embedding:
    """Return a copy of an array as rows in memory that are learnt."""
    return learnt(torch.from_numpy(np.array(start, np.float32)), sparse=sparse)


def _free_memory() -> int | None:
    """Return the bytes that can be had without swapping; None where the system does not say."""
    try:
        lines = MEMORY.read_text().splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
