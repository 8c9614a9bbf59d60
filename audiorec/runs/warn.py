"""Warn after a run if it differs from the runs before it.

    run, runs before ──run_warnings──▶ ["7.5 % of the songs failed (30 of 400), 0.5 % in ..."]

A run is compared with the last completed run of the same job into the same output that has enough
data. There are four kinds of warning:

- **failures**: at least twice the share of songs, at least one in a hundred more, and a difference
  that chance makes less than once in a thousand runs (Fisher's exact test);
- **scores** that drifted (`audiorec.runs.drift`);
- **less**: fewer than half as many rows, songs, users or lists;
- **channels** of recall that proposed nothing, or less than a tenth as much; or that have no song
  in the lists.
"""

import math
from collections.abc import Callable, Sequence

from audiorec.runs.drift import LEAST_INDEPENDENT, drifts
from audiorec.runs.record import JobRun

WENT_THROUGH = (0, 3)  # exit codes of a completed run
LEAST_SONGS = 50  # opened by a run; with fewer its share of failures is not compared
MORE_FAILURES = 0.01  # share of the songs
CHANCE = 0.001
WATCHED = ("rows", "songs", "users", "lists", "sequences")
ENOUGH = 20  # smaller counts may halve by chance
CHANNELS = {"proposed/": "proposed {n} songs", "channels/": "has {n} songs in the lists"}


def run_warnings(run: JobRun, before: Sequence[JobRun]) -> list[str]:
    """Return one line for each difference from the runs before; none for a stopped run."""
    if run.exit_code not in WENT_THROUGH:
        return []
    earlier = [r for r in before if r.job == run.job and r.exit_code in WENT_THROUGH]
    last = earlier[-1] if earlier else None
    found = _failures(run, _last(earlier, lambda r: r.counts.get("opened", 0) >= LEAST_SONGS))
    found += _scores(run, _last(earlier, lambda r: r.scores.independent >= LEAST_INDEPENDENT))
    found += _less(run, last)
    return found + _channels(run, last)


def _last(runs: Sequence[JobRun], fits: Callable[[JobRun], bool]) -> JobRun | None:
    return next((run for run in reversed(runs) if fits(run)), None)


def _when(run: JobRun) -> str:
    return f"in the run of {run.started_at[:16].replace('T', ' ')}"


def _failures(run: JobRun, last: JobRun | None) -> list[str]:
    opened, failed = run.counts.get("opened", 0), run.counts.get("failed", 0)
    if last is None or not opened:
        return []
    n, k = last.counts["opened"], last.counts.get("failed", 0)
    share, usual = failed / opened, k / n
    if share < max(2 * usual, usual + MORE_FAILURES):
        return []
    if chance_of((round(k), round(n)), (round(failed), round(opened))) > CHANCE:
        return []
    now, then = (f"{100 * one:.1f} %" for one in (share, usual))
    return [f"{now} of the songs failed ({failed:,.0f} of {opened:,.0f}), {then} {_when(last)}"]


def chance_of(before: tuple[int, int], now: tuple[int, int]) -> float:
    """Return the probability of this many failures or more if both runs fail at the same rate.

    Fisher's exact test, one-sided: given the total failures of both runs, they are distributed
    over the songs of both at random. Each run is given as (failures, songs).

    Examples
    --------
    >>> f"{chance_of((0, 3), (3, 3)):.2f}"
    '0.05'
    """
    (k, n), (failed, opened) = before, now
    both = failed + k
    whole = _log_choices(opened + n, both)
    terms = (
        _log_choices(opened, i) + _log_choices(n, both - i) - whole
        for i in range(failed, min(both, opened) + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))


def _log_choices(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _scores(run: JobRun, last: JobRun | None) -> list[str]:
    if last is None:
        return []
    drifted = [one for one in drifts(last.scores, run.scores) if one.is_drift]
    if not drifted:
        return []
    first = drifted[0]
    more = f", and {len(drifted) - 1} more" if len(drifted) > 1 else ""
    other = "; another extractor made them" if run.extractor_id != last.extractor_id else ""
    means = f"{first.now:.2f} on average, {first.before:.2f} {_when(last)}"
    psi = f"PSI {first.psi:.2f}"
    return [f"scores have drifted: {first.name} is {means} ({psi}){more}{other}"]


def _less(run: JobRun, last: JobRun | None) -> list[str]:
    if last is None:
        return []
    return [
        f"{run.counts[name]:,.0f} {name}, {last.counts[name]:,.0f} {_when(last)}"
        for name in WATCHED
        if name in run.counts
        and last.counts.get(name, 0) >= ENOUGH
        and run.counts[name] < last.counts[name] / 2
    ]


def _channels(run: JobRun, last: JobRun | None) -> list[str]:
    found = []
    for name, n in run.counts.items():
        for beginning, says in CHANNELS.items():
            if not name.startswith(beginning):
                continue
            usual = last.counts.get(name, 0) if last is not None else 0
            if n == 0 or (usual >= ENOUGH and n < usual / 10):
                was = f", {usual:,.0f} {_when(last)}" if usual and last is not None else ""
                told = says.format(n=f"{n:,.0f}" if n else "no")
                found.append(f"channel {name.removeprefix(beginning)} {told}{was}")
    return found
