"""What the columns of a table mean, by the names that services and public data sets give them.

    ["uid", "track", "ts", "skip", "ms_played", "duration"], a few rows
        ──recognise──▶ user, song, time, skip, played, length; and what is left unused, with reasons

Case, spaces, points and underscores do not count, nor do the types of RecBole:
``user_id:token``, ``userId`` and ``User ID`` are one spelling.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import LogColumns
from audiorec.listening.events import EVENTS, to_floats
from audiorec.types import BoolArray

# The spellings of each role, the likeliest first: audiorec's own, Spotify's, Yandex', Last.fm's,
# RecBole's, MovieLens'.
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "user": (
        *(LogColumns.USER, "user", "uid", "username", "listener_id", "listener", "account_id"),
        *("account", "customer_id", "member_id"),
    ),
    "song": (
        *(
            LogColumns.SONG,
            "song",
            "track_id",
            "track",
            "spotify_track_uri",
            "track_uri",
            "item_id",
        ),
        *("item", "recording_mbid", "track_mbid", "movie_id", "master_metadata_track_name"),
        *("track_name", "artist_id"),
    ),
    "time": (
        *(LogColumns.TIME, "time", "ts", "played_at", "listened_at", "uts", "datetime", "date"),
        *("start_time", "created_at", "end_time"),
    ),
    "event": (LogColumns.EVENT, "event_type", "action"),
    "skip": ("skip", "skipped", "is_skip", "is_skipped", "was_skipped"),
    "played": (
        *("ms_played", "played_ms", "seconds_played", "played_seconds", "played_s"),
        *("track_played_seconds", "listened_seconds", "listen_seconds", "played_duration"),
        *("play_duration", "listening_time", "playtime"),
    ),
    "length": (
        *("duration", "duration_ms", "duration_s", "duration_seconds", "track_length"),
        *("track_length_seconds", "track_duration", "track_duration_ms", "song_length"),
        *("song_duration", "length", "length_ms", "length_s"),
    ),
    "ratio": (
        *(
            LogColumns.PLAYED_RATIO,
            "played_ratio_pct",
            "play_ratio",
            "completion",
            "completion_ratio",
        ),
        *("completion_rate", "completion_pct"),
    ),
    "rating": ("rating", "stars"),
    "weight": (LogColumns.WEIGHT, "count", "plays", "play_count", "scrobbles"),
}
ROLES = tuple(SPELLINGS)
STARS = 5.0  # the best rating of the usual scale
LONGEST_S = 7_200.0  # a median above it is no time of songs in seconds: milliseconds
PERCENT = re.compile(r"pct$|percent")
TRUE, FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")


class Recognised(NamedTuple):
    """What the columns of a table mean.

    Attributes
    ----------
    names : mapping of str to str
        The column of each role that the table has.
    unused : mapping of str to str
        Columns that are not read, each with a reason; empty if its name means nothing here.
    """

    names: Mapping[str, str]
    unused: Mapping[str, str]


def fold(name: str) -> str:
    """Return a column's name without case, marks and RecBole's type.

    >>> fold("User ID:token")
    'userid'
    """
    return re.sub(r"[^a-z0-9]", "", plain_name(name).lower())


def plain_name(name: str) -> str:
    """Return a column's name without RecBole's type: ``user_id:token`` is ``user_id``."""
    return name.partition(":")[0].strip()


def spelt(role: str, names: Sequence[str]) -> str:
    """Return the column that has the likeliest spelling of a role; empty if there is none."""
    by_fold = {fold(name): name for name in reversed(names)}
    return next((by_fold[f] for f in map(fold, SPELLINGS[role]) if f in by_fold), "")


def recognise(
    names: Sequence[str], given: Mapping[str, str], sample: Mapping[str, Any]
) -> Recognised:
    """Say what the columns of a table mean.

    Parameters
    ----------
    names : sequence of str
        The columns of the table.
    given : mapping of str to str
        The columns that the caller named; an empty name means that the table has none.
    sample : mapping of str to pyarrow.Array
        The first rows of each column.
    """
    found = {role: name for role, name in given.items() if name}
    unused: dict[str, str] = {}
    for role in ROLES:
        free = [name for name in names if name not in found.values() and name not in unused]
        name = "" if role in given else spelt(role, free)
        if not name:
            continue
        reason = _doubt(role, sample[name], found)
        if reason:
            unused[name] = reason
        else:
            found[role] = name
    _pair_times(found, given, unused)
    taken = {plain_name(name) for name in found.values()}
    for name in names:
        if plain_name(name) not in taken:
            unused.setdefault(name, "")
    return Recognised(found, unused)


def _pair_times(found: dict[str, str], given: Mapping[str, str], unused: dict[str, str]) -> None:
    """Keep what was heard and the length of the song only together, and a ratio before them."""
    played, length = "played" in found, "length" in found
    for role, other in (("played", length), ("length", played)):
        if role in found and role not in given and (not other or "ratio" in found):
            why = "" if "ratio" in found else f"without {_PARTNER[role]} it gives no ratio"
            unused[found.pop(role)] = why


_PARTNER = {"played": "the length of the song", "length": "how much was heard"}


def _doubt(role: str, column: Any, found: Mapping[str, str]) -> str:
    """Say why a column with the name of a role is not taken for it; empty if it is."""
    if role == "event":
        odd = pc.drop_null(column.cast(pa.string()))
        known = pc.is_in(odd, value_set=pa.array(EVENTS))
        others = odd.filter(pc.invert(known))
        if len(others):
            return f"{others[0].as_py()!r} is no event of a log"
    if role == "weight" and "time" in found:
        return "each row has a time, so it is one play"
    if role == "rating":
        values, _ = to_floats(column)
        known = values[np.isfinite(values)]
        if 2 * len(known) <= len(values) or not 1 < known.max() <= STARS:
            return "its scale is not 1 to 5: name it and the least rating to use it"
    return ""


def seconds_of(name: str, column: Any) -> float:
    """Return the seconds of a unit of a column of durations, by its name, else its median."""
    folded = fold(name)
    if folded.startswith("ms") or folded.endswith("ms"):
        return 0.001
    if "second" in folded or plain_name(name).lower().endswith("_s"):
        return 1.0
    values, _ = to_floats(column)
    known = values[values > 0]
    return 0.001 if len(known) and np.median(known) > LONGEST_S else 1.0


def whole_of(name: str, column: Any) -> float:
    """Return the number that stands for a song heard to its end: 1, or 100 for per cent."""
    values, _ = to_floats(column)
    known = values[np.isfinite(values)]
    is_percent = bool(PERCENT.search(fold(name))) or (len(known) > 0 and np.median(known) > 1)
    return 100.0 if is_percent else 1.0


def truths(column: Any) -> tuple[BoolArray, BoolArray]:
    """Convert true and false, yes and no, 1 and 0; return values and unreadable rows, (P,) each.

    A null is false.
    """
    text = pc.fill_null(pc.utf8_lower(column.cast(pa.string())), FALSE[0])
    yes = pc.is_in(text, value_set=pa.array(TRUE)).to_numpy(zero_copy_only=False)
    no = pc.is_in(text, value_set=pa.array(FALSE)).to_numpy(zero_copy_only=False)
    return yes, ~(yes | no)
