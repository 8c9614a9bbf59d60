"""Count what has arrived for a night: whether the newest day of the log is as large as usual.

    log, day ──arrived──▶ counts ──too_few──▶ why the day must not be served unseen
                                 ──remarks──▶ a line for each thing that is odd

A day is a time, not a folder: rows that came late belong to their own day, and rows without a
usable time to none.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from audiorec.listening.events import Interactions
from audiorec.listening.log_files import DAY_SECONDS
from audiorec.listening.rule import duplicates

USUAL_DAYS = 28  # before the day; the median of their rows is what is usual
DOUBLED = 0.01  # share of a day's rows; fewer equal rows are nothing to speak of
MOST_ROWS = 2_880  # of one user on one day: a row every half minute, all day


def arrived(log: Interactions, ends_s: float | None) -> dict[str, Any]:
    """Count what a log says about its last day.

    Parameters
    ----------
    log : Interactions
    ends_s : float, optional
        The end of the day, in seconds since 1970; by default the day of the newest row, in UTC.

    Returns
    -------
    counts : dict
        ``log_rows``; ``unusable`` rows that were left out, and why (``problems``); ``behind``: rows
        after the day, left out; ``again``: rows that an earlier folder has, counted once. If rows
        have times, also of the day: ``day_rows``; ``usual_rows``: the median of up to 28 days
        before it (0 if there is none); ``doubled``: rows that repeat another one in every column;
        ``most_rows``: those of the user who has most.
    """
    sent = log.deliveries
    left_out = {name: 0 if sent is None else getattr(sent, name) for name in ("behind", "again")}
    used = len(log) + len(log.artists)
    result: dict[str, Any] = {
        "log_rows": log.rows_read,
        "unusable": log.rows_read - used - sum(left_out.values()),
        "problems": {problem.kind: problem.count for problem in log.problems},
        **left_out,
    }
    timed = ~np.isnan(log.timestamp)
    if not timed.any():
        return result
    if ends_s is None:
        ends_s = (log.timestamp[timed].max() // DAY_SECONDS + 1) * DAY_SECONDS
    starts_s = ends_s - DAY_SECONDS
    ago = -((np.where(timed, log.timestamp, np.inf) - starts_s) // DAY_SECONDS)
    by_day = np.bincount(ago[ago >= 0].astype(np.int64), minlength=1)
    before, of_day = by_day[1 : USUAL_DAYS + 1], ago == 0
    return result | {
        "day_rows": int(by_day[0]),
        "usual_rows": int(np.median(before)) if len(before) else 0,
        "doubled": int(duplicates(log)[of_day].sum()),
        "most_rows": int(np.bincount(log.user[of_day], minlength=1).max()),
    }


def too_few(counts: Mapping[str, Any], least: float) -> str:
    """Return why a day has too few rows to be served unseen; empty if it has enough.

    `least` is the share of the usual rows that a day needs, which is never less than one row; 0
    lets every day pass.
    """
    rows, usual = counts.get("day_rows"), counts.get("usual_rows", 0)
    if rows is None or not least or (rows and rows >= least * usual):
        return ""
    return f"the log has {rows:,} rows of this day, usually {usual:,}"


def remarks(counts: Mapping[str, Any]) -> list[str]:
    """Return a line for each thing that is odd about what arrived."""
    rows = counts.get("day_rows", 0)
    lines = []
    if counts.get("unusable"):
        why = "; ".join(f"{kind}: {n:,}" for kind, n in counts["problems"].items())
        lines.append(f"{counts['unusable']:,} rows of the log are left out: {why}")
    if counts.get("again", 0) > DOUBLED * rows:
        lines.append(f"{counts['again']:,} rows were delivered twice and count once")
    if counts.get("doubled", 0) > DOUBLED * rows:
        lines.append(
            f"{counts['doubled']:,} of the {rows:,} rows of the day repeat another one in every "
            "column; they count as often as they are there"
        )
    if counts.get("most_rows", 0) > MOST_ROWS:
        lines.append(
            f"one user has {counts['most_rows']:,} of the {rows:,} rows of the day, more than a "
            "person hears"
        )
    return lines
