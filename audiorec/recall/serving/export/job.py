"""Export all tables of a nightly run for rankers and warehouses, in constant memory.

    log, candidates, exposures, models, store ──export_recall──▶ OUT/TABLE/part-00000.parquet, ...
                                                                 OUT/sql/, OUT/manifest.json

One pass over the users, block by block, writes their candidates, rows and samples. Songs are
written last, when all proposed songs are known. An export of unchanged files and settings is not
repeated.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.columns import ShownColumns
from audiorec.distribution import created_by, own_version
from audiorec.errors import InputError
from audiorec.recall.contract.space import InterestSpace
from audiorec.recall.serving.export.blocks import UserBlocks
from audiorec.recall.serving.export.catalogue import nearest_agreement, song_rows
from audiorec.recall.serving.export.features import EventHistory
from audiorec.recall.serving.export.folder import (
    PartWriter,
    check_target,
    export_folder,
    is_whole,
    read_manifest,
    write_manifest,
)
from audiorec.recall.serving.export.schema import (
    ExportParts,
    SpaceColumns,
    export_tables,
    slugs,
)
from audiorec.recall.serving.export.sources import ExportSources, OpenSources, channel_of
from audiorec.recall.serving.export.sql import sql_files
from audiorec.spec import fingerprint
from audiorec.types import Progress

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
        if not self.days > 0 or not self.served_days >= 0:
            raise InputError("days must be above 0, and served_days at least 0")


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
    *,
    progress: Progress | None = None,
) -> ExportReport:
    """Write candidates, songs, users and samples as open tables, with SQL that loads them.

    Parameters
    ----------
    sources : ExportSources
    out : path
        A folder; replaced atomically if it holds an export, whose served candidates are carried
        over.
    recipe : ExportRecipe, optional
    progress : callable, optional
        Called with (users done, users of the log).

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
        raise InputError("units need the vectors of a store; give it with --vectors")
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
        counts, tables = _written(fresh, opened, channels, parts, recipe, kept, progress)
        (fresh / "sql").mkdir()
        for name, text in sql_files(export_tables(parts)).items():
            (fresh / "sql" / name).write_text(text, encoding="utf-8")
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
    found = [
        SpaceColumns(
            slug=slug,
            channel=channel.name,
            width=channel.song_embeddings().shape[1],
            of_interests=isinstance(channel, InterestSpace),
        )
        for slug, channel in zip(slugs([c.name for c in spaces]), spaces, strict=True)
    ]
    store = opened.store
    unit = (
        len(store.space("vector", use_index=False).scaling.columns) if recipe.units and store else 0
    )
    return ExportParts(
        channels=channels,
        spaces=found,
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
    progress: Progress | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write all tables; return the counts of samples and the manifest entries of the tables."""
    past = EventHistory(opened.log, opened.side, opened.sound)
    blocks = UserBlocks(opened, past, channels=channels, parts=parts, kept=kept, **_asked(recipe))
    tables = export_tables(parts)
    with ExitStack() as stack:
        writers = {t.name: stack.enter_context(PartWriter(folder, t)) for t in tables}
        done = 0
        for users, block in blocks:
            for name, rows in block:
                writers[name].write(rows)
            done += users
            if progress is not None:
                progress(done, len(opened.log.user_ids))
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


def _asked(recipe: ExportRecipe) -> dict[str, Any]:
    return {"entry": recipe.entry, "days": recipe.days, "served_days": recipe.served_days}


def _about(opened: OpenSources, parts: ExportParts, recipe: ExportRecipe) -> dict[str, Any]:
    """Return the general part of the manifest."""
    record = opened.sources.record or {}
    newest = np.nanmax(opened.log.timestamp, initial=-np.inf)
    found: dict[str, Any] = {
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
        found["vectors"] = {"extractor_id": metadata.extractor_id, "width": metadata.dimension}
        if recipe.units:
            scaling = store.space("vector", use_index=False).scaling
            found["units"] = {
                "about": "the dot product of two units is the similarity of similar --by vector",
                "first_places": nearest_agreement(store),
                "scaling": scaling.to_dict(),
            }
    return found
