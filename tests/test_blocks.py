"""The shell blocks of the pages that `scripts/prose_blocks.py` says run, in one made-up home.

Blocks of the README run in `test_readme.py`, examples with ``>>>`` as doctests. All others say why
they do not run.
"""

import contextlib
import re
import shutil
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from command import run_command
from needs import needs
from prose_blocks import RUN, all_blocks, blocks_of, count, faults
from test_readme import BUDGET, CLIPS, ROOT, commands, placed

BLOCKS = {
    f"{Path(page).stem}-{block.line}": block
    for page in RUN
    for block in blocks_of(page, (ROOT / page).read_text())
    if block.is_run and block.language != "pycon" and not block.lines[0].startswith(">>>")
}
NEEDS = {"plot ": "audiorec_plots", "browse": "starlette", "retag": "audiorec_retag"}
PLACEHOLDERS = {
    "A": "jazz-vibraphone.mp3",
    "B": "death-metal-band.ogg",
    "SONG": "jazz-vibraphone.mp3",
}
MUSIC = ("blues-band.mp3", "jazz-vibraphone.mp3", "death-metal-band.ogg")
DEMO = ("vibe-ace.opus", "vermocsar.opus")  # of docs/plots.md
MORE = {**BUDGET, "plot": "--size @40"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with music, a store of the clips with all that belongs to it, and a log."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(CLIPS, folder / "fixtures" / "audio")
    (folder / "fixtures" / "demo").mkdir()
    for name in DEMO:
        shutil.copy(CLIPS.parent / "demo" / name, folder / "fixtures" / "demo" / name)
    (folder / "Music" / "new").mkdir(parents=True)
    for name in MUSIC:
        shutil.copy(CLIPS / name, folder / "Music" / name)
    shutil.copy(CLIPS / "choir-a-cappella.mp3", folder / "Music" / "new" / "song.mp3")
    return folder


@pytest.fixture
def run(home, monkeypatch, capsys):
    """Return what runs a line of a page in that home; its store and log are made at first."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    told = "http://127.0.0.1/"

    def command(*words):
        for start, more in MORE.items():
            if " ".join(words).startswith(start) and "report.json" not in words:
                words = (*words, *more.split())
        code, out, err = run_command(monkeypatch, capsys, *words)
        assert code == 0, f"{' '.join(words)}\n{err}"
        return out

    if not (home / "plays.csv").exists():
        beside = "--scores scores.parquet --features features.parquet"
        command("extract", "fixtures/audio", "--out", "vecs.parquet", *beside.split())
        command("extract", "Music", "--out", "vecs.parquet", "--quiet")
        command("extract", "fixtures/demo", "--out", "vecs.parquet", "--quiet")
        command("listening", "simulate", "--out", "world")
        plays = pq.read_table(home / "world" / "interactions.parquet")
        pyarrow.csv.write_csv(plays, home / "plays.csv")
    with contextlib.suppress(ImportError):  # the blocks that need it are skipped
        monkeypatch.setattr("audiorec.web.server.serve", lambda *_, ready, **__: ready(told))
    return command


def shell_lines(block):
    """Return the lines of a block that are commands: in a console those behind a ``$``."""
    if block.language == "console":
        return [line[2:] for line in block.lines if line.startswith("$ ")]
    return block.lines


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_of_a_page_works_when_pasted(name, run, home):
    lines = commands("\n".join(shell_lines(BLOCKS[name])))
    assert lines
    for command, package in NEEDS.items():
        if any(" ".join(words[1:]).startswith(command) for words in lines):
            needs(package)
    user = pq.read_table(home / "world" / "interactions.parquet")["user_id"][0].as_py()
    for words in lines:
        target = words[words.index(">") + 1] if ">" in words else None
        means = {"u1": user, **PLACEHOLDERS}
        asked = [means.get(word, word) for word in words[: -2 if target else None]]
        out = run(*placed(asked))
        if target:
            (home / target).write_text(out)


def test_every_block_of_commands_runs_or_says_why_not():
    blocks = all_blocks()
    assert faults(blocks) == []
    found = re.fullmatch(r"blocks: (\d+) run, (\d+) with a reason", count(blocks))
    assert int(found[1]) >= 90
    assert int(found[1]) + int(found[2]) == len(blocks)


def test_a_block_without_a_reason_is_a_fault():
    page = "# A page\n\n```sh\naudiorec info\n```\n"
    assert "nothing says why" in faults(blocks_of("docs/new.md", page))[0]
    said = page.replace("```sh", "<!-- not run: needs a song -->\n```sh")
    assert faults(blocks_of("docs/new.md", said)) == []
    assert blocks_of("docs/new.md", said)[0].reason == "needs a song"
    assert blocks_of("README.md", page)[0].is_run
