"""Train a channel and write its bundle; an interrupted training can be resumed.

channel, data ──train_channel──▶ model/      checkpoints in ``model.run/`` until it is done

Processes that ``torchrun`` started train together, and the first one writes the bundle.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from audiorec.files.own_files import RunFolder, run_folder_path
from audiorec.learning.bundle import check_target
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import RecallData
from audiorec.types import LineProgress

if TYPE_CHECKING:
    from audiorec.learning.processes import Processes

# Files of an unfinished training, including decoded songs.
RUN_FILES = (
    r"(?:checkpoint|choose|refit)\.safetensors|metrics\.jsonl|log_mels/(?:[0-9a-f]{24}\.npy)?"
)


def train_channel(
    channel: Channel,
    data: RecallData,
    out: Path,
    *,
    progress: LineProgress | None = None,
    stop: Event | None = None,
) -> str | None:
    """Train a channel and write its bundle.

    Parameters
    ----------
    channel : Channel
    data : RecallData
    out : Path
        Folder of the bundle. An iterative training keeps its checkpoints in ``<out>.run/``, from
        which the same call resumes; several processes must share this folder.
    progress : callable, optional
        Called in the first process with the metrics of each epoch.
    stop : threading.Event, optional
        Once set, the training ends.

    Returns
    -------
    model_id : str or None
        None if the training was stopped.

    Raises
    ------
    InputError
        If `out` exists and is not a model, or the data cannot be used.
    StoreError
        If another run is writing `out`.
    """
    check_target(out)
    with _together() as processes:
        if processes is not None and not processes.is_first:
            channel.fit(data, work=run_folder_path(out), progress=progress, stop=stop)
            told = processes.from_first(lambda: None) or {}
            return told.get("model_id")
        folder = RunFolder(out, RUN_FILES)
        try:
            channel.fit(data, work=folder.path, progress=progress, stop=stop)
            model_id = channel.save(out) if channel.song_ids else None
            if model_id is not None:
                folder.clear()
        finally:
            folder.release(remove=not folder.names())
        if processes is not None:
            processes.from_first(lambda: {"model_id": model_id})
    return model_id


def is_first_process() -> bool:
    """Return whether this process is the only one, or the first that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0" or _n_processes() == 1


@contextmanager
def _together() -> "Iterator[Processes | None]":
    """Join the processes that ``torchrun`` started; None, without importing torch, if alone."""
    if _n_processes() == 1:
        yield None
        return
    from audiorec.learning.processes import join_processes

    with join_processes() as processes:
        yield processes


def _n_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
