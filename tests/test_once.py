"""`once`: the second run repeats only what has not passed, in one process and in several."""

import subprocess
import sys

import pytest

TESTS = """
import os, pytest
def test_passes(): pass
@pytest.mark.parametrize("n", [1, 2])
def test_one_of_two(n): assert n == 1 or os.environ.get("MENDED")
def test_skips():
    if not os.environ.get("MENDED"): pytest.skip("not here")
"""
HOOKS = """
import once
import pytest
def pytest_collection_modifyitems(config, items):
    items[:], before = once.split(items)
    if before: config.hook.pytest_deselected(items=before)
def pytest_runtest_logreport(report): once.record(report)
def pytest_ignore_collect(collection_path, config):
    return once.is_done(collection_path, config.rootpath) or None
@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    once.record_file(collector, report)
    return report
"""
DONE = """
def test_passes_too(): pass
"""
CLOSED = """
import os, pytest
if not os.environ.get("MENDED"): pytest.skip("not here", allow_module_level=True)
def test_opens(): pass
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_has_passed_is_left_out_and_all_else_is_run(tmp_path, processes, monkeypatch):
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "test_done.py").write_text(DONE)
    (tmp_path / "test_closed.py").write_text(CLOSED)
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name in ("AUDIOREC_PASSED", "AUDIOREC_LEAVE_OUT", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", __file__.rpartition("/")[0])
    command = [sys.executable, "-m", "pytest", "-q", "-n", processes, "-p", "no:cacheprovider"]
    passed = tmp_path / "passed"
    monkeypatch.setenv("AUDIOREC_PASSED", str(passed))
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "1 failed, 3 passed, 2 skipped" in first.stdout
    assert sorted(passed.read_text().split()) == [
        "-test_closed.py", "-test_it.py::test_one_of_two[2]", "-test_it.py::test_skips",
        "=test_done.py", "=test_it.py", "test_done.py::test_passes_too",
        "test_it.py::test_one_of_two[1]", "test_it.py::test_passes",
    ]  # fmt: skip
    (tmp_path / "test_done.py").write_text("raise RuntimeError('it is not read again')")
    monkeypatch.delenv("AUDIOREC_PASSED")
    monkeypatch.setenv("AUDIOREC_LEAVE_OUT", str(passed))
    monkeypatch.setenv("MENDED", "1")
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "3 passed" in second.stdout
    assert "failed" not in second.stdout
    assert second.returncode == 0
