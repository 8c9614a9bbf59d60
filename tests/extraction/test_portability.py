"""Where `fcntl` and `resource` are missing, as on Windows, everything imports and the core works.

The children of these tests see no module, function or flag that only Unix has, and no extra.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CLIPS = [f"fixtures/audio/{name}.mp3" for name in ("jazz-vibraphone", "game-tune-caribbean")]
IMPORT_ALL = """
import importlib, pkgutil, audiorec, audiorec_cli
refused = []
for package in (audiorec, audiorec_cli):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            if (error.name or "").split(".")[0] not in without_unix.EXTRAS:
                refused.append(f"{module.name}: {error}")
print(*refused, sep="\\n", end="")
"""
START = "from audiorec_cli.main import main; main()"


@pytest.fixture
def without_unix(tmp_path):
    """Run code in a Python that has nothing of Unix; return code, stdout, stderr."""
    mark = tmp_path / "hidden"

    def run(code, *arguments):
        prelude = f"import without_unix; without_unix.hide({str(mark)!r})\n"
        done = subprocess.run(
            [sys.executable, "-c", prelude + code, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    run.mark = mark
    return run


def test_every_module_imports(without_unix):
    assert without_unix(IMPORT_ALL)[:2] == (0, "")


def test_extract_resume_similar_and_info(without_unix, tmp_path):
    for clip in CLIPS:
        shutil.copy(clip, tmp_path)
    code, _, stderr = without_unix(START, "extract", ".", "-j", "2", "-q")
    assert (code, "2 extracted (2 ok)" in stderr) == (0, True), stderr
    assert len(without_unix.mark.read_text().splitlines()) == 3  # and two workers
    shutil.copy(tmp_path / "game-tune-caribbean.mp3", tmp_path / "again.mp3")
    code, _, stderr = without_unix(START, "extract", ".", "-j", "1", "-q")
    assert (code, "1 copied from identical audio, 2 unchanged" in stderr) == (0, True), stderr
    code, stdout, stderr = without_unix(START, "similar", "again.mp3", "--also", "copies")
    assert (code, "game-tune-caribbean.mp3" in stdout) == (0, True), stderr
    code, stdout, stderr = without_unix(START, "info")
    assert (code, "songs: 3" in stdout) == (0, True), stderr


def test_a_run_that_was_cut_off_goes_on(without_unix, tmp_path):
    for clip in CLIPS:
        shutil.copy(clip, tmp_path)
    cut = "import audiorec.store.journal as j, os; j.commit_staged = lambda *_, **__: os._exit(9)\n"
    assert without_unix(cut + START, "extract", ".", "-j", "1", "-q")[0] == 9
    code, _, stderr = without_unix(START, "extract", ".", "-j", "1", "-q")
    assert (code, "0 extracted, 2 unchanged" in stderr) == (0, True), stderr
