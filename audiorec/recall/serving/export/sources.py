"""Input files of an export: those of a nightly run, or files given one by one.

    serving/  ──ExportSources.with_run──▶ `ExportSources` ──▶ `OpenSources`
    exposures.parquet            ──read_shown───▶ streams of user, song, time, product, run
    served/ of an earlier export ──read_served──▶ streams of recent rows, in the current columns

Streams are sorted by user, so that many are read together in constant memory. A file that consists
of several sorted stretches, such as the exposures of many nights, becomes one stream per stretch;
an unsorted file is sorted in memory.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ShownColumns
from audiorec.errors import InputError, MissingFileError
from audiorec.files.own_files import read_object
from audiorec.files.tables import TableFile
from audiorec.files.user_files import column_names, read_table
from audiorec.learning.bundle import read_kind
from audiorec.listening.events import Interactions
from audiorec.listening.interactions import read_interactions
from audiorec.listening.log_files import is_rereadable, log_fingerprint, opened_log
from audiorec.listening.side import SongSide, known_side, read_side
from audiorec.recall.contract.channel import KIND
from audiorec.recall.contract.data import Context, Sound
from audiorec.recall.contract.job import read_context
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.registry import known_channel, load_channel
from audiorec.recall.serving.exclusions import (
    FAILURE,
    NEEDED,
    SHOWN,
    TEXTS,
    as_shown,
    exposures_fingerprint,
)
from audiorec.recall.serving.export.folder import MANIFEST
from audiorec.recall.serving.tables import (
    LARGEST_SORTED,
    USERS,
    UserStream,
    ascending,
    channels_in,
    texts_in,
)
from audiorec.search.searchable import SearchableStore

RECORD = "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSources:
    """Files that an export reads.

    Attributes
    ----------
    interactions : Path
        The listening log.
    candidates : tuple of Path
        One table per channel.
    fused : Path, optional
        The fused lists.
    exposures : Path, optional
        What was displayed: `user_id`, `song_id`, `shown_at`, optionally `entry` and `run_id`; a
        table or a folder of tables. Written lists are not: nobody may have seen them.
    models : tuple of Path
        Folders of models; only those of `SharedSpace` channels are used.
    vectors, side, profiles : Path, optional
        A store, side information, and profiles of users.
    earlier : Path, optional
        An export whose served candidates are carried over; by default the one that is replaced.
    record : mapping
        The record that `recall run` wrote.
    ends_s : float, optional
        Seconds since 1970: exposures at this time or later are ignored.
    skip_bad_rows : bool
        Leave out rows of the log that cannot be used, as the run did.
    """

    interactions: Path
    candidates: tuple[Path, ...] = ()
    fused: Path | None = None
    exposures: Path | None = None
    models: tuple[Path, ...] = ()
    vectors: Path | None = None
    side: Path | None = None
    profiles: Path | None = None
    earlier: Path | None = None
    record: Mapping[str, Any] | None = None
    ends_s: float | None = None
    skip_bad_rows: bool = False

    def with_run(self, folder: Path) -> "ExportSources":
        """Fill in missing sources from an output folder of `recall run`.

        Raises
        ------
        InputError
            If the folder holds no finished run.
        """
        if not folder.is_dir():
            raise MissingFileError(f"{folder}: no such folder; audiorec recall run writes one")
        path = folder / RECORD
        try:
            record = read_object(path)
        except FileNotFoundError as error:
            raise InputError(
                f"{folder}: holds no finished run; make one: audiorec recall run"
            ) from error
        except ValueError as error:
            raise InputError(f"{path}: not JSON: {error}") from error
        if not isinstance(record.get(ShownColumns.RUN), str):
            raise InputError(f"{path}: not a record that audiorec recall run wrote")
        lists = sorted((folder / "candidates").glob("*.parquet"))
        models = sorted(p.parent for p in (folder / "models").glob("*/model.json"))
        return replace(
            self,
            candidates=self.candidates or tuple(lists),
            fused=self.fused or _there(folder / "fused.parquet"),
            models=self.models or tuple(models),
            record=record,
            skip_bad_rows=bool(record.get("log", {}).get("unusable")),
        )

    def files(self) -> dict[str, Path]:
        """Return the input files, by name of the source."""
        named = ("interactions", "fused", "exposures", "vectors", "side", "profiles")
        result = {name: place for name in named if (place := getattr(self, name)) is not None}
        result |= {f"candidates/{path.name}": path for path in self.candidates}
        result |= {f"models/{path.name}": path / "model.json" for path in self.models}
        result |= {} if self.earlier is None else {"earlier": self.earlier / MANIFEST}
        return result

    def fingerprints(self) -> dict[str, str]:
        """Return a fingerprint of the content of each file, independent of its path.

        Raises
        ------
        InputError
            If a file is missing.
        """
        files = self.files()
        for place in files.values():
            if not is_rereadable(place):
                raise MissingFileError(f"{place}: no such file")
        result = {name: log_fingerprint(place) for name, place in sorted(files.items())}
        if self.exposures is not None and self.ends_s is not None:
            result["exposures"] = exposures_fingerprint(self.exposures, self.ends_s)
        return result


@dataclass(frozen=True, eq=False)
class OpenSources:
    """The sources of an export, read or opened on first use."""

    sources: ExportSources

    @cached_property
    def log(self) -> Interactions:
        """The listening log."""
        sources = self.sources
        return read_interactions(sources.interactions, skip_bad_rows=sources.skip_bad_rows)

    @cached_property
    def store(self) -> SearchableStore | None:
        """The store of vectors."""
        return SearchableStore.open(self.sources.vectors) if self.sources.vectors else None

    @cached_property
    def side(self) -> SongSide | None:
        """Side information of songs, completed from the store."""
        known = read_side(self.sources.side) if self.sources.side else None
        if known is not None and self.store is not None:
            known = known.among(sorted({*known.song_ids, *self.store.ids}))
        return known_side(known, self.store)

    @cached_property
    def sound(self) -> Sound | None:
        """Sound of songs, from the store."""
        return Sound.of_store(self.store) if self.store is not None else None

    @cached_property
    def context(self) -> Context:
        """Profiles of users, for the models."""
        return read_context(profiles=self.sources.profiles)

    @cached_property
    def spaces(self) -> tuple[SharedSpace, ...]:
        """Models that embed users and songs in one space, sorted by name."""
        result = []
        for folder in self.sources.models:
            kind = known_channel(read_kind(folder).removeprefix(KIND))
            if kind is not None and issubclass(kind, SharedSpace):
                channel = load_channel(folder)
                assert isinstance(channel, SharedSpace)  # noqa: S101 - its class is a subclass
                result.append(channel)
        return tuple(sorted(result, key=lambda channel: channel.name))


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None


def channel_of(path: Path) -> str:
    """Return the channel of a table of candidates; the file name if it names none.

    Raises
    ------
    InputError
        If it names several channels, as a fused table does.
    """
    names = channels_in(path)
    if len(names) > 1:
        raise InputError(
            f"{path}: has rows of several channels; give a fused table with --fused, and here "
            "one table per channel"
        )
    return next(iter(names), None) or path.stem


MOST_STRETCHES = 1_000  # a file with more stretches is sorted in memory
BATCH_ROWS = 1 << 16  # rows read at a time, over all stretches of a file
LEAST_ROWS = 1 << 10  # minimum rows read at a time from one stretch


def ids_stream(chunks: Iterator[Any]) -> UserStream:
    """Return a stream of user ids, from chunks that are each a `pyarrow.StringArray`."""
    return UserStream((pa.Table.from_arrays([c], schema=USERS) for c in chunks), USERS)


def sorted_streams(path: Path, schema: Any, fit: Callable[[Any], Any]) -> list[UserStream]:
    """Return streams sorted by user that together hold all rows of a Parquet file.

    Parameters
    ----------
    path : path
    schema : pyarrow.Schema
        Schema of the tables that `fit` returns.
    fit : callable
        Converts a table with all columns of the file to one of `schema`; may drop rows.

    Raises
    ------
    InputError
        If the file is unsorted and has too many rows to be sorted in memory.
    """
    with TableFile.open(path) as file:
        starts = ascending(file, BATCH_ROWS, MOST_STRETCHES)
        if len(starts) > MOST_STRETCHES:
            if len(file) > LARGEST_SORTED:
                raise InputError(
                    f"{path}: {len(file):,} rows are not sorted by user_id, and at most "
                    f"{LARGEST_SORTED:,} can be sorted in memory; sort the file"
                )
            whole = fit(file.read()).sort_by([(ShownColumns.USER, "ascending")])
            return [UserStream(iter([whole]), schema)]
        ends = [*starts[1:], len(file)]
    rows = max(LEAST_ROWS, BATCH_ROWS // max(1, len(starts)))
    parts = (_stretch(path, a, b, rows) for a, b in zip(starts, ends, strict=True) if b > a)
    return [UserStream(map(fit, part), schema) for part in parts]


def _stretch(path: Path, first: int, stop: int, rows: int) -> Iterator[Any]:
    """Yield the rows ``first:stop`` of a file, reading only the row groups that hold them."""
    with TableFile.open(path) as file:
        starts = file.group_starts()
        groups = [g for g in range(len(starts) - 1) if starts[g] < stop and starts[g + 1] > first]
        at = starts[groups[0]]
        for batch in file.file.iter_batches(batch_size=rows, row_groups=groups):
            table = pa.Table.from_batches([batch])
            low, high = max(0, first - at), min(len(table), stop - at)
            at += len(table)
            if high > low:
                yield table.slice(low, high - low)


def read_shown(path: Path, entry: str | None, ends_s: float | None = None) -> list[UserStream]:
    """Return streams of the exposures of one product, or of all if `entry` is None.

    `path` is a table or a folder of tables; exposures at `ends_s` (seconds since 1970) or later are
    left out.

    Raises
    ------
    InputError
        If a table lacks a column, or a row lacks an id or a time.
    """
    return [stream for one in tables_of(path) for stream in _shown(one, entry, ends_s)]


def _shown(path: Path, entry: str | None, ends_s: float | None) -> list[UserStream]:
    """Return streams of one table of exposures."""
    missing = [name for name in NEEDED if name not in column_names(path, FAILURE)]
    if missing:
        raise InputError(f"{path}: {FAILURE}: has no column {' and '.join(missing)}")

    def fit(table: Any) -> Any:
        result = as_shown(path, table, ends_s)
        if entry is None or "entry" not in table.column_names:
            return result
        return result.filter(pc.equal(result.column("entry"), entry).fill_null(False))

    if path.suffix == ".parquet":
        return sorted_streams(path, SHOWN, fit)
    types = dict.fromkeys(TEXTS, pa.string())
    whole = read_table(path, FAILURE, needed=NEEDED, wanted=TEXTS[2:], types=types)
    return [UserStream(iter([fit(whole).sort_by([(ShownColumns.USER, "ascending")])]), SHOWN)]


def tables_of(path: Path) -> list[Path]:
    """Return the tables of exposures at a path: itself, or those of a folder."""
    return [one.path for one in opened_log(path).files]


def entries_of(path: Path) -> set[str]:
    """Return the products in exposures."""
    of_files = (texts_in(one, "entry", BATCH_ROWS, FAILURE) for one in tables_of(path))
    parts = (texts for of_file in of_files for texts in of_file)
    return {text for text in chain(*parts) if text}


def read_served(folder: Path, schema: Any, *, since: float, without: str) -> list[UserStream]:
    """Return streams of the served candidates of an earlier export, in the columns of `schema`.

    Rows shown before `since` (seconds since 1970) and rows of the run `without` are left out.
    Columns of removed channels are dropped; those of new channels are null.
    """

    def fit(table: Any) -> Any:
        moment = pc.cast(table.column(ShownColumns.AT), pa.int64()).to_numpy() / 1e6
        young = pa.array(moment >= since)
        other = pc.not_equal(table.column(ShownColumns.RUN), without)
        kept = table.filter(pc.and_(young, other))
        columns = [
            kept.column(field.name).cast(field.type)
            if field.name in kept.column_names
            else pa.nulls(len(kept), field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(columns, schema=schema)

    return [
        one
        for path in sorted(folder.glob("part-*.parquet"))
        for one in sorted_streams(path, schema, fit)
    ]
