"""Samples for models: what users did, and what became of what they were shown.

    events of a user               ──did──────▶ wanted or not, in every product
    exposures, plays after them    ──became───▶ played to the end within some days, or not
    listenings of one product      ──heard────▶ the same where nothing says what was shown

A play counts for the last exposure of its song before it. An exposure whose days are not over at
the end of the log is no sample yet, whatever happened so far: its positives come before its
negatives, and would stand for too much.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audiorec.listening.events import EVENTS, is_listening
from audiorec.listening.sequences import DAY_S
from audiorec.recall.serving.export.past import LONG_AGO, EventsInTime, PastOfUsers
from audiorec.types import BoolArray, Float64Array, Int64Array

OUTCOMES = ("none", "skip", "dislike", "finish")  # the last that applies counts
SAYS_NO = ("dislike", "block")


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """n samples of some users, by user, time and song.

    Attributes
    ----------
    user, song : ndarray, shape (n,), int64
        Users from 0; songs in `Past.song_ids`, -1 for one that is not there.
    at : ndarray, shape (n,), float64
        Seconds since 1970.
    known_until : ndarray, shape (n,), float64
        Events before it may be read by features.
    label : ndarray, shape (n,), bool
    row : ndarray, shape (n,), int64
        Rows of the log, or of the exposures.
    outcome : ndarray, shape (n,), int64
        Numbers in `OUTCOMES`.
    played : ndarray, shape (n,), float64
        When a song was played to the end; NaN where it was not.
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
        """Return some samples."""
        return Samples(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(slots=True)
class SampleCounts:
    """What became of the rows that samples are made of."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, **news: int) -> None:
        """Add to the counts of some kinds."""
        for name, n in news.items():
            self.counts[name] = self.counts.get(name, 0) + int(n)

    def labelled(self, samples: Samples) -> Samples:
        """Count positives and negatives; return the samples."""
        positive = int(samples.label.sum())
        self.add(positive=positive, negative=len(samples) - positive)
        return samples


def did(past: PastOfUsers, counts: SampleCounts) -> Samples:
    """Return every event that has a time: wanted (finished, liked, in a list) or not."""
    return counts.labelled(_of_events(past, np.ones(len(past.rows), np.bool_), counts))


def heard(past: PastOfUsers, entry: str | None, counts: SampleCounts) -> Samples:
    """Return the listenings of one product, of all where `entry` is None."""
    log = past.past.log
    listened = is_listening(log.event[past.rows])
    label = log.labels.get("entry")
    if entry is not None and label is not None:
        names = np.array([*(text == entry for text in label.texts), False])
        mine = names[label.number[past.rows]]
        counts.add(of_other_entries=int((listened & ~mine).sum()))
        listened &= mine
    return counts.labelled(_of_events(past, listened, counts))


def _of_events(past: PastOfUsers, chosen: BoolArray, counts: SampleCounts) -> Samples:
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
    """n exposures of one product to some users."""

    user: Int64Array  # (n,): from 0; -1: a user that the log lacks
    song: Int64Array  # (n,): in `Past.song_ids`; -1: a song that is in none of the tables
    name: Int64Array  # (n,): equal where the ids of the songs are
    at: Float64Array  # (n,): seconds since 1970
    owner: Int64Array  # (n,): numbers of the users, those that the log lacks included


def became(past: PastOfUsers, shown: ShownSongs, days: float, counts: SampleCounts) -> Samples:
    """Return what became of exposures: positive if played to the end within `days`.

    An exposure ends where its song is shown to the same user again: each play counts once.
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
    known = np.nextafter(at, np.inf)  # what happened at that moment was known
    found = Samples(user, song, at, known, label, order, outcome, played)
    order = np.lexsort((shown.name[found.row], found.at, shown.owner[found.row]))
    return counts.labelled(found.take(order))


def _between(
    past: PastOfUsers,
    mask: BoolArray,
    user: Int64Array,
    song: Int64Array,
    after: Float64Array,
    until: Float64Array,
) -> tuple[BoolArray, Float64Array]:
    """Return whether events of a kind lie in ``(after, until]``, and the time of the first."""
    tally = EventsInTime(past.pair(past.user[mask], past.song[mask]), past.time[mask])
    times = np.append(past.time[mask][tally.order], np.nan)
    pair = past.pair(user, song)
    start, stop = (tally.span(pair, np.nextafter(moment, np.inf))[1] for moment in (after, until))
    happened = stop > start
    return happened, times[np.where(happened, start, -1)]
