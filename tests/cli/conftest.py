"""A library that is made once, and the command run in its folder."""

from functools import partial

import pytest
from command import run_command
from library_commands import write_songs
from made_library import series, song, write_library


@pytest.fixture(scope="session")
def music(tmp_path_factory):
    """A folder with a library, an empty one, one of another extractor, and cut files."""
    folder = tmp_path_factory.mktemp("music")
    write_songs(folder)
    (folder / "lists").mkdir()
    empty = folder / "empty"
    empty.mkdir()
    write_library(empty, [], scores=True, features=True)
    other = folder / "other"
    other.mkdir()
    few = [song(f"s{i}", series(i)) for i in range(4)]
    write_library(other, few, scores=True, features=True, extractor_id="fedcba9876543210")
    for name in ("vecs", "scores", "features"):
        whole = (folder / f"{name}.parquet").read_bytes()
        (folder / f"cut_{name}.parquet").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture
def in_library(music, monkeypatch, capsys):
    """Run the command in the library's folder; return exit code, stdout and stderr."""
    monkeypatch.chdir(music)

    return partial(run_command, monkeypatch, capsys)


@pytest.fixture
def audiorec(monkeypatch, capsys):
    """Run the command in this process; return exit code, stdout and stderr."""
    return partial(run_command, monkeypatch, capsys)
