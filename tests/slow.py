"""The modules that take longest: they begin first, so that no worker waits for another at the end.

pytest-xdist would begin with the modules of most tests; those that train in several processes,
kill them or drive a browser have few, and would come last. They also have the mark ``slow``:
``pytest -m "not slow"`` leaves them out.
"""

import os
from collections import Counter
from typing import TypeVar

import pytest

Node = TypeVar("Node")

SLOW = (  # 12 CPU seconds or more, the longest first
    "tests/web/test_page.py",
    "tests/web/test_owner.py",
    "plugins/audiorec-federated/tests/test_rehearsal.py",
    "tests/learning/test_launch.py",
    "tests/recall/contract/test_checks.py",
    "tests/hostile/test_planted_modules.py",
    "tests/web/test_views.py",
    "tests/test_prose.py",
    "tests/test_tutorials.py",
    "tests/web/apis/test_serving.py",
    "tests/runs/test_engines.py",
    "tests/hostile/test_streams.py",
    "tests/recall/sequence/youtube_dnn/test_processes.py",
    "tests/faults/test_full_disk.py",
    "tests/web/test_siege.py",
    "tests/recall/sequence/sasrec/test_channel.py",
    "tests/web/test_server.py",
    "tests/plugins/test_own_channel.py",
    "tests/audio/test_codecs.py",
    "tests/extraction/test_run.py",
    "tests/learning/test_processes.py",
    "tests/hostile/test_flips.py",
)


def mark_and_order(items: list[pytest.Item]) -> None:
    """Mark the slow tests, and sort modules: the slow ones, then those of most tests."""
    files = [item.nodeid.partition("::")[0] for item in items]
    rank, tests = {name: n for n, name in enumerate(SLOW)}, Counter(files)
    for item, file in zip(items, files, strict=True):
        if file in rank:
            item.add_marker("slow")

    def place(pair: tuple[pytest.Item, str]) -> tuple[int, int, str]:
        return rank.get(pair[1], len(SLOW)), -tests[pair[1]], pair[1]

    items[:] = [item for item, _ in sorted(zip(items, files, strict=True), key=place)]


def turned(found: list[Node]) -> list[Node]:
    """Begin elsewhere in each worker, so that each reads what another has compiled.

    Where nothing is compiled yet, three workers that read all tests in one order compile each
    module three times.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    start = len(found) * worker // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return found[start:] + found[:start]
