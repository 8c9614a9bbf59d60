"""What a run was: one small JSON beside its output, replaced whole by the next run.

    vecs.parquet      ──▶  vecs.parquet.run.json
    folder of parts   ──▶  run.json in it

It says which versions, spec and arguments made the output last, how the run ended, and how
many songs became what. It is written also by a run that had nothing to do or was stopped.
"""

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from audiorec.storage import write
from audiorec.vectors.schema import StoreMetadata

RECORD_SCHEMA = "audiorec/run/1"


def run_record(
    metadata: StoreMetadata,
    report: Mapping[str, Any],
    *,
    arguments: Sequence[str],
    started_at: datetime,
    exit_code: int,
) -> dict[str, Any]:
    """Return a run's record as plain values.

    Parameters
    ----------
    metadata : StoreMetadata
        Of the vectors: extractor, spec, weights and package versions.
    report : mapping
        A report's `to_dict`.
    arguments : sequence of str
        The command line.
    started_at : datetime
    exit_code : int
    """
    return {
        "schema": RECORD_SCHEMA,
        "started_at": started_at.isoformat(timespec="seconds"),
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "exit_code": exit_code,
        "arguments": list(arguments),
        "versions": {
            **metadata.packages,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
        },
        "extractor_id": metadata.extractor_id,
        "spec": metadata.spec,
        "weights": list(metadata.weights),
        "report": dict(report),
    }


def write_record(place: str, record: Mapping[str, Any]) -> None:
    """Write a record to a path or URI, whole or not at all."""
    text = json.dumps(record, indent=2, sort_keys=True, default=str, allow_nan=False)
    write(place, (text + "\n").encode())


def command_line() -> list[str]:
    """Return the command of this process as its user wrote it."""
    return ["audiorec", *sys.argv[1:]]
