"""The interaction rule: which events make a song liked or disliked, as configuration, and applied.

    rule.toml ──load_rule──▶ `Rule`: a `Clause` for each event, a time range, minimum counts
    Interactions ──to_preferences──▶ one verdict per user and song ──▶ Preferences

Nothing depends on the order of rows: weights are summed as integer millionths, and times are
compared.
"""

import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.columns import LogColumns
from audiorec.errors import InputError
from audiorec.files.user_files import read_text
from audiorec.listening.events import EVENTS, Interactions, is_listening
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, Pairs, Preferences


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
        _check(
            _between(self.weight, 1e-3, 1e3), LogColumns.WEIGHT, "from 0.001 to 1000", self.weight
        )


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


MILLION = 1e6
LONG_AGO = -1e15  # stands for an unknown time, before all known times
Signs = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class PairVerdicts:
    """Verdicts on all user-song pairs of a log, sorted by user, then song."""

    user: Int64Array  # (P,): indices into the log's ids
    song: Int64Array  # (P,)
    sign: Signs  # (P,): 1 liked, -1 disliked, 0 neither
    weight: Float64Array  # (P,): sum over the rows that agree with the verdict; 0 for neither
    time: Float64Array  # (P,): of the last such row; for neither, of the last row of the pair
    heard: Float64Array  # (P,): how often the user heard the song
    heard_at: Float64Array  # (P,): time of the last row
    conflict: BoolArray  # (P,): whether the pair has both liked and disliked rows


def to_preferences(
    interactions: Interactions,
    rule: Rule | None = None,
    *,
    song_ids: Collection[str] | None = None,
) -> Preferences:
    """Apply a rule to a log: which users like, dislike and have heard which songs.

    Parameters
    ----------
    interactions : Interactions
    rule : Rule, optional
        By default ``Rule()``.
    song_ids : collection of str, optional
        Events of all other songs are ignored.

    Returns
    -------
    preferences : Preferences
        Its sorted id tables hold exactly the users and songs that occur in a pair.

    Examples
    --------
    >>> from audiorec.listening.interactions import read_interactions
    >>> log = read_interactions("fixtures/formats/interactions-v1.csv")
    >>> found = to_preferences(log)
    >>> pairs = zip(found.liked.user, found.liked.song, strict=True)
    >>> [(found.user_ids[u], found.song_ids[s]) for u, s in pairs]  # doctest: +NORMALIZE_WHITESPACE
    [('ana', 'piano/etude.flac'), ('ana', 'rock/live.mp3'), ('ben', 'rock/live.mp3'),
     ('eva', 'lost/gone.mp3'), ('eva', 'piano/prelude.flac')]
    """
    rule = rule or Rule()
    judged = _enough(judge_pairs(interactions, rule, song_ids=song_ids), rule)
    users, user = np.unique(judged.user, return_inverse=True)
    songs, song = np.unique(judged.song, return_inverse=True)

    def pairs(mask: BoolArray, weight: Float64Array, time: Float64Array) -> Pairs:
        return Pairs(
            user[mask].astype(np.int32),
            song[mask].astype(np.int32),
            weight[mask].astype(np.float32),
            time[mask],
        )

    everything = np.ones(len(judged.user), np.bool_)
    return Preferences(
        user_ids=tuple(interactions.user_ids[u] for u in users),
        song_ids=tuple(interactions.song_ids[s] for s in songs),
        liked=pairs(judged.sign > 0, judged.weight, judged.time),
        disliked=pairs(judged.sign < 0, judged.weight, judged.time),
        heard=pairs(everything, judged.heard, judged.heard_at),
    )


def judge_pairs(
    interactions: Interactions, rule: Rule, *, song_ids: Collection[str] | None = None
) -> PairVerdicts:
    """Return the verdict on each user-song pair of `song_ids`, before minimum counts.

    If the rows of a user and song disagree, explicit feedback overrides implicit verdicts. Among
    explicit rows the latest wins. Among implicit rows the side with the larger total weight wins,
    and in a tie the latest. A like and a dislike at the same time cancel out.
    """
    log = interactions.take(counted_rows(interactions, rule, song_ids=song_ids))
    key = log.user.astype(np.int64) * len(log.song_ids) + log.song
    keys, pair = np.unique(key, return_inverse=True)
    n, time = len(keys), np.nan_to_num(log.timestamp, nan=LONG_AGO)
    sign, explicit, points = row_verdicts(log, rule)
    decided, conflict = _decide(pair, n, sign, explicit, points, time)
    agrees = (sign == decided[pair]) & (sign != 0)
    rows_at = _last(pair, n, time, np.ones(len(pair), np.bool_))
    agreed_at = _last(pair, n, time, agrees)
    row_points = np.rint(log.weight * MILLION).astype(np.int64)
    listened = _sum(pair, n, row_points, is_listening(log.event))
    return PairVerdicts(
        user=keys // max(1, len(log.song_ids)),
        song=keys % max(1, len(log.song_ids)),
        sign=decided,
        weight=_sum(pair, n, points, agrees),
        time=_known(np.where(np.isfinite(agreed_at), agreed_at, rows_at)),
        heard=np.where(listened > 0, listened, 1.0),  # only liked or listed: counts once
        heard_at=_known(rows_at),
        conflict=conflict,
    )


def counted_rows(
    interactions: Interactions, rule: Rule, *, song_ids: Collection[str] | None = None
) -> Int64Array:
    """Return the ascending numbers of the rows to count: by time, songs and duplicates."""
    time = interactions.timestamp
    keep = np.ones(len(interactions), np.bool_)
    if rule.since is not None:
        keep &= time >= rule.since
    if rule.until is not None:
        keep &= time < rule.until
    if song_ids is not None:
        known = song_ids if isinstance(song_ids, (set, frozenset, dict)) else set(song_ids)
        wanted = np.array([song_id in known for song_id in interactions.song_ids], np.bool_)
        keep &= wanted[interactions.song]
    if rule.drop_duplicates:
        keep &= ~duplicates(interactions)
    return np.flatnonzero(keep)


