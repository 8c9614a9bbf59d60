"""What owners ask for: every command of their part of docs/faq.md, on real clips."""

import re
import shlex
from pathlib import Path

import pytest
from command import run_command
from needs import needs
from web_server import AUDIO

from audiorec_cli.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "faq.md").read_text()
PART = PAGE.partition("## Owners of a library\n")[2].partition("\n## ")[0]
NAMED = re.findall(r"`(audiorec [^`]+)`", PART)
COMMANDS = [line for line in NAMED if line != "audiorec sync"]  # which needs a server
NEEDS = {"playlists": "sklearn", "plot": "audiorec_plots", "retag": "audiorec_retag"}
ENDLESS = ("audiorec serve", "audiorec browse", "audiorec extract music --watch")
CLIPS = (
    "jazz-vibraphone.mp3 death-metal-band.ogg blues-band.mp3 classical-piano.flac drum-loop.aiff"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder of music and its store."""
    home = tmp_path_factory.mktemp("home")
    (home / "music").mkdir()
    for name in CLIPS.split():
        (home / "music" / name).write_bytes((AUDIO / name).read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr("sys.argv", ["audiorec", "extract", "music", "-q", "-j", "1"])
        from audiorec_cli.main import main

        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code in (0, None)
    return home


def test_every_wish_has_an_answer():
    rows = [row for row in PART.splitlines() if row.startswith("| ")][1:]
    assert len(rows) == 11
    assert all(re.search("`(audiorec |--)", row) for row in rows)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_runs(home, line, monkeypatch, capsys):
    words = shlex.split(line)[1:]
    if words[0] in NEEDS:
        needs(NEEDS[words[0]])
    if line.startswith(ENDLESS):
        at = app
        while hasattr(at, "commands"):
            at = at.commands[words.pop(0)]
        with at.make_context("audiorec", words):
            return
    monkeypatch.chdir(home)
    code, out, err = run_command(monkeypatch, capsys, *words)
    assert code == 0, (line, err)
    assert out or err
