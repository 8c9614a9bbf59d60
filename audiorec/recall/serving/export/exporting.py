"""Export all tables of a nightly run for rankers and warehouses, in constant memory.

    log, candidates, exposures, models, store ──export_recall──▶ OUT/TABLE/part-00000.parquet, ...
                                                                 OUT/manifest.json

One pass over the users, block by block, writes their candidates, rows and samples. Songs are
written last, when all proposed songs are known. An export of unchanged files and settings is not
repeated.

    past, store, models ──song_rows──▶ descriptions, counts and vectors, some rows at a time
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.columns import ListColumns, ShownColumns
from audiorec.distribution import created_by, own_version
from audiorec.errors import InputError
from audiorec.files.arrow import arrow_array
from audiorec.listening.events import is_listening
from audiorec.listening.side import RELEASED, SongSide
from audiorec.options import check_fields
from audiorec.recall.contract.space import InterestSpace, SharedSpace
from audiorec.recall.serving.export.blocks import UserBlocks
from audiorec.recall.serving.export.features import (
    LONG_AGO,
    EventHistory,
    first_and_last,
    moments,
    vectors,
)
from audiorec.recall.serving.export.folder import (
    PartWriter,
    check_target,
    export_folder,
    is_whole,
    read_manifest,
    write_manifest,
)
from audiorec.recall.serving.export.schema import (
    DESCRIPTIONS,
    ExportParts,
    SpaceColumns,
    export_tables,
    slugs,
)
from audiorec.recall.serving.export.sources import ExportSources, OpenSources, channel_of
from audiorec.search.searchable import SearchableStore
from audiorec.spec import fingerprint
from audiorec.types import (
    Float64Array,
    IdMap,
    Int64Array,
    rows_or_zeros,
    string_array,
)

EXPORT = "export"  # step of the nightly job, and its folder


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRecipe:
    """Settings of an export.

    Attributes
    ----------
    units : bool
        Export the unit of each song's vector, whose dot products are the similarities of
        ``similar``.
    entry : str
        Product of the ranking samples; empty: that of the run, or the only one with exposures.
    days : float
        Days after an exposure within which a finished play makes it positive.
    served_days : float
        Days for which served candidates are kept.
    """

    units: bool = False
    entry: str = ""
    days: float = 7.0
    served_days: float = 60.0

    def __post_init__(self) -> None:
        check_fields(self, days=">0", served_days=">=0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """Result of an export.

    Attributes
    ----------
    out : Path
    is_new : bool
        False if an export of the same files and settings already existed.
    manifest : mapping
        Content of ``manifest.json``.
    """

    out: Path
    is_new: bool
    manifest: Mapping[str, Any]

    @property
    def rows(self) -> dict[str, int]:
        """Number of rows by table."""
        return {name: table["rows"] for name, table in self.manifest["tables"].items()}


def export_recall(
    sources: ExportSources,
    out: Path,
    recipe: ExportRecipe | None = None,
) -> ExportReport:
    """Write candidates, songs, users and samples as a folder of Parquet tables.

    Parameters
    ----------
    sources : ExportSources
    out : path
        A folder; replaced atomically if it holds an export, whose served candidates are carried
        over.
    recipe : ExportRecipe, optional

    Raises
    ------
    InputError
        If a file is missing or cannot be read, two tables are of one channel, the recipe needs a
        source that is not given, or `out` holds something else.
    StoreError
        If a file written by audiorec is damaged.
    WeightsError
        If a model is damaged.
    """
    recipe = recipe or ExportRecipe()
    check_target(out)
    prints = sources.fingerprints()
    if recipe.units and sources.vectors is None:
        raise InputError("units need the vectors of a store; give it with `vectors`")
    made_from = fingerprint(
        {
            "sources": prints,
            "recipe": asdict(recipe),
            "record": dict(sources.record or {}),
            "version": own_version(),
        }
    )
    there = read_manifest(out)
    if there is not None and there.get("made_from") == made_from and is_whole(out, there):
        return ExportReport(out=out, is_new=False, manifest=there)
    sources, channels = _by_channel(sources)
    opened = OpenSources(sources)
    parts = _parts(opened, channels, recipe)
    with export_folder(out) as fresh:
        kept = out / "served" if there is not None else None
        kept = kept if sources.earlier is None else sources.earlier / "served"
        counts, tables = _written(fresh, opened, channels, parts, recipe, kept)
        manifest = write_manifest(
            fresh,
            {
                "made_from": made_from,
                "created_by": created_by(),
                **_about(opened, parts, recipe),
                "sources": prints,
                "samples": counts,
                "tables": tables,
            },
        )
    return ExportReport(out=out, is_new=True, manifest=manifest)


def _by_channel(sources: ExportSources) -> tuple[ExportSources, list[tuple[str, str]]]:
    """Return the sources with tables sorted by channel, and a (slug, name) pair for each.

    Sorting makes the export independent of the order in which tables are given.
    """
    named = sorted((channel_of(path), path) for path in sources.candidates)
    for (name, first), (other, path) in pairwise(named):
        if name == other:
            raise InputError(
                f"{path}: has channel {name!r}, like {first}; give one table per channel"
            )
    names = [name for name, _ in named]
    ordered = replace(sources, candidates=tuple(path for _, path in named))
    return ordered, list(zip(slugs(names), names, strict=True))


def _parts(
    opened: OpenSources, channels: list[tuple[str, str]], recipe: ExportRecipe
) -> ExportParts:
    spaces = opened.spaces
    result = [
        SpaceColumns(
            slug=slug,
            channel=channel.name,
            width=channel.song_embeddings().shape[1],
            of_interests=isinstance(channel, InterestSpace),
        )
        for slug, channel in zip(slugs([c.name for c in spaces]), spaces, strict=True)
    ]
    store = opened.store
    unit = len(store.space("vector").scaling.columns) if recipe.units and store else 0
    return ExportParts(
        channels=channels,
        spaces=result,
        vector=store.metadata.dimension if store is not None else 0,
        unit=unit,
    )


def _written(
    folder: Path,
    opened: OpenSources,
    channels: list[tuple[str, str]],
    parts: ExportParts,
    recipe: ExportRecipe,
    kept: Path | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write all tables; return the counts of samples and the manifest entries of the tables."""
    past = EventHistory(opened.log, opened.side, opened.sound)
    blocks = UserBlocks(
        opened, past, channels=channels, parts=parts, kept=kept, **_settings(recipe)
    )
    tables = export_tables(parts)
    with ExitStack() as stack:
        writers = {t.name: stack.enter_context(PartWriter(folder, t)) for t in tables}
        for block in blocks:
            for name, rows in block:
                writers[name].write(rows)
        song_ids = tuple(sorted({*past.song_ids, *blocks.strange_songs}))
        spaces = list(zip([s.slug for s in parts.spaces], opened.spaces, strict=True))
        for rows in song_rows(
            past,
            song_ids,
            blocks.likes,
            side=opened.side,
            store=opened.store,
            units=recipe.units,
            spaces=spaces,
        ):
            writers["songs"].write(rows)
    return blocks.counted(), {table.name: writers[table.name].described() for table in tables}