def duplicates(interactions: Interactions) -> BoolArray:
    """Return which rows repeat an earlier row in every column: shape (P,), bool."""
    log = interactions
    ratio = np.nan_to_num(log.played_ratio, nan=-1.0)
    time = np.nan_to_num(log.timestamp, nan=LONG_AGO)
    columns = (time, log.event, ratio, log.weight)
    key = log.user.astype(np.int64) * max(1, len(log.song_ids)) + log.song
    order = np.lexsort((log.weight, ratio, log.event, time, key))
    same = np.diff(key[order]) == 0
    for column in columns:
        same &= np.diff(column[order].astype(np.float64)) == 0
    result = np.zeros(len(log), np.bool_)
    result[order[1:][same]] = True  # lexsort is stable: the first of equal rows is kept
    return result


def row_verdicts(log: Interactions, rule: Rule) -> tuple[Signs, BoolArray, Int64Array]:
    """Judge each row by its event's clause: sign, whether it is explicit, and points, (P,) each.

    The sign is 1 for liked, -1 for disliked, 0 for neither. Points are row weight times clause
    weight, in millionths: integer sums do not depend on the order.
    """
    sign = np.zeros(len(log), np.int8)
    explicit = np.zeros(len(log), np.bool_)
    factor = np.zeros(len(log))
    for code, name in enumerate(EVENTS):
        clause, rows = rule.events[name], np.flatnonzero(log.event == code)
        sign[rows] = _clause_signs(clause, log.played_ratio[rows])
        explicit[rows] = clause.explicit
        factor[rows] = clause.weight
    points = np.maximum(1, np.rint(log.weight * factor * MILLION)).astype(np.int64)
    return sign, explicit, points


def _clause_signs(clause: Clause, ratio: FloatArray) -> Signs:
    signs = {Verdict.LIKED: 1, Verdict.DISLIKED: -1, Verdict.NEITHER: 0}
    usual = np.full(len(ratio), signs[Verdict(clause.verdict)], np.int8)
    if clause.liked_from is None and clause.disliked_below is None:
        return usual
    judged = np.zeros(len(ratio), np.int8)
    if clause.disliked_below is not None:  # float32: 0.9 in a file is 0.9 in the rule
        judged[ratio < np.float32(clause.disliked_below)] = -1
    if clause.liked_from is not None:
        judged[ratio >= np.float32(clause.liked_from)] = 1
    return np.where(np.isnan(ratio), usual, judged)


def _decide(
    pair: npt.NDArray[Any],
    n: int,
    sign: Signs,
    explicit: Any,
    points: Int64Array,
    time: Float64Array,
) -> tuple[Signs, BoolArray]:
    """Return the verdict of each pair, and whether its rows disagree."""
    said = _later(pair, n, sign, time, explicit)
    likes = _sum(pair, n, points, (sign > 0) & ~explicit)
    dislikes = _sum(pair, n, points, (sign < 0) & ~explicit)
    heavier = np.sign(likes - dislikes).astype(np.int8)
    heard = np.where(heavier != 0, heavier, _later(pair, n, sign, time, ~explicit))
    spoke = np.bincount(pair[explicit & (sign != 0)], minlength=n) > 0
    liked = np.bincount(pair[sign > 0], minlength=n) > 0
    disliked = np.bincount(pair[sign < 0], minlength=n) > 0
    return np.where(spoke, said, heard).astype(np.int8), liked & disliked


def _later(pair: Any, n: int, sign: Signs, time: Float64Array, mask: Any) -> Signs:
    """Return the sign of each pair's last row under the mask; 0 if both signs share that time."""
    last_liked = _last(pair, n, time, mask & (sign > 0))
    last_disliked = _last(pair, n, time, mask & (sign < 0))
    later = (last_liked > last_disliked).astype(np.int8)
    return (later - (last_disliked > last_liked)).astype(np.int8)


def _last(pair: Any, n: int, time: Float64Array, mask: Any) -> Float64Array:
    last = np.full(n, -np.inf)
    np.maximum.at(last, pair[mask], time[mask])
    return last


def _known(time: Float64Array) -> Float64Array:
    return np.where(time <= LONG_AGO, np.nan, time)


def _sum(pair: Any, n: int, points: Int64Array, mask: Any) -> Float64Array:
    # Integers below 2**53 are exact in float64, so the order of summation does not matter.
    return np.bincount(pair[mask], points[mask].astype(np.float64), minlength=n) / MILLION


def _enough(judged: PairVerdicts, rule: Rule) -> PairVerdicts:
    """Drop users and songs with too few likes, repeatedly until all remaining ones have enough."""
    keep = np.ones(len(judged.user), np.bool_)
    while True:
        liked = keep & (judged.sign > 0)
        by_user = np.bincount(judged.user[liked], minlength=_size(judged.user))
        by_song = np.bincount(judged.song[liked], minlength=_size(judged.song))
        enough = by_user[judged.user] >= rule.min_liked
        enough &= by_song[judged.song] >= rule.min_likers
        if (enough | ~keep).all():
            break
        keep &= enough
    columns = {name: getattr(judged, name)[keep] for name in PairVerdicts.__slots__}
    return PairVerdicts(**columns)


def _size(numbers: Int64Array) -> int:
    return int(numbers.max()) + 1 if len(numbers) else 0
