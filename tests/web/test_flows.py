"""Ways through the page that one opens it for, each in a real browser.

The steps that fit any library are in `web_flows`. The radio is in `test_page`, a library that grows
while one looks in `test_renew`.
"""

import csv
import io
from pathlib import Path

import pytest
import web_flows
from made_words import write_heard
from web_flows import PHONE, SMALL
from web_server import ROWS, browsing, choose, go, split_address, until, write_copies, write_music

SHORT = "import('/js/route.js').then(r => r.short('death-metal-band.ogg'))"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return write_copies(tmp_path_factory.mktemp("flows"))


def test_home_shows_the_map_places_and_songs_with_faces(open_page, address):
    page = open_page(address, view="/", ready=".hero h1", allow=["Canvas2D"])
    page.wait_for_selector(".places .place")
    page.wait_for_selector(".tile .cover canvas[width]")
    drawn = """(() => { const c = document.querySelector(".tile .cover canvas");
      const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
      return new Set(new Uint32Array(data.buffer)).size; })()"""
    until(page, f"{drawn} > 20")
    page.click(".tonight .main") if page.locator(".tonight").count() else page.click(".tile .over")
    until(page, "import('/js/player.js').then(p => p.playing.get().row >= 0)")


def test_the_first_run_says_how_far_it_is(open_page, library):
    script = "from audiorec.web import server\nserve = server.serve\n"
    script += (
        "server.serve = lambda *a, **k: serve(*a, growing=lambda: "
        "{'done': 12, 'total': 40, 'now': 'White Valley', 'left_s': 300}, **k)"
    )
    with browsing(library, script=script) as address:
        page = open_page(address, view="/", ready=".first-run h1")
        title, line = web_flows.first_run(page)
        assert title == "12 of 40"
        assert "About 5 minutes to go" in line
        assert "12 of 40 heard" in page.inner_text(".heard-state")
        page.close()


def test_a_search_back_and_a_link_in_a_new_tab(open_page, address):
    page = open_page(address, view="/", ready=".hero h1", allow=["400"])
    title = web_flows.search(page, "vibes")
    web_flows.back(page, "vibes")
    page.go_forward()
    page.wait_for_selector("#song-title")
    assert web_flows.new_tab(page, split_address(address)[1]) == title
    for seen in (".found .song-line", ".hero h1"):
        page.go_back()
        page.wait_for_selector(seen)


def test_an_empty_search_says_what_one_may_ask(open_page, address):
    page = open_page(address, view="/find", ready=".sayings a", allow=["400"])
    assert "genre=jazz, duration<4:00" in page.inner_text(".sheet")
    page.click(".sayings >> text=calm piano")
    page.wait_for_selector(".found")
    go(page, "/find")
    page.wait_for_selector("h1:has-text('Say what you want to hear')")
    assert page.locator(".found").count() == 0


def test_back_returns_to_the_same_scroll(open_page, address):
    page = open_page(
        address, view="/artists", ready=".names-list a", viewport={"width": 390, "height": 420}
    )
    page.evaluate("document.getElementById('main').scrollTop = 120")
    page.evaluate("document.querySelectorAll('.names-list a')[5].click()")
    page.wait_for_selector("#artist-title")
    page.go_back()
    until(page, "document.getElementById('main').scrollTop === 120")


def test_an_album_opens_in_place_and_plays(open_page, address):
    page = open_page(address, view="/albums", ready=".tile")
    assert web_flows.album(page, "Clips") == ("Clips", 12)


def test_conditions_are_a_search_and_say_what_is_wrong(open_page, address):
    page = open_page(address, view="/library", ready=".chart a", allow=["400"])
    page.locator(".chart a[aria-label^='metal']").click()
    page.wait_for_selector(".found .song-line")
    assert set(page.locator(".found .title").all_inner_texts()) == {"Drums", "Loud", "Louder"}
    page.fill("#find", "genre=polka")
    assert (
        "unknown class 'polka'"
        in page.wait_for_selector(".found .failure, .sheet .failure").inner_text()
    )


def test_on_a_phone_a_chosen_song_keeps_its_neighbours_in_view(open_page, address):
    page = open_page(address, view="/map", ready="canvas.dots", **PHONE)
    assert web_flows.phone_map(page, page.evaluate(SHORT)) == "Loud"


