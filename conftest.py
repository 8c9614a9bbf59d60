"""Hooks for the tests and for the doctests of the package and the docs."""

import doctest
import gc
import os
import sys
from collections.abc import Generator
from pathlib import Path

# Before numpy and torch: threads that wait for each other over small products cost more than they
# do, a sum on one thread always comes in one order, and forks find no threads to miss.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | os.environ

# The tests' own settings: none, whatever the developer's are.
os.environ["AUDIOREC_CONFIG"] = ""
os.environ["AUDIOREC_DATA"] = os.path.join(os.devnull, "none")  # noqa: PTH118 - no Path yet

import once
import pytest
import slow
from _pytest.doctest import DoctestItem, DoctestModule, DoctestTextfile
from hypothesis import settings
from needs import Report, missing_package, reason, refuse_skips

# Hundreds of tests start a command: without kept bytecode, each compiles all its imports anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Almost all that is imported and collected stays: `pytest_collection_finish`.
gc.disable()

ROOT = Path(__file__).parent

# The time that an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what an earlier run has passed, and begin with what is slow; see `once`, `slow`."""
    items[:], before = once.split(items)
    slow.mark_and_order(items)
    if before:
        config.hook.pytest_deselected(items=before)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not read a file of which everything has passed; see `once`."""
    return once.is_done(collection_path, config.rootpath) or None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what has passed; see `once`."""
    once.record(report)


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later collection: a walk over it takes a second."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path,
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Look for doctests only where one is, and not in the tests: the rest is not even imported."""
    found = yield
    doctests = [one for one in found if isinstance(one, DoctestModule | DoctestTextfile)]
    is_test = "tests" in file_path.relative_to(ROOT).parts
    if doctests and (is_test or b">>>" not in file_path.read_bytes()):
        return [one for one in found if one not in doctests]
    return found


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skip the doctests of a module that imports a package which is not installed."""
    known = set(sys.modules)
    report = yield
    if report.failed and isinstance(collector, DoctestModule):
        error = report.call.excinfo.value
        if skip_for_a_package(report, error, collector.path):
            # What was imported of it is half a module, in a plug-in that may not be installed:
            # nobody else may find them.
            package = str(collector.path.with_name("__init__.py"))
            for name, module in list(sys.modules.items()):
                file = getattr(module, "__file__", None)
                if file == str(collector.path) or (file == package and name not in known):
                    del sys.modules[name]
    once.record_file(collector, report)
    if isinstance(collector, pytest.Directory):
        report.result = slow.turned(report.result)
    return refuse_skips(report)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skip the rest of a page from the example on that needs a package which is not installed."""
    report = yield
    if report.failed and isinstance(item, DoctestItem):
        failure = call.excinfo.value
        error = failure.exc_info[1] if isinstance(failure, doctest.UnexpectedException) else failure
        skip_for_a_package(report, error, item.path)
    return refuse_skips(report)


def skip_for_a_package(report: Report, error: BaseException, path: Path) -> bool:
    """Turn a failure into a skip if it comes of a package that is not installed."""
    package = missing_package(error)
    if package is not None:
        report.outcome = "skipped"
        report.longrepr = (str(path), 1, f"Skipped: {reason(package)}")
    return package is not None
