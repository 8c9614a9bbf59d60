"""Input files of an export: those of a nightly run, or files given one by one.

serving/  ──ExportSources.with_run──▶ `ExportSources` ──▶ `OpenSources`
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.columns import ShownColumns
from audiorec.errors import InputError, MissingFileError
from audiorec.files.json_files import parse_json
from audiorec.files.own_files import read_own
from audiorec.learning.bundle import read_kind
from audiorec.listening.events import Interactions
from audiorec.listening.interactions import read_interactions
from audiorec.listening.log_files import is_rereadable
from audiorec.listening.prepare import log_fingerprint
from audiorec.listening.side import Category, SongSide, fill_missing, read_side, side_of_store
from audiorec.recall.contract.channel import KIND
from audiorec.recall.contract.data import Context, Sound
from audiorec.recall.contract.job import read_context
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.registry import known_channel, load_channel
from audiorec.recall.serving.exclusions import exposures_fingerprint
from audiorec.recall.serving.export.folder import MANIFEST
from audiorec.recall.serving.tables import channels_in
from audiorec.search.searchable import SearchableStore
from audiorec.types import IdMap, string_array

RECORD = "run.json"
MAX_RECORD_BYTES = 1 << 20


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
            record = parse_json(read_own(path, MAX_RECORD_BYTES), max_bytes=MAX_RECORD_BYTES)
        except FileNotFoundError as error:
            raise InputError(
                f"{folder}: holds no finished run; make one: audiorec recall run"
            ) from error
        except ValueError as error:
            raise InputError(f"{path}: not JSON: {error}") from error
        if not isinstance(record, dict) or not isinstance(record.get(ShownColumns.RUN), str):
            raise InputError(f"{path}: not a record that audiorec recall run wrote")
        lists = sorted((folder / "candidates").glob("*.parquet"))
        models = sorted(p.parent for p in (folder / "models").glob("*/model.json"))
        return replace(
            self,
            candidates=self.candidates or tuple(lists),
            fused=self.fused or _there(folder / "fused.parquet"),
            models=self.models or tuple(models),
            record=record,
        )

    def files(self) -> dict[str, Path]:
        """Return the input files, by name of the source."""
        named = ("interactions", "fused", "exposures", "vectors", "side", "profiles")
        found = {name: place for name in named if (place := getattr(self, name)) is not None}
        found |= {f"candidates/{path.name}": path for path in self.candidates}
        found |= {f"models/{path.name}": path / "model.json" for path in self.models}
        found |= {} if self.earlier is None else {"earlier": self.earlier / MANIFEST}
        return found

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
        found = {name: log_fingerprint(place) for name, place in sorted(files.items())}
        if self.exposures is not None and self.ends_s is not None:
            found["exposures"] = exposures_fingerprint(self.exposures, self.ends_s)
        return found


@dataclass(frozen=True, eq=False)
class OpenSources:
    """The sources of an export, read or opened on first use."""

    sources: ExportSources

    @cached_property
    def log(self) -> Interactions:
        """The listening log."""
        return read_interactions(self.sources.interactions)

    @cached_property
    def store(self) -> SearchableStore | None:
        """The store of vectors."""
        return SearchableStore.open(self.sources.vectors) if self.sources.vectors else None

    @cached_property
    def side(self) -> SongSide | None:
        """Side information of songs, completed from the store."""
        heard = side_of_store(self.store) if self.store is not None else None
        known = read_side(self.sources.side) if self.sources.side else None
        if known is not None and heard is not None:
            return both_sides(known, heard)
        return known or heard

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
        found = []
        for folder in self.sources.models:
            kind = known_channel(read_kind(folder).removeprefix(KIND))
            if kind is not None and issubclass(kind, SharedSpace):
                channel = load_channel(folder)
                assert isinstance(channel, SharedSpace)  # noqa: S101 - its class is a subclass
                found.append(channel)
        return tuple(sorted(found, key=lambda channel: channel.name))


def both_sides(side: SongSide, heard: SongSide) -> SongSide:
    """Merge two tables of side information; values of the first take precedence."""
    parts = (fill_missing(side, heard), heard)
    song_ids = tuple(sorted({*side.song_ids, *heard.song_ids}))
    rows = [IdMap(string_array(part.song_ids)).rows(song_ids) for part in parts]
    first = rows[0] >= 0
    categories = {}
    for name in {**parts[0].categories, **heard.categories}:
        texts = np.full(len(song_ids), None, object)
        is_heard = np.zeros(len(song_ids), np.bool_)
        for part, row, mine in zip(parts, rows, (first, ~first), strict=True):
            if name in part.categories:
                category = part.categories[name]
                texts[mine] = np.array([*category.texts(), None], object)[row[mine]]
                is_heard[mine] = np.append(category.is_heard, False)[row[mine]]
        values = tuple(sorted(set(texts.tolist()) - {None}))
        codes = {value: number for number, value in enumerate(values)}
        number = np.array([codes.get(text, -1) for text in texts.tolist()], np.int32)
        categories[name] = Category(number, values, is_heard)
    released = np.append(side.released, np.float32(np.nan))[rows[0]]
    return SongSide(song_ids=song_ids, categories=categories, released=released)


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
