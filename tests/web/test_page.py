"""What people do with the page, each as a story in a real browser."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow.parquet import read_table as read_parquet
from pyarrow.parquet import write_table as write_parquet
from web_server import (
    LONG,
    ROWS,
    SONGS,
    browsing,
    choose,
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


def listed(page):
    return page.eval_on_selector_all(
        ".listed .names .title", "all => all.map(one => one.innerText)"
    )


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


def test_find_by_words(page):
    page.fill("#find", "ayla vib")
    until(page, f"document.querySelectorAll('{ROWS}').length === 2")
    assert sorted(titles(page)) == ["Vibes", "Vibes, later"]
    page.fill("#find", "nothing like this")
    page.wait_for_selector(".grid .empty")
    page.click("text=Show all songs")
    until(page, f"document.querySelectorAll('{ROWS}').length === {N}")
    assert page.input_value("#find") == ""


def test_typed_letters_stay_while_the_page_draws_slowly(page):
    page.evaluate("() => { requestAnimationFrame = (act) => setTimeout(act, 1000); }")
    for text, left in ("vib", 2), ("vibes, l", 1):
        page.fill("#find", text)
        until(page, f"document.querySelectorAll('{ROWS}').length === {left}")
    page.fill("#find", "vibes, la")
    assert page.input_value("#find") == "vibes, la"
    page.fill("#find", "nothing like this")
    until(page, "document.querySelector('.grid .empty')")
    page.evaluate("() => document.querySelector('.grid .empty button').click()")
    until(page, f"document.querySelectorAll('{ROWS}').length === {N}")
    assert page.input_value("#find") == ""
    page.wait_for_timeout(1500)
    assert page.input_value("#find") == ""


def test_words_and_conditions_written_one_after_the_other_both_hold(page):
    page.click("text=Conditions")
    page.fill("#find", "loud")
    page.get_by_placeholder("genre=jazz, duration<4:00").fill("version=vocal, duration<9:00")
    until(page, f"document.querySelectorAll('{ROWS}').length === 2")
    page.wait_for_selector("button:has-text('Conditions (on)')")
    assert sorted(titles(page)) == ["Loud", "Louder"]


def test_a_filter_from_elsewhere_replaces_a_refused_condition(open_page, address):
    page = open_page(address, allow=["400"])
    page.click("text=Conditions")
    field = page.get_by_placeholder("genre=jazz, duration<4:00")
    field.fill("genre=polka")
    page.wait_for_selector("#conditions-help.failure")
    page.evaluate("import('/js/finder.js').then(f => f.filter('genre=metal, version=vocal'))")
    until(page, f"document.querySelectorAll('{ROWS}').length === 2")
    assert field.input_value() == "genre=metal, version=vocal"
    assert page.locator("#conditions-help.failure").count() == 0


def test_find_by_conditions_and_be_told_what_is_wrong(open_page, address):
    page = open_page(address, allow=["400"])
    page.click("text=Conditions")
    field = page.get_by_placeholder("genre=jazz, duration<4:00")
    field.fill("genre=metal, version=vocal")
    until(page, f"document.querySelectorAll('{ROWS}').length === 2")
    assert sorted(titles(page)) == ["Loud", "Louder"]
    field.fill("genre=polka")
    assert (
        "unknown class 'polka'" in page.wait_for_selector("#conditions-help.failure").inner_text()
    )
    page.click(".helper >> text=Clear")
    until(page, f"document.querySelectorAll('{ROWS}').length === {N}")
    page.select_option(".helper label:has-text('Genre') select", "genre=jazz")
    until(page, f"document.querySelectorAll('{ROWS}').length < {N}")
    assert "Vibes" in titles(page)


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
    choose(page, "Prelude")
    page.click(".song button.main")
    wait_for_sound(page)
    assert parts[0] == 206
    page.locator(".seek input").evaluate(
        "one => { one.value = 6; one.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    wait_for_sound(page, 6)
    page.click("text=State")
    page.wait_for_selector(".state h2")
    wait_for_sound(page, 6.2)
    page.click("button[title=Pause]")
    stopped = now(page)
    page.wait_for_timeout(300)
    assert now(page) == pytest.approx(stopped, abs=0.05)


def test_click_into_the_scores_to_hear_that_moment(page):
    choose(page, "Louder")
    area = page.locator(".scores .area")
    page.wait_for_selector(".strips")
    box = area.bounding_box()
    area.click(position={"x": box["width"] * 0.5, "y": 100})
    wait_for_sound(page, 8.5)
    page.wait_for_selector(".playhead:not([hidden])")
    assert "metal" in page.inner_text(".moment")
    area.focus()
    page.keyboard.press("Home")
    until(page, "import('/js/player.js').then(p => p.now() < 3)")


def test_a_click_into_the_scores_counts_before_the_facts_of_the_song_are_there(page):
    held = []
    page.route(re.compile(r"/api/song/\d+$"), lambda route: held.append(route))
    cell = page.locator(f"{ROWS} .cell.title").filter(has_text=re.compile("^Louder$"))
    cell.click()
    page.wait_for_selector(".strips")
    area = page.locator(".scores .area")
    area.click(position={"x": area.bounding_box()["width"] * 0.5, "y": 50})
    for route in held:
        route.continue_()
    wait_for_sound(page, 8.5)


@pytest.mark.parametrize("title", ["Tabla", "Drums"])
def test_what_the_browser_cannot_play_is_decoded_for_it(page, title):
    choose(page, title)
    page.click(".song button.main")
    wait_for_sound(page)
    assert "decoded from" in page.inner_text(".player")
    box = page.locator(".scores .area").bounding_box()
    page.locator(".scores .area").click(position={"x": box["width"] * 0.6, "y": 70})
    wait_for_sound(page, 2.5)


def test_tags_are_shown_as_text_whatever_they_hold(page):
    choose(page, "<script>")
    page.wait_for_selector(".near li")
    assert "<script>window.hacked" in page.inner_text("#song-title")
    page.fill("#find", "so long a tag")
    until(page, f"document.querySelectorAll('{ROWS}').length === 1")
    page.locator(ROWS).first.click()
    until(page, "document.querySelector('#song-title').innerText.length > 5000")
    assert page.evaluate("window.hacked") is None
    assert len(LONG) > 9_000
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".row img, .song h2 img, .song h2 script").count() == 0


def test_columns_with_the_names_of_javascript_are_columns(page):
    for name in ODD:
        page.select_option(".legend select", f"own:{name}")
        page.wait_for_timeout(50)
    choose(page, "Vibes")
    page.click(".about summary")
    shown = page.inner_text(".about dl")
    assert page.evaluate("Object.keys(Object.prototype)") == []
    for name in ODD:
        assert f"{name} " in shown


def test_what_sounds_like_it_and_why_and_compare_two(page):
    choose(page, "Vibes")
    page.wait_for_selector(".near li")
    first = page.locator(".near li").first
    assert "Vibes, later" in first.inner_text()
    assert "both by Ayla" in first.inner_text()
    closer = re.search(r"[\d.]+ %", first.inner_text()).group()
    first.locator("text=Compare").click()
    page.wait_for_selector(".compare .parts li")
    until(page, "document.querySelectorAll('.compare .strips').length === 2")
    assert f"Closer than {closer} of all pairs" in page.inner_text(".compare .said")
    page.keyboard.press("Escape")
    page.wait_for_selector(".near li")


def test_the_numbers_explain_themselves(page):
    choose(page, "Loud")
    page.click("text=The numbers behind it")
    page.wait_for_selector(".heat td")
    assert page.locator(".heat tbody tr").count() == 5
    page.locator(".heat tbody tr", has_text="metal").locator("td").nth(2).hover()
    assert re.search(
        r"metal, average: 0\.\d+, higher than in \d+ % of", page.inner_text(".numbers .moment")
    )


def test_the_map_shows_and_chooses_songs(page):
    canvas = page.locator(".picture canvas")
    place = page.evaluate(
        "async () => { const {page} = await import('/js/store.js'); const {library} = page.get();"
        "const row = library.row('death-metal-band.ogg');"
        "return window.songMap.toScreen(library.numbers.x[row], library.numbers.y[row]); }"
    )
    canvas.hover(position={"x": place[0], "y": place[1]})
    assert "Loud" in page.wait_for_selector(".tip").inner_text()
    canvas.click(position={"x": place[0], "y": place[1]})
    assert "Loud" in page.wait_for_selector("#song-title:has-text('Loud')").inner_text()
    metal = int(page.inner_text(".legend .group:has-text('metal')").split()[-1])
    page.click(".legend .group:has-text('metal')")
    until(page, f"document.querySelectorAll('{ROWS}').length === {N - metal}")
    page.click(".legend .group:has-text('metal')")
    page.select_option(".legend select", label="Artist")
    assert page.locator(".legend .group:has-text('Dread')").count() == 1
    page.select_option(".legend select", label="How much metal")
    assert page.locator(".amount").count() == 1


def test_the_map_is_coloured_by_tempo_and_key(page):
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
    box = page.locator(".picture canvas").bounding_box()
    right, bottom = box["width"] / 2, box["height"] - 2
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    for x, y in [(right, 2), (right, bottom), (2, bottom), (2, 2)]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()


def test_circle_songs_on_the_map(page):
    page.click("button[title^=Circle]")
    circle_left_half(page)
    until(page, f"document.querySelectorAll('{ROWS}').length < {N}")
    assert 0 < page.locator(ROWS).count() < N
    page.click("text=Clear the circle")
    until(page, f"document.querySelectorAll('{ROWS}').length === {N}")


def test_circle_before_the_next_frame_is_drawn(page):
    page.evaluate("() => { requestAnimationFrame = (act) => setTimeout(act, 1000); }")
    page.click("button[title^=Circle]")
    circle_left_half(page)
    until(page, f"document.querySelectorAll('{ROWS}').length < {N}")


def test_the_list_and_the_player_by_keyboard_alone(page):
    page.keyboard.press("/")
    page.keyboard.type("dread")
    until(page, f"document.querySelectorAll('{ROWS}').length === 2")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "grid":
            break
    assert page.evaluate("document.activeElement.getAttribute('role')") == "grid"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.wait_for_selector("#song-title:has-text('Louder')")
    assert page.locator(f"{ROWS}[aria-selected=true]").inner_text().startswith("Louder")
    page.keyboard.press("Enter")
    wait_for_sound(page)
    page.keyboard.press("a")
    page.wait_for_selector("nav >> text=Your list (1)")
    page.keyboard.press(" ")
    until(page, "import('/js/player.js').then(p => p.playing.get().isPaused)")
    page.keyboard.press("i")
    assert page.evaluate("document.activeElement.id") == "song-title"


def start_list(page, *names):
    for name in names:
        choose(page, name)
        page.click("text=Add to list")
    page.click("nav >> text=Your list")
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


def test_the_state_of_the_store(page):
    page.click("nav >> text=State")
    page.wait_for_selector(".state")
    text = page.inner_text(".state")
    assert f"{N} songs" in text
    assert "scores" in text
    page.click(".counts >> text=good")
    page.wait_for_selector(ROWS)
    assert page.locator(ROWS).count() == N


def test_the_map_fills_its_space_names_regions_and_narrows_with_a_search(page):
    places = """() => Promise.resolve().then(() => { const map = window.songMap;
      const { x, y, mask } = map.songs; const { width, height } = map.size;
      return [...x].map((at, row) => [at, row]).filter(([, row]) => mask[row] && x[row] === x[row])
        .map(([at, row]) => map.toScreen(at, y[row]).map((v, i) => v / [width, height][i])); })"""
    spread = page.evaluate(places)
    for axis in zip(*spread, strict=True):
        assert max(axis) - min(axis) > 0.7
        assert 0 <= min(axis) < max(axis) <= 1
    until(page, "window.songMap.names.length > 0")
    assert {one["name"] for one in page.evaluate("window.songMap.names")} <= {
        "jazz",
        "metal",
        "pop",
    }
    page.fill("#find", "ayla vib")
    until(page, "window.songMap.view.zoom > 1")
    assert all(0 <= value <= 1 for pair in page.evaluate(places) for value in pair)
    page.fill("#find", "")
    until(page, "window.songMap.view.zoom === 1")
    choose(page, "Louder")
    page.wait_for_selector(".near li")
    near = page.locator(".near li").count()
    until(page, f"window.songMap.songs.near.length === {near}")


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


NAMED = """async ({groups, loud, clear}) => {
  const {regions} = await import('/js/regions.js');
  const places = [0.1, 0.9].flatMap(at => Array(6).fill(at));  // six songs left, six right
  const codes = groups.map(name => ["jazz", "—"].indexOf(name));
  const numbers = {loud, genre_clear: clear};
  const library = {texts: {artist: {}}, numbers, about: {loud: ["guitar", "sad"]}};
  const of = {by: "head:genre", names: ["jazz", "—"], code: row => codes[row], rest: 1};
  const map = {x: places, y: places, mask: Array(12).fill(1), view: (x, y) => [x, y]};
  return regions(library, {...map, zoom: 1, groups: of})
    .map(({name, n, x}) => [name, n, Math.round(10 * x)]);
}"""
JAZZ, GUITAR, SAD = ["jazz"] * 6, 1, 2


@pytest.mark.parametrize(
    ("groups", "clear", "loud", "expected"),
    [
        # A clear genre names its region; the word of its songs does not, that of the others does.
        (
            JAZZ + ["—"] * 6,
            [1] * 12,
            [GUITAR] * 6 + [SAD] * 5 + [0],
            [["jazz", 6, 1], ["sad", 5, 9]],
        ),
        # Half of the songs must be clear, two of six are too few: all have a word instead.
        (JAZZ + ["—"] * 6, [1] * 2 + [0] * 10, [GUITAR] * 6 + [0] * 6, [["guitar", 6, 1]]),
        # Of two words the one that more songs have; four songs are too few for a word.
        (["—"] * 12, [1] * 12, [3] * 5 + [SAD] + [GUITAR] * 4 + [0] * 2, [["sad", 6, 1]]),
    ],
)
def test_a_region_without_a_clear_genre_is_named_by_its_loudest_word(
    page, groups, clear, loud, expected
):
    given = {"groups": groups, "clear": clear, "loud": loud}
    assert page.evaluate(NAMED, given) == expected


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
    page.click(".song >> text=Radio")
    wait_for_sound(page)
    until(page, "import('/js/player.js').then(p => p.playing.get().queue.length > 2)")
    first = page.evaluate("import('/js/player.js').then(p => p.playing.get().queue)")
    page.click("text=Up next")
    assert page.locator(".up-next li").count() == len(first) - 1
    page.locator(".up-next [title^='Do not play']").last.click()
    assert page.locator(".up-next li").count() == len(first) - 2
    page.click("button[title='Next song']")
    until(page, f"import('/js/player.js').then(p => p.playing.get().row === {first[1]})")
    wait_for_sound(page)
    page.click("button[title='Next song']")
    until(page, "import('/js/radio.js').then(r => r.radio.get().skipped.length >= 1)")
    until(page, "import('/js/player.js').then(p => p.playing.get().queue.length > 3)")
    assert asked[-1]["skipped"]
    page.click("text=Stop radio")
    assert page.locator("text=Stop radio").count() == 0
