"""The steps of a nightly job and the files that say what is done.

state.json: fingerprint and cost of each finished step   run.json: the record of a finished run
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiorec.files.json_files import parse_json
from audiorec.files.own_files import read_own, replaced
from audiorec.files.storage import is_uri, read

RECORD = "run.json"
STATE = "state.json"  # fingerprint and cost of each finished step
FUSED, JUDGED = "fused.parquet", "judged.json"
LAST = "last.parquet"  # the lists of the last night, while a run compares them with its own
REPORT = "report.md"
JUDGE, TRAIN, ASK, FUSE = "judge", "train", "ask", "fuse"
REST, TELL, NOTE, PROMOTE = "default", "report", "note", "promote"
RANK, RANKED = "lists", "lists.parquet"  # playlists that people made
DAILY = ("interactions", "exposures")  # files that may be folders of days
MAX_STATE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a job.

    Attributes
    ----------
    name : str
        ``judge``, ``train CHANNEL``, ``ask CHANNEL``, ``fuse``, ``default``, ``report``, ``note``,
        ``lists``, ``promote``.
    out : Path
    made_from : str
        Fingerprint of everything that determines the output.
    is_done : bool
        Whether the output exists with this fingerprint.
    cpu_s : float or None
        CPU seconds of the last run; None if it never ran.
    """

    name: str
    out: Path
    made_from: str
    is_done: bool
    cpu_s: float | None


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its finished worker processes."""
    return sum(os.times()[:4])


def read_file(place: str | os.PathLike[str]) -> bytes | None:
    """Return the content of a file of the job, by path or URI; None if there is none."""
    if is_uri(place):
        return read(os.fspath(place), max_bytes=MAX_STATE_BYTES)
    with suppress(FileNotFoundError):
        return read_own(Path(place), MAX_STATE_BYTES)
    return None


def read_json(place: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the object in a file of the job; empty if there is none, or it is damaged."""
    with suppress(ValueError):
        found = parse_json(read_file(place) or b"", max_bytes=MAX_STATE_BYTES)
        return found if isinstance(found, dict) else {}
    return {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object, atomically."""
    with replaced(path) as part:
        part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def bytes_of(out: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    files = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)
