"""`python -m benchmarks` lists every benchmark and runs the one that is named."""

import subprocess
import sys
from pathlib import Path

import pytest
from needs import needs

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
    listed = {tuple(line.split(maxsplit=2)) for line in done.stdout.splitlines()}
    theirs = [(p.parents[1].name, p) for p in (ROOT / "plugins").glob("*/benchmarks/*.py")]
    ours = [(path.parent.name, path) for path in (ROOT / "benchmarks").rglob("[!_]*.py")]
    scripts = [
        (folder, path.stem)
        for folder, path in ours + theirs
        if folder != "peers" and "__main__" in path.read_text()
    ]
    assert sorted((folder, name) for folder, name, _ in listed) == sorted(scripts)
    assert len({name for _, name in scripts}) == len(scripts)
    assert all(about[0].isupper() and about[-1] in ".:" for _, _, about in listed)


def test_a_name_runs_it_with_its_arguments():
    done = run("table", "b", told='{"a": 1, "b": 2}\n')
    assert (done.returncode, done.stdout) == (0, "| b |\n|---|\n| 2 |\n\n")


def test_what_lies_in_another_folder_is_imported():
    needs("threadpoolctl")
    done = run("eval_wish", "--help")  # eval_find beside it, label_data with the scripts
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_name_says_what_was_meant():
    done = run("tabel")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no benchmark 'tabel'; did you mean: table\n"
    assert run("zzz").stderr == "no benchmark 'zzz'\n"