def test_copies_side_by_side_and_a_list_to_hand_on(open_page, address, library):
    page = open_page(address, view="/tidy", ready=".recording .copy")
    copies = page.locator(".recording .copy").all_inner_texts()
    assert "Keep" in copies[0]
    surplus = ["A copy" in one for one in copies]
    assert not surplus[0]
    with page.expect_download() as loading:
        page.locator(".downloads >> text=Paths").first.click()
    music = library.parent / "music"
    names = page.locator(".copy .file-name").all_inner_texts()
    paths = Path(loading.value.path()).read_text().splitlines()
    assert paths == [str(music / n) for n, one in zip(names, surplus, strict=True) if one]
    with page.expect_download() as loading:
        page.click(".downloads >> text=Table")
    rows = list(csv.DictReader(io.StringIO(Path(loading.value.path()).read_text())))
    assert [row["best"] for row in rows] == ["yes", "no", "no"]
    assert web_flows.duplicates(page) == "You have 1 recording twice"
    assert all((music / n).is_file() for n in ("jazz-vibraphone.mp3", "vibes.ogg", "vibes.flac"))


def test_a_path_between_two_songs_of_the_map(open_page, address):
    page = open_page(address)
    choose(page, "Prelude")
    page.click("text=Path to a song")
    page.wait_for_selector(".tip.hint:has-text('From Prelude')")
    until(page, "window.songMap?.landView && window.songMap.songs.selected >= 0")
    page.wait_for_timeout(300)
    place = page.evaluate(
        "import('/js/store.js').then(s => { const l = s.page.get().library;"
        " const r = l.row('death-metal-band.ogg');"
        " return window.songMap.toScreen(l.numbers.x[r], l.numbers.y[r]); })"
    )
    page.locator("canvas.dots").click(position={"x": place[0], "y": place[1]})
    page.wait_for_selector(".way .song-line")
    assert "/map/path/" in page.url
    page.click(".way >> text=Keep as list")
    page.wait_for_selector(".listed li")


@pytest.mark.parametrize("genre", ["metal", "campfire"])  # one of the ten, and one's own word
def test_a_corrected_genre_shows_at_once_and_is_found_by(open_page, tmp_path, genre):
    with browsing(write_music(tmp_path / "own")) as address:
        page = open_page(address)
        choose(page, "Prelude")
        titles = web_flows.correct_and_find(page, genre)
        assert (titles == ["Prelude"]) == (genre == "campfire")
        page.close()


def test_each_part_of_a_sentence_has_bars_of_its_own(open_page, tmp_path):
    with browsing(write_heard(tmp_path)) as address:
        page = open_page(address, view="/find?q=piano,+no+drums", ready=".heard .fits")
        best = page.locator(".heard .song-line").first.locator(".bars")
        labels = best.evaluate_all("all => all.map(one => one.ariaLabel)")
        assert labels == ["piano: 1 of 5", "no drums: 5 of 5"]  # of a saxophone
        page.close()


def test_a_song_that_one_likes_is_in_a_list_and_stays_there(open_page, address):
    page = open_page(address)
    choose(page, "Prelude")
    page.click(".song [title='Like it']")
    page.wait_for_selector(".menu-side a:has-text('Songs you like')")
    page.reload()
    page.wait_for_selector(".song [title='You like it'][aria-pressed=true]")
    page.click(".menu-side >> text=Songs you like")
    page.wait_for_selector(".listed .title:has-text('Prelude')")
    page.go_back()
    page.click(".song [title='You like it']")
    until(page, "!document.querySelector('.menu-side').innerText.includes('Songs you like')")


def test_the_player_fills_a_phone_and_goes_away_again(open_page, address):
    page = open_page(address, **PHONE)
    page.locator(f"{ROWS} .cover-button").nth(3).click()
    until(page, "import('/js/player.js').then(p => p.now() > 0.1)")
    page.click(".player [title='Large player']")
    page.wait_for_selector(".large-player")
    page.wait_for_timeout(300)
    box = page.locator(".large-player").bounding_box()
    assert (box["width"], box["height"]) == (390, 844)
    assert page.evaluate(SMALL) == []
    page.click(".large-player [title='Next song']")
    page.click(".large-player .title")  # to the song's page
    page.wait_for_selector(".song #song-title")
    assert page.locator(".large-player").count() == 0


def test_dots_have_shapes_for_those_who_want_them(open_page, address):
    page = open_page(address, view="/map", ready=".legend .group")
    colours = "import('/js/map.js').then(m => window.songMap.songs.kinds?.length || 0)"
    assert page.evaluate(colours) == 0
    page.check(".legend >> text=Shapes")
    until(page, f"{colours}.then(n => n === 14)")
    assert "polygon" in page.locator(".legend .swatch").first.get_attribute("style")
    page.reload()
    page.wait_for_selector(".legend .group")
    until(page, f"{colours}.then(n => n === 14)")
    page.uncheck(".legend >> text=Shapes")
