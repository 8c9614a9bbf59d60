"""The guide, followed word for word: two folders, two terminals, and what each prints.

A block of commands has prompts that name the side. Commands of both sides in one block run at the
same time, those of one side in order. Only the port is another one, since tests run beside others.
"""

import os
import re
import subprocess
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from rehearsal import rehearse

PAGE = Path(__file__).parents[3] / "docs" / "federated.md"
BLOCK = re.compile(r"^```(console|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^(music|partner)\$ (.*)$")
PORT = "7443"
SIDES = ("music", "partner")
LIMIT_S = 60.0


def steps(text):
    """Return the blocks in order: a settings file, or commands of each side with their lines."""
    found = []
    for language, body in BLOCK.findall(text):
        if language == "toml":
            name = body.partition("\n")[0].removeprefix("# ")
            found.append((name, body))
            continue
        sides = {}
        for line in body.splitlines():
            if match := PROMPT.match(line):
                side, command = match.groups()
                sides.setdefault(side, []).append((command, []))
            else:
                sides[side][-1][1].append(line)
        found.append(("commands", sides))
    return found


def fits(wanted, got):
    """Whether lines were printed as the page says; a line of ``…`` stands for any others."""
    pattern = "\n".join(line.replace("[", "[[]").replace("…", "*") for line in wanted)
    return fnmatchcase("\n".join(got), pattern)


class Terminal:
    """The terminal of a side: runs commands in a shell one after the other."""

    def __init__(self, folder):
        self.folder = folder
        self.printed = folder.parent / f"{folder.name}.txt"

    def start(self, command):
        paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": paths, "OMP_NUM_THREADS": "1"}
        with self.printed.open("w") as file:
            return subprocess.Popen(
                ["sh", "-c", command],
                cwd=self.folder,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def lines(self):
        # What a side says while it waits for the other depends on who began.
        read = self.printed.read_text().splitlines()
        return [line.replace("\t", " ") for line in read if "retrying for up to" not in line]

    def until_it_listens(self, process):
        end = time.monotonic() + LIMIT_S
        while process.poll() is None and "listening on" not in self.printed.read_text():
            assert time.monotonic() < end, "it does not listen"
            time.sleep(0.05)


def follow(terminals, sides):
    """Run the commands of a block; all sides' first ones at once, then the second ones."""
    for number in range(max(map(len, sides.values()))):
        running = {}
        for side, commands in sides.items():
            if number < len(commands):
                running[side] = terminals[side].start(commands[number][0])
                if len(sides) == len(SIDES) and any("listening" in x for x in commands[number][1]):
                    terminals[side].until_it_listens(running[side])
        for side, process in running.items():
            command, wanted = sides[side][number]
            code, got = process.wait(LIMIT_S), terminals[side].lines()
            assert code == 0, (command, got)
            assert fits(wanted, got), (command, wanted, got)


def test_the_guide_works_when_it_is_followed_in_two_terminals(tmp_path):
    text = PAGE.read_text().replace(PORT, str(rehearse.free_port()))
    terminals = {}
    for side in SIDES:
        (tmp_path / side).mkdir()
        terminals[side] = Terminal(tmp_path / side)
    ran = []
    for name, content in steps(text):
        if name == "commands":
            follow(terminals, content)
            ran += [command for commands in content.values() for command, _ in commands]
        else:
            (tmp_path / name.removesuffix(".toml") / name).write_text(content)
    told = " ".join(ran)
    for needed in ("align --config music.toml --yes", "train --config partner", "release --config"):
        assert needed in told
    assert (tmp_path / "partner" / "candidates.parquet").exists()
    assert (tmp_path / "music" / "candidates.parquet").exists()


@pytest.mark.parametrize(
    ("wanted", "got", "does"),
    [
        (["a", "…", "z"], ["a", "b", "c", "z"], True),
        (["made …, [1]"], ["made it, [1]"], True),
        (["900 users"], ["899 users"], False),
        (["900 users"], ["900 users", "and more"], False),
        ([], [], True),
    ],
)
def test_the_lines_of_the_page_are_compared(wanted, got, does):
    assert fits(wanted, got) is does
