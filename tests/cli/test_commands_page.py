"""The site has every command and option; no page shows one that does not exist."""

import re
import shlex
from pathlib import Path

from help_pages import pages
from needs import needs

ROOT = Path(__file__).parents[2]
from commands_page import page

COMMANDS = {" ".join(path): command for path, command in pages()}
TEXT = page()
OWN = ROOT / "docs" / "own_command.md"  # of a command that one writes there
DOCS = [ROOT / "README.md", *sorted({*(ROOT / "docs").glob("**/*.md")} - {OWN})]


def every(command):
    """Return the parameters of a command, common ones included."""
    return [*command.params, *getattr(command, "shared", ())]


def undocumented():
    """Yield each command without a section, and each option that its section does not name."""
    for name, command in COMMANDS.items():
        section = (ROOT / "docs" / "commands.md").read_text()  # the options of all commands
        if name != "audiorec":
            _, heading, rest = TEXT.partition(f"## `{name}`\n")
            section = rest.partition("\n#")[0]
            if not heading:
                yield name
        for parameter in every(command):
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("-") and not re.search(rf"`(audiorec )?{option}`", section):
                    yield f"{name} {option}"


def test_every_command_and_option_is_documented():
    assert list(undocumented()) == []


def shown(path):
    """Return the command lines in the fences of a page."""
    return shown_in(path.read_text())


def shown_in(text):
    """Yield the command lines in the fences of a text."""
    for body in re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in re.sub(r"\\\n\s*", " ", body).splitlines():
            if match := re.match(r"(?:\$ )?(?:.*&& )?audiorec (?!\.\.\.)(.+)", line):
                yield match[1]


def unknown(lines):
    """Yield each command line with a command or an option that does not exist."""
    for line in lines:
        words = shlex.split(line.partition(" > ")[0].partition(" | ")[0], comments=True)
        name = "audiorec"
        while words and f"{name} {words[0]}" in COMMANDS:
            name = f"{name} {words.pop(0)}"
        options = {o for p in every(COMMANDS[name]) for o in (*p.opts, *p.secondary_opts)}
        if hasattr(COMMANDS[name], "commands") and not words[0].startswith("-"):
            yield line
        for word in words:
            is_option = re.match(r"--?[a-z]", word) and not re.match(r"-[a-z]\d", word)
            if is_option and word.partition("=")[0] not in {"--help", *options}:
                yield f"{line}: {word}"


def faults(*, of_plots):
    """Return the faults of each page, of the command of the plug-in or of all others."""
    lines = {
        path: [line for line in shown(path) if line.startswith("plot ") == of_plots]
        for path in DOCS
    }
    found = {path: list(unknown(there)) for path, there in lines.items()}
    return {path: all_of_it for path, all_of_it in found.items() if all_of_it}


def test_what_the_pages_show_of_pictures_exists():
    needs("audiorec_plots")
    assert faults(of_plots=True) == {}


def test_what_the_pages_show_exists():
    assert faults(of_plots=False) == {}
    assert list(unknown(["similar x --no-such 1", "nosuch x"])) == [
        "similar x --no-such 1: --no-such",
        "nosuch x",
    ]
    assert list(unknown(shown_in(TEXT))) == []
