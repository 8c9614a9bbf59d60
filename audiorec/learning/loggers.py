"""Where the lines of a training go: a logger is anything with a ``log(line)``.

    fit ──line──▶ Logger.log     {"epoch": 3, "loss": 0.41, ..., "steps": 900, "seconds_left": 12.5}

`JsonLines` keeps them in ``metrics.jsonl``. docs/training.md shows one for MLflow and one for
TensorBoard. ``logger.log`` can stand wherever a ``progress`` is asked for.
"""

import json
from pathlib import Path
from typing import Any, Protocol

from audiorec.files.atomic import replaced

Line = dict[str, Any]


class Logger(Protocol):
    """Takes the lines of a training."""

    def log(self, line: Line) -> None:
        """Take one line. A training that resumes begins with the lines of its checkpoint."""


class JsonLines:
    """A file with one line of JSON an epoch; it is replaced whole, so that it is never cut."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []

    def log(self, line: Line) -> None:
        """Write the lines so far."""
        self._lines.append(json.dumps(line) + "\n")
        with replaced(self._path) as temporary:
            temporary.write_text("".join(self._lines))
