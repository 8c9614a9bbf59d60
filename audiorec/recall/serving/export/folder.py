"""Write the folder of an export atomically: table parts, labelled samples and a manifest.

    with export_folder(out) as fresh:            a folder beside `out`
        with PartWriter(fresh, table) as part:   part.write(rows of whole users)
        write_manifest(fresh, ...)               at the end, `fresh` replaces `out`

    events of a user        ──event_samples─────▶ wanted or not, in every product
    exposures, later plays  ──exposure_samples──▶ played to the end within some days, or not
    plays in one product    ──play_samples──────▶ the same if there are no exposures

A folder with other files than an export is never replaced.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.errors import InputError, StoreError
from audiorec.files.own_files import (
    RunFolder,
    check_tree,
    read_object,
    refuse_link,
    remove_tree,
    run_folder_path,
    sealed,
    sync,
)
from audiorec.listening.events import EVENTS, is_listening
from audiorec.listening.sequences import DAY_S
from audiorec.recall.serving.export.features import LONG_AGO, EventsInTime, UserEventHistory
from audiorec.recall.serving.export.schema import ExportTable
from audiorec.store.schema import METADATA_KEY
from audiorec.types import BoolArray, Float64Array, Int64Array

MANIFEST = "manifest.json"
SCHEMA_NAME = "audiorec/recall-export/1"
KIND = "recall_export"
FORMAT_VERSION = 1
GROUP_ROWS = 1 << 16  # minimum rows of a row group, which ends after a whole user
PART_ROWS = 1 << 23  # rows of a file, after which a new one starts
_PARTS = (
    r"[a-z0-9_]+/part-\d{5}\.parquet|manifest\.json|"
    r"[a-z0-9_]+/"  # folders, which may be empty
)
EXPORT_FILES = re.compile(_PARTS)
WRITING: Mapping[str, Any] = {
    "compression": "snappy",
    "version": "2.4",
    "data_page_version": "1.0",
    "write_page_checksum": True,
    "coerce_timestamps": "us",
}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class PartWriter:
    """Writer of one table as files of bounded size, without splitting users.

    Files are readable by other tools: snappy compression, only encodings that older readers know,
    and all rows of a user in one row group.
    """

    def __init__(self, folder: Path, table: ExportTable) -> None:
        self.table, self.rows = table, 0
        self._folder = folder / table.name
        self._folder.mkdir()
        about = {"kind": KIND, "table": table.name, "format_version": FORMAT_VERSION}
        self.schema = table.schema.with_metadata({METADATA_KEY: json.dumps(about).encode()})
        self._waiting: list[Any] = []
        self._files: list[Path] = []
        self._in_file = 0
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc_info: object) -> None:
        if kind is None:
            self._flush()
            if not self._files:
                self._open()
        if self._writer is not None:
            self._writer.close()

    def write(self, rows: Any) -> None:
        """Add all rows of some users, as a `pyarrow.Table` or a mapping of names to arrays."""
        if not isinstance(rows, pa.Table):
            arrays = [rows[field.name] for field in self.schema]
            rows = pa.Table.from_arrays(
                [_cast(a, f.type) for a, f in zip(arrays, self.schema, strict=True)],
                schema=self.schema,
            )
        if not len(rows):
            return
        self._waiting.append(rows.cast(self.schema))
        if sum(map(len, self._waiting)) >= GROUP_ROWS:
            self._flush()

    def described(self) -> dict[str, Any]:
        """Return the entry of the table in the manifest; call after writing."""
        return {
            "about": self.table.about,
            "key": list(self.table.key),
            "rows": self.rows,
            "columns": [_described(column) for column in self.table.columns],
            "files": [
                {
                    "path": path.relative_to(self._folder.parent).as_posix(),
                    "bytes": path.stat().st_size,
                    "sha256": _sha256(path),
                }
                for path in self._files
            ],
        }

    def _flush(self) -> None:
        if not self._waiting:
            return
        group = pa.concat_tables(self._waiting)
        self._waiting = []
        if self._writer is None or self._in_file >= PART_ROWS:
            self._open()
        self._writer.write_table(group, row_group_size=max(1, len(group)))
        self.rows += len(group)
        self._in_file += len(group)

    def _open(self) -> None:
        if self._writer is not None:
            self._writer.close()
        path = self._folder / f"part-{len(self._files):05}.parquet"
        texts = [f.name for f in self.schema if pa.types.is_string(f.type)]
        self._writer = pq.ParquetWriter(path, self.schema, use_dictionary=texts, **WRITING)
        self._files.append(path)
        self._in_file = 0


def _described(column: Any) -> dict[str, Any]:
    result = {"name": column.name, "kind": column.kind, "nullable": column.nullable}
    result |= {"width": column.width} if column.width else {}
    return {**result, "about": column.about}


def _cast(array: Any, kind: Any) -> Any:
    return array if array.type == kind else array.cast(kind)


def check_target(out: Path) -> None:
    """Raise `InputError` if `out` is a file, or a folder that is not an export."""
    refuse_link(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give a folder for the export")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise InputError(f"{out}: is a folder without an export; give a new one")
    try:
        if out.is_dir():
            check_tree(out, EXPORT_FILES)
    except StoreError as error:
        raise InputError(
            f"{out}: holds other files than an export; give a new folder ({error})"
        ) from error


@contextmanager
def export_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `out` at the end, unless the body raises.

    It lies in the run folder of `out`, which only one process can hold. Leftovers of a killed job
    are removed; if it was killed between the two final renames, the old export is restored first.
    """
    check_target(out)
    run = RunFolder(out, rf"(?:new|old)/|(?:new|old)/(?:{_PARTS})")
    try:
        fresh, old = run_folder_path(out) / "new", run_folder_path(out) / "old"
        if not out.exists() and (old / MANIFEST).is_file():  # killed between the two renames
            old.rename(out)
        run.clear()
        fresh.mkdir()
        yield fresh
        for path in sorted(fresh.rglob("*")):
            sync(path)
        if out.exists():
            out.rename(old)
        fresh.rename(out)
        sync(out.parent)
        if old.exists():
            remove_tree(old, EXPORT_FILES)
            old.rmdir()
    except BaseException:
        run.clear()
        raise
    finally:
        run.release(remove=True)


