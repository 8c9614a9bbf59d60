"""How the lists of a night differ from those of the night before.

candidates, fused.parquet, the fused lists before ──change_of──▶ counts that runs are compared by

`audiorec.runs.record.run_warnings` compares these counts with those of the last run.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.recall.contract.candidates import DEFAULT
from audiorec.recall.serving.candidate_rows import CandidateRows, key_of
from audiorec.recall.serving.rules import SongTraits
from audiorec.recall.serving.tables import user_blocks


def change_of(
    candidates: Mapping[str, Path], fused: Path, before: Path | None, facts: SongTraits
) -> dict[str, float]:
    """Return the counts of a night's lists, default lists left out.

    Parameters
    ----------
    candidates : mapping of str to path
        By channel.
    fused : path
    before : path, optional
        The fused lists of the night before.
    facts : SongTraits
        Plays of songs.

    Returns
    -------
    counts : dict of str to float
        ``answered/CHANNEL``: users to whom it proposes songs. ``lists/songs``: different songs.
        ``lists/popularity``: mean plays of a song. ``lists/kept``: of the pairs of a user and a
        song that were in the lists before, the share that still is, over users with a list in both
        nights; absent if there are none.
    """
    counts: Counter[str] = Counter(dict.fromkeys(map("answered/{}".format, candidates), 0))
    songs: set[str] = set()
    rows = plays = old = kept = 0
    more = [] if before is None else [before]
    for block in user_blocks([*candidates.values(), fused, *more]):
        personal = [t.filter(pc.not_equal(t.column("channel"), DEFAULT)) for t in block]
        for name, table in zip(candidates, personal, strict=False):
            counts[f"answered/{name}"] += len(table.column(ListColumns.USER).unique())
        lists = CandidateRows.of(personal[len(candidates) :])
        mine = lists.source == 0
        of = lists.song[mine]
        rows, plays = rows + len(of), plays + int(facts.columns(lists.song_ids)[1][of].sum())
        songs.update(lists.song_ids.take(pa.array(np.unique(of))).to_pylist())
        both = np.intersect1d(lists.user[mine], lists.user[~mine])
        known, key = np.isin(lists.user, both), key_of(lists.user, lists.song)
        old += int((known & ~mine).sum())
        kept += int(np.isin(key[known & ~mine], key[known & mine]).sum())
    found = {**counts, "lists/songs": len(songs), "lists/popularity": plays / max(1, rows)}
    return found | ({"lists/kept": kept / old} if old else {})
