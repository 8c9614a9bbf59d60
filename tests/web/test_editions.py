"""What is made of files is made anew when they are replaced, whole or not at all."""

import os
import threading

import pytest
from waiting import until

from audiorec.errors import InputError, StoreError
from audiorec.web.editions import Editions, stamp_of


def replace(path, text):
    """Replace a file as audiorec does: by renaming a whole one."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


@pytest.fixture
def files(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("a")
    second.write_text("1")
    return first, second


def reader(files):
    def make():
        text = "".join(path.read_text() for path in files if path.exists())
        if "!" in text:
            raise StoreError(f"{files[0]}: damaged")
        return text

    return make


def test_a_replaced_file_makes_a_new_edition_once_it_has_settled(files):
    editions = Editions(files, reader(files))
    held = editions.current
    assert (held.number, held.value) == (1, "a1")
    assert not editions.look()
    replace(files[0], "b")
    assert not editions.look()  # the first look that sees it
    replace(files[1], "2")
    assert not editions.look()  # changed again: a run is at work
    assert editions.look()
    assert (editions.current.number, editions.current.value) == (2, "b2")
    assert (held.number, held.value) == (1, "a1")  # who holds it goes on with it
    assert not editions.look()


def test_a_file_of_the_same_size_and_time_is_seen_by_its_inode(files):
    editions = Editions(files, reader(files))
    about = files[0].stat()
    replace(files[0], "c")
    os.utime(files[0], ns=(about.st_atime_ns, about.st_mtime_ns))
    assert editions.look(settled=True)
    assert editions.current.value == "c1"


def test_what_cannot_be_read_never_takes_the_place_of_what_could(files):
    editions = Editions(files, reader(files))
    replace(files[0], "!")
    assert not editions.look(settled=True)
    assert editions.problem == f"{files[0]}: damaged"
    assert editions.current.value == "a1"
    replace(files[0], "d")
    assert editions.look(settled=True)
    assert (editions.problem, editions.current.value) == ("", "d1")


def test_a_damaged_file_is_not_read_again_and_again(files):
    tried = []
    make = reader(files)
    editions = Editions(files, lambda: (tried.append(1), make())[1])
    replace(files[0], "!")
    for _ in range(5):
        editions.look(settled=True)
    assert len(tried) == 2


def test_what_cannot_be_read_is_said_once_however_often_it_is_tried(files, monkeypatch, caplog):
    monkeypatch.setattr("audiorec.web.editions.RETRY_S", 0.0)
    editions = Editions(files, reader(files))
    replace(files[0], "!")
    for _ in range(5):
        editions.look(settled=True)
    assert caplog.text.count("still serving the last edition") == 1


def test_a_file_that_vanishes_leaves_the_last_edition(files):
    editions = Editions(files, reader(files))
    files[0].unlink()
    assert not editions.look(settled=True)
    assert "no longer exists" in editions.problem
    assert editions.current.value == "a1"
    replace(files[0], "e")
    assert editions.look(settled=True)


def test_a_file_that_comes_later_counts(files):
    third = files[0].with_name("third")
    editions = Editions([*files, third], reader([*files, third]))
    replace(third, "z")
    assert editions.look(settled=True)
    assert editions.current.value == "a1z"


def test_files_replaced_while_they_are_read_are_read_again(files):
    once = []

    def make():
        text = files[0].read_text()
        if len(once) == 1:  # the second edition: the other file is replaced between two reads
            replace(files[1], "9")
        once.append(1)
        return text + files[1].read_text()

    editions = Editions(files, make)
    replace(files[0], "b")
    assert not editions.look(settled=True)
    assert editions.current.value == "a1"
    assert editions.look(settled=True)
    assert editions.current.value == "b9"


def test_the_watch_sees_a_change_by_itself_and_ends(files):
    editions = Editions(files, reader(files))
    with editions.watched(every_s=0.02):
        replace(files[0], "f")
        until(lambda: editions.current.number == 2)
    assert editions.current.value == "f1"
    assert not [t for t in threading.enumerate() if t.name == "editions"]


def test_a_bug_does_not_end_the_watch(files, caplog):
    state = {"n": 0}

    def make():
        state["n"] += 1
        if state["n"] == 2:
            raise RuntimeError("a bug")
        return files[0].read_text()

    editions = Editions(files, make)
    with editions.watched(every_s=0.02):
        replace(files[0], "g")
        until(lambda: editions.current.number == 2)
    assert "a bug" in caplog.text


def test_the_first_edition_raises_what_is_wrong(files):
    def make():
        raise InputError("no store")

    with pytest.raises(InputError, match="no store"):
        Editions(files, make)


def test_a_stamp_names_what_is_not_there(tmp_path):
    assert stamp_of([tmp_path / "none"]) == ((str(tmp_path / "none"), None),)