def _settings(recipe: ExportRecipe) -> dict[str, Any]:
    return {"entry": recipe.entry, "days": recipe.days, "served_days": recipe.served_days}


def _about(opened: OpenSources, parts: ExportParts, recipe: ExportRecipe) -> dict[str, Any]:
    """Return the general part of the manifest."""
    record = opened.sources.record or {}
    newest = np.nanmax(opened.log.timestamp, initial=-np.inf)
    result: dict[str, Any] = {
        ShownColumns.RUN: record.get(ShownColumns.RUN),
        "as_of": datetime.fromtimestamp(newest, UTC).isoformat() if np.isfinite(newest) else None,
        "recipe": asdict(recipe),
        "channels": [{"column": slug, "channel": name} for slug, name in parts.channels],
        "models": [
            {
                "column": space.slug,
                "channel": space.channel,
                "model_id": channel.model_id,
                "space": channel.space,
                "width": space.width,
            }
            for space, channel in zip(parts.spaces, opened.spaces, strict=True)
        ],
    }
    store = opened.store
    if store is not None:
        metadata = store.metadata
        result["vectors"] = {"extractor_id": metadata.extractor_id, "width": metadata.dimension}
        if recipe.units:
            scaling = store.space("vector").scaling
            result["units"] = {
                "about": "the dot product of two units is the similarity by vector",
                "scaling": scaling.to_dict(),
            }
    return result


ROWS = 16_384
NOTHING = SongSide(song_ids=(), released=np.empty(0, np.float32))


