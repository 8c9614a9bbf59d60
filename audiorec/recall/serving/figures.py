"""What the channels of some tables are worth, by the figures in the metadata of their candidates.

candidates.parquet, metadata ──worth_of──▶ a figure per channel ──weights_by_worth──▶ weights

Every channel of `recall train` is judged on the newest part of its listening
(`audiorec.recall.contract.validation`); `recall candidates` passes the figure on.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from audiorec.files.tables import TableFile
from audiorec.learning.next_plays import NEW
from audiorec.recall.contract.candidates import FIGURES_KEY

POWER = 16  # of a figure relative to the best one: smaller ones let weak channels do harm
MAX_BYTES = 1 << 16


def weights_by_worth(paths: Sequence[Path]) -> tuple[tuple[float, ...], str]:
    """Return the weights of tables by their channels' figures, and a note if they are equal.

    Weights are empty, which means equal, unless every table has a figure. A channel with nine
    tenths of the best figure has a fifth of its weight.

    Parameters
    ----------
    paths : sequence of path
        One table of candidates per channel.
    """
    found = [worth_of(path) for path in paths]
    best = max((worth for worth in found if worth is not None), default=0.0)
    lacking = [path.name for path, worth in zip(paths, found, strict=True) if worth is None]
    if len(paths) < 2:
        return (), ""
    if lacking or not best:
        named = ", ".join(lacking or [path.name for path in paths])
        return (), (
            f"all channels weigh the same, which may be worse than one alone: {named} has no "
            "validation figure; give weights, or learn them: audiorec recall tune"
        )
    return tuple(round((worth or 0.0) / best, 6) ** POWER for worth in found), ""


def worth_of(path: Path) -> float | None:
    """Return the figure of the channel that wrote a table; None if it is unknown."""
    if path.suffix != ".parquet":
        return None
    with TableFile.open(path) as file:
        text = file.footer.get(FIGURES_KEY, b"")
    with suppress(ValueError, TypeError, AttributeError):
        value = json.loads(text).get(NEW) if len(text) <= MAX_BYTES else None
        if isinstance(value, int | float) and np.isfinite(value) and value >= 0:
            return float(value)
    return None
