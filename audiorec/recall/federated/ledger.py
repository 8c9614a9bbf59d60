"""What a party has let others learn so far, and the budget beyond which it refuses.

    plan ──`Ledger`──▶ entries ──`note_release`──▶ one more, if all together stay within the budget
                               ──`note_ids`──▶ ids that a partner tries, within the limit of a day

An entry is written before anything leaves, so a run that is killed in between is counted too. The
file is one sealed JSON document; one that was changed, or cannot be read, lets nothing through.
Whoever removes the file removes what it knows: keep it as long as the plays that it protects.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Self

from audiorec.errors import InputError, StoreError
from audiorec.files.json_files import parse_json, sealed, unsealed
from audiorec.files.own_files import RunFolder, read_own, replaced, write_errors
from audiorec.files.user_files import from_table
from audiorec.recall.federated.accounting import epsilon_of

SCHEMA = "audiorec/federated-ledger/1"
MAX_BYTES = 16 << 20
NO_FILES = r"(?!)"  # the folder of the lock stays empty
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a party lets others learn at most.

    Attributes
    ----------
    epsilon : float
        Of all releases together: what one user's plays may change. 0: nothing is released.
    delta : float
        Of all releases together.
    ids_a_day : int
        Ids that one partner may try within 24 hours in alignments. 0: no limit.
    """

    epsilon: float = 0.0
    delta: float = 1e-5
    ids_a_day: int = 0

    def __post_init__(self) -> None:
        if not self.epsilon >= 0 or self.ids_a_day < 0:
            raise InputError("epsilon and ids_a_day of the budget must be 0 or more")
        if not 0 < self.delta < 1:
            raise InputError(f"delta of the budget must be in (0, 1), got {self.delta:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One thing that others may have learnt.

    Attributes
    ----------
    what : {"release", "vectors", "ids"}
        A release of noised numbers, a table of user vectors, or ids that a partner tried.
    at : str
        Time in UTC, as ISO 8601.
    peer : str
        Fingerprint of the other party's certificate.
    count : int
        Songs of a release, users of a table, or ids.
    noise : float
        Of a release: standard deviation of the noise as a multiple of the sensitivity. 0 else.
    """

    what: Literal["release", "vectors", "ids"]
    at: str
    peer: str
    count: int
    noise: float = 0.0

    def __post_init__(self) -> None:
        if (self.noise > 0) is not (self.what == "release"):
            raise InputError(f"an entry of {self.what} with noise {self.noise:g}")
        if datetime.fromisoformat(self.at).tzinfo is None:
            raise InputError(f"an entry without a time zone: {self.at}")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of a party.

    Attributes
    ----------
    path : Path
    entries : tuple of LedgerEntry
    """

    path: Path
    entries: tuple[LedgerEntry, ...] = field(default=())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ledger; one that does not exist is empty.

        Raises
        ------
        StoreError
            If it is damaged, or was changed by anything else than audiorec.
        """
        try:
            content = unsealed(parse_json(read_own(path, MAX_BYTES), max_bytes=MAX_BYTES))
        except FileNotFoundError:
            return cls(path)
        except ValueError as error:
            raise StoreError(f"{path}: not a ledger as it was written: {error}") from error
        if content.get("schema") != SCHEMA or not isinstance(content.get("entries"), list):
            raise StoreError(f"{path}: not a ledger, or one of a newer audiorec")
        try:
            found = [from_table(LedgerEntry, dict(one), "entry") for one in content["entries"]]
        except (TypeError, ValueError) as error:
            raise StoreError(f"{path}: not a valid entry: {error}") from error
        return cls(path, tuple(found))

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


def note_release(path: Path, budget: Budget, peer: str, songs: int, noise: float) -> float:
    """Enter a release before it happens; return the epsilon of all releases together.

    Raises
    ------
    InputError
        If they would exceed the budget: nothing is entered.
    StoreError
        If the ledger cannot be read or written.
    """
    entry = LedgerEntry(what="release", at=_now().isoformat(), peer=peer, count=songs, noise=noise)
    with held(path) as ledger:
        after = ledger.plus(entry)
        total, spent = after.spent(budget.delta), ledger.spent(budget.delta)
        if total > budget.epsilon * (1 + 1e-9):
            raise InputError(
                f"{path}: releases so far have epsilon {spent:.4g}; with this one {total:.4g}, "
                f"beyond the budget of {budget.epsilon:g} at delta {budget.delta:g}"
            )
        after.write()
    return total


def note_ids(path: Path, budget: Budget, peer: str, ids: int) -> str:
    """Enter the ids that a peer tries in an alignment; return why it may not, empty if it may."""
    now = _now()
    with held(path) as ledger:
        before = ledger.ids_within_a_day(peer, now)
        if budget.ids_a_day and before + ids > budget.ids_a_day:
            return (
                f"{ids:,} ids after {before:,} within a day; this side allows "
                f"{budget.ids_a_day:,} (ids_a_day)"
            )
        ledger.plus(LedgerEntry(what="ids", at=now.isoformat(), peer=peer, count=ids)).write()
    return ""


def note_vectors(path: Path, peer: str, users: int) -> None:
    """Enter a table of user vectors before it is sent."""
    with held(path) as ledger:
        entry = LedgerEntry(what="vectors", at=_now().isoformat(), peer=peer, count=users)
        ledger.plus(entry).write()


def _now() -> datetime:
    return datetime.now(UTC)
