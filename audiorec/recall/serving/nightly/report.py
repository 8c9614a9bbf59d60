"""Report of a run of the nightly job: ``report.md``, and how its lists differ from the last ones.

    candidates of every channel, fused.parquet, plays ──report_of──▶ contributions of each channel
    candidates, fused.parquet, the fused lists before ──change_of──▶ counts that runs compare

The page holds no times, so the same files give the same page. `audiorec.runs.record.run_warnings`
compares the counts with those of the last run.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.files.tables import TableFile
from audiorec.recall.contract.candidates import DEFAULT
from audiorec.recall.serving.candidate_rows import CandidateRows, key_of
from audiorec.recall.serving.rules import SongTraits
from audiorec.recall.serving.tables import user_blocks


def report_of(
    candidates: Mapping[str, Path],
    fused: Path,
    facts: SongTraits,
    about: Mapping[str, Any],
    ranked: Path | None = None,
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
    ranked : path, optional
        Playlists that people made, ranked for every user.

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
    lines += [] if ranked is None else _ranked_lists(ranked)
    return "\n".join(lines)


def _ranked_lists(path: Path) -> list[str]:
    """Return the lines on playlists that people made."""
    with TableFile.open(path) as file:
        table = file.read(["rank", "list_id", "songs", "known", "proposed"])
    first = table.filter(pc.equal(table.column("rank"), 1))
    different = len(table.column("list_id").unique())
    lines = ["## Playlists that people made", "", f"{different:,} for {len(first):,} users."]
    if len(first):
        songs, known, new = (np.asarray(first.column(n)) for n in ("songs", "known", "proposed"))
        lines += ["", "Of the songs of a user's first playlist:", ""]
        lines += [f"- known to the user: {(known / songs).mean():.1%}"]
        lines += [f"- proposed to the user: {(new / songs).mean():.1%}"]
    return [*lines, ""]


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
