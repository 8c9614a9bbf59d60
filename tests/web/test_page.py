"""What people do with the page, each as a story in a real browser."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
import web_flows
from pyarrow.parquet import read_table as read_parquet
from pyarrow.parquet import write_table as write_parquet
from web_server import (
    LONG,
    ROWS,
    SONGS,
    browsing,
    choose,
    go,
    listed,
    split_address,
    until,
    write_music,
)

from audiorec.players.settings import read_servers

N = len(SONGS)
ODD = ["id", "__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Clips with tempo and key, and with columns of names that JavaScript knows."""
    store = write_music(tmp_path_factory.mktemp("library"), attributes=True)
    table = read_parquet(store)
    for name in ODD:
        table = table.append_column(name, pa.array([f"{name} {n % 3}" for n in range(N)]))
    write_parquet(table, store)
    return store


def titles(page):
    return page.eval_on_selector_all(f"{ROWS} .cell.title", "all => all.map(one => one.innerText)")


def now(page):
    return page.evaluate("import('/js/player.js').then(p => p.now())")


def wait_for_sound(page, after=0.3):
    until(page, f"import('/js/player.js').then(p => p.now() > {after})")


def test_it_opens_and_the_token_goes_out_of_sight(page, address):
    assert page.locator(ROWS).count() == N
    assert "token" not in page.url
    assert split_address(address)[1] not in page.content()
    page.reload()
    page.wait_for_selector(ROWS)
    assert page.title() == f"{N} songs · audiorec"


def test_without_the_token_it_says_what_to_do(open_page, address):
    base, _ = split_address(address)
    page = open_page(base, ready="[role=alert]")
    assert "full address" in page.inner_text("[role=alert]")
    wrong = open_page(f"{base}/#token=wrong", ready="[role=alert]", allow=["401"])
    assert "no longer valid" in wrong.inner_text("[role=alert]")


def test_sort_by_every_column_and_turn_round(page):
    page.click(".heads button:has-text('Title')")
    up = titles(page)
    page.click(".heads button:has-text('Title')")
    assert titles(page) == up[::-1]
    assert page.get_attribute(".heads .title", "aria-sort") == "descending"
    page.select_option(".sorter select", label="How much jazz")
    assert titles(page)[0] in ("Vibes", "Vibes, later")


def test_play_seek_and_go_on_while_looking_around(page):
    parts = []
    page.on("response", lambda r: "/audio/" in r.url and parts.append(r.status))
    choose(page, "Blue band")  # 20 s: it outlasts a slow walk
    page.click(".song button.main")
    wait_for_sound(page)
    assert parts[0] == 206
    seek = page.get_by_role("slider", name="Position in the song")
    seek.click(position={"x": seek.bounding_box()["width"] * 0.3, "y": 20})
    wait_for_sound(page, 5)
    row = "import('/js/player.js').then(p => p.playing.get().row)"
    heard = page.evaluate(row)
    page.click("nav >> text=Your library")
    page.wait_for_selector(".state h2")
    for view in ("/list", "/tidy", "/map", "/albums", "/"):
        go(page, view)
        page.wait_for_timeout(60)
    assert page.evaluate(row) == heard
    wait_for_sound(page, 5.2)
    page.click("button[title=Pause]")
    stopped = now(page)
    page.wait_for_timeout(300)
    assert now(page) == pytest.approx(stopped, abs=0.05)


def test_click_into_the_scores_to_hear_that_moment(page):
    choose(page, "Louder")
    area = page.locator(".song .area")
    box = area.bounding_box()
    area.click(position={"x": box["width"] * 0.5, "y": 100})
    wait_for_sound(page, 8.5)
    page.wait_for_selector(".song .playhead:not([hidden])")
    assert "metal" in page.inner_text(".moment")
    assert "metal" in area.get_attribute("aria-valuetext")
    area.focus()
    page.keyboard.press("Home")
    until(page, "import('/js/player.js').then(p => p.now() < 3)")


