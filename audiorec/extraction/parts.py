"""Parts of a store in one folder: how they are called, and which of them are finished.

    part-00003-of-00016.vecs.parquet       vectors of shard 3 of 16, counted from 0
    part-00003-of-00016.errors.parquet     its failures; there also when there are none
    part-00003-of-00016.scores.parquet     with ``--scores``; ``.features.`` likewise
    part-00003-of-00016.done.json          the mark: all of the above are in place

The Parquet files are ordinary store files; `audiorec.extraction.shards` makes them.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from audiorec.errors import InputError, MissingFileError, StoreError
from audiorec.files.storage import Entry, exists, fetch, files_in, is_uri
from audiorec.store.schema import Kind

ENDINGS = {
    Kind.VECTORS: "vecs.parquet",
    Kind.ERRORS: "errors.parquet",
    Kind.SCORES: "scores.parquet",
    Kind.FEATURES: "features.parquet",
}
MARK = "done.json"
MAX_PART_BYTES = 64 << 30
_NAME = re.compile(r"part-(\d{5})-of-(\d{5})\.(" + "|".join([*ENDINGS.values(), MARK]) + ")")


def part_name(index: int, count: int, ending: Kind | str) -> str:
    """Return the name of a part's file.

    Examples
    --------
    >>> part_name(3, 16, Kind.VECTORS), part_name(3, 16, MARK)
    ('part-00003-of-00016.vecs.parquet', 'part-00003-of-00016.done.json')
    """
    text = ENDINGS[ending] if isinstance(ending, Kind) else ending
    return f"part-{index:05d}-of-{count:05d}.{text}"


def part_of(name: str) -> tuple[int, int, str] | None:
    """Return index, count and ending of a file that `part_name` named, None for another.

    Examples
    --------
    >>> part_of("part-00003-of-00016.vecs.parquet"), part_of("vecs.parquet")
    ((3, 16, 'vecs.parquet'), None)
    """
    match = _NAME.fullmatch(name)
    return None if match is None else (int(match[1]), int(match[2]), match[3])


def finished_parts(folder: str, *, whole: bool = True) -> dict[Kind, list[Entry]]:
    """List the files of the finished parts in a folder, by kind, in the order of shards.

    Parameters
    ----------
    folder : str
        Path or URI.
    whole : bool
        Refuse a folder in which a shard is not finished. Without it, files of parts
        without their mark are left out: a run is still at work on them.

    Raises
    ------
    InputError
        If no part is finished, or with `whole` not every one.
    StoreError
        If the folder holds parts of two divisions (of 16 shards and of 32, say), in which
        the same songs would stand twice, or a part has its mark and not its files.
    """
    named = {entry.name: entry for entry in files_in(folder)}
    parts = [part for name in named if (part := part_of(name)) is not None]
    numbers = sorted((index, count) for index, count, ending in parts if ending == MARK)
    _check_numbers(folder, numbers, whole)
    found: dict[Kind, list[Entry]] = {kind: [] for kind in ENDINGS}
    for index, count in numbers:
        for kind in ENDINGS:
            name = part_name(index, count, kind)
            if name in named:
                found[kind].append(named[name])
            elif kind in (Kind.VECTORS, Kind.ERRORS):
                raise StoreError(f"{folder}: {name} is gone; make that shard again")
    return found


def _check_numbers(folder: str, numbers: Sequence[tuple[int, int]], whole: bool) -> None:
    if not numbers:
        kind = InputError if exists(folder) else MissingFileError
        raise kind(f"{folder}: no finished parts; audiorec shards makes them")
    counts = sorted({count for _, count in numbers})
    if len(counts) > 1:
        raise StoreError(
            f"{folder}: holds parts of {' and of '.join(map(str, counts))} shards; "
            "keep those of one division"
        )
    missing = sorted(set(range(counts[0])) - {index for index, _ in numbers})
    if whole and missing:
        some = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise InputError(
            f"{folder}: {len(missing)} of {counts[0]} shards are not finished: {some}; "
            "the same audiorec extract makes what is missing"
        )


@contextmanager
def local_parts(
    folder: str, scratch: Path | None = None, *, whole: bool = True
) -> Iterator[dict[Kind, list[Path]]]:
    """Give the finished parts of a folder as files on this machine's disk, by kind.

    Parts in an object store are copied to `scratch` (by default the system's temporary
    folder) and removed when the ``with`` statement ends; a kind that no part has is left out.

    Raises
    ------
    InputError, StoreError
        As for `finished_parts`, or if a part cannot be read.
    """
    found = finished_parts(folder, whole=whole)
    parts = {kind: entries for kind, entries in found.items() if entries}
    if not is_uri(folder):
        yield {kind: [Path(e.place) for e in entries] for kind, entries in parts.items()}
        return
    with tempfile.TemporaryDirectory(prefix="audiorec-parts-", dir=scratch) as copies:
        for entry in (e for entries in parts.values() for e in entries):
            fetch(entry.place, Path(copies) / entry.name, max_bytes=MAX_PART_BYTES)
        yield {k: [Path(copies) / e.name for e in entries] for k, entries in parts.items()}
