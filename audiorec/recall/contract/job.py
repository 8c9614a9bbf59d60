"""Train a channel and write its model; a training that is stopped can go on.

channel, data ──train_channel──▶ model/      state in ``model.run/`` until it is done
"""

from pathlib import Path
from threading import Event

from audiorec.files.run_folder import RunFolder
from audiorec.learning.bundle import check_target
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import RecallData
from audiorec.types import LineProgress

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
        after a stop goes on from there.
    progress : callable, optional
        Called with a line of the history after each epoch.
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
    folder = RunFolder(out, RUN_FILES)
    try:
        channel.fit(data, work=folder.path, progress=progress, stop=stop)
        if not channel.song_ids:
            return None
        model_id = channel.save(out)
        folder.clear()
    finally:
        folder.release(remove=not folder.names())
    return model_id
