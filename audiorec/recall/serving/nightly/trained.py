"""Models of a night: trained anew, or from the model of the day before.

channel, data, the day before ──train_night──▶ a model; every so many of a channel are full
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from audiorec.errors import InputError, SpecMismatchError, WeightsError
from audiorec.recall.contract.channel import Channel
from audiorec.recall.contract.data import RecallData
from audiorec.recall.contract.job import train_channel
from audiorec.recall.contract.warm import check_start
from audiorec.recall.registry import load_channel


def train_night(
    channel: Channel,
    data: RecallData,
    out: Path,
    older: Path | None,
    full_every: int,
    **run: Any,
) -> str | None:
    """Train a channel; return the id of its model, None if stopped.

    It goes on from the model `older`, unless that is missing, does not fit, or `full_every` asks
    for a full training. `run` are options of `train_channel`.
    """
    start = None if older is None else _start(channel, older, full_every)
    if start is not None:
        with suppress(InputError, SpecMismatchError):  # such as sound of another extractor
            return train_channel(channel, data, out, start=start, **run)
    return train_channel(channel, data, out, **run)


def _start(channel: Channel, older: Path, full_every: int) -> Channel | None:
    """Return the model to go on from, None for a full training."""
    with suppress(InputError, WeightsError):
        found = load_channel(older)
        check_start(channel, found)
        warm_starts = 0 if found.parent is None else found.parent.generation
        return found if warm_starts + 1 < full_every else None
    return None
