"""Hooks for the tests and for the doctests of the package and the docs."""

import gc
import os
import sys
from collections.abc import Generator

# Before numpy: threads that wait for each other over small products cost more than they do.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Before librosa, which one test compares with: compiling costs 20 s, computing nothing.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

import pytest
from _pytest.doctest import DoctestModule
from hypothesis import settings
from needs import missing_package, reason, refuse_skips

# The time that an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later collection: a walk over it takes a second."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skip the doctests of a module that imports a package which is not installed."""
    report = yield
    if report.failed and isinstance(collector, DoctestModule):
        package = missing_package(report.call.excinfo.value)
        if package is not None:
            report.outcome = "skipped"
            report.longrepr = (str(collector.path), 1, f"Skipped: {reason(package)}")
            # What was imported of it is half a module: nobody else may find it.
            for name, module in list(sys.modules.items()):
                if getattr(module, "__file__", None) == str(collector.path):
                    del sys.modules[name]
    return refuse_skips(report)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Refuse a skip where everything is said to be installed."""
    return refuse_skips((yield))
