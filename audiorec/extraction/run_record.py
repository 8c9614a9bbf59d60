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
from pathlib import Path
from typing import Any

from audiorec.errors import StoreError
from audiorec.files.own_files import read_own
from audiorec.files.storage import is_uri, write
from audiorec.store.schema import StoreMetadata

RECORD_FORM = "audiorec/run/"
RECORD_SCHEMA = f"{RECORD_FORM}1"
MAX_RECORD_BYTES = 16 << 20


def run_record(
    metadata: StoreMetadata,
    report: Mapping[str, Any],
    *,
    arguments: Sequence[str],
    started_at: datetime,
    exit_code: int,
) -> dict[str, Any]:
    """Return a run's record as plain values; `report` is what a report's `to_dict` gives."""
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
    """Write a record to a path or URI, whole or not at all.

    Raises
    ------
    StoreError
        If something else than a run's record is there.
    """
    if not is_uri(place) and not _is_ours(Path(place)):
        raise StoreError(f"{place}: is no record of a run, and is left alone; move it away")
    text = json.dumps(record, indent=2, sort_keys=True, default=str, allow_nan=False)
    write(place, (text + "\n").encode())


def _is_ours(path: Path) -> bool:
    """Whether a run wrote the file, or nothing is there."""
    try:
        content = json.loads(read_own(path, MAX_RECORD_BYTES))
        return str(content["schema"]).startswith(RECORD_FORM)
    except FileNotFoundError:
        return True
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def command_line() -> list[str]:
    """Return the command of this process as its user wrote it."""
    return ["audiorec", *sys.argv[1:]]
