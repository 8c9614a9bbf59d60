"""A manifest: the songs of a sharded run, one row each, in a fixed order.

    songs found ──write_manifest──▶ manifest.parquet ──Manifest.open──▶ .sources(start, stop)

==============  =================  ====================================================
column          type               meaning
==============  =================  ====================================================
``path``        string, not null   path or URI (``s3://...``), relative to the
                                   manifest's folder. The name ``uri`` works too
``song_id``     string             the song's id; by default the path as written
``size``        int64              bytes; detects that a file changed
``mtime_ns``    int64              modification time, nanoseconds since 1970
``path_bytes``  binary             the path's bytes, if they are not UTF-8
``problem``     string             in a manifest of ``audiorec manifest``: why the place
                                   is inaccessible; it is a failure of its shard
==============  =================  ====================================================

Only ``path`` is required, and a CSV file with these columns works too.
"""

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audiorec.columns import StoreColumns
from audiorec.errors import DamagedFileError, InputError
from audiorec.extraction.catalogue import (
    AUDIO_EXTENSIONS,
    Source,
    find_songs,
    make_source,
    matches,
    printable,
    unique,
    uri_of,
)
from audiorec.files.arrow import WRITING, open_parquet
from audiorec.files.storage import files_in, find, is_uri, join, opened, parent, put, within_int64
from audiorec.files.tables import store_errors
from audiorec.files.user_files import csv_table, input_errors, refuse_devices

METADATA_KEY = b"audiorec"
KIND = "manifest"
FORMAT_VERSION = 1
GROUP_ROWS = 10_000
COLUMNS = ("path", "uri", StoreColumns.ID, "size", "mtime_ns", "path_bytes", "problem")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field(StoreColumns.ID, pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.int64(), nullable=False),
        pa.field("path_bytes", pa.binary()),
        pa.field("problem", pa.string()),
    ]
)


def find_sources(
    places: Sequence[str],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    song_id: Callable[[str, str], str] | None = None,
) -> list[Source]:
    """List the songs in folders, files, globs and object stores, sorted by id.

    Places are paths as for `catalogue.find_songs`, or URIs of folders, in which an object counts
    as a song by its extension; its id is its key relative to the folder. `include`, `exclude`,
    `song_id` and the errors are those of `find_songs`; raises `StoreError` if an object store
    cannot be listed.
    """
    local = [place for place in places if not is_uri(place)]
    sources = find_songs(local, include=include, exclude=exclude, song_id=song_id) if local else []
    rename = song_id or (lambda _path, default: default)
    for place in filter(is_uri, places):
        objects = _objects(place, include, exclude)
        sources += [
            replace(source, song_id=rename(source.path, source.song_id)) for source in objects
        ]
    return unique(sources)


def _objects(place: str, include: Sequence[str], exclude: Sequence[str]) -> Iterator[Source]:
    for entry in files_in(place):
        ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
        if ending in AUDIO_EXTENSIONS and matches(entry.name, include, exclude):
            yield Source(entry.name, entry.place, entry.place, entry.size, entry.mtime_ns)


def write_manifest(
    place: str, sources: Sequence[Source], *, created_at: datetime | None = None
) -> None:
    """Write songs to a manifest in the order given, atomically.

    Parameters
    ----------
    place : str
        Path or URI of the Parquet file to write.
    sources : sequence of Source
        Paths are written as absolute paths.
    created_at : datetime, optional
        The time of the run: ``extracted_at`` in all rows extracted from it. By default now.
    """
    about = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "created_at": (created_at or datetime.now(UTC)).isoformat(timespec="microseconds"),
    }
    schema = SCHEMA.with_metadata({METADATA_KEY: json.dumps(about, sort_keys=True).encode()})
    with tempfile.TemporaryDirectory(prefix="audiorec-manifest-") as folder:
        local = Path(folder) / "manifest.parquet"
        with pq.ParquetWriter(local, schema, **WRITING) as writer:
            for start in range(0, len(sources), GROUP_ROWS):
                rows = [_row(source) for source in sources[start : start + GROUP_ROWS]]
                writer.write_table(pa.Table.from_pylist(rows, schema))
        put(local, place)