def song_rows(
    past: EventHistory,
    song_ids: tuple[str, ...],
    likes: Int64Array,
    *,
    side: SongSide | None,
    store: SearchableStore | None,
    units: bool,
    spaces: Sequence[tuple[str, SharedSpace]],
) -> Iterator[Mapping[str, Any]]:
    """Yield the columns of songs, sorted by id, some rows at a time.

    Parameters
    ----------
    past : EventHistory
    song_ids : tuple of str
        Sorted: all of `EventHistory.song_ids`, and other proposed songs.
    likes : ndarray, shape (songs of the log,), int64
        Number of users who like each song.
    side : SongSide, optional
    store : SearchableStore, optional
    units : bool
        Whether to add the units of the store's vectors.
    spaces : sequence of (slug, channel)
        Models whose song embeddings to add.
    """
    ids = string_array(song_ids)
    known = IdMap(string_array(past.song_ids)).rows(ids)
    counts = {name: np.append(column, 0) for name, column in _counts(past, likes).items()}
    found = first_and_last(past.song[past.finished], past.time[past.finished], len(past.song_ids))
    ends = [np.append(column, LONG_AGO) for column in found]
    rate = np.append(_finish_rate(past), np.nan)
    in_store = np.full(len(song_ids), -1, np.int64) if store is None else IdMap(store.ids).rows(ids)
    matrix = store.space("vector").matrix if store is not None and units else None
    tables = {slug: (IdMap(c.song_ids).rows(ids), c.song_embeddings()) for slug, c in spaces}
    durations = None if store is None else store.column("duration_s")
    described = _Described(side or NOTHING, store, ids, in_store)
    for first in range(0, len(song_ids), ROWS):
        part = slice(first, first + ROWS)
        row, at = known[part], in_store[part]
        columns: dict[str, Any] = {ListColumns.SONG: ids[part]}
        columns |= described.columns(part)
        columns |= {name: pa.array(column[row]) for name, column in counts.items()}
        for name, column in zip(("first_played", "last_played"), ends, strict=True):
            columns[name] = moments(column[row])
        columns["finish_rate"] = pa.array(rate[row], mask=np.isnan(rate[row]))
        columns["cold"] = pa.array(counts["plays"][row] == 0)
        columns["duration_s"] = _taken(durations, at)
        if store is not None:
            there = at >= 0
            raw = np.zeros((len(at), store.metadata.dimension), np.float32)
            raw[there] = store.read_rows(at[there])
            columns["vector"] = vectors(raw, there)
        if matrix is not None:
            columns["unit"] = vectors(rows_or_zeros(matrix, at), at >= 0)
        for slug, (rows, values) in tables.items():
            place = rows[part]
            columns[f"embedding_{slug}"] = vectors(rows_or_zeros(values, place))
        yield columns


class _Described:
    """Descriptions of songs from side information, with missing titles from the store."""

    def __init__(
        self, side: SongSide, store: SearchableStore | None, ids: Any, in_store: Int64Array
    ) -> None:
        self._side, self._at = side.among(ids.to_pylist()), in_store
        self._titles = None if store is None else store.column("title")

    def columns(self, part: slice) -> dict[str, Any]:
        """Return the columns of a slice of the songs."""
        n, result = len(self._at[part]), {}
        for name in DESCRIPTIONS:
            category = self._side.categories.get(name)
            if category is None:
                result[name] = pa.nulls(n, pa.string())
                continue
            number = category.number[part]
            codes = pa.array(number, mask=number < 0)
            values = string_array(category.values)
            result[name] = pa.DictionaryArray.from_arrays(codes, values).dictionary_decode()
        if self._titles is not None:
            result["title"] = result["title"].fill_null("")
            tags = _taken(self._titles, self._at[part]).to_pylist()
            own = result["title"].to_pylist()
            result["title"] = pa.array(
                [a or b or None for a, b in zip(own, tags, strict=True)], pa.string()
            )
        days = self._side.released[part]
        known = ~np.isnan(days)
        whole = pa.array(np.where(known, days, 0).astype(np.int32), mask=~known)
        result[RELEASED] = whole.cast(pa.date32())
        return result


def _counts(past: EventHistory, likes: Int64Array) -> dict[str, Int64Array]:
    n = len(past.song_ids)
    song, user = past.song[past.finished], past.log.user[past.finished].astype(np.int64)
    listeners = np.unique(user * n + song) % n if n else song
    liked = np.zeros(n, np.int64)
    liked[IdMap(string_array(past.song_ids)).rows(past.log.song_ids)] = likes
    plays, users = (np.bincount(s, minlength=n).astype(np.int64) for s in (song, listeners))
    return {"plays": plays, "listeners": users, "likes": liked}


def _finish_rate(past: EventHistory) -> Float64Array:
    n = len(past.song_ids)
    listened = np.bincount(past.song[is_listening(past.log.event)], minlength=n)
    done = np.bincount(past.song[past.finished], minlength=n)
    return np.where(listened > 0, done / np.maximum(listened, 1), np.nan)


def _taken(column: Any, at: Int64Array) -> Any:
    """Return the values of a column at the given rows, null for -1."""
    if column is None:
        return pa.nulls(len(at), pa.float32())
    rows = (
        pa.array(at, mask=at < 0)
        if (at < 0).any()
        else arrow_array(np.ascontiguousarray(at), pa.int64())
    )
    taken = column.take(rows)
    return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken
