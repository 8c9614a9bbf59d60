"""`audiorec.files.own_files`: old content or new content, and nothing left over."""

import os
import re
import time
from pathlib import Path

import pytest

from audiorec.errors import StoreError
from audiorec.files.own_files import LEFT_S, TEMPORARY, leftovers, remove_leftovers, replaced


def test_new_file(tmp_path):
    with replaced(tmp_path / "a.txt") as temporary:
        assert temporary.parent == tmp_path
        temporary.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_failure_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted():
        with replaced(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_failing_rename_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def no_space(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_space)
    said = r"a\.txt: cannot be written: no space left on device; free some space and repeat"
    with pytest.raises(StoreError, match=said), replaced(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("target", ["real.txt", "nothing", "/dev/null", "link.txt"])
def test_a_link_is_refused_wherever_it_leads(tmp_path, target):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(target)
    with (
        pytest.raises(StoreError, match=r"link\.txt: is a link, which audiorec does not follow"),
        replaced(tmp_path / "link.txt") as temporary,
    ):
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.txt", "real.txt"]


def test_a_link_in_the_way_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "music").symlink_to("disk")
    with replaced(tmp_path / "music" / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "disk" / "a.txt").read_text() == "new"


def test_temporary_names_are_known_by_their_pattern(tmp_path):
    with replaced(tmp_path / "a b.txt") as temporary:
        assert re.fullmatch(TEMPORARY, temporary.name)
        temporary.touch()


def test_an_error_of_another_file_is_not_taken_for_one_of_the_output(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"), replaced(tmp_path / "a.txt"):
        (tmp_path / "gone").read_text()


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path):
    (tmp_path / "notes").write_text("a file")
    for folder, why in (("nowhere", "no such file or directory"), ("notes", "not a directory")):
        said = rf"{folder}/a\.txt: cannot be written: {why}; choose another place"
        with (
            pytest.raises(StoreError, match=said),
            replaced(tmp_path / folder / "a.txt") as temporary,
        ):
            temporary.write_text("new")


def test_folders_and_devices_are_not_replaced(tmp_path):
    (tmp_path / "songs").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("songs", "a folder"), ("pipe", "not a regular file")):
        with pytest.raises(StoreError, match=f"{name}: is {kind}"), replaced(tmp_path / name):
            raise AssertionError("the body has run")
    assert (tmp_path / "songs").is_dir()
    assert (tmp_path / "pipe").is_fifo()


def aged(path, seconds):
    os.utime(path, times=(time.time() - seconds,) * 2, follow_symlinks=False)


def test_what_killed_jobs_left_is_removed_once_it_is_old(tmp_path):
    old, new, other, odd = (
        tmp_path / f".{name}.tmp"
        for name in ("a.txt.0123456789ab", "a.txt.0123456789ac", "b.txt.0123456789ab", "a.txt.01")
    )
    for path in (old, new, other, odd, tmp_path / "a.txt"):
        path.write_text("half")
        aged(path, LEFT_S + 60)
    aged(new, LEFT_S - 60)
    remove_leftovers(tmp_path, "a.txt")
    assert set(tmp_path.iterdir()) == {new, other, odd, tmp_path / "a.txt"}
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == {new, odd, tmp_path / "a.txt"}
    remove_leftovers(tmp_path / "nowhere", "a.txt")


def test_links_and_folders_stay(tmp_path):
    link, folder = tmp_path / ".a.0123456789ab.tmp", tmp_path / ".a.0123456789ac.tmp"
    link.symlink_to("elsewhere")
    folder.mkdir()
    (folder / "thesis.txt").write_text("years")
    aged(link, LEFT_S + 60)
    aged(folder, LEFT_S + 60)
    assert leftovers(tmp_path, "a") == [link, folder]
    remove_leftovers(tmp_path)
    assert leftovers(tmp_path) == [link, folder]
    assert (folder / "thesis.txt").exists()
