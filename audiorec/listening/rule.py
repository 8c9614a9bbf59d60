"""The interaction rule: which events make a song liked or disliked, as configuration.

Each event has a `Clause`. A `Rule` holds the clauses, a time range, minimum counts of users
and songs, and whether duplicates count. `load_rule` reads one from TOML or JSON, where missing
keys keep their defaults.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from audiorec.errors import InputError
from audiorec.files.user_files import read_text
from audiorec.listening.events import EVENTS


class Verdict(StrEnum):
    """What an event says about the song."""

    LIKED = "liked"
    DISLIKED = "disliked"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """The meaning of one kind of event.

    Attributes
    ----------
    verdict : Verdict
        Used if there are no thresholds, or the played ratio is unknown.
    liked_from : float or None
        A known played ratio of at least this value is liked.
    disliked_below : float or None
        A known played ratio below this value is disliked. If either threshold is set, a known
        ratio that meets neither condition is neither.
    explicit : bool
        Explicit feedback, which overrides all implicit verdicts.
    weight : float
        Weight of one such event.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    verdict: Verdict = Verdict.NEITHER
    liked_from: float | None = None
    disliked_below: float | None = None
    explicit: bool = False
    weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("liked_from", "disliked_below"):
            value = getattr(self, name)
            _check(value is None or _between(value, 0.0, 1.0), name, "from 0 to 1", value)
        high, low = self.liked_from, self.disliked_below
        if high is not None and low is not None:
            _check(low <= high, "disliked_below", f"at most liked_from ({high})", low)
        _check(self.verdict in tuple(Verdict), "verdict", ", ".join(Verdict), self.verdict)
        _check(isinstance(self.explicit, bool), "explicit", "true or false", self.explicit)
        _check(_between(self.weight, 1e-3, 1e3), "weight", "from 0.001 to 1000", self.weight)


def default_clauses() -> dict[str, Clause]:
    """Return the clause of each event in `EVENTS`."""
    return {
        "play": Clause(liked_from=0.9, disliked_below=0.2),
        "finish": Clause(verdict=Verdict.LIKED, liked_from=0.9),
        "skip": Clause(verdict=Verdict.DISLIKED, disliked_below=0.2),
        "like": Clause(verdict=Verdict.LIKED, explicit=True),
        "dislike": Clause(verdict=Verdict.DISLIKED, explicit=True),
        "playlist": Clause(verdict=Verdict.LIKED, explicit=True),
        "block": Clause(verdict=Verdict.DISLIKED, explicit=True),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule that turns events into liked and disliked songs.

    Attributes
    ----------
    events : mapping of str to Clause
        One for each of `EVENTS`.
    since, until : float or None
        Time range, ``since <= time < until``, in seconds since 1970; other events are ignored.
    min_liked : int
        Users with fewer liked songs are dropped.
    min_likers : int
        Songs liked by fewer users are dropped.
    drop_duplicates : bool
        Count rows that are equal in every column once.

    Raises
    ------
    InputError
        If an event is missing or unknown, or a number is out of range.

    Examples
    --------
    >>> Rule().events["skip"].disliked_below
    0.2
    """

    events: Mapping[str, Clause] = field(default_factory=default_clauses)
    since: float | None = None
    until: float | None = None
    min_liked: int = 0
    min_likers: int = 0
    drop_duplicates: bool = False

    def __post_init__(self) -> None:
        odd = sorted(set(self.events) ^ set(EVENTS))
        _check(not odd, "events", f"a clause for each of {', '.join(EVENTS)}", odd)
        for name in ("min_liked", "min_likers"):
            value = getattr(self, name)
            good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
            _check(good, name, "a whole number from 0", value)
        for name in ("since", "until"):
            value = getattr(self, name)
            _check(value is None or _between(value, -1e12, 1e12), name, "a time", value)
        if self.since is not None and self.until is not None:
            _check(self.since < self.until, "until", "later than since", self.until)
        drops = self.drop_duplicates
        _check(isinstance(drops, bool), "drop_duplicates", "true or false", drops)


def load_rule(path: str | Path) -> Rule:
    """Read a rule from a TOML or JSON file.

    Missing keys keep their defaults; an event's clause is updated key by key. An empty string
    (``liked_from = ""``) or null removes a threshold. Times are dates or seconds since 1970.

    Raises
    ------
    InputError
        If the file is missing, is not TOML or JSON, or has an unknown key or invalid value.
    """
    path = Path(path)
    try:
        text = read_text(path, "cannot read the rule")
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # both decoders raise a ValueError
        raise InputError(f"{path}: not a rule: {error}") from error
    try:
        return _rule(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def as_time(value: object, name: str) -> float:
    """Convert a date, an ISO text or a number to seconds since 1970; UTC if it has no zone.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InputError(
                f"{name}: expected a date such as 2024-03-01, got {value!r}"
            ) from error
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    raise InputError(f"{name}: expected a date, got {value!r}")


def _rule(content: object) -> Rule:
    values = dict(_known_keys(content, Rule, "the rule"))
    clauses = default_clauses()
    given = values.pop("events", {})
    _check(isinstance(given, dict), "events", "a table of events", given)
    for event, changes in given.items():
        _check(event in clauses, "events", ", ".join(EVENTS), event)
        clauses[event] = _changed(clauses[event], event, changes)
    for name in ("since", "until"):
        if values.get(name) is not None:
            values[name] = as_time(values[name], name)
    return Rule(events=clauses, **values)


def _changed(clause: Clause, event: str, changes: object) -> Clause:
    kept = {f.name: getattr(clause, f.name) for f in fields(Clause)}
    given = _known_keys(changes, Clause, f"events.{event}")
    thresholds = ("liked_from", "disliked_below")
    for name, value in given.items():
        kept[name] = None if name in thresholds and value == "" else value
    try:
        return Clause(**kept)
    except InputError as error:
        raise InputError(f"events.{event}.{error}") from error


def _known_keys(content: object, kind: type[Any], where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a table, got {content!r}")
    known = [f.name for f in fields(kind)]
    for name in content:
        if name not in known:
            raise InputError(f"{where}: unknown key {name!r}, there are: {', '.join(known)}")
    return content


def _between(value: object, low: float, high: float) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and low <= value <= high  # type: ignore[operator]


def _check(good: bool, name: str, expected: str, got: object) -> None:
    if not good:
        raise InputError(f"{name}: expected {expected}, got {got!r}")
