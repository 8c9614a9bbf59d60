"""State of a store: what it holds, which songs failed and why, the last run, a run in progress.

Library ──`store_state`──▶ values that JSON can hold; ``running`` if an extract is in progress
path    ──`store_mark`──▶ a mark that changes when the store is replaced
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from audiorec.errors import StoreError
from audiorec.files.json_files import parse_json
from audiorec.files.own_files import read_own, run_folder_path, unfinished_files
from audiorec.library.library import Library
from audiorec.store.inventory import inventory, read_failures
from audiorec.store.records import RECORD_FILES, RecordPart
from audiorec.web.editions import stamp_of

MOST_FAILURES = 2_000  # shown on the page
MAX_RECORD = 16 << 20  # bytes
WORKING_S = 60.0  # a run that wrote nothing for this long has stopped, or is at a very long song
SAID = ("found", "extracted", "reused", "copies", "unchanged", "failed", "pruned", "stopped")
Document = dict[str, Any]


def store_state(library: Library) -> Document:
    """Return the state of a store in values that JSON can hold.

    Damaged files beside the store do not raise; they are reported in ``notes``.
    """
    path = library.path
    notes: list[str] = []
    about = inventory(path)
    document: Document = {
        "path": str(path),
        "songs": about["rows"],
        "seconds": about["duration_s"]["total"],
        "bytes": about["bytes"],
        "statuses": about["statuses"],
        "codecs": about["codecs"],
        "extracted_at": about["extracted_at"],
        "created_by": about["created_by"],
        "extractor_id": about["extractor_id"],
        "beside": [
            {"kind": one["kind"], "rows": one.get("rows"), "problem": one.get("problem", "")}
            for one in about["beside"]
        ],
        "failures": [],
        "failures_total": 0,
        "run": None,
        "running": None,
        "notes": notes,
    }
    try:
        document |= _failures(path)
    except StoreError as error:
        notes.append(str(error))
    document["run"] = _last_run(path)
    try:
        document["running"] = running(path)
    except (StoreError, OSError) as error:
        notes.append(str(error))
    return document


def running(path: Path) -> Document | None:
    """Return the progress of an unfinished run of a store; None if there is none.

    Raises
    ------
    StoreError
        If something other than a run's folder exists in its place.
    """
    folder = run_folder_path(path)
    names = [n for n in unfinished_files(path, rf"{RECORD_FILES}|.*") if n.endswith(".rows")]
    if not folder.is_dir():
        return None
    done: dict[str, int] = {"vectors": 0, "errors": 0}
    newest = folder.stat().st_mtime
    for name in names:
        kind = name.partition("-")[0]
        if kind not in done:
            continue
        with suppress(FileNotFoundError):  # the run ended meanwhile
            newest = max(newest, (folder / name).stat().st_mtime)
            part = RecordPart(folder / name)
            done[kind] += len(part)
            part.close()
    silent_s = max(0.0, time.time() - newest)
    return {
        "done": done["vectors"],
        "failed": done["errors"],
        "silent_s": round(silent_s, 1),
        "working": silent_s < WORKING_S,
    }


def store_mark(path: Path) -> str:
    """Return a mark that changes when the store is replaced; empty if there is no store.

    Examples
    --------
    >>> store_mark(Path("fixtures/no-such-store"))
    ''
    """
    ((_path, identity),) = stamp_of([path])
    return "" if identity is None else "-".join(f"{number:x}" for number in identity)


def _failures(path: Path) -> Document:
    table = read_failures(path)
    if table is None:
        return {}
    wanted = ["song_id", "uri", "stage", "status", "message", "attempts"]
    rows = table.select(wanted).slice(0, MOST_FAILURES).to_pylist()
    return {"failures": rows, "failures_total": len(table)}


def _last_run(path: Path) -> Document | None:
    """Return a summary of the last run; None if its record cannot be read."""
    try:
        text = read_own(path.with_name(f"{path.name}.run.json"), MAX_RECORD)
        record = parse_json(text, max_bytes=MAX_RECORD)
        report = record["report"]
        arguments = [str(word) for word in record["arguments"]][:200]
        return {
            "started_at": str(record["started_at"]),
            "ended_at": str(record["ended_at"]),
            "exit_code": int(record["exit_code"]),
            "command": arguments,
            "counts": {name: report.get(name) for name in SAID if report.get(name)},
            "audio_s": float(report["audio_s"]),
            "wall_s": float(report["wall_s"]),
        }
    except (OSError, StoreError, ValueError, KeyError, TypeError):
        return None
