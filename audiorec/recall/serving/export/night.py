"""The export as a step of the nightly job: table ``[recall.export]``, off unless it is there.

settings, what the run wrote ──export_night──▶ OUT/export/
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audiorec.files.settings import filled
from audiorec.recall.serving.export.job import ExportRecipe, export_recall
from audiorec.recall.serving.export.sources import ExportSources
from audiorec.spec import fingerprint

EXPORT = "export"  # the step, and its folder
Settings = Mapping[str, Any] | None


def night_recipe(settings: Settings) -> str:
    """Check the settings of an export; return what tells them from others."""
    return fingerprint(asdict(_recipe(settings)))


def export_night(
    settings: Settings,
    out: Path,
    channels: Sequence[str],
    files: Mapping[str, Path],
    record: Mapping[str, Any],
    earlier: Path | None = None,
) -> None:
    """Export what a run wrote, before its record is written.

    Parameters
    ----------
    settings : mapping
        Of `ExportRecipe`.
    out : path
        The folder of the run; the export goes below it.
    channels : sequence of str
    files : mapping of str to path
        What the run read.
    record : mapping
        ``run_id``, ``entry`` and ``inputs``, the fingerprints of `files`.
    earlier : path, optional
        The export of an earlier day, whose lists, as they were served, are kept.
    """
    known = {name: files.get(name) for name in ("vectors", "side", "profiles")}
    sources = ExportSources(
        interactions=files["interactions"],
        candidates=tuple(out / "candidates" / f"{name}.parquet" for name in channels),
        fused=out / "fused.parquet",
        exposures=out / "exposures.parquet",
        models=tuple(out / "models" / name for name in channels),
        record=record,
        earlier=earlier,
        **known,
    )
    export_recall(sources, out / EXPORT, _recipe(settings))


def _recipe(settings: Settings) -> ExportRecipe:
    return filled(ExportRecipe, settings or {}, "export")
