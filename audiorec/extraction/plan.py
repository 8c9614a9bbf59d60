"""What a run has to do: the songs found, compared with the songs already known.

    sources, known, failed ──plan_run──▶ Plan(todo, unchanged, relabelled, failed_before)

A file is taken for unchanged when its path, size and modification time are as they were.
Everything else is opened, and there the content hash decides: a song that was moved,
renamed or retagged is recognised by its audio and keeps its vector.

A place that could not be looked at has neither size nor time that could say "as before": it
is tried in every run.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from audiorec.extraction.catalogue import Source


@dataclass(frozen=True, slots=True)
class KnownSong:
    """A song that has a vector already."""

    song_id: str
    uri: str
    size: int
    mtime_ns: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A file that could not be used when it was last tried."""

    song_id: str
    uri: str
    size: int
    mtime_ns: int
    attempts: int
    status: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's work, each song in exactly one of the lists.

    Attributes
    ----------
    todo : list of Source
        To be opened: new, changed, moved, retagged or to be tried again; and the places that
        could not be looked at.
    unchanged : list of Source
        Nothing to do.
    relabelled : list of (Source, KnownSong)
        The same file under another id: the row is copied without opening the file.
    failed_before : list of Source
        Failed earlier and not changed since.
    """

    todo: list[Source] = field(default_factory=list)
    unchanged: list[Source] = field(default_factory=list)
    relabelled: list[tuple[Source, KnownSong]] = field(default_factory=list)
    failed_before: list[Source] = field(default_factory=list)


def plan_run(
    sources: Iterable[Source],
    known: Iterable[KnownSong] = (),
    failed: Iterable[KnownFailure] = (),
    *,
    retry_failed: bool = False,
) -> Plan:
    """Compare what was found with what is known.

    Parameters
    ----------
    sources : iterable of Source
        What a catalogue found.
    known, failed
        What the output files and an interrupted run hold.
    retry_failed : bool
        Try again what failed, changed or not.
    """
    by_place = {(k.uri, k.size, k.mtime_ns): k for k in known}
    failures = {(f.uri, f.size, f.mtime_ns) for f in failed}
    plan = Plan()
    for source in sources:
        place = (source.uri, source.size, source.mtime_ns)
        match = by_place.get(place)
        if source.problem:
            plan.todo.append(source)
        elif match is not None and match.song_id == source.song_id:
            plan.unchanged.append(source)
        elif match is not None:
            plan.relabelled.append((source, match))
        elif place in failures and not retry_failed:
            plan.failed_before.append(source)
        else:
            plan.todo.append(source)
    return plan
