"""Hooks for the tests and for the doctests of the package and the docs."""

import sys
from collections.abc import Generator

import pytest
from _pytest.doctest import DoctestModule
from needs import missing_package, reason, refuse_skips


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
