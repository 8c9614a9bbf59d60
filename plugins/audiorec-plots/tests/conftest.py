"""A library of songs, and the command run in its folder."""

from functools import partial

import pytest
from command import run_command
from library_commands import write_songs
from made_library import write_library


@pytest.fixture(scope="session")
def music(tmp_path_factory):
    """A folder with a library, and an empty one."""
    folder = tmp_path_factory.mktemp("music")
    write_songs(folder)
    (folder / "empty").mkdir()
    write_library(folder / "empty", [], scores=True, features=True)
    return folder


@pytest.fixture
def audiorec(monkeypatch, capsys):
    """Run the command in this process; return exit code, stdout and stderr."""
    return partial(run_command, monkeypatch, capsys)


@pytest.fixture
def in_library(music, monkeypatch, audiorec):
    """Run the command in the library's folder."""
    monkeypatch.chdir(music)
    return audiorec
