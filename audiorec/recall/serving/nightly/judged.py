"""Judge the lists of the last night by what users have played since: fused, and channel by channel.

lists of the last night, plays since ──judge_lists──▶ hit rates, fused minus each channel

Users decide what they play among the lists too, so these are figures of a working product, not of a
test set; all lists are judged on the same users.
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.columns import ListColumns, ShownColumns
from audiorec.evaluation.full_rank import clustered_interval
from audiorec.listening.sequences import Sequences
from audiorec.recall.serving.nightly.current import whole_run
from audiorec.recall.serving.nightly.plan import file_stem
from audiorec.recall.serving.nightly.state import FUSED
from audiorec.recall.serving.tables import BATCH_ROWS, candidates_by_user
from audiorec.types import Float64Array, IdMap, string_array

MOST_USERS = 20_000  # judged, drawn by seed
FEWEST_USERS = 20  # with fewer, no warning
FIRST = 10  # places of a list
BY = f"hit_rate@{FIRST}"
UNKNOWN = {"users": 0, BY: {}, "over": {}}


def judge_last_night(folder: Path | None, plays: Sequences) -> dict[str, Any]:
    """Judge the lists in a folder by finished plays after they were made; see `judge_lists`.

    ``since`` is their time; None if the folder has no whole set of lists of one run.
    """
    record = {} if folder is None else whole_run(str(folder))
    if folder is None or not record:
        return {"since": None, **UNKNOWN}
    lists = {n: folder / "candidates" / f"{file_stem(str(n))}.parquet" for n in record["order"]}
    since = str(record[ShownColumns.AT])
    at = datetime.fromisoformat(since).timestamp()
    return {"since": since, **judge_lists(folder / FUSED, lists, plays, at)}


def judge_lists(
    fused: Path, channels: Mapping[str, Path], plays: Sequences, since: float
) -> dict[str, Any]:
    """Return the hit rates of lists that were made at `since` (seconds since 1970).

    Parameters
    ----------
    fused : path
    channels : mapping of str to path
        The candidates of each channel.
    plays : Sequences
        Finished plays, the later ones included. A song that a user plays for the first time after
        `since` is wanted; users without one are not judged.
    since : float

    Returns
    -------
    found : dict
        ``users``; ``hit_rate@10`` by list; ``over``: the difference between the fused lists and
        those of each channel, paired by user; each as [value, low, high], with intervals of 95 %.
    """
    wanted = _wanted(plays, since)
    if not len(wanted):
        return UNKNOWN
    hits = {
        name: hits_of(candidates_by_user(path, BATCH_ROWS), wanted)
        for name, path in {"fused": fused, **channels}.items()
    }
    over = {name: hits["fused"] - of for name, of in hits.items() if name != "fused"}
    return {"users": len(wanted), BY: means_of(hits), "over": means_of(over)}


def fused_below(judged: Mapping[str, Any]) -> list[str]:
    """Return a line for each channel whose lists were surely better than the fused ones."""
    if judged["users"] < FEWEST_USERS:
        return []
    return [
        f"the fused lists of the last night were worse than {name} alone: {BY} "
        f"{judged[BY]['fused'][0]:.3f}, {judged[BY][name][0]:.3f} "
        f"(difference {value:+.3f} [{low:+.3f}, {high:+.3f}], {judged['users']:,} users); "
        "learn the weights: audiorec recall tune"
        for name, (value, low, high) in judged["over"].items()
        if high < 0
    ]


def _wanted(plays: Sequences, since: float) -> Sequences:
    """Return the songs that each user first played after `since`, for users who have some."""
    new = plays.time > since
    n = max(1, len(plays.song_ids))
    pair = plays.owner * n + plays.song
    found = plays.keep(new & ~np.isin(pair, pair[~new]))
    rows = np.flatnonzero(found.lengths)
    drawn = np.random.default_rng(0).permutation(rows)[:MOST_USERS]
    return found.take(np.sort(drawn))


def hits_of(tables: Iterable[Any], wanted: Sequences) -> Float64Array:
    """Return whether a wanted song is in the first places of each user's list: 1 or 0.

    `tables` are candidates, by any number of users each.
    """
    users, songs = (IdMap(string_array(ids)) for ids in (wanted.owner_ids, wanted.song_ids))
    width = max(1, len(wanted.song_ids))
    sought = wanted.owner * width + wanted.song
    found = np.zeros(len(wanted))
    for table in tables:
        first = pc.and_(pc.less_equal(table.column("rank"), FIRST), pc.invert(table.column("cold")))
        top = table.filter(first)
        user, song = (
            ids.rows(top.column(name).combine_chunks())
            for ids, name in ((users, ListColumns.USER), (songs, ListColumns.SONG))
        )
        known = (user >= 0) & (song >= 0)
        found[user[known][np.isin(user[known] * width + song[known], sought)]] = 1
    return found


def means_of(values: Mapping[str, Float64Array]) -> dict[str, list[float]]:
    """Return the mean of each array over users, with its interval."""
    return {
        name: [
            round(v, 6)
            for v in astuple(clustered_interval(of, np.arange(len(of)), np.random.default_rng(0)))
        ]
        for name, of in values.items()
    }
