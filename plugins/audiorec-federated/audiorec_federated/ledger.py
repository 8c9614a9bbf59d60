"""What a party has let others learn so far, and the budget beyond which it refuses.

    plan ──`Ledger`──▶ entries ──`note_release`──▶ one more, if all together stay within the budget
                               ──`note_ids`──▶ ids that a partner tries, within the limit of a day

An entry is written before anything leaves, so a run that is killed in between is counted too. A
file that was changed, or cannot be read, lets nothing through. It lies beside the data that it
protects, so that all partners of these data have one. Whoever removes it, or names another one,
removes what it knows: keep it as long as the plays.

Epsilon is that of Gaussian releases, by the exact formula of the mechanism. Noise is a multiple of
the sensitivity: what one user can change, in Euclidean length. Releases compose exactly: several
with noises s_i tell as much as one with 1 / s^2 = sum of 1 / s_i^2, also if each was chosen after
the ones before.

References
----------
Balle and Wang, *Improving the Gaussian mechanism for differential privacy*, 2018.
Dong, Roth and Su, *Gaussian differential privacy*, 2022.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from audiorec.errors import InputError, StoreError
from audiorec.files.own_files import RunFolder, read_object, replaced, sealed, write_errors
from audiorec.files.user_files import from_table
from audiorec.options import check_fields

SCHEMA = "audiorec/federated-ledger/1"
NO_FILES = r"(?!)"  # the folder of the lock stays empty
DAY = timedelta(days=1)
MOST_EPSILON = 1_000.0
ADVISED_EPSILON = 8.0  # the most that all releases together should promise (figures.md)
NOISES = (1e-3, 1e6)  # what `noise_for` searches


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a party lets others learn at most."""

    # Of all releases together: what one user's plays may change. 0: nothing is released
    epsilon: float = 0.0
    delta: float = 1e-5  # of all releases together
    # Ids that one partner may try within 24 hours in alignments. 0: no limit
    ids_a_day: int = 1_000_000
    # An alignment of fewer users is refused, and a table with fewer vectors that are not zero
    least_users: int = 100

    def __post_init__(self) -> None:
        check_fields(self, epsilon=">=0", ids_a_day=">=0", least_users=">=1", delta="(0, 1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One thing that others may have learnt."""

    # A release of noised numbers, a table of user vectors, or ids that a partner tried
    what: Literal["release", "vectors", "ids"]
    at: str  # time in UTC, as ISO 8601
    peer: str  # fingerprint of the other party's certificate
    count: int  # songs of a release, users of a table, or ids
    # Of a release: standard deviation of the noise as a multiple of the sensitivity. 0 else
    noise: float = 0.0
    commitment: str = ""  # of a partner to the ids that it tried, 64 hex digits

    def __post_init__(self) -> None:
        if (self.noise > 0) is not (self.what == "release"):
            raise InputError(f"an entry of {self.what} with noise {self.noise:g}")
        if datetime.fromisoformat(self.at).tzinfo is None:
            raise InputError(f"an entry without a time zone: {self.at}")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of a party."""

    path: Path
    entries: tuple[LedgerEntry, ...] = field(default=())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ledger, empty if there is none; `StoreError` if it was damaged or changed."""
        try:
            content = read_object(path)
        except FileNotFoundError:
            return cls(path)
        except ValueError as error:
            raise StoreError(f"{path}: not a ledger as it was written: {error}") from error
        if content.get("schema") != SCHEMA or not isinstance(content.get("entries"), list):
            raise StoreError(f"{path}: not a ledger, or one of a newer audiorec")
        try:
            result = [from_table(LedgerEntry, dict(one), "entry") for one in content["entries"]]
        except (TypeError, ValueError) as error:
            raise StoreError(f"{path}: not a valid entry: {error}") from error
        return cls(path, tuple(result))

    def spent(self, delta: float) -> float:
        """Return the epsilon of all releases together at a delta."""
        return epsilon_of([e.noise for e in self.entries if e.what == "release"], delta)

    def ids_within_a_day(self, peer: str, now: datetime) -> int:
        """Return how many ids a peer has tried in the 24 hours before `now`."""
        since = now - DAY
        own = [e for e in self.entries if (e.what, e.peer) == ("ids", peer)]
        return sum(e.count for e in own if datetime.fromisoformat(e.at) > since)

    def plus(self, entry: LedgerEntry) -> Self:
        """Return the ledger with one more entry."""
        return replace(self, entries=(*self.entries, entry))

    def write(self) -> None:
        """Write the ledger atomically."""
        content = sealed({"schema": SCHEMA, "entries": [asdict(one) for one in self.entries]})
        with write_errors(self.path), replaced(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=1))