def write_manifest(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write and return the manifest, with a digest of its content."""
    whole = sealed({"schema": SCHEMA_NAME, "format_version": FORMAT_VERSION, **content})
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")
    return whole


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of an export; None if there is none.

    Raises
    ------
    StoreError
        If the manifest is damaged, or of another format version.
    """
    path = folder / MANIFEST
    try:
        content = read_object(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StoreError(f"{path}: {error}") from error
    if content.get("schema") != SCHEMA_NAME:
        raise StoreError(
            f"{path}: has schema {content.get('schema')!r}, this audiorec reads {SCHEMA_NAME!r}"
        )
    return content


def is_whole(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Return whether all files of a manifest exist with the sizes given there."""
    files = [file for table in manifest["tables"].values() for file in table["files"]]
    sizes = {f["path"]: f["bytes"] for f in files}
    return all(
        (folder / path).is_file() and (folder / path).stat().st_size == size
        for path, size in sizes.items()
    )


OUTCOMES = ("none", "skip", "dislike", "finish")  # the last one that applies counts
SAYS_NO = ("dislike", "block")


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """n samples of a block of users, sorted by user, time and song.

    Attributes
    ----------
    user, song : ndarray, shape (n,), int64
        Users from 0; songs as positions in `EventHistory.song_ids`, -1 for others.
    at : ndarray, shape (n,), float64
        Seconds since 1970.
    known_until : ndarray, shape (n,), float64
        Features may read only events before this time.
    label : ndarray, shape (n,), bool
    row : ndarray, shape (n,), int64
        Rows of the log or of the exposures.
    outcome : ndarray, shape (n,), int64
        Positions in `OUTCOMES`.
    played : ndarray, shape (n,), float64
        Time of the finished play; NaN if there is none.
    """

    user: Int64Array
    song: Int64Array
    at: Float64Array
    known_until: Float64Array
    label: BoolArray
    row: Int64Array
    outcome: Int64Array
    played: Float64Array

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Any) -> "Samples":
        """Return the samples at the given rows."""
        return Samples(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(slots=True)
class SampleCounts:
    """Counts of samples, and of rows that became none, by kind."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, **news: int) -> None:
        """Add to the counts."""
        for name, n in news.items():
            self.counts[name] = self.counts.get(name, 0) + int(n)

    def labelled(self, samples: Samples) -> Samples:
        """Count positives and negatives; return the samples."""
        positive = int(samples.label.sum())
        self.add(positive=positive, negative=len(samples) - positive)
        return samples


def event_samples(past: UserEventHistory, counts: SampleCounts) -> Samples:
    """Return a sample for each event with a time: wanted (finished, liked, in a list) or not."""
    return counts.labelled(_event_samples(past, np.ones(len(past.rows), np.bool_), counts))


def play_samples(past: UserEventHistory, entry: str | None, counts: SampleCounts) -> Samples:
    """Return a sample for each play in one product, or in all if `entry` is None."""
    log = past.past.log
    listened = is_listening(log.event[past.rows])
    label = log.labels.get("entry")
    if entry is not None and label is not None:
        names = np.array([*(text == entry for text in label.texts), False])
        mine = names[label.number[past.rows]]
        counts.add(of_other_entries=int((listened & ~mine).sum()))
        listened &= mine
    return counts.labelled(_event_samples(past, listened, counts))


def _event_samples(past: UserEventHistory, chosen: BoolArray, counts: SampleCounts) -> Samples:
    timed = past.time > LONG_AGO
    counts.add(without_time=int((chosen & ~timed).sum()))
    at = np.flatnonzero(chosen & timed)
    at = at[np.lexsort((past.rows[at], past.song[at], past.time[at], past.user[at]))]
    rows, time = past.rows[at], past.time[at]
    label = past.past.wanted[rows]
    event = past.past.log.event[rows]
    no = np.isin(event, [EVENTS.index(name) for name in SAYS_NO])
    outcome = np.where(no, OUTCOMES.index("dislike"), OUTCOMES.index("skip"))
    outcome[label] = OUTCOMES.index("finish")
    played = np.where(past.past.finished[rows], time, np.nan)
    return Samples(past.user[at], past.song[at], time, time, label, rows, outcome, played)


@dataclass(frozen=True, slots=True, eq=False)
class ShownSongs:
    """n exposures of one product to a block of users."""

    user: Int64Array  # (n,): from 0; -1: a user who is not in the log
    song: Int64Array  # (n,): position in `EventHistory.song_ids`; -1: in none of the tables
    name: Int64Array  # (n,): number of the song's id, also for songs in no table
    at: Float64Array  # (n,): seconds since 1970
    owner: Int64Array  # (n,): number of the user's id, also for users who are not in the log


def exposure_samples(
    past: UserEventHistory, shown: ShownSongs, days: float, counts: SampleCounts
) -> Samples:
    """Return a sample for each exposure: positive if played to the end within `days`.

    A play counts for the latest earlier exposure of its song, so each counts once. An exposure
    whose days are not over at the end of the log is not yet a sample, whatever has happened so far:
    positives are known earlier than negatives, so including it would bias the labels.
    """
    counts.add(shown=len(shown.at))
    order = np.lexsort((shown.at, shown.name, shown.owner))
    pair = (shown.owner * (int(shown.name.max(initial=0)) + 1) + shown.name)[order]
    at = shown.at[order]
    again = np.zeros(len(order), np.bool_)
    again[1:] = (np.diff(pair) == 0) & (np.diff(at) == 0)
    counts.add(shown_twice_at_once=int(again.sum()))
    order, pair, at = order[~again], pair[~again], at[~again]
    end = at + days * DAY_S
    same = np.diff(pair) == 0
    end[:-1] = np.where(same, np.minimum(end[:-1], at[1:]), end[:-1])
    over = end <= past.past.newest
    counts.add(pending=int((~over).sum()))
    order, at, end = order[over], at[over], end[over]
    user, song = shown.user[order], shown.song[order]
    outcome = np.zeros(len(order), np.int64)
    event = past.past.log.event[past.rows]
    finished = past.past.finished[past.rows]
    no = np.isin(event, [EVENTS.index(name) for name in SAYS_NO])
    kinds = {"skip": is_listening(event) & ~finished, "dislike": no, "finish": finished}
    played = np.full(len(order), np.nan)
    for name, mask in kinds.items():
        happened, first = _between(past, mask, user, song, at, end)
        outcome[happened] = OUTCOMES.index(name)
        if name == "finish":
            played[happened] = first[happened]
    label = outcome == OUTCOMES.index("finish")
    known = np.nextafter(at, np.inf)  # events at the time of exposure count as known
    samples = Samples(user, song, at, known, label, order, outcome, played)
    order = np.lexsort((shown.name[samples.row], samples.at, shown.owner[samples.row]))
    return counts.labelled(samples.take(order))


def _between(
    past: UserEventHistory,
    mask: BoolArray,
    user: Int64Array,
    song: Int64Array,
    after: Float64Array,
    until: Float64Array,
) -> tuple[BoolArray, Float64Array]:
    """Return whether an event of a kind lies in ``(after, until]``, and the time of the first."""
    tally = EventsInTime(past.pair(past.user[mask], past.song[mask]), past.time[mask])
    times = np.append(past.time[mask][tally.order], np.nan)
    pair = past.pair(user, song)
    start, stop = (tally.span(pair, np.nextafter(moment, np.inf))[1] for moment in (after, until))
    happened = stop > start
    return happened, times[np.where(happened, start, -1)]
