"""Figures of a head as text for the reader and as plain values for its file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import soundfile

from audiorec.evaluation.classification import Report
from audiorec.tagger.heads import Head, shipped_head

KEPT = ("macro_f1", "balanced_macro_f1", "accuracy", "ece", "rows")  # in the head's file
LICENCE = "Apache-2.0 for the weights; trained on research-use audio, none of it included"
Figures = dict[str, Any]


def shown(title: str, reports: dict[str, Report], *, quiet: bool = False) -> Figures:
    """Print reports and return their plain values."""
    for kind, found in reports.items():
        if not quiet:
            print(f"\n{title}, {kind}\n{found.table()}", flush=True)
    return {kind: found.to_dict() for kind, found in reports.items()}


def save(head: Head, figures: Figures, out: Path, edition: str = "") -> None:
    """Write a head with its main figures, which do not change its scores."""
    kept = {
        name: {
            kind: {key: values[key] for key in KEPT if key in values}
            for kind, values in found.items()
        }
        for name, found in figures.items()
        if isinstance(found, dict) and isinstance(found.get("segments"), dict)
    }
    versions = {"soundfile": soundfile.__version__} | head.info["versions"]
    info = dict(head.info) | {"figures": kept, "versions": versions}
    replace(head, info=info).save(out / shipped_head(head.task, edition).name)
