"""Report of a run of the nightly job: ``report.md``.

    candidates of every channel, fused.parquet, plays ──report_of──▶ contributions of each channel

The page holds no times, so the same files give the same page.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.recall.contract.candidates import DEFAULT
from audiorec.recall.serving.candidate_rows import CandidateRows, key_of
from audiorec.recall.serving.rules import SongTraits
from audiorec.recall.serving.tables import user_blocks


def report_of(
    candidates: Mapping[str, Path], fused: Path, facts: SongTraits, about: Mapping[str, Any]
) -> str:
    """Return the report of a run, in Markdown.

    Parameters
    ----------
    candidates : mapping of str to path
        By channel, in the order of the report.
    fused : path
    facts : SongTraits
    about : mapping of str to value
        ``run_id`` and ``entry``, for the heading.

    Notes
    -----
    Users are read block by block. *Alone* counts songs in the lists that no other channel proposed
    to that user.
    """
    counts: Counter[str] = Counter()
    users, rows, cold, plays, artists, default = 0, 0, 0, 0, 0, 0
    songs: set[str] = set()
    for *tables, lists in user_blocks([*candidates.values(), fused]):
        if not len(lists):
            continue
        found = CandidateRows.of([*tables, lists])
        key = key_of(found.user, found.song)
        served = found.source == len(tables)
        entry = np.unique(key[served])
        other = ~served & np.isin(key, entry)
        by_entry = np.searchsorted(entry, key[other])
        channels_of = np.bincount(by_entry, minlength=len(entry))
        for number, name in enumerate(candidates):
            own = found.source[other] == number
            counts[f"in {name}"] += int((found.source == number).sum())
            counts[f"served {name}"] += int(own.sum())
            counts[f"alone {name}"] += int((channels_of[by_entry[own]] == 1).sum())
        groups, played = facts.columns(found.song_ids)
        of = found.song[served]
        users += len(np.unique(found.user[served]))
        default += len(np.unique(found.user[served & found.are_of(DEFAULT)]))
        rows += int(served.sum())
        cold += int((found.numbers("cold")[served] > 0).sum())
        plays += int(played[of].sum())
        songs.update(found.song_ids.take(pa.array(np.unique(of))).to_pylist())
        if "artist" in groups:
            pairs = key_of(found.user[served], groups["artist"][of])
            artists += len(np.unique(pairs[groups["artist"][of] >= 0]))
    lines = [f"# {about.get('entry', '')} lists, run {about.get('run_id', '')}".replace("  ", " ")]
    lines += ["", f"{rows:,} songs for {users:,} users, {len(songs):,} different ones."]
    if users:
        lines += ["", *([f"- users with the default list: {default:,}"] if default else [])]
        lines += [f"- songs that nobody has played: {cold / rows:.1%}"]
        lines += [f"- plays of a song: {plays / rows:,.1f}"]
        lines += [f"- artists in a list: {artists / users:.1f}"] if artists else []
    lines += ["", "| channel | proposed | in the lists | alone |", "|---|---|---|---|"]
    lines += [
        f"| `{n}` | {counts[f'in {n}']:,} | {counts[f'served {n}']:,} | {counts[f'alone {n}']:,} |"
        for n in candidates
    ]
    lines += ["", "*Alone*: no other channel proposed that song to that user.", ""]
    return "\n".join(lines)
