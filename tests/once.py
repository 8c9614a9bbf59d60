"""Leave out tests that have passed before, in an environment with fewer packages.

    first run   ──`record`──▶ $AUDIOREC_PASSED     $AUDIOREC_LEAVE_OUT ──`split`──▶ second run

`.ci/run` runs all tests without extras, and then with every extra: what has passed without them
needs none, and is not run again.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ  # its results are reported to the first process


def record(report: pytest.TestReport) -> None:
    """Add a test that has passed to the file ``$AUDIOREC_PASSED``, if that is set."""
    path = os.environ.get("AUDIOREC_PASSED")
    if path and not IS_WORKER and report.when == "call" and report.passed:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(report.nodeid + "\n")


def split(items: Sequence[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Return the items to run, and those that the file ``$AUDIOREC_LEAVE_OUT`` names."""
    path = os.environ.get("AUDIOREC_LEAVE_OUT")
    before = set(Path(path).read_text(encoding="utf-8").splitlines()) if path else set()
    kept = [item for item in items if item.nodeid not in before]
    return kept, [item for item in items if item.nodeid in before]
