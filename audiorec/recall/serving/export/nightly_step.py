"""The export as a step of the nightly job, enabled by a table ``[recall.export]``.

settings, output of the run ──export_night──▶ OUT/export/
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audiorec.files.settings import from_table
from audiorec.recall.serving.export.job import ExportRecipe, export_recall
from audiorec.recall.serving.export.sources import ExportSources
from audiorec.spec import fingerprint

EXPORT = "export"  # name of the step and of its folder
Settings = Mapping[str, Any] | None


def night_recipe(settings: Settings) -> str:
    """Check the settings of an export and return their fingerprint."""
    return fingerprint(asdict(_recipe(settings)))


def export_night(
    settings: Settings,
    out: Path,
    channels: Sequence[str],
    files: Mapping[str, Path],
    record: Mapping[str, Any],
    earlier: Path | None = None,
) -> None:
    """Export the output of a run, before its record is written.

    Parameters
    ----------
    settings : mapping
        Fields of `ExportRecipe`.
    out : path
        The folder of the run, in which the export is written.
    channels : sequence of str
    files : mapping of str to path
        Input files of the run.
    record : mapping
        ``run_id``, ``entry`` and ``inputs``, the fingerprints of `files`.
    earlier : path, optional
        The export of an earlier day, whose served candidates are carried over.
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
    return from_table(ExportRecipe, settings or {}, "export")
