"""Log a run as lines of JSON, one per event, for log collectors.

    {"schema": "audiorec/log/1", "event": "run_start", "run_id": ..., "time": ..., ...}
    {"schema": "audiorec/log/1", "event": "song", "song_id": ..., "outcome": "extracted", ...}
    {"schema": "audiorec/log/1", "event": "run_end", "exit_code": 3, "report": {...}}

Each line is written before the next song is counted; a log is appended to, never rewritten.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from audiorec.runs.report import SongOutcome

LOG_SCHEMA = "audiorec/log/1"


class RunLog:
    """Writer of the events of one run.

    Parameters
    ----------
    write : callable
        Called with each line, including its newline; returns once the line is in the file.

    Attributes
    ----------
    run_id : str
        On every line, to distinguish runs that share a file.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self.run_id = uuid4().hex[:12]
        self._write = write

    def event(self, event: str, **values: Any) -> None:
        """Write one line; `event` is for example ``run_start``, `values` must fit JSON."""
        line: Mapping[str, Any] = {
            "schema": LOG_SCHEMA,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "run_id": self.run_id,
            "event": event,
            **values,
        }
        self._write(json.dumps(line, default=str, allow_nan=False) + "\n")

    def song(self, song: SongOutcome, *, done: int, total: int) -> None:
        """Write the line of one finished song."""
        rounded = {
            "audio_s": round(song.audio_s, 3),
            "wall_s": round(song.wall_s, 3),
            "cpu_s": {stage: round(seconds, 4) for stage, seconds in song.cpu_s.items()},
        }
        self.event("song", **asdict(song) | rounded, done=done, total=total)