class Manifest:
    """An open manifest; use `Manifest.open` in a ``with`` statement.

    `created_at` is the time of the run: that in the manifest, or else its modification time.
    """

    def __init__(self, place: str, rows: "_ParquetRows | _CsvRows", created_at: datetime) -> None:
        self.place = place
        self.created_at = created_at
        self._rows = rows
        self._is_ours = rows.created_at is not None  # a foreign column may mean anything
        self._folder = parent(place)
        self._files = ExitStack()

    @classmethod
    def open(cls, place: str) -> "Manifest":
        """Open a manifest by path or URI; raise `InputError` if it is not a table of paths."""
        with ExitStack() as on_error:
            with input_errors(place, "cannot read the manifest"):
                if not is_uri(place):
                    refuse_devices(Path(place.removeprefix("file://")))
                file = on_error.enter_context(opened(place))
                csv_file = place.lower().endswith((".csv", ".tsv"))
                rows = _CsvRows(place, file) if csv_file else _ParquetRows(place, file)
            if not {"path", "uri"} & set(rows.names):
                raise DamagedFileError(f"{place}: the manifest has no column path or uri")
            manifest = cls(place, rows, rows.created_at or _changed_at(place))
            manifest._files = on_error.pop_all()
        return manifest

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._files.close()

    def __len__(self) -> int:
        return len(self._rows)

    def sources(self, start: int, stop: int) -> list[Source]:
        """Return the songs of the rows from `start` up to `stop` (exclusive), in order.

        Size and modification time are the manifest's, or -1. Raises `InputError` if a row has no
        path (the message gives its number, from 1), or two rows have the same id.
        """
        result: dict[str, Source] = {}
        for number, row in enumerate(self._rows.read(start, stop), start=start + 1):
            source = self._source(row, number)
            other = result.setdefault(source.song_id, source)
            if other is not source:
                raise InputError(
                    f"{self.place}: two rows have the song_id {source.song_id!r}: "
                    f"{other.uri} and {source.uri}"
                )
        return list(result.values())

    def _source(self, row: Mapping[str, Any], number: int) -> Source:
        written = row.get("path") or row.get("uri")
        if row.get("path_bytes"):
            written = os.fsdecode(row["path_bytes"])
        if not written:
            raise InputError(f"{self.place}: row {number} has no path")
        path = join(self._folder, str(written)).removeprefix("file://")
        try:
            size, mtime_ns = (_number(row.get(name)) for name in ("size", "mtime_ns"))
        except (ValueError, TypeError) as error:
            raise InputError(f"{self.place}: row {number}: {error}") from error
        name = str(row.get(StoreColumns.ID) or printable(str(written)))
        problem = str(row.get("problem") or "") if self._is_ours else ""
        return Source(name, path, uri_of(path), size, mtime_ns, problem)


def read_manifest(place: str) -> list[Source]:
    """Return all songs of a manifest as they are now, sorted by id; errors as of `Manifest`."""
    with Manifest.open(place) as rows:
        return unique(map(with_current_stat, rows.sources(0, len(rows))))


def with_current_stat(source: Source) -> Source:
    """Return a local song with its current size and time; URIs and folders unchanged."""
    if is_uri(source.path) or source.is_folder:
        return source
    return make_source(source.path, source.song_id)


class _ParquetRows:
    """Rows of a Parquet file, read by row group: a machine reads those of its shard only."""

    def __init__(self, place: str, source: Any) -> None:
        self._place = place
        self._file = open_parquet(source)
        self.names = [n for n in self._file.schema_arrow.names if n in COLUMNS]
        self.created_at = _created_at(self._file.schema_arrow.metadata)
        self._starts = [0]
        for group in range(self._file.num_row_groups):
            self._starts.append(self._starts[-1] + self._file.metadata.row_group(group).num_rows)

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, start: int, stop: int) -> Iterator[Mapping[str, Any]]:
        for group, (first, end) in enumerate(zip(self._starts, self._starts[1:], strict=False)):
            if first < stop and start < end:
                with input_errors(self._place, "cannot read the manifest"):
                    rows = self._group(group)
                yield from rows[max(start - first, 0) : min(stop, end) - first]

    def _group(self, group: int) -> list[dict[str, Any]]:
        with store_errors(self._place):
            table = self._file.read_row_group(group, columns=self.names)
        try:
            rows: list[dict[str, Any]] = table.to_pylist()
        except UnicodeDecodeError:
            raise
        except ValueError as error:  # for example, a timestamp beyond Python's range
            raise InputError(f"invalid value in a manifest: {error}") from error
        return rows


class _CsvRows:
    """Rows of a CSV file, read whole, since it cannot be accessed by row."""

    created_at = None

    def __init__(self, place: str, file: Any) -> None:
        text = io.StringIO(file.read().decode("utf-8-sig"), newline="")
        self.names, rows = csv_table(place, "cannot read the manifest", file=text)
        self._rows = list(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, start: int, stop: int) -> Iterator[Mapping[str, Any]]:
        yield from self._rows[start:stop]


def _row(source: Source) -> dict[str, Any]:
    path = source.path if is_uri(source.path) else os.path.abspath(source.path)  # noqa: PTH100
    shown = printable(path)
    return {
        "path": shown,
        StoreColumns.ID: source.song_id,
        "size": source.size,
        "mtime_ns": source.mtime_ns,
        "path_bytes": None if shown == path else os.fsencode(path),
        "problem": source.problem or None,
    }


def _number(value: Any) -> int:
    return -1 if value is None or value == "" else within_int64(int(value))


def _created_at(metadata: Mapping[bytes, bytes] | None) -> datetime | None:
    """Return the time of the run from our own manifests; None for a foreign table."""
    try:
        about = json.loads((metadata or {}).get(METADATA_KEY, b"{}"))
        at = datetime.fromisoformat(about["created_at"])
    except (ValueError, KeyError, TypeError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _changed_at(place: str) -> datetime:
    entry = find(place)
    if entry is None or entry.mtime_ns < 0:
        return _EPOCH
    return datetime.fromtimestamp(entry.mtime_ns // 10**9, UTC).replace(
        microsecond=entry.mtime_ns % 10**9 // 1000
    )
