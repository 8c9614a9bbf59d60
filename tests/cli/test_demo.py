"""``audiorec demo``: the songs of the package or the clone, a store of its own."""

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
    """The folder of songs in a clone that has three of them; own data lie beside it."""
    folder = tmp_path / "clone" / "fixtures" / "demo"
    folder.mkdir(parents=True)
    for name in ("songs.csv", "vibe-ace.opus", "white-valley.opus", "lucky-13.opus"):
        shutil.copy(SONGS / name, folder)
    monkeypatch.setenv("AUDIOREC_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(start, "PACKAGE", tmp_path / "clone" / "audiorec")
    monkeypatch.chdir(tmp_path)
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


def test_the_installed_package_brings_the_songs(clone, tmp_path):
    installed = tmp_path / "clone" / "audiorec" / "demo"
    shutil.copytree(clone, installed)
    assert start.demo_folder() == installed


def test_where_the_songs_were_removed_it_says_so(tmp_path, audiorec, monkeypatch):
    monkeypatch.setattr(start, "PACKAGE", tmp_path / "site-packages" / "audiorec")
    code, out, err = audiorec("demo")
    assert (code, out) == (Exit.USAGE, "")
    assert "install audiorec again" in err
    assert "audiorec start FOLDER" in err


def test_the_clone_that_runs_has_them_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start.demo_folder() == SONGS


def test_the_songs_are_copied_whole_and_nothing_is_written_over(clone, tmp_path, audiorec):
    code, _, err = audiorec("demo", "--copy", "mine/songs")
    assert code == Exit.OK
    assert "3 songs in mine/songs; now: audiorec extract mine/songs" in err
    names = {path.name for path in (tmp_path / "mine" / "songs").iterdir()}
    assert names == {path.name for path in clone.iterdir()}
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["songs"]
    assert audiorec("demo", "--copy", "mine/songs")[0] == Exit.OK  # they are there
    (tmp_path / "mine" / "songs" / "vibe-ace.opus").write_bytes(b"mine")
    code, _, err = audiorec("demo", "--copy", "mine/songs")
    assert code == Exit.USAGE
    assert "mine/songs: is there already" in err
