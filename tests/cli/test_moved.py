"""What replaced old commands and options; how many options the panel Recommend has."""

import re

import pytest
from help_pages import pages

from audiorec_cli.shared.moved import moved

PAGES = {" ".join(path): page for path, page in pages()}
PANEL = ("recall", "listening", "recommend", "cold-start")
SHARED = ("--json", "--quiet", "--metrics-textfile", "--help")  # of every command
COMMANDS = {
    name: page
    for name, page in PAGES.items()
    if name.split()[1:2] and name.split()[1] in PANEL and not hasattr(page, "commands")
}


def options(page):
    """Return the options of a command, by their long names."""
    found = {name for p in page.params for name in p.opts if name.startswith("--")}
    return found - set(SHARED)


def test_the_panel_is_as_small_as_decided():
    counts = {group: sum(name.split()[1] == group for name in COMMANDS) for group in PANEL}
    assert counts["recall"] <= 11
    assert counts["listening"] <= 7
    assert sum(len(options(page)) for page in COMMANDS.values()) <= 198


@pytest.mark.parametrize("old", moved(), ids=" ".join)
def test_an_old_name_is_refused_with_the_new_one(old, audiorec):
    code, out, err = audiorec(*old)
    assert (code, out) == (2, "")
    assert err == f"error: audiorec {' '.join(old)} is now: audiorec {moved()[old]}\n"


@pytest.mark.parametrize(("old", "new"), moved().items())
def test_what_replaces_it_exists(old, new):
    """The new command and its options exist, and the old ones do not."""
    name = next(n for n in sorted(PAGES, key=len, reverse=True) if f"audiorec {new} ".startswith(n))
    assert hasattr(PAGES[name], "params")
    for option in re.findall(r"--[a-z-]+", new.partition("(")[0]):
        assert option in {*options(PAGES[name]), *SHARED}
    words = [word for word in old if not word.startswith("-")]
    before = PAGES.get(" ".join(["audiorec", *words]))
    assert before is None or old[-1] not in options(before)


def test_a_setting_that_replaces_an_option_is_one_of_the_command():
    for old, new in moved().items():
        if " --set " not in new or "CHANNEL" in new:
            continue
        command, _, setting = new.partition(" --set ")
        words = command.removesuffix(" audience").removesuffix(" songs")  # of cold-start
        page, name = PAGES[f"audiorec {words}"], setting.partition("=")[0]
        from audiorec_cli.shared.options import described

        assert name in dict(described(page.sets, but=())), old
