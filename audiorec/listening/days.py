"""Days of a log: parsing, folder names, and start times.

"2026-11-25"       a day, from midnight to midnight, in UTC or at a given offset
dt=2026-11-25/     a folder of rows delivered on this day; also day=, date=, ds=
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

from audiorec.errors import InputError

DAY_KEYS = ("dt", "day", "date", "ds")
DAY_SECONDS = 86_400.0
_DAY = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_MOST_OFFSET = timedelta(hours=18)  # as in Java and Arrow


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Range of the days of a log to read.

    Attributes
    ----------
    since, until : date, optional
        First and last day, both inclusive. Folders of other days are not opened, and rows with a
        time after the end of `until` are left out in any folder.
    utc_offset : str
        UTC offset of midnight, such as ``+08:00``; empty for UTC.
    """

    since: date | None = None
    until: date | None = None
    utc_offset: str = ""

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since > self.until:
            raise InputError(f"since ({self.since}) is later than until ({self.until})")
        offset_s(self.utc_offset)

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None or bool(self.utc_offset)

    @property
    def ends_s(self) -> float | None:
        """End of the last day, in seconds since 1970; None if there is no last day."""
        return (
            None if self.until is None else day_starts_s(self.until, self.utc_offset) + DAY_SECONDS
        )


def parse_day(text: str, what: str = "a day") -> date:
    """Parse ``2026-11-25`` or ``20261125``; `what` names the value in error messages.

    Examples
    --------
    >>> parse_day("2026-11-25"), parse_day("20261125")
    (datetime.date(2026, 11, 25), datetime.date(2026, 11, 25))
    """
    found = _DAY.fullmatch(text.strip())
    try:
        if found:
            return date(*map(int, found.groups()))
    except ValueError:
        pass
    raise InputError(f"{what} must be written as 2026-11-25, got {text[:40]!r}")


def offset_s(text: str) -> float:
    """Parse a UTC offset as seconds: ``+08:00`` gives 28,800, an empty text 0."""
    found = _OFFSET.fullmatch(text)
    if not text:
        return 0.0
    if found is not None:
        sign, hours, minutes = found.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        if int(minutes) < 60 and offset <= _MOST_OFFSET:
            return offset.total_seconds() * (-1 if sign == "-" else 1)
    raise InputError(f"a UTC offset must be written as +08:00, got {text[:40]!r}")


def day_starts_s(day: date, utc_offset: str = "") -> float:
    """Return when a day begins, in seconds since 1970.

    Examples
    --------
    >>> day_starts_s(date(1970, 1, 2)), day_starts_s(date(1970, 1, 2), "+08:00")
    (86400.0, 57600.0)
    """
    zone = timezone(timedelta(seconds=offset_s(utc_offset)))
    return (
        datetime(day.year, day.month, day.day, tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)
    ).total_seconds()


def day_of(keys: dict[str, str]) -> date | None:
    """Return the day named by the ``key=value`` parts of a path; None if there is none.

    Examples
    --------
    >>> day_of({"country": "cn", "dt": "2026-11-25"})
    datetime.date(2026, 11, 25)
    >>> day_of({"year": "2026", "month": "11", "day": "25"})
    datetime.date(2026, 11, 25)
    """
    parts = [keys.get(name, "") for name in ("year", "month", "day")]
    if all(part.isdecimal() and len(part) <= 4 for part in parts):
        year, month, day = (
            f"{int(part):0{width}}" for part, width in zip(parts, (4, 2, 2), strict=True)
        )
        return parse_day(f"{year}-{month}-{day}")
    for name in DAY_KEYS:
        if name in keys and _DAY.fullmatch(keys[name]):
            return parse_day(keys[name])
    return None


def day_folder(day: date) -> str:
    """Return the folder name of a day.

    Examples
    --------
    >>> day_folder(date(2026, 11, 25))
    'dt=2026-11-25'
    """
    return f"dt={day.isoformat()}"
