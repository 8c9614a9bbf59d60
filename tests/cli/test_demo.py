"""``audiorec demo``: the songs of the clone, a store of its own, a word where there are none."""

import shutil
from pathlib import Path

import pytest
from command import run_command

from audiorec.library.library import open_store
from audiorec_cli.library import start
from audiorec_cli.shared.console import Exit

pytestmark = pytest.mark.usefixtures("in_this_process")

SONGS = Path(__file__).parents[2] / "fixtures" / "demo"


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """The folder of a clone with three of the songs; own data lie beside it."""
    folder = tmp_path / "clone" / "fixtures" / "demo"
    folder.mkdir(parents=True)
    for name in ("songs.csv", "vibe-ace.opus", "white-valley.opus", "lucky-13.opus"):
        shutil.copy(SONGS / name, folder)
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path / "clone")
    return folder


@pytest.fixture
def audiorec(monkeypatch, capsys):
    return lambda *arguments: run_command(monkeypatch, capsys, *arguments)


def test_the_page_opens_over_the_songs_of_the_clone(clone, audiorec, monkeypatch):
    shown = []
    monkeypatch.setattr(start, "show", lambda library, roots, **_: shown.append((library, roots)))
    monkeypatch.setattr(start, "find_spec", lambda _name: True)
    assert audiorec("demo", "--no-open")[0] == Exit.OK
    ((library, roots),) = shown
    assert roots == [clone.resolve()]
    assert sorted(library.ids) == ["lucky-13.opus", "vibe-ace.opus", "white-valley.opus"]
    assert library.path == start.own_store(clone.resolve())


def test_without_the_page_the_songs_can_be_asked(clone, audiorec, monkeypatch):
    monkeypatch.setattr(start, "find_spec", lambda _name: None)
    code, out, err = audiorec("demo")
    assert (code, out) == (Exit.OK, "")
    assert "the page needs the extra web" in err
    assert len(open_store(start.own_store(clone.resolve()))) == 3


def test_an_installed_package_says_where_the_songs_are(tmp_path, audiorec, monkeypatch):
    monkeypatch.chdir(tmp_path)
    installed = tmp_path / "site-packages" / "audiorec_cli" / "library" / "start.py"
    monkeypatch.setattr(start, "__file__", str(installed))
    code, out, err = audiorec("demo")
    assert (code, out) == (Exit.USAGE, "")
    assert "run audiorec demo in a clone of the repository" in err
    assert "audiorec start FOLDER" in err


def test_the_clone_that_runs_has_them_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start.demo_folder() == SONGS
