"""A store that is replaced while its page is open: it is shown once nobody touches the page."""

import json
import shutil
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from web_flows import PLAYING, PLAYS, SHOWN, open_while_hearing
from web_server import (
    ROWS,
    SONGS,
    browsing,
    choose,
    split_address,
    until,
    write_music,
)

LOOK = "document.dispatchEvent(new Event('visibilitychange'))"  # in place of ten seconds
MOVE = "dispatchEvent(new Event('pointermove'))"
WORK = f"{MOVE}; window.work = setInterval(() => {MOVE}, 200)"
STILL_MS = 4_100  # after which nobody touches the page


@pytest.fixture
def store(tmp_path):
    return write_music(tmp_path, SONGS[:6])


def replace(store):
    """Let an ``extract`` end: two songs more, in another order, and one gone."""
    shutil.rmtree(store.parent / "music")
    before = store.stat().st_ino
    write_music(store.parent, SONGS[1:8][::-1])
    assert store.stat().st_ino != before


def ask(address, path, *, edition=None, body=None):
    """Return status and body of an answer."""
    base, token = split_address(address)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    headers |= {"Audiorec-Edition": edition} if edition else {}
    connection = HTTPConnection(urlsplit(base).netloc, timeout=20)
    kind = "GET" if body is None else "POST"
    connection.request(kind, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


EDITION = "import('/js/store.js').then(s => s.page.get().library.about.edition)"
PLACES = """import('/js/store.js').then(s => { const { library } = s.page.get();
  const { x, y } = library.numbers;
  return Object.fromEntries(library.ids.map((id, row) => [id, [x[row], y[row]]])); })"""


def test_a_replaced_store_is_shown_once_nobody_touches_the_page(open_page, store):
    titles = [song[2] for song in SONGS]
    with browsing(store) as address:
        page = open_page(address)
        page.evaluate(LOOK)
        choose(page, titles[2])
        page.click("text=Make a list from it")
        page.wait_for_selector(".listed li")
        choose(page, titles[2])
        page.click(".song button.main")
        until(page, "document.querySelector('audio').currentTime > 0.2")
        first = json.loads(ask(address, "/api/song/2")[1])
        edition = json.loads(ask(address, "/api/library")[1])["edition"]

        page.evaluate(WORK)
        replace(store)
        with page.expect_response("**/api/running"):
            page.evaluate(LOOK)
        # While someone is at work, all is as it was: songs, what plays, rows of every question.
        assert page.evaluate(SHOWN) == 6
        assert not page.evaluate("document.querySelector('audio').paused")
        assert (
            json.loads(ask(address, "/api/song/2", edition=edition)[1])["columns"]
            == (first["columns"])
        )
        at = page.evaluate("document.querySelector('audio').currentTime")
        places = page.evaluate(PLACES)
        page.evaluate("clearInterval(window.work)")
        page.wait_for_timeout(STILL_MS)
        page.evaluate(LOOK)
        until(page, f"{SHOWN}.then(n => n === 7)")
        now = page.evaluate(PLACES)
        assert {song: now[song] for song in places if song in now} == {
            song: place for song, place in places.items() if song in now
        }
        # What is chosen, listed and heard is the same song under another row.
        assert titles[2] in page.inner_text("#song-title")
        until(page, f"document.querySelector('audio').currentTime > {at}")
        assert titles[2] in page.inner_text(".player .title")
        page.click("nav >> text=Your list (")
        assert page.locator(".listed .title").all_inner_texts() == [titles[2]]

        # Rows and addresses of the edition before are of no use any more.
        code, said = ask(address, "/api/song/2", edition=edition)
        assert code == 409
        assert b"has changed" in said
        assert ask(address, first["sound"]["url"])[0] == 401
        assert ask(address, "/api/playlist", edition=edition, body={"seeds": [0]})[0] == 409


def test_a_song_that_is_about_to_begin_plays_on_in_the_new_library(open_page, store):
    with browsing(store) as address:
        page = open_page(address)
        page.evaluate(
            "import('/js/player.js').then(p => { p.play(2); p.moveSongs((row) => row + 1); })"
        )
        until(page, PLAYS)
        assert page.evaluate(PLAYING)["row"] == 3
        page.close()


def test_a_store_that_cannot_be_read_leaves_the_page_as_it_was(open_page, store):
    with browsing(store) as address:
        page = open_page(address, allow=["status of 400"])
        about = json.loads(ask(address, "/api/library")[1])
        broken = store.with_name("broken")
        broken.write_bytes(b"PAR1 and nothing else")
        broken.replace(store)
        found = json.loads(ask(address, "/api/running")[1])["store"]
        assert found not in ("", about["edition"])
        code, said = ask(address, "/api/renew", body={})
        assert code == 400
        assert b"vecs.parquet" in said
        assert json.loads(ask(address, "/api/library")[1]) == about
        page.wait_for_timeout(STILL_MS)
        page.evaluate(LOOK)
        page.wait_for_selector(".changes:has-text('vecs.parquet')")
        assert page.evaluate(SHOWN) == 6
        page.close()
        store.unlink()
        assert json.loads(ask(address, "/api/running")[1])["store"] == ""


def test_a_library_that_grows_is_shown_while_nobody_touches_the_page(open_page, store):
    script = "from audiorec.web import server\nserve = server.serve\n"
    script += (
        "server.serve = lambda *a, **k: serve(*a, growing=lambda: {'done': 6, 'total': 8}, **k)"
    )
    with browsing(store, script=script) as address:
        # This test writes the store in place, so a look may come upon half of it.
        page = open_page(address, allow=["status of 4"])
        page.wait_for_selector(".heard-state:has-text('6 of 8')")

        def grow():
            replace(store)
            page.wait_for_timeout(STILL_MS)
            page.evaluate(LOOK)

        assert open_while_hearing(page, grow=grow) == (6, 7)
        page.evaluate(WORK)
        edition = page.evaluate(EDITION)
        replace(store)
        # Another window shows it: here nothing could be asked any more, so this one follows.
        assert ask(address, "/api/renew", body={})[0] == 200
        page.click(ROWS)
        until(page, f"{EDITION}.then(now => now !== {edition!r})")
        page.close()  # before its server ends