@pytest.mark.parametrize("title", ["Tabla", "Drums"])
def test_what_the_browser_cannot_play_is_decoded_for_it(page, title):
    choose(page, title)
    page.click(".song button.main")
    wait_for_sound(page)
    assert "decoded from" in page.inner_text(".player")
    area = page.locator(".song .area")
    area.click(position={"x": area.bounding_box()["width"] * 0.6, "y": 70})
    wait_for_sound(page, 2.5)


def test_tags_are_shown_as_text_whatever_they_hold(open_page, address):
    page = open_page(address, allow=["400"])
    choose(page, "<script>")
    page.wait_for_selector(".near li")
    assert "<script>window.hacked" in page.inner_text("#song-title")
    page.fill("#find", "so long a tag")
    page.wait_for_selector(".found .song-line .title")
    page.locator(".found .song-line .title").first.click()
    until(page, "document.querySelector('#song-title').innerText.length > 5000")
    assert page.evaluate("window.hacked") is None
    assert len(LONG) > 9_000
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".row img, .song h2 img, .song h2 script").count() == 0


def test_columns_with_the_names_of_javascript_are_columns(page):
    page.click("nav >> text=Map")
    for name in ODD:
        page.select_option(".legend select", f"own:{name}")
        page.wait_for_timeout(50)
    choose(page, "Vibes")
    page.click(".about summary")
    shown = page.inner_text(".about dl")
    assert page.evaluate("Object.keys(Object.prototype)") == []
    for name in ODD:
        assert f"{name} " in shown


def test_the_map_shows_and_chooses_songs(page):
    page.click("nav >> text=Map")
    canvas = page.locator(".picture .dots")
    until(page, "window.songMap?.landView")
    place = page.evaluate(
        "async () => { const {page} = await import('/js/store.js'); const {library} = page.get();"
        "const row = library.row('death-metal-band.ogg');"
        "return window.songMap.toScreen(library.numbers.x[row], library.numbers.y[row]); }"
    )
    canvas.hover(position={"x": place[0], "y": place[1]})
    assert "Loud" in page.wait_for_selector(".tip").inner_text()
    canvas.click(position={"x": place[0], "y": place[1]})
    assert "Loud" in page.wait_for_selector(".song-card .title").inner_text()
    assert "song=" in page.url
    metal = int(page.inner_text(".legend .group:has-text('metal')").split()[-1])
    page.click(".legend .group:has-text('metal')")
    shown = "import('/js/store.js').then(s => s.page.get().rows.length === {})"
    until(page, shown.format(N - metal))
    page.click(".legend .group:has-text('metal')")
    page.select_option(".legend select", label="Artist")
    assert page.locator(".legend .group:has-text('Dread')").count() == 1
    page.select_option(".legend select", label="How much metal")
    assert page.locator(".amount").count() == 1


def test_the_map_is_coloured_by_tempo_and_key(page):
    page.click("nav >> text=Map")
    page.select_option(".legend select", label="Tempo")
    low, high = re.findall(r"\d[\d.]*", page.inner_text(".amount"))
    assert [round(float(value), -1) for value in (low, high)] == [60, 170]
    colours = page.evaluate(
        "Promise.all(['store', 'colours'].map(name => import(`/js/${name}.js`)))"
        ".then(([s, c]) => [...c.dotColours(s.page.get().library, 'own:bpm')])"
    )
    assert len(set(colours)) == N  # all tempos differ, and one song has none
    page.select_option(".legend select", label="Key")
    assert page.inner_text(".legend .group:has-text('C')").split()[-1] == str(N)


def circle_left_half(page):
    box = page.locator(".picture .dots").bounding_box()
    right, bottom = box["width"] / 2, box["height"] - 70
    page.mouse.move(box["x"] + 2, box["y"] + 150)
    page.mouse.down()
    for x, y in [(2, 2), (right, 60), (right, bottom), (2, bottom), (2, 150)]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()


