"""Every block of the README, pasted into an empty folder: no clone, no fixtures."""

import doctest
import glob
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from command import run_command
from needs import needs

ROOT = Path(__file__).parents[1]
CLIPS = ROOT / "fixtures" / "audio"
README = (ROOT / "README.md").read_text()
INSTALL = re.compile(r"^(pip|uv) ")  # what it installs is here already
# A command, and what its extra brings.
NEEDS = {"browse": "starlette", "start": "starlette", "demo": "starlette"}
# Less than a person would wait for.
BUDGET = {
    "extract": "--jobs 1 --quiet",
    "browse": "--no-open",
    "start": "--no-open --once --jobs 1",
    "demo": "--no-open",
}


def blocks():
    """Return the shell blocks by heading and place: those of a newcomer, not of a developer."""
    found, heading = {}, ""
    for title, block in re.findall(
        r"^##+ ([^\n]+)$|^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
    ):
        heading = title or heading
        if block and heading != "Tests and licences":  # which runs the tests
            found[f"{heading} {sum(key.startswith(heading) for key in found) + 1}"] = block
    return found


BLOCKS = blocks()
STORE = "Quick start 2"  # which the other blocks read


def commands(block):
    """Return the command lines of a block as lists of words, without what installs."""
    lines = [
        shlex.split(part, comments=True)
        for line in block.replace("\\\n", " ").splitlines()
        for part in line.split("&&")
    ]
    return [line for line in lines if line and not INSTALL.match(" ".join(line))]


def placed(words):
    """Return a command's words as a shell gives them: with home folders and patterns expanded."""
    assert words[0] == "audiorec"
    expanded = map(os.path.expanduser, words[1:])
    return [name for word in expanded for name in sorted(glob.glob(word)) or [word]]  # noqa: PTH207


@pytest.fixture(scope="module")
def pasted():
    """The blocks that have been pasted into the folder."""
    return set()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with some music of one's own, and nothing else."""
    home = tmp_path_factory.mktemp("newcomer")
    (home / "Music").mkdir()
    shutil.copy(CLIPS / "classical-piano.flac", home / "Music")
    return home


@pytest.fixture
def paste(folder, pasted, monkeypatch, capsys):
    """Return what pastes a block, after that of the store, and gives what it prints."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("AUDIOREC_DATA", str(folder / "data"))
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)

    def once(name):
        if STORE not in {*pasted, name}:
            once(STORE)
        pasted.add(name)
        printed = []
        for words in commands(BLOCKS[name]):
            arguments = placed(words)
            line = " ".join(arguments)
            for command, more in BUDGET.items():
                if line.startswith(command):
                    arguments += more.split()
            code, out, err = run_command(monkeypatch, capsys, *arguments)
            assert code == 0, f"{' '.join(words)}\n{err}"
            printed.append(out)
        return printed

    return once


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_works_when_pasted(name, paste, monkeypatch):
    for command, package in NEEDS.items():
        if f"audiorec {command}" in BLOCKS[name]:
            needs(package)
    # Which would serve until somebody ends it: tests/web does that.
    if re.search("audiorec (browse|start|demo)", BLOCKS[name]):
        told = "http://127.0.0.1/"
        monkeypatch.setattr("audiorec.web.server.serve", lambda *_, ready, **__: ready(told))
    assert commands(BLOCKS[name])
    paste(name)


def test_the_first_answers_are_what_is_printed(paste):
    """The songs, their order, and the reasons; a terminal has them in a form of its own."""
    _, shown = re.findall(r"^```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    *_, found, alike = paste(STORE)
    assert re.findall(r"\S+\.opus(?=  )", shown) == re.findall(r"\S+\.opus", found + alike)
    reasons = [row.rpartition("\t")[2] for row in alike.splitlines()[1:]]
    assert re.findall(r"^\d: (.*)$", shown, re.MULTILINE) == reasons


def test_the_query_works_when_pasted(paste, folder):
    duckdb = needs("duckdb")
    paste(STORE)
    (query,) = re.findall(r"^```sql\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    rows = duckdb.sql(query).fetchall()
    assert len(rows) == 46
    assert {len(vector) for _, vector in rows} == {84}


def test_the_python_works_when_pasted(paste):
    paste(STORE)
    (block,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    example = doctest.DocTestParser().get_doctest(block, {}, "README.md", "README.md", 0)
    told = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=told.append)
    assert result.attempted == 4
    assert not result.failed, "".join(told)


def test_every_block_is_run_or_is_none_of_commands():
    languages = re.findall(r"^```(\w*)$", README, re.MULTILINE)[::2]
    # A doctest, a query, a table of models, answers.
    assert set(languages) == {"sh", "python", "sql", "text"}
    assert (languages.count("sql"), languages.count("text")) == (1, 2)
    assert README.count("```sh\n") == len(BLOCKS) + 1


def test_no_command_of_a_block_writes_where_a_reader_keeps_a_library():
    """The demonstration has stores of its own: nothing reads or writes ``vecs.parquet`` here."""
    for words in (words for block in BLOCKS.values() for words in commands(block)):
        line = " ".join(words)
        assert not re.search(r"(?<![\w/])vecs\.parquet", line), line
        reads_no_store = ("start ~/Music", "demo")  # which have stores of their own, or none
        wants_store = not line.removeprefix("audiorec ").startswith(reads_no_store)
        assert not wants_store or "/vecs.parquet" in line, line
