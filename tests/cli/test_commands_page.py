"""`docs/commands.md` has every command and option; no page shows one that does not exist."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from help_pages import pages

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from commands_page import page

COMMANDS = {" ".join(path): command for path, command in pages()}
TEXT = (ROOT / "docs" / "commands.md").read_text()
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def every(command):
    """Return the parameters of a command, common ones included."""
    return [*command.params, *getattr(command, "shared", ())]


def test_the_page_is_what_its_script_writes():
    assert page() == TEXT, "write it again: python scripts/commands_page.py > docs/commands.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name):
    command = COMMANDS[name]
    section = TEXT
    if name != "audiorec":
        assert f"### `{name}`\n" in TEXT
        section = TEXT.partition(f"### `{name}`\n")[2].partition("\n#")[0]
    for parameter in every(command):
        for option in (*parameter.opts, *parameter.secondary_opts):
            assert not option.startswith("-") or re.search(rf"`(audiorec )?{option}`", section)


def shown(path):
    """Yield the command lines in the fences of a page."""
    for body in re.findall(r"^```\w*\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
        for line in re.sub(r"\\\n\s*", " ", body).splitlines():
            if match := re.match(r"(?:\$ )?(?:.*&& )?audiorec (?!\.\.\.)(.+)", line):
                yield match[1]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_what_a_page_shows_exists(path):
    for line in shown(path):
        words = shlex.split(line.partition(" > ")[0].partition(" | ")[0], comments=True)
        name = "audiorec"
        while words and f"{name} {words[0]}" in COMMANDS:
            name = f"{name} {words.pop(0)}"
        options = {o for p in every(COMMANDS[name]) for o in (*p.opts, *p.secondary_opts)}
        assert not hasattr(COMMANDS[name], "commands") or words[0].startswith("-"), line
        for word in words:
            if re.match(r"--?[a-z]", word) and not re.match(r"-[a-z]\d", word):
                assert word.partition("=")[0] in options, f"{path.name}: {line}: {word}"