def test_circle_songs_on_the_map(page):
    page.click("nav >> text=Map")
    page.click("button[title^=Circle]")
    circle_left_half(page)
    n = int(page.wait_for_selector(".circled strong").inner_text().split()[0])
    assert 0 < n < N
    page.click(".circled >> text=See them")
    until(page, f"document.querySelectorAll('{ROWS}').length === {n}")
    page.click(".list >> text=Show all songs")
    until(page, f"document.querySelectorAll('{ROWS}').length === {N}")


def test_the_list_and_the_player_by_keyboard_alone(page):
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "grid":
            break
    assert page.evaluate("document.activeElement.getAttribute('role')") == "grid"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    title = page.locator(f"{ROWS}[aria-selected=true] .title").inner_text()
    page.keyboard.press("Enter")
    wait_for_sound(page)
    assert page.inner_text(".player .title") == title
    page.keyboard.press("a")
    page.wait_for_selector("nav >> text=Your list (1)")
    page.keyboard.press(" ")
    until(page, "import('/js/player.js').then(p => p.playing.get().isPaused)")
    page.keyboard.press("i")
    until(page, "document.activeElement.id === 'song-title'")
    assert page.inner_text("#song-title") == title
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_selector(".hero")


def start_list(page, *names):
    for name in names:
        choose(page, name)
        page.click("text=Add to list")
    page.click("nav >> text=Your list (")
    page.wait_for_selector(".listed li")


def test_a_made_list_says_why_until_it_is_changed(page):
    start_list(page, "Vibes")
    page.fill("label:has-text('Minutes') input", "2")
    page.click("text=Make the list")
    until(page, "document.querySelectorAll('.listed .why').length > 0")
    assert "both by Ayla" in page.inner_text(".listed li:has-text('Vibes, later') .why")
    page.click("button[title='Remove Vibes, later']")
    assert page.locator(".listed .why").count() == 0


def test_a_list_reordered_locked_dropped_and_undone(page):
    start_list(page, "Vibes", "Louder", "Prelude")
    page.focus("button[title^='Move Prelude']")
    page.keyboard.press("ArrowUp")
    assert listed(page) == ["Vibes", "Prelude", "Louder"]
    page.keyboard.press("ArrowUp")
    assert listed(page) == ["Prelude", "Vibes", "Louder"]
    page.locator(".listed li").nth(2).drag_to(page.locator(".listed li").nth(0))
    assert listed(page) == ["Louder", "Prelude", "Vibes"]
    page.click("button[title='Remove Prelude']")
    assert listed(page) == ["Louder", "Vibes"]
    page.click(".made >> text=Undo")
    assert listed(page) == ["Louder", "Prelude", "Vibes"]
    page.click("button[title='Lock Prelude']")
    page.fill("label:has-text('Minutes') input", "2")
    page.click("text=Make the list")
    until(page, "document.querySelectorAll('.listed li').length !== 3")
    assert listed(page)[1] == "Prelude"


def test_a_curve_is_drawn_and_the_list_answers(page):
    start_list(page, "Vibes")
    page.click("text=Along a curve")
    page.select_option(".making label:has-text('Curve of') select", label="Metal")
    page.fill("label:has-text('Minutes') input", "2")
    until(page, "document.querySelectorAll('.listed li').length > 2")
    box = page.locator(".curve canvas").bounding_box()
    page.mouse.move(box["x"] + 4, box["y"] + box["height"] - 6)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 6, steps=12)
    with page.expect_response("**/api/playlist") as answer:
        page.mouse.up()
    points = json.loads(answer.value.request.post_data)["curve"]["points"]
    assert points[0] < 0.2 < 0.6 < points[-1]
    scores = answer.value.json()["scores"]
    half = len(scores) // 2
    assert sum(scores[-half:]) > sum(scores[:half])
    page.focus(".curve canvas")
    page.keyboard.press("ArrowRight")
    with page.expect_response("**/api/playlist"):
        page.keyboard.press("PageUp")


