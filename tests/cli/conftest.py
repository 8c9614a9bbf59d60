"""A library that is made once, and the command run in its folder."""

import sys

import pytest
from library_commands import write_songs
from made_library import series, song, write_library

from audiorec_cli.main import main


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

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiorec", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
