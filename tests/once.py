"""Leave out tests that have passed before, in an environment with fewer packages.

    first run   ──`record`──▶ $AUDIOREC_PASSED     $AUDIOREC_LEAVE_OUT ──`split`──▶ second run

`.ci/run` runs all tests without extras, and then with every extra: what has passed without them
needs none, and is not run again. A file of which everything has passed is not even imported
(`is_done`): reading all of them takes each process half a minute.
"""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

# Results of the workers are reported to the first process; what a file has, to none.
IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
READS_FIRST = os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"
READ, NOT_PASSED = "=", "-"


def record(report: pytest.TestReport) -> None:
    """Add a test that has passed, or has not, to the file ``$AUDIOREC_PASSED``, if that is set."""
    if not IS_WORKER and not report.passed:
        _add(NOT_PASSED + report.nodeid)
    elif not IS_WORKER and report.when == "call":
        _add(report.nodeid)


def record_file(collector: pytest.Collector, report: pytest.CollectReport) -> None:
    """Add a file that could be read, or could not, to the same file."""
    if READS_FIRST and isinstance(collector, pytest.File):
        _add((READ if report.passed else NOT_PASSED) + report.nodeid)


def _add(line: str) -> None:
    if path := os.environ.get("AUDIOREC_PASSED"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


@cache
def _before() -> tuple[frozenset[str], frozenset[str]]:
    """Return the tests that the file ``$AUDIOREC_LEAVE_OUT`` names, and the files that are done."""
    path = os.environ.get("AUDIOREC_LEAVE_OUT")
    lines = set(Path(path).read_text(encoding="utf-8").splitlines()) if path else set[str]()
    open_ones = {line[1:].partition("::")[0] for line in lines if line.startswith(NOT_PASSED)}
    read = frozenset(line[1:] for line in lines if line.startswith(READ))
    return frozenset(line for line in lines if line[0] not in READ + NOT_PASSED), read - open_ones


def is_done(path: Path, root: Path) -> bool:
    """Say whether all that a file holds has passed before."""
    return path.suffix in (".py", ".md") and path.relative_to(root).as_posix() in _before()[1]


def split(items: Sequence[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Return the items to run, and those that have passed before."""
    before = _before()[0]
    kept = [item for item in items if item.nodeid not in before]
    return kept, [item for item in items if item.nodeid in before]