def test_save_where_one_says_and_take_it_back(open_page, address, library):
    page = open_page(address, allow=["400", "412"])
    start_list(page, "Vibes", "Prelude")
    place = Path(library).parent / "evening.m3u8"
    page.fill(".saving input", "evening.m3u8")
    page.click(".saving >> text=Save >> nth=-1")
    page.wait_for_selector(".saving .done:has-text('Saved 2 songs')")
    lines = place.read_text().splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[2::2] == ["music/jazz-vibraphone.mp3", "music/classical-piano.flac"]
    page.click(".saving button:has-text('Save')")
    page.wait_for_selector(".saving .failure:has-text('already exists')")
    page.click(".saving >> text=Replace it")
    page.wait_for_selector(".saving .done:has-text('Saved 2 songs')")
    page.click(".saving .done >> text=Undo")
    page.wait_for_selector(".saving .done:has-text('was restored')")
    assert place.read_text().splitlines() == lines
    page.fill(".saving input", "evening.mp3")
    page.click(".saving button:has-text('Save')")
    page.wait_for_selector(".saving .failure:has-text('.m3u8')")
    assert not (place.parent / "evening.mp3").exists()


def test_a_saved_list_goes_to_the_music_server_of_the_users_settings(
    open_page, tmp_path, monkeypatch
):
    store, settings = write_music(tmp_path / "library"), tmp_path / "own.toml"
    settings.write_text('[players.home]\nkind = "subsonic"\nurl = "http://localhost:1"\n')
    monkeypatch.setenv("AUDIOREC_CONFIG", str(settings))
    with browsing(store) as address:
        page = open_page(address)
        choose(page, "Prelude")
        page.click("text=Make a list from it")
        page.fill(".saving input", 'for "us".m3u8')
        page.click(".saving > button")
        page.wait_for_selector(".saving .done")
        page.click("text=On your music server home")
        recipe, command = page.locator(".server pre").all_inner_texts()
        page.close()
    assert command == f"audiorec sync home --vectors {store}"
    settings.write_text(f"{settings.read_text()}{recipe}\n")
    [kept] = read_servers(["home"])[0].lists
    assert (kept.name, kept.file) == ('for "us"', store.parent / 'for "us".m3u8')
    assert kept.file.read_text().startswith("#EXTM3U")


def bodies_of(page, path):
    """Return a list that gets the body of each request to a path."""
    found = []
    page.on("request", lambda r: r.url.endswith(path) and found.append(json.loads(r.post_data)))
    return found


def test_a_drawn_list_keeps_the_song_that_it_is_made_from(page):
    asked = bodies_of(page, "/api/playlist")
    choose(page, "Prelude")
    page.click("text=Make a list from it")
    page.click("text=Along a curve")
    for _ in range(3):
        page.click("text=Make the list")
        page.wait_for_selector(".listed li:nth-child(2)")
        made = listed(page)
        page.locator(".curve").focus() if page.locator(".curve[tabindex]").count() else None
    assert len({json.dumps(body["seeds"]) for body in asked}) == 1
    page.click("text=Make the list")
    until(page, "!document.querySelector('.making .main').disabled")
    assert listed(page) == made
    assert page.inner_text(".seeds") == "Prelude"
    with page.expect_download() as loading:
        page.click(".downloads >> text=Playlist")
    assert Path(loading.value.path()).read_text().startswith("#EXTM3U")
    page.click("[title='Make it without Prelude']")
    assert page.inner_text(".seeds") != "" or page.locator(".seeds").count() == 0


def test_a_radio_goes_on_and_a_skip_counts(page):
    asked = bodies_of(page, "/api/radio")
    choose(page, "Vibes")
    web_flows.radio(page)
    page.click("[title='Up next']")
    until(page, "document.querySelectorAll('.up-next li').length > 1")
    page.locator(".up-next [title^='Do not play']").last.click()
    page.click("button[title='Next song']")
    until(page, "import('/js/radio.js').then(r => r.radio.get().skipped.length >= 1)")
    until(page, "import('/js/player.js').then(p => p.playing.get().queue.length > 3)")
    assert asked[-1]["skipped"]
    page.click("[title='Stop radio']")
    assert page.locator("[title='Stop radio']").count() == 0