@contextmanager
def held(path: Path) -> Iterator[Ledger]:
    """Read a ledger and keep others from changing it meanwhile; `StoreError` if one does."""
    folder = RunFolder(path, NO_FILES)
    try:
        yield Ledger.read(path)
    finally:
        folder.release(remove=True)


def budget_line(given: Mapping[str, Any], epsilon: float) -> str:
    """Return the line of a settings file that allows releases up to `epsilon` in all.

    Examples
    --------
    >>> budget_line({"least_users": 50}, 8.0)
    'budget = { epsilon = 8.0, least_users = 50 }'
    """
    keys = {"epsilon": epsilon, **{name: one for name, one in given.items() if name != "epsilon"}}
    return f"budget = {{ {', '.join(f'{name} = {one}' for name, one in keys.items())} }}"


def note_release(
    path: Path, budget: Budget, peer: str, songs: int, noise: float, *, advice: str = ""
) -> float:
    """Enter a release before it happens; return the epsilon of all releases together.

    `InputError` if they would exceed the budget: nothing is entered. Its message ends with the
    advice: where the budget is set.
    """
    entry = LedgerEntry(what="release", at=_now().isoformat(), peer=peer, count=songs, noise=noise)
    with held(path) as ledger:
        after = ledger.plus(entry)
        total, spent = after.spent(budget.delta), ledger.spent(budget.delta)
        if total > budget.epsilon * (1 + 1e-9):
            raise InputError(
                f"{path}: releases so far have epsilon {spent:.4g}; with this one {total:.4g}, "
                f"beyond the budget of {budget.epsilon:g} at delta {budget.delta:g}{advice}"
            )
        after.write()
    return total


def note_ids(path: Path, budget: Budget, peer: str, ids: int, commitment: str = "") -> str:
    """Enter the ids that a peer tries, with its commitment; return why it may not, or nothing."""
    now = _now()
    with held(path) as ledger:
        before = ledger.ids_within_a_day(peer, now)
        if budget.ids_a_day and before + ids > budget.ids_a_day:
            return (
                f"{ids:,} ids after {before:,} within a day; this side allows "
                f"{budget.ids_a_day:,} (ids_a_day)"
            )
        about: Any = {"at": now.isoformat(), "peer": peer, "commitment": commitment}
        ledger.plus(LedgerEntry(what="ids", count=ids, **about)).write()
    return ""


def note_vectors(path: Path, peer: str, users: int) -> None:
    """Enter a table of user vectors before it is sent."""
    with held(path) as ledger:
        entry = LedgerEntry(what="vectors", at=_now().isoformat(), peer=peer, count=users)
        ledger.plus(entry).write()


def _now() -> datetime:
    return datetime.now(UTC)


def delta_of(noise: float, epsilon: float) -> float:
    """Return the smallest delta for which a Gaussian release is (epsilon, delta)-private."""
    from scipy.special import log_ndtr

    half, shift = 0.5 / noise, epsilon * noise
    high, low = log_ndtr(half - shift), epsilon + log_ndtr(-half - shift)
    return float(np.exp(high) * -np.expm1(min(0.0, low - high)))


def epsilon_of(noises: Iterable[float], delta: float) -> float:
    """Return the epsilon of releases with noises (multiples of the sensitivity); 0 without one.

    Examples
    --------
    >>> round(epsilon_of([1.0], 1e-5), 3)
    4.377
    >>> round(epsilon_of([2**0.5, 2**0.5], 1e-5), 3)
    4.377
    """
    _check(0 < delta < 1, "delta", "in (0, 1)", delta)
    shares = [1 / noise**2 for noise in noises]
    if not shares:
        return 0.0
    noise = sum(shares) ** -0.5
    if delta_of(noise, MOST_EPSILON) > delta:
        return float("inf")
    return _crossing(lambda epsilon: delta_of(noise, epsilon) - delta, 0.0, MOST_EPSILON)


def noise_for(epsilon: float, delta: float) -> float:
    """Return the least noise of a release that is (epsilon, delta)-private.

    Examples
    --------
    >>> round(noise_for(8.0, 1e-5), 3)
    0.6
    """
    _check(0 < epsilon <= MOST_EPSILON, "epsilon", f"in (0, {MOST_EPSILON:g}]", epsilon)
    _check(0 < delta < 1, "delta", "in (0, 1)", delta)
    return _crossing(lambda noise: delta_of(noise, epsilon) - delta, *NOISES)


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return the least place, up to a 1e-12th, at which a falling function is not above 0."""
    from scipy.optimize import brentq

    if falling(low) <= 0:
        return low
    result = float(brentq(falling, low, high, xtol=1e-12, rtol=1e-12))
    return result * (1 + 1e-11) + 1e-11  # on the safe side of the root


def _check(good: bool, name: str, expected: str, got: float) -> None:
    if not good:
        raise InputError(f"{name} must be {expected}, got {got:g}")
