"""For people to inspect: a summary of a log under a rule."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from audiorec.columns import LogColumns
from audiorec.listening.events import EVENTS, Interactions, is_listening
from audiorec.listening.interactions import unmatched
from audiorec.listening.rule import Rule, judge_pairs, to_preferences
from audiorec.listening.sequences import count_noise

SHOWN_UNMATCHED = 10


@dataclass(frozen=True, slots=True)
class RuleCounts:
    """Counts of a rule's verdicts on a log."""

    pairs: int  # user-song pairs in the rule's time range
    liked: int  # liked + disliked + neither = `pairs`
    disliked: int
    neither: int
    conflicts: int  # pairs with both liked and disliked events; they have a verdict too
    users: int  # remaining after minimum counts
    songs: int


def describe(interactions: Interactions) -> dict[str, Any]:
    """Return rows, ids, events, time span and problems as JSON values."""
    log = interactions
    counts = np.bincount(log.event, minlength=len(EVENTS))
    listened = is_listening(log.event)
    known = ~np.isnan(log.played_ratio[listened])
    return {
        "simulated": log.simulated,
        "kind": "counts" if log.is_counted else "events",
        "rows": log.rows_read,
        "usable": len(log),
        "users": len(log.user_ids),
        "songs": len(log.song_ids),
        "events": {name: int(count) for name, count in zip(EVENTS, counts, strict=True)},
        "first": _moment(np.fmin.reduce(log.timestamp)),
        "last": _moment(np.fmax.reduce(log.timestamp)),
        "rows_without_time": int(np.isnan(log.timestamp).sum()),
        "labels": {name: len(label.texts) for name, label in log.labels.items()},
        "artist_events": len(log.artists),
        "says_nothing": count_noise(log),
        "listenings_with_played_ratio": float(known.mean()) if len(known) else None,
        "problems": [
            {"kind": p.kind, "count": p.count, "rows": list(p.rows), "example": p.example}
            | ({"file": p.file} if p.file else {})
            for p in log.problems
        ],
    } | ({"deliveries": asdict(log.deliveries)} if log.deliveries is not None else {})


def match_songs(interactions: Interactions, song_ids: Collection[str]) -> dict[str, Any]:
    """Count matched and unmatched songs and rows of a log, with the most frequent unmatched."""
    absent = unmatched(interactions, song_ids)
    first = list(absent.items())[:SHOWN_UNMATCHED]
    return {
        "songs_of_store": len(song_ids),
        "songs_matched": len(interactions.song_ids) - len(absent),
        "songs_unmatched": len(absent),
        "rows_unmatched": sum(absent.values()),
        "most_frequent_unmatched": [{LogColumns.SONG: i, "rows": rows} for i, rows in first],
    }


def count_verdicts(
    interactions: Interactions,
    rule: Rule | None = None,
    *,
    song_ids: Collection[str] | None = None,
) -> RuleCounts:
    """Count the verdicts of a rule on a log; the default is ``Rule()``."""
    rule = rule or Rule()
    judged = judge_pairs(interactions, rule, song_ids=song_ids)
    kept = to_preferences(interactions, rule, song_ids=song_ids)
    return RuleCounts(
        pairs=len(judged.sign),
        liked=int((judged.sign > 0).sum()),
        disliked=int((judged.sign < 0).sum()),
        neither=int((judged.sign == 0).sum()),
        conflicts=int(judged.conflict.sum()),
        users=len(kept.user_ids),
        songs=len(kept.song_ids),
    )


def _moment(seconds: float) -> str | None:
    return None if np.isnan(seconds) else iso(float(seconds))


def iso(seconds: float) -> str:
    """Format seconds since 1970 as an ISO 8601 text in UTC, truncated to whole seconds.

    Examples
    --------
    >>> iso(1_704_067_200.4)
    '2024-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
