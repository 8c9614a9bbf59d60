"""Nobody is told to fetch ``audiorec``, or what no index has yet, by name: pages, help, errors.

The name ``audiorec`` on the package index is another project; ours is not registered.
"""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from help_pages import page_text
from help_pages import pages as help_pages

from audiorec.distribution import NAME, install_command, packages
from audiorec.errors import MissingExtraError

ROOT = Path(__file__).parents[1]
from prose import pages

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
READ = ("audiorec", "cli", "examples", "plugins", "scripts", "docs", "benchmarks", ".ci")
FETCH = re.compile(
    r"\b(?:(?:pip3?|pipx|uv pip|uv tool) (?:install|inject|run|download|upgrade)|uvx)\b([^\n&|;#]*)"
)
OURS = re.compile(r"""["'(]*audiorec(-music)?(\[.*|[@=<>~!].*)?["').,:]*""")


def fetched_by_name(text):
    """Return the commands of a text that would fetch ours, or its namesake, from an index."""
    text = text.replace("```", "")
    spans = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]  # over two lines
    lines = [line.replace("`", "\n") for line in text.splitlines()]
    found = []
    for match in FETCH.finditer("\n".join([*spans, *lines])):
        words = match[1].split()
        if {"--from", "--spec"} & set(words):  # what follows is what is run of it
            at = next(i for i, word in enumerate(words) if word in ("--from", "--spec"))
            words = words[at + 1 : at + 2]
        if any(OURS.fullmatch(word) for word in words):
            found.append(match[0])
    return found


def texts():
    """Return every page and every source text that a user may read, by its path."""
    sources = [
        p
        for top in READ
        for ending in ("py", "toml", "md")
        for p in (ROOT / top).rglob(f"*.{ending}")
    ]
    others = [ROOT / "Dockerfile", ROOT / "pyproject.toml", *(ROOT / ".ci").glob("run")]
    return {p.relative_to(ROOT).as_posix(): p.read_text() for p in {*pages(), *sources, *others}}


@pytest.mark.parametrize(
    "text",
    [
        "pip install audiorec",
        'run `pip\ninstall "audiorec[web]"`, then',
        "uv tool install audiorec-music",
        'uvx --from "audiorec[web]" audiorec browse',
        "uvx audiorec@0.2.0 doctor",
        "pip install --upgrade audiorec && audiorec info",
    ],
)
def test_a_command_that_fetches_by_name_is_found(text):
    assert fetched_by_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "pip install . && audiorec extract music/",
        'pip install ".[web]"\naudiorec browse',
        "`pipx install .`, then `audiorec info`",
        "uvx --from . audiorec extract ~/Music",
        "pip uninstall audiorec audiorec-music",
        "pip install dist/audiorec_music-0.2.0-py3-none-any.whl",
        "pip install ./plugins/beets-audiorec",
    ],
)
def test_a_command_that_does_not_is_left_alone(text):
    assert not fetched_by_name(text)


def test_no_page_and_no_source_fetches_audiorec_by_name():
    found = {path: fetched_by_name(text) for path, text in texts().items()}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_no_page_and_no_source_names_an_extra_of_the_namesake():
    assert [path for path, text in texts().items() if "audiorec[" in text] == []


def test_no_help_page_fetches_audiorec_by_name():
    shown = {" ".join(path): page_text(path, command) for path, command in help_pages()}
    found = {p: fetched_by_name(text) for p, text in shown.items() if "audiorec[" not in text}
    assert {path: lines for path, lines in found.items() if lines} == {}
    assert len(found) == len(shown) > 50


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_error_names_the_packages_of_an_extra(extra):
    said = str(MissingExtraError("the page", extra, "No module\nnamed 'x'"))
    wanted = " ".join(f'"{requirement}"' for requirement in EXTRAS[extra])
    assert said == (
        f"the page needs the extra \"{extra}\": pip install {wanted} (No module named 'x')"
    )
    assert not fetched_by_name(said)


def test_an_extra_is_told_from_one_that_begins_alike(monkeypatch):
    declared = [
        "numpy>=1",
        "a>=1; extra == 'web'",
        'b[c]>=2; python_version > "3" and extra == "web"',
        "d; extra == 'web-more'",
    ]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: {NAME: declared}[name])
    assert packages("web") == ["a>=1", "b[c]>=2"]
    assert packages("we") == []
    monkeypatch.setattr("importlib.metadata.requires", lambda _: None)
    assert install_command("web") == 'pip install ".[web]" in the source folder of audiorec'


def test_the_installed_distribution_is_the_one_that_is_declared():
    assert PROJECT["project"]["name"] == NAME
    assert len(requires(NAME)) >= len(PROJECT["project"]["dependencies"])
    plugin = tomllib.loads((ROOT / "plugins/beets-audiorec/pyproject.toml").read_text())
    assert NAME in plugin["project"]["dependencies"]
    own = re.compile(r"audiorec(-music)?(\[|$)")  # no plug-in
    full = [text for text in PROJECT["dependency-groups"]["full"] if own.match(str(text))]
    assert [text.partition("[")[0] for text in full] == [NAME]
