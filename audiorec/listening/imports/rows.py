"""Row types that readers of listening histories yield, and checks shared by all sources.

    one row of a source ──reader──▶ `ImportedEvent`, or `RejectedRow` with a reason

Times are the start of a play, in seconds since 1970, UTC.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from audiorec.listening.events import FIRST_S, LAST_S, MAX_WEIGHT
from audiorec.types import Float64Array, FloatArray

LONGEST_KEPT = 4096  # characters stored of a rejected row
LONGEST_TEXT = 4096  # characters of a name or path; longer ones are ignored
LONGEST_PLAY_S = 86_400.0  # a longer play is an error of the counter

NO_SONG = "names no song"
NO_TIME = "has no time that can be read"
WRONG_TIME = "its time is not between 1973 and 2100"
NOT_AN_OBJECT = "is no JSON object"

_TIME = re.compile(  # as Go, SQLite and ISO 8601 write it
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))? ?(Z|UTC|[+-]\d\d:?\d\d)?(?: \w+)?"
)
_DAY = ("%d %b %Y, %H:%M", "%d %b %Y %H:%M")  # as Last.fm writes it, in UTC


class SongRef(NamedTuple):
    """A source's description of a song; empty strings if unknown."""

    id: str = ""  # the service's or the store's id
    mbid: str = ""
    isrc: str = ""
    path: str = ""
    artist: str = ""
    title: str = ""
    album: str = ""
    duration_s: float = 0.0  # 0 if unknown

    @property
    def has_name(self) -> bool:
        """Whether the description can identify a song."""
        return bool(self.id or self.mbid or self.isrc or self.path or (self.artist and self.title))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedEvent:
    """One listening event of a source.

    Attributes
    ----------
    song : SongRef
    user : str
        Empty if the source belongs to one person and does not name them.
    time_s : float
        Seconds since 1970, UTC.
    event : str
        One of `audiorec.listening.events.EVENTS`.
    played_ratio : float or None
        The share of the song that was heard, 0 to 1.
    played_s : float or None
        Seconds heard, if the source does not know the song's length.
    weight : float
        The number of plays that the row stands for.
    entry : str
        The product or service that the play came from.
    """

    song: SongRef
    time_s: float
    event: str = "play"
    user: str = ""
    played_ratio: float | None = None
    played_s: float | None = None
    weight: float = 1.0
    entry: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """One row of a source that is rejected: it does not become an event.

    Attributes
    ----------
    reason : str
    is_mistake : bool
        Whether the row is invalid; False if it is not about a song or not about listening.
    file : str
        The file of the source.
    row : int
        The row number in the file, from 1.
    content : str
        The row's content, truncated to 4,096 characters.
    user : str
    """

    reason: str
    file: str
    row: int
    content: str = ""
    is_mistake: bool = True
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedBlock:
    """A block of events of a source whose songs have only ids.

    Attributes
    ----------
    song, user : pyarrow.StringArray, length n
    time_s : ndarray, shape (n,), float64
    event : str
        The event of all rows.
    played_ratio : ndarray, shape (n,), float32
        NaN if unknown.
    entry : pyarrow.StringArray, length n
        May hold nulls.
    weight : ndarray, shape (n,), float32, optional
    """

    song: Any
    user: Any
    time_s: Float64Array
    event: str
    played_ratio: FloatArray
    entry: Any
    weight: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.song)


SourceRow = ImportedEvent | RejectedRow | ImportedBlock
Rows = Iterator[SourceRow]


class UnusableRowError(Exception):
    """A row cannot be used; caught within the reader that raised it."""

    def __init__(self, reason: str, is_mistake: bool = True) -> None:
        super().__init__(reason, is_mistake)
        self.reason = reason
        self.is_mistake = is_mistake

    def at(self, file: str, row: int, content: object, user: str = "") -> RejectedRow:
        """Return the rejected row."""
        return RejectedRow(
            reason=self.reason,
            file=file,
            row=row,
            content=stored_text(content),
            is_mistake=self.is_mistake,
            user=user,
        )


def stored_text(content: object) -> str:
    """Return the text that is stored of a rejected row."""
    if isinstance(content, (bytes, bytearray)):
        content = bytes(content[:LONGEST_KEPT]).decode("utf-8", "backslashreplace")
    if not isinstance(content, str):
        try:
            content = json.dumps(content, ensure_ascii=False, default=str)
        except RecursionError:
            content = "nested too deeply to be shown"
    return content[:LONGEST_KEPT].encode("utf-8", "backslashreplace").decode()


def require_name(song: SongRef) -> SongRef:
    """Return a song if its description can identify it; otherwise raise `UnusableRowError`."""
    if not song.has_name:
        raise UnusableRowError(NO_SONG)
    return song


def text(value: object) -> str:
    """Return a stripped string; empty if it is not a string, too long or not encodable."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return ""
    return value.strip()


def number(value: object) -> float | None:
    """Convert a number or numeric string to a finite float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def epoch(value: object) -> float:
    """Convert a number to seconds since 1970, inferring the unit from its size.

    Units are seconds, milli-, micro- and nanoseconds; from March 1973 to the end of 2099 their
    ranges do not overlap.
    """
    result = number(value)
    if result is None:
        raise UnusableRowError(NO_TIME)
    for scale in (1.0, 1e3, 1e6, 1e9):
        if FIRST_S * scale <= result < LAST_S * scale:
            return result / scale
    raise UnusableRowError(WRONG_TIME)


def moment(value: object) -> float:
    """Parse a time as seconds since 1970; a time without a zone is in UTC.

    Examples
    --------
    >>> moment("2024-03-01T12:00:00Z"), moment("01 Mar 2024, 12:00")
    (1709294400.0, 1709294400.0)
    >>> moment("2024-03-01 13:00:00.5 +0100 CET")
    1709294400.5
    """
    result = text(value)
    match = _TIME.fullmatch(result)
    if match is None:
        return check_time(_parse_day(result))
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z", "UTC") else zone
    try:
        seconds = datetime.fromisoformat(f"{day}T{clock}{zone}").timestamp()
    except (ValueError, OverflowError) as error:
        raise UnusableRowError(NO_TIME) from error
    return check_time(seconds + float(f"0.{fraction}" if fraction else 0))


def _parse_day(words: str) -> float:
    for form in _DAY:
        try:
            return datetime.strptime(words, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise UnusableRowError(NO_TIME)


def check_time(time_s: float) -> float:
    """Return a time if it is in the range of listening logs; otherwise raise."""
    if not FIRST_S <= time_s < LAST_S:
        raise UnusableRowError(WRONG_TIME)
    return time_s


def count(value: object) -> float:
    """Return a play count; raise `UnusableRowError` if it is not above 0."""
    result = number(value)
    if result is None or not 0 < result <= MAX_WEIGHT:
        raise UnusableRowError(f"its number of plays is not from 1 to {MAX_WEIGHT:.0f}")
    return result


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object; an empty one for any other value."""
    return value if isinstance(value, dict) else {}
