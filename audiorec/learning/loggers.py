"""Loggers of training metrics: any object with a method ``log(line)``.

    fit ──line──▶ Logger.log     {"epoch": 3, "loss": 0.41, ..., "steps": 900, "seconds_left": 12.5}

`JsonLines` writes them to ``metrics.jsonl``. docs/training.md shows loggers for MLflow and
TensorBoard. ``logger.log`` can be passed as any ``progress`` argument.
"""

import json
from pathlib import Path
from typing import Any, Protocol

from audiorec.files.own_files import replaced

Line = dict[str, Any]


class Logger(Protocol):
    """Receiver of the metrics of each epoch."""

    def log(self, line: Line) -> None:
        """Log one epoch's metrics; a resumed run first repeats those of its checkpoint."""


class JsonLines:
    """JSON Lines file with one line per epoch; replaced atomically on every write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []

    def log(self, line: Line) -> None:
        """Add a line and write the file."""
        self._lines.append(json.dumps(line) + "\n")
        with replaced(self._path) as temporary:
            temporary.write_text("".join(self._lines))
