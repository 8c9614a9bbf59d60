"""Labelled samples for models: events of users, and outcomes of exposures.

    events of a user               ──event_samples──────▶ wanted or not, in every product
    exposures, later plays         ──exposure_samples───▶ played to the end within some days, or not
    plays in one product           ──play_samples────▶ the same if there are no exposures

A play counts for the latest earlier exposure of its song. An exposure whose days are not over at
the end of the log is not yet a sample, whatever has happened so far: positives are known earlier
than negatives, so including it would bias the labels.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audiorec.listening.events import EVENTS, is_listening
from audiorec.listening.sequences import DAY_S
from audiorec.recall.serving.export.features import LONG_AGO, EventsInTime, UserEventHistory
from audiorec.types import BoolArray, Float64Array, Int64Array

OUTCOMES = ("none", "skip", "dislike", "finish")  # the last one that applies counts
SAYS_NO = ("dislike", "block")


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """n samples of a block of users, sorted by user, time and song.

    Attributes
    ----------
    user, song : ndarray, shape (n,), int64
        Users from 0; songs as positions in `EventHistory.song_ids`, -1 for others.
    at : ndarray, shape (n,), float64
        Seconds since 1970.
    known_until : ndarray, shape (n,), float64
        Features may read only events before this time.
    label : ndarray, shape (n,), bool
    row : ndarray, shape (n,), int64
        Rows of the log or of the exposures.
    outcome : ndarray, shape (n,), int64
        Positions in `OUTCOMES`.
    played : ndarray, shape (n,), float64
        Time of the finished play; NaN if there is none.
    """

    user: Int64Array
    song: Int64Array
    at: Float64Array
    known_until: Float64Array
    label: BoolArray
    row: Int64Array
    outcome: Int64Array
    played: Float64Array

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Any) -> "Samples":
        """Return the samples at the given rows."""
        return Samples(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(slots=True)
class SampleCounts:
    """Counts of samples, and of rows that became none, by kind."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, **news: int) -> None:
        """Add to the counts."""
        for name, n in news.items():
            self.counts[name] = self.counts.get(name, 0) + int(n)

    def labelled(self, samples: Samples) -> Samples:
        """Count positives and negatives; return the samples."""
        positive = int(samples.label.sum())
        self.add(positive=positive, negative=len(samples) - positive)
        return samples


def event_samples(past: UserEventHistory, counts: SampleCounts) -> Samples:
    """Return a sample for each event with a time: wanted (finished, liked, in a list) or not."""
    return counts.labelled(_of_events(past, np.ones(len(past.rows), np.bool_), counts))


def play_samples(past: UserEventHistory, entry: str | None, counts: SampleCounts) -> Samples:
    """Return a sample for each play in one product, or in all if `entry` is None."""
    log = past.past.log
    listened = is_listening(log.event[past.rows])
    label = log.labels.get("entry")
    if entry is not None and label is not None:
        names = np.array([*(text == entry for text in label.texts), False])
        mine = names[label.number[past.rows]]
        counts.add(of_other_entries=int((listened & ~mine).sum()))
        listened &= mine
    return counts.labelled(_of_events(past, listened, counts))


def _of_events(past: UserEventHistory, chosen: BoolArray, counts: SampleCounts) -> Samples:
    timed = past.time > LONG_AGO
    counts.add(without_time=int((chosen & ~timed).sum()))
    at = np.flatnonzero(chosen & timed)
    at = at[np.lexsort((past.rows[at], past.song[at], past.time[at], past.user[at]))]
    rows, time = past.rows[at], past.time[at]
    label = past.past.wanted[rows]
    event = past.past.log.event[rows]
    no = np.isin(event, [EVENTS.index(name) for name in SAYS_NO])
    outcome = np.where(no, OUTCOMES.index("dislike"), OUTCOMES.index("skip"))
    outcome[label] = OUTCOMES.index("finish")
    played = np.where(past.past.finished[rows], time, np.nan)
    return Samples(past.user[at], past.song[at], time, time, label, rows, outcome, played)


@dataclass(frozen=True, slots=True, eq=False)
class ShownSongs:
    """n exposures of one product to a block of users."""

    user: Int64Array  # (n,): from 0; -1: a user who is not in the log
    song: Int64Array  # (n,): position in `EventHistory.song_ids`; -1: in none of the tables
    name: Int64Array  # (n,): number of the song's id, also for songs in no table
    at: Float64Array  # (n,): seconds since 1970
    owner: Int64Array  # (n,): number of the user's id, also for users who are not in the log


def exposure_samples(
    past: UserEventHistory, shown: ShownSongs, days: float, counts: SampleCounts
) -> Samples:
    """Return a sample for each exposure: positive if played to the end within `days`.

    An exposure ends when the same song is shown to the user again, so each play counts once.
    """
    counts.add(shown=len(shown.at))
    order = np.lexsort((shown.at, shown.name, shown.owner))
    pair = (shown.owner * (int(shown.name.max(initial=0)) + 1) + shown.name)[order]
    at = shown.at[order]
    again = np.zeros(len(order), np.bool_)
    again[1:] = (np.diff(pair) == 0) & (np.diff(at) == 0)
    counts.add(shown_twice_at_once=int(again.sum()))
    order, pair, at = order[~again], pair[~again], at[~again]
    end = at + days * DAY_S
    same = np.diff(pair) == 0
    end[:-1] = np.where(same, np.minimum(end[:-1], at[1:]), end[:-1])
    over = end <= past.past.newest
    counts.add(pending=int((~over).sum()))
    order, at, end = order[over], at[over], end[over]
    user, song = shown.user[order], shown.song[order]
    outcome = np.zeros(len(order), np.int64)
    event = past.past.log.event[past.rows]
    finished = past.past.finished[past.rows]
    no = np.isin(event, [EVENTS.index(name) for name in SAYS_NO])
    kinds = {"skip": is_listening(event) & ~finished, "dislike": no, "finish": finished}
    played = np.full(len(order), np.nan)
    for name, mask in kinds.items():
        happened, first = _between(past, mask, user, song, at, end)
        outcome[happened] = OUTCOMES.index(name)
        if name == "finish":
            played[happened] = first[happened]
    label = outcome == OUTCOMES.index("finish")
    known = np.nextafter(at, np.inf)  # events at the time of exposure count as known
    found = Samples(user, song, at, known, label, order, outcome, played)
    order = np.lexsort((shown.name[found.row], found.at, shown.owner[found.row]))
    return counts.labelled(found.take(order))


def _between(
    past: UserEventHistory,
    mask: BoolArray,
    user: Int64Array,
    song: Int64Array,
    after: Float64Array,
    until: Float64Array,
) -> tuple[BoolArray, Float64Array]:
    """Return whether an event of a kind lies in ``(after, until]``, and the time of the first."""
    tally = EventsInTime(past.pair(past.user[mask], past.song[mask]), past.time[mask])
    times = np.append(past.time[mask][tally.order], np.nan)
    pair = past.pair(user, song)
    start, stop = (tally.span(pair, np.nextafter(moment, np.inf))[1] for moment in (after, until))
    happened = stop > start
    return happened, times[np.where(happened, start, -1)]
