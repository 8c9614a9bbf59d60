"""`python -m benchmarks` lists every benchmark and runs the one that is named."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "benchmarks").is_dir(), reason="needs the repository, not its source archive"
)


def run(*arguments, told=""):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        input=told,
        capture_output=True,
        text=True,
    )


def test_every_benchmark_is_listed_with_what_it_does():
    done = run()
    listed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    scripts = {
        path.stem
        for path in (ROOT / "benchmarks").glob("*.py")
        if path.stem != "__main__" and "__main__" in path.read_text()
    }
    assert set(listed) == scripts
    assert all(about[0].isupper() and about[-1] in ".:" for about in listed.values())


def test_a_name_runs_it_with_its_arguments():
    done = run("table", "b", told='{"a": 1, "b": 2}\n')
    assert (done.returncode, done.stdout) == (0, "| b |\n|---|\n| 2 |\n\n")


def test_an_unknown_name_says_what_was_meant():
    done = run("tabel")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no benchmark 'tabel'; did you mean: table\n"
    assert run("zzz").stderr == "no benchmark 'zzz'\n"
