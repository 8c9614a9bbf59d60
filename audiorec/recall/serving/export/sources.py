"""Input files of an export: those of a nightly run, or files given one by one.

    serving/  ──ExportSources.with_run──▶ `ExportSources` ──▶ `OpenSources`
    exposures                    ──shown_stream──▶ user, song, time, product, run
    served/ of an earlier export ──read_served───▶ recent rows, in the current columns

Streams are sorted by user, so that many are read together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ShownColumns
from audiorec.errors import InputError, MissingFileError
from audiorec.files.own_files import read_object
from audiorec.files.tables import TableFile
from audiorec.learning.bundle import read_kind
from audiorec.listening.events import Interactions
from audiorec.listening.interactions import read_interactions
from audiorec.listening.log_files import is_rereadable, log_fingerprint
from audiorec.listening.side import SongSide, known_side, read_side
from audiorec.recall.contract.channel import KIND
from audiorec.recall.contract.data import Context, Sound
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.contract.training import read_context
from audiorec.recall.registry import known_channel, load_channel
from audiorec.recall.serving.exclusions import SHOWN, exposures_fingerprint, shown_table
from audiorec.recall.serving.export.folder import MANIFEST
from audiorec.recall.serving.tables import USERS, UserStream, channels_in
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
    def shown(self) -> Any:
        """The exposures, a `pyarrow.Table` of `SHOWN`; None without."""
        sources = self.sources
        return sources.exposures and shown_table(sources.exposures, sources.ends_s)

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
            f"{path}: has rows of several channels; give a fused table with `fused`, and here "
            "one table per channel"
        )
    return next(iter(names), None) or path.stem


BATCH_ROWS = 1 << 16  # rows of a stream read at a time


def ids_stream(chunks: Iterator[Any]) -> UserStream:
    """Return a stream of user ids, from chunks that are each a `pyarrow.StringArray`."""
    return UserStream((pa.Table.from_arrays([c], schema=USERS) for c in chunks), USERS)


def shown_stream(shown: Any, entry: str | None) -> UserStream:
    """Return a stream of the exposures of one product; of all if none names it."""
    mine = pc.equal(shown.column("entry"), entry).fill_null(False)
    if pc.any(mine).as_py():
        shown = shown.filter(mine)
    shown = shown.sort_by([(ShownColumns.USER, "ascending")])
    parts = (shown.slice(at, BATCH_ROWS) for at in range(0, len(shown), BATCH_ROWS))
    return UserStream(parts, SHOWN)


def read_served(folder: Path, schema: Any, *, since: float, without: str) -> UserStream:
    """Return a stream of the served candidates of an earlier export, in the columns of `schema`.

    Rows shown before `since` (seconds since 1970) and rows of the run `without` are left out.
    Columns of removed channels are dropped; those of new channels are null.
    """

    def tables() -> Iterator[Any]:
        for path in sorted(folder.glob("part-*.parquet")):
            with TableFile.open(path) as file:
                yield from map(fit, file.batches(BATCH_ROWS))

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

    return UserStream(tables(), schema)
