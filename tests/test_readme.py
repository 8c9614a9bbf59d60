"""The README's shell blocks, pasted line by line into a folder with music in it."""

import os
import re
import shlex
import shutil
from functools import cache
from pathlib import Path

import pytest
from command import run_command
from needs import needs

ROOT = Path(__file__).parents[1]
CLIPS = ROOT / "fixtures" / "audio"
NEW = ("guitar-band.flac", "jazz-vibraphone-later.ogg", "speech-in-french.mp3")
INSTALL = re.compile(r"^(pip|uv) ")  # what it installs is here already
NEEDS = {
    "recall train youtube-dnn": "torch",
    "plot ": "matplotlib",
    "browse": "starlette",
}  # a command, and what its extra brings
# Smaller worlds and fewer epochs than a person would wait for.
BUDGET = {
    "listening simulate": "--users 80 --days 30",
    "recall train youtube-dnn": "--epochs 2",
    "recall train user-audio": "--epochs 1",
    "extract": "--jobs 1 --quiet",
    "browse": "--no-open",
}


def blocks():
    """Return the shell blocks by heading and place: those of a newcomer, not of a developer."""
    found, heading = {}, ""
    text = (ROOT / "README.md").read_text()
    for title, block in re.findall(
        r"^##+ ([^\n]+)$|^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    ):
        heading = title or heading
        if block and heading != "Tests":
            found[f"{heading} {sum(key.startswith(heading) for key in found) + 1}"] = block
    return found


BLOCKS = blocks()
# Blocks that go on where those of another heading end.
GOES_ON = {"2. Make playlists and clean up": "1. Look and listen"}


def commands(block):
    """Return the command lines of a block as lists of words, without what installs."""
    lines = [
        shlex.split(part, comments=True)
        for line in block.replace("\\\n", " ").splitlines()
        for part in line.split("&&")
    ]
    return [line for line in lines if line and not INSTALL.match(" ".join(line))]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Return what makes a newcomer's folder, one for all blocks below a heading."""
    return cache(lambda _heading: newcomers(tmp_path_factory.mktemp("newcomer")))


def newcomers(home):
    """Fill a folder: the clone's clips, music of one's own, and new songs; return it."""
    (home / "fixtures").mkdir()
    shutil.copytree(CLIPS, home / "fixtures" / "audio")
    for name in ("music", "new", "Music"):
        (home / name).mkdir()
    for clip in sorted(p for p in CLIPS.iterdir() if p.suffix != ".md"):
        shutil.copy(clip, home / ("new" if clip.name in NEW else "music"))
    shutil.copy(CLIPS / "jazz-vibraphone.mp3", home / "new" / "copy.mp3")
    shutil.copy(CLIPS / "rock-song-with-woman-singing.m4a", home / "Music" / "anything.flac")
    return home


def placed(words):
    """Return a command's words with home folders and placeholders filled in."""
    songs = {"A": "jazz-vibraphone.mp3", "B": "death-metal-band.ogg"}
    assert words[0] == "audiorec"
    return [os.path.expanduser(songs.get(word, word)) for word in words[1:]]  # noqa: PTH111


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_works_when_pasted(name, folder_of, monkeypatch, capsys):
    heading = name.rpartition(" ")[0]
    folder = folder_of(GOES_ON.get(heading, heading))
    for command, package in NEEDS.items():
        if f"audiorec {command}" in BLOCKS[name]:
            needs(package)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("AUDIOREC_VECTORS", raising=False)
    if "browse" in BLOCKS[name]:  # which would serve until somebody ends it: tests/web does that
        told = "http://127.0.0.1/"
        monkeypatch.setattr("audiorec.web.server.serve", lambda *_, ready, **__: ready(told))
    lines = commands(BLOCKS[name])
    assert lines
    for words in lines:
        arguments = placed(words)
        for command, more in BUDGET.items():
            if " ".join(arguments).startswith(command):
                arguments += more.split()
        code, _, err = run_command(monkeypatch, capsys, *arguments)
        assert code == 0, f"{' '.join(words)}\n{err}"
        if words[1] == "cold-start":
            assert "(copy.mp3 is jazz-vibraphone.mp3): left out" in err
            assert "(speech-in-french.mp3): left out" in err
            assert "lists: audience.parquet" in err


def test_there_are_blocks_for_both_ways_to_an_audience():
    ways = [block for block in BLOCKS.values() if "cold-start audience" in block]
    assert ["recall train youtube-dnn" in block for block in ways] == [False, True]
