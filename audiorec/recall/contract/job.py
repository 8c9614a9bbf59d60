"""Train a channel and write its model; a training that is stopped can go on.

channel, data ──train_channel──▶ model/      state in ``model.run/`` until it is done

Started by ``torchrun``, the processes train together, and the first one writes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from audiorec.files.run_folder import RunFolder, run_folder_path
from audiorec.learning.bundle import check_target
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import RecallData
from audiorec.types import LineProgress

if TYPE_CHECKING:
    from audiorec.learning.processes import Processes

RUN_FILES = r"(?:checkpoint|training|choose|refit)\.safetensors|metrics\.jsonl"


def train_channel(
    channel: Channel,
    data: RecallData,
    out: Path,
    *,
    progress: LineProgress | None = None,
    stop: Event | None = None,
) -> str | None:
    """Train a channel and write its folder.

    Parameters
    ----------
    channel : Channel
    data : RecallData
    out : Path
        A channel that is trained by steps keeps its state in ``<out>.run/``: the same call
        after a stop goes on from there. Of several processes all must see the folder.
    progress : callable, optional
        Called with a line of the history after each epoch, in the first process.
    stop : threading.Event, optional
        Once set, the training ends.

    Returns
    -------
    model_id : str or None
        None if it was stopped.

    Raises
    ------
    InputError
        If `out` is something else than a model, or the data does not do.
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
    """Return whether this process is alone, or the first of those that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0" or _n_processes() == 1


@contextmanager
def _together() -> "Iterator[Processes | None]":
    """Join the processes that ``torchrun`` started; None where there are none, without torch."""
    if _n_processes() == 1:
        yield None
        return
    from audiorec.learning.processes import joined

    with joined() as processes:
        yield processes


def _n_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
