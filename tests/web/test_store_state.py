"""`web.condition` and the view of it: failures, the last run, a run at work, a run that stopped."""

import os

import pytest
from needs import needs

needs("starlette")

from made_library import CLASSES, EXTRACTOR, metadata, series, song, write_library
from web_server import browsing

from audiorec.store.journal import Journal, Outputs
from audiorec.types import ScoreSeries
from audiorec.web.application import running


@pytest.fixture(autouse=True)
def _parts_at_once(monkeypatch):
    """Every song is a part of its own, which lies in the folder at once."""
    monkeypatch.setattr("audiorec.store.journal.PART_S", 0.0)


def run_of(folder):
    store = write_library(folder, [song("old", series(0))])
    outputs = Outputs(vectors=store, errors=folder / "vecs.errors.parquet")
    return store, Journal.open(outputs, metadata())


def append(journal, *names):
    for name in names:
        row, scores = song(name, series(len(name)), extractor_id=EXTRACTOR)
        times = 3.0 * scores[:, 0]
        journal.append_song(row, scores=ScoreSeries(scores, times, CLASSES))


FAILED = {
    "song_id": "cut.mp3", "uri": "/music/cut.mp3", "size": 0, "mtime_ns": 5, "stage": "read",
    "status": "empty", "message": "the file is empty", "attempts": 1,
}  # fmt: skip


def test_a_run_is_counted_while_it_is_at_work(tmp_path):
    store, journal = run_of(tmp_path)
    with journal:
        append(journal, "a", "bb")
        assert running(store) | {"silent_s": 0} == {
            "done": 2, "failed": 0, "silent_s": 0, "working": True,
        }  # fmt: skip
        journal.append_failure(FAILED)
        append(journal, "ccc")
        found = running(store)
        assert (found["done"], found["failed"]) == (3, 1)
        for path in (tmp_path / "vecs.parquet.run").iterdir():
            os.utime(path, (1, 1))
        os.utime(tmp_path / "vecs.parquet.run", (1, 1))
        assert running(store)["working"] is False
        journal.commit()
    assert running(store) is None


def test_the_page_follows_a_run(open_page, tmp_path):
    store, journal = run_of(tmp_path)
    with journal, browsing(store) as address:
        append(journal, "a", "bb")
        page = open_page(address)
        page.click("nav >> text=Your library")
        note = page.wait_for_selector(".glance .note[role=status]")
        assert "2 songs heard, 0 could not be" in note.inner_text()
        append(journal, "ccc")
        page.wait_for_selector(".note:has-text('3 songs heard')")
        journal.append_failure(FAILED)
        journal.commit()
        page.wait_for_selector(".note[role=status]", state="detached")
        page.click("nav >> text=Home")
        page.click("nav >> text=Your library")
        page.wait_for_selector("h2:has-text('1 file could not be heard')")
        assert "is empty" in page.inner_text(".failures")
        page.close()  # it asks for the state again, and soon nobody answers
