"""When a file was changed, as a number that a table can hold.

File systems take dates from the year -292 billion to the year 292 billion, and copies from
a broken clock or an archive carry them along. Columns are int64: nanoseconds since 1970
from 1677 to 2262. Dates beyond that wrap around, so a song of any date has a number, the
same one at every look, and another one as soon as the file changes.
"""

import math
from datetime import UTC, datetime

UNKNOWN = -1
_SPAN = 1 << 64


def within_int64(nanoseconds: int) -> int:
    """Wrap a time in nanoseconds since 1970 into int64.

    Examples
    --------
    >>> within_int64(1_700_000_000_000_000_000), within_int64(-1), within_int64(1 << 63)
    (1700000000000000000, -1, -9223372036854775808)
    """
    return (nanoseconds + _SPAN // 2) % _SPAN - _SPAN // 2


def time_ns(changed: object) -> int:
    """Return the nanoseconds since 1970 of what an object store calls a time, within int64.

    Parameters
    ----------
    changed : object
        Seconds since 1970, or a `datetime` (in UTC if it has no zone).

    Returns
    -------
    nanoseconds : int
        -1 for None, NaN, infinity and everything that is no time.
    """
    if isinstance(changed, datetime):
        aware = changed if changed.tzinfo else changed.replace(tzinfo=UTC)
        since = aware - datetime(1970, 1, 1, tzinfo=UTC)
        whole_s = since.days * 86_400 + since.seconds
        return within_int64(whole_s * 10**9 + since.microseconds * 1000)
    if isinstance(changed, int):
        return within_int64(changed * 10**9)
    if isinstance(changed, float) and math.isfinite(changed * 1e9):
        return within_int64(int(changed * 1e9))
    return UNKNOWN


def size_bytes(size: object) -> int:
    """Return the size that an object store tells; -1 for what cannot be one."""
    if isinstance(size, (int, float)) and 0 <= size < _SPAN // 2:
        return int(size)
    return UNKNOWN
