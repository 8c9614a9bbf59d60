"""The weights of a night's channels, learnt from what was played after earlier nights.

    folders of earlier nights, plays ──since_nights──▶ `Evidence`: what was proposed and played
    songs kept back from tonight's models ──judge_kept_back──▶ the same, for a first night
    evidence, last night's weights ──weighed──▶ what ``weights.json`` says

No model is fitted a second time, so networks and tables of one's own are weighed like the others.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.columns import ShownColumns
from audiorec.errors import DamagedFileError, InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import Channel
from audiorec.recall.serving.fuse import read_weights
from audiorec.recall.serving.nightly.current import WEIGHTS, file_stem, whole_run
from audiorec.recall.serving.nightly.promotion import Judge
from audiorec.recall.serving.tune import FEWEST, Evidence, learn, moved, proposed_to

MOST = 2_000  # users of a night, drawn by seed; with so many, no earlier night is read
NIGHTS = 30


def since_nights(
    folders: Sequence[Path], names: Sequence[str], plays: Sequences
) -> Evidence | None:
    """Return what was played after earlier nights, each play by the newest lists before it.

    Parameters
    ----------
    folders : sequence of path
        Of the nights, the newest first; those of other channels and unfinished ones are left out.
    names : sequence of str
        The channels, in the order of the evidence.
    plays : Sequences
        Finished plays. A song that a user plays for the first time is wanted.
    """
    parts: list[Evidence] = []
    until, users = np.inf, 0
    for folder in folders[:NIGHTS]:
        record = whole_run(str(folder))
        if sorted(record.get("order", [])) != sorted(names):
            continue
        since = datetime.fromisoformat(str(record[ShownColumns.AT])).timestamp()
        wanted = first_played(plays, since, until)
        until = since
        if len(wanted):
            places = [folder / "candidates" / f"{file_stem(name)}.parquet" for name in names]
            with suppress(InputError):  # no list of that night had one of these users
                parts.append(proposed_to(places, wanted))
                users += parts[-1].users
        if users >= MOST:
            break
    return Evidence.joined(parts) if parts else None


def first_played(plays: Sequences, since: float, until: float = np.inf) -> Sequences:
    """Return the songs that users first played after `since` and not after `until`.

    Only users with such songs are there, at most `MOST`.
    """
    early = plays.time <= since
    new = (plays.time > since) & (plays.time <= until)
    result = plays.keep(new & ~np.isin(plays.pair, plays.pair[early]))
    rows = np.flatnonzero(result.lengths)
    return result.take(np.sort(np.random.default_rng(0).permutation(rows)[:MOST]))


def judge_kept_back(judge: Judge | None, channels: Sequence[Channel]) -> Evidence | None:
    """Return the songs that were kept back from models, and what these propose; None without."""
    if judge is None:
        return None
    blocks = [Evidence.of(judge.tables(channels, rows), wanted) for rows, wanted in judge.blocks()]
    return Evidence.joined(blocks)


def weighed(
    evidence: Evidence | None, names: Sequence[str], last: Mapping[str, float], source: str
) -> dict[str, Any]:
    """Return what ``weights.json`` says: tonight's weights, and what they come from.

    Parameters
    ----------
    evidence : Evidence, optional
    names : sequence of str
    last : mapping of str to float
        Last night's weights; empty on a first night.
    source : str
        Where the evidence comes from, in words.

    Returns
    -------
    found : dict
        ``weights``: by channel, sum 1. ``before``: those of last night. ``from``: the source; and
        the values of `Learnt.to_dict`: empty ones if there are too few users.
    """
    kept = {name: last[name] for name in names if name in last}
    before = kept if len(kept) == len(names) and any(kept.values()) else {}
    equal = {name: round(1 / len(names), 6) for name in names}
    try:
        if evidence is None:
            raise InputError("nothing to learn from")
        found = learn(evidence, names)
    except InputError:  # too few users
        return {"weights": before or equal, "before": before, "learnt": {}, "alone": ""}
    weights = moved(before, {name: one.value for name, one in found.weights.items()})
    return {"weights": weights, "before": before, "from": source, **found.to_dict()}


def said_of(content: Mapping[str, Any]) -> list[str]:
    """Return lines about the weights of a night: what they are, and what they come from."""
    weights, learnt = content["weights"], content["learnt"]
    if not learnt:
        rest = "as last night" if content["before"] else "all the same, which may be worse than one"
        return [f"weights: {rest}: too few users discovered songs to learn from ({FEWEST} needed)"]
    named = ", ".join(
        f"{name} {weight:.2f} [{learnt[name][1]:.2f}, {learnt[name][2]:.2f}]"
        for name, weight in sorted(weights.items(), key=lambda one: -one[1])
    )
    lines = [f"weights: {named}; from {content['from']}, {content['users']:,} users"]
    value, low, high = content["lead"]
    than = f"ndcg@20 {value:+.3f} [{low:+.3f}, {high:+.3f}]"
    if content["alone"]:
        lines.append(
            f"{content['alone']} is served alone: fused with the others it is worse: {than}"
        )
    else:
        lines.append(f"fused, over {content['best']}, the best channel alone: {than}")
    return lines


def last_weights(folder: Path | None) -> dict[str, float]:
    """Return the weights of a night; none if it learnt none."""
    try:
        return {} if folder is None else read_weights(folder / WEIGHTS)
    except (InputError, DamagedFileError):
        return {}
