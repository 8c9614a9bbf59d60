"""What owners ask for: every command of the table of docs/owner.md, on real clips."""

import re
import shlex
from pathlib import Path

import pytest
from command import run_command
from needs import needs
from web_server import AUDIO

from audiorec_cli.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "owner.md").read_text()
TABLE = PAGE.partition("## Frequently asked\n")[2].partition("\n## ")[0]
ROWS = [row for row in TABLE.splitlines() if row.startswith("| ")][1:]
COMMANDS = re.findall(r"`(audiorec [^`]+)`", TABLE)
NEEDS = {"playlists": "sklearn", "plot": "librosa", "retag": "audiorec_retag"}
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
    assert len(ROWS) == 11
    assert len(COMMANDS) >= len(ROWS)
    assert all("`audiorec " in row for row in ROWS)


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
