"""What an owner wants from the page, in a real browser, on a desk and on a phone, light and dark.

With AUDIOREC_SCREENSHOTS=FOLDER a picture of the end of each is kept.
"""

import csv
import io
import json
import os
import re
from pathlib import Path

import pytest
from made_library import series, song, write_library
from web_server import (
    AUDIO,
    ROWS,
    SONGS,
    browsing,
    choose,
    go,
    listed,
    until,
    write_copies,
    write_music,
)

from audiorec.extraction.run import extract
from audiorec.library.library import open_store

# Each size and each scheme once: no rule of the page's style sheets asks for both.
LOOKS = {
    "desk-light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "phone-dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}
PICTURES = os.environ.get("AUDIOREC_SCREENSHOTS")
# For what test_page.py does on a desk.
on_a_phone = pytest.mark.parametrize("page", ["phone-dark"], indirect=True)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return write_copies(tmp_path_factory.mktemp("owner"))


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """The address of twelve clips as the networks hear them, and the store."""
    store = tmp_path_factory.mktemp("heard") / "vecs.parquet"
    extract([AUDIO / one[0] for one in SONGS], out=store, jobs=1)
    with browsing(store, "--root", AUDIO) as address:
        yield address, store


def keep_picture(page, name):
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{re.sub(r'[^a-z]+', '-', name)}.png")


@pytest.fixture(params=LOOKS)
def page(open_page, address, request):
    found = open_page(address, allow=["Canvas2D"], **LOOKS[request.param])  # a test reads it back
    yield found
    keep_picture(found, request.node.name)


def column(page, name):
    return page.eval_on_selector_all(f"{ROWS} .cell.{name}", "all => all.map(one => one.innerText)")


def downloaded(page, button):
    with page.expect_download() as loading:
        page.click(button)
    return loading.value.suggested_filename, Path(loading.value.path()).read_text()


def test_columns_are_chosen_sorted_by_and_remembered(page):
    page.click(".list >> text=Columns")
    for name in ("Tempo", "Key", "Twice", "Mood"):
        page.check(f"#columns label:has-text('{name}') >> nth=0")
    page.keyboard.press("Escape")
    assert page.locator("#columns").count() == 0
    page.select_option(".sorter select", label="Tempo")
    until(page, f"document.querySelector('{ROWS} .cell.own').innerText === '60'")
    tempos = page.eval_on_selector_all(
        ROWS, "all => all.map(one => one.querySelector('.cell.own').innerText)"
    )
    assert tempos[:3] == ["60", "70", "90"]  # the third has none: the last, in either direction
    page.click(".sorter >> text=Reverse")
    until(page, f"document.querySelector('{ROWS} .cell.own').innerText === '170'")
    assert page.locator(ROWS).first.locator(".cell.own").all_inner_texts()[1] == "C minor"
    page.select_option(".sorter select", label="Twice")
    until(page, f"document.querySelector('{ROWS} .cell.copies').innerText === ''")
    assert sorted(column(page, "copies")) == [""] * 11 + ["2"] * 3
    page.reload()
    page.wait_for_selector(ROWS)
    heads = page.locator(".heads .cell").all_inner_texts()
    assert {"Title", "Tempo", "Key", "Twice"} <= {head.strip(" ▴▾") for head in heads}


def test_previews_begin_where_a_song_is_most_itself_and_go_on(page):
    choose(page, "Prelude")
    page.evaluate(
        "import('/js/api.js').then(a => import('/js/store.js').then(async s => {"
        " const song = await a.ofSong(s.page.get().selected);"
        " song.part = {start_s: 2, end_s: 2.6}; }))"
    )
    page.evaluate("import('/js/player.js').then(p => p.flipPreview())")
    page.click(".song .main")
    until(page, "import('/js/player.js').then(p => p.now() > 2)")
    first = page.evaluate("import('/js/player.js').then(p => p.playing.get().row)")
    until(page, f"import('/js/player.js').then(p => p.playing.get().row !== {first})")
    page.evaluate("import('/js/player.js').then(p => p.flipPreview())")
    until(
        page,
        "import('/js/player.js').then(p => p.playing.get().until === null "
        "|| p.playing.get().until > 1e9)",
    )


def test_what_comes_next_is_reordered_and_removed(page):
    choose(page, "Prelude")
    page.click(".song .main")
    until(page, "import('/js/player.js').then(p => p.now() > 0.1)")
    page.click("[title='Up next']")
    names = ".up-next .title"
    before = page.locator(names).all_inner_texts()
    page.locator(".up-next .handle").nth(2).focus()
    page.keyboard.press("ArrowUp")
    moved = page.locator(names).all_inner_texts()
    assert moved[:3] == [before[0], before[2], before[1]]
    page.locator(".up-next .handle").nth(1).click(position={"x": 10, "y": 4})  # its upper half
    assert page.locator(names).first.inner_text() == before[2]
    page.locator(".up-next [title^='Do not play']").first.click()
    assert page.locator(names).all_inner_texts()[:2] == [before[0], before[1]]
    page.click("button[title='Next song']")
    until(page, f"document.querySelector('.player .title').innerText === {json.dumps(before[0])}")


def start_list(page, *titles):
    for title in titles:
        choose(page, title)
        page.click("text=Add to list")
    go(page, "/list")


def stroke(page, *heights):
    """Draw a line over the curve, through heights from 0 to 1; return what was answered."""
    box = page.locator(".curve canvas").bounding_box()
    page.mouse.move(box["x"] + 3, box["y"] + box["height"] * (1 - heights[0]))
    page.mouse.down()
    for n, height in enumerate(heights):
        left = box["x"] + 3 + (box["width"] - 6) * n / (len(heights) - 1)
        page.mouse.move(left, box["y"] + box["height"] * (1 - height), steps=8)
    with page.expect_response("**/api/playlist") as answer:
        page.mouse.up()
    found = answer.value.json()
    until(page, f"document.querySelectorAll('.listed li').length === {len(found['rows'])}")
    return json.loads(answer.value.request.post_data)["curve"], found


@on_a_phone
def test_a_drawn_tempo_gives_the_same_list_again_and_undo_brings_its_curve_back(page):
    start_list(page, "Prelude")
    page.click("text=Along a curve")
    page.fill(".making label:has-text('Minutes') input", "2")
    with page.expect_response("**/api/playlist"):
        page.select_option(".making label:has-text('Curve of') select", label="Tempo")
    until(page, "document.querySelectorAll('.listed li').length > 2")
    rising, first = stroke(page, 0.1, 0.5, 0.9)
    assert rising["of"] == "bpm"
    assert 60 <= rising["points"][0] < 90 < 130 < rising["points"][-1] <= 170
    assert first["scores"][-1] > first["scores"][0] + 30
    made = listed(page)
    _, second = stroke(page, 0.9, 0.5, 0.1)
    assert second["scores"][-1] < second["scores"][0] - 30
    page.click(".made >> text=Undo")
    until(page, f"document.querySelectorAll('.listed li').length === {len(first['rows'])}")
    assert listed(page) == made
    page.wait_for_timeout(100)
    with page.expect_response("**/api/playlist") as answer:
        page.click("text=Make the list")
    assert json.loads(answer.value.request.post_data)["curve"] == rising  # it came back as well
    assert answer.value.json()["rows"] == first["rows"]
    options = page.locator(".making label:has-text('Curve of') option").all_inner_texts()
    assert {"Tempo", "Happy (mood)", "Jazz"} <= set(options)


@on_a_phone
def test_a_list_is_saved_where_the_hand_is_and_downloaded_as_a_table(page, library, request):
    start_list(page, "Prelude", "Louder")
    name = f"kept-{request.node.callspec.id}"
    page.fill(".saving input", f"{name}.m3u8")
    page.click(".saving > button")
    page.wait_for_selector(".saving .done:has-text('Saved 2 songs')")
    until(  # in sight, not behind the player
        page,
        "(([said, player]) => said.top > 0 && said.bottom < player.top + 1)"
        "(['.saving .done', '.thumbs'].map(one => document.querySelector(one)"
        ".getBoundingClientRect()))",
    )
    kept = (library.parent / f"{name}.m3u8").read_text().splitlines()
    assert kept[2::2] == ["music/classical-piano.flac", "music/metal-band-with-woman-singing.mp3"]
    found, text = downloaded(page, ".downloads >> text=Table")
    assert found == f"{name}.csv"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["title"], row["key"]) for row in rows] == [("Prelude", "C"), ("Louder", "C")]
    found, text = downloaded(page, ".downloads >> text=Playlist")
    assert (found, text[:7]) == (f"{name}.m3u8", "#EXTM3U")


def test_more_like_a_playlist_that_one_has(page, library):
    ids = open_store(library).ids
    text = (
        "#EXTM3U\n#EXTINF:9,Dread - Loud\n/of/another/machine/01.mp3\nmusic/jazz-vibraphone.mp3\n"
    )
    go(page, "/list")
    given = {"name": "party.m3u8", "mimeType": "", "buffer": f"{text}lost.mp3\n".encode()}
    page.set_input_files(".making input[type=file]", given)
    until(page, "document.querySelectorAll('.listed li').length === 2")
    assert listed(page) == ["Loud", "Vibes"]
    assert "1 song of party.m3u8 not found" in page.inner_text(".made .note")
    if not page.locator(".making .seeds").is_visible():
        page.click(".making summary")
    assert page.locator(".seeds li").all_inner_texts() == ["Loud", "Vibes"]
    with page.expect_response("**/api/playlist") as answer:
        page.click("text=Make the list")
    rows = answer.value.json()["rows"]
    until(page, f"document.querySelectorAll('.listed li').length === {len(rows)}")
    assert not {"Loud", "Vibes"} & set(listed(page))
    # A file that is dropped does the same.
    drop(page, "more.csv", f"song_id\n{ids[0]}\n{ids[3]}\n")
    until(page, "document.querySelectorAll('.listed li').length === 2")
    page.click(".made >> text=Undo")
    until(page, f"document.querySelectorAll('.listed li').length === {len(rows)}")


def test_a_file_that_is_no_list_costs_a_word_and_changes_nothing(open_page, address):
    page = open_page(address, allow=["status of 400"], **LOOKS["desk-light"])
    drop(page, "report.json", "{}")  # of another kind: the page stays as it is
    assert page.locator(".lists").count() == 0
    drop(page, "nothing.txt", "nothing here\n")
    page.wait_for_selector(".made .failure:has-text('none of its songs')")
    assert listed(page) == []


def drop(page, name, text):
    """Drop a file onto the page."""
    page.evaluate(
        "([name, text]) => { const given = new DataTransfer();"
        " given.items.add(new File([text], name));"
        " for (const kind of ['dragover', 'drop']) document.getElementById('main').dispatchEvent("
        " new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: given})); }",
        [name, text],
    )


@on_a_phone
def test_an_empty_list_says_what_to_do(page):
    go(page, "/list")
    assert page.locator(".curve").count() == 0
    page.click(".making >> text=Choose a song in the library")
    page.wait_for_selector(ROWS)
    choose(page, "Prelude")
    go(page, "/list")
    page.click("text=Begin with Prelude")
    assert listed(page) == ["Prelude"]
    assert page.inner_text(".seeds") == "Prelude"


def test_a_path_is_drawn_on_the_map_and_follows_the_list(page):
    start_list(page, "Vibes, later", "Louder")
    page.click("text=A path between two")
    page.fill("label:has-text('Songs between') input", "3")
    page.click("text=Make the list")
    until(page, "document.querySelectorAll('.listed li').length > 2")
    rows = page.evaluate("import('/js/list-state.js').then(l => l.list.get().songs)")
    page.click(".made >> text=Show on the map")
    until(
        page,
        f"JSON.stringify(window.songMap.songs.route) === '{json.dumps(rows)}'.replaceAll(' ', '')",
    )
    inside = page.evaluate(
        "(rows => { const m = window.songMap; const { width, height } = m.size;"
        " return rows.map(r => m.toScreen(m.songs.x[r], m.songs.y[r]))"
        " .every(([x, y]) => x > 0 && y > 0 && x < width && y < height); })"
        f"({json.dumps(rows)})"
    )
    assert inside
    colour = page.evaluate("import('/js/colours.js').then(c => c.ink())")
    wanted = [int(colour[n : n + 2], 16) for n in (1, 3, 5)]
    until(  # it is drawn in the next frame
        page,
        "(() => { const c = document.querySelector('.picture .dots');"
        " const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height); let n = 0;"
        " for (let i = 0; i < data.length; i += 4) if (data[i] === "
        + str(wanted[0])
        + " && data[i + 1] === "
        + str(wanted[1])
        + " && data[i + 2] === "
        + str(wanted[2])
        + ") n++; return n; })() > 100",
    )
    page.click(".way >> text=Close")
    until(page, "window.songMap.songs.route === null")


def playing_row(page):
    return page.evaluate("import('/js/player.js').then(p => p.playing.get().row)")


def wait_for_sound(page, after=0.1):
    until(
        page, f"import('/js/player.js').then(p => p.now() > {after} && !p.playing.get().isPaused)"
    )


@on_a_phone
def test_songs_like_this_one_say_why_and_play(page):
    choose(page, "Louder")
    page.wait_for_selector(".near li")
    first = page.locator(".near li").first
    assert first.locator(".title").inner_text() == "Loud"
    assert "both by Dread" in first.inner_text()
    first.locator("button[title^='Play']").click()
    wait_for_sound(page)
    assert page.inner_text(".player .title") == "Loud"
    first.locator(".title").click()
    until(page, "document.getElementById('song-title').innerText === 'Loud'")


def test_a_sentence_finds_songs_best_first(open_page, heard):
    address, store = heard
    for look, settings in LOOKS.items():
        page = open_page(address, allow=["400"], **settings)
        page.fill("#find", "calm piano, no drums")
        page.wait_for_selector(".chips:has-text('piano')")
        wanted = [song.row["title"] for song in open_store(store).find("calm piano, no drums", 200)]
        lines = page.locator(".heard .song-line .title")
        assert lines.all_inner_texts() == wanted[: lines.count()]
        assert page.locator(".heard .bars").count() == 3 * lines.count() >= 30  # of three parts
        assert "drums" in page.inner_text(".chips")
        assert page.url.endswith("/find?q=calm+piano%2C+no+drums")
        keep_picture(page, f"sentence-{look}")
    page.fill("#find", "abbey road")
    page.wait_for_selector("h1:has-text('Nothing here fits')")
    page.fill("#find", "ezer")
    page.wait_for_selector(".found h2:has-text('1 song')")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """The address of 60 songs of two kinds that are not far apart."""
    folder = tmp_path_factory.mktemp("many")
    write_music(folder, songs=SONGS[3:4])
    rows = [
        song(
            f"{kind} {n:02}",
            series(2 * n + (kind == "pop"), genre=genre, segments=6, spread=0.6),
            uri=str(folder / "music" / SONGS[3][0]),
            title=f"{kind} {n:02}",
            artist=f"{kind} artist {n % 25}",
            duration_s=10.0,
        )
        for kind, genre in (("jazz", (1.6, 0, 1.0)), ("pop", (1.0, 0, 1.6)))
        for n in range(30)
    ]
    with browsing(write_library(folder, rows, scores=True)) as address:
        yield address


def test_three_minutes_of_radio_with_skips(open_page, many):
    """Jazz is heard, at sixteen times its speed, and everything else skipped.

    Nothing plays twice, nothing stops, and little has to be skipped.
    """
    page = open_page(many)
    choose(page, "jazz 00")
    page.click(".song >> text=Radio")
    played, skipped, music_s = [], [], 0
    while music_s < 180:
        before = played[-1] if played else -1
        until(
            page,
            "import('/js/player.js').then(p => { const s = p.playing.get();"
            f" return s.row !== {before} && !s.isLoading && !s.isPaused; }})",
        )
        played.append(playing_row(page))
        skipped.append(not page.inner_text(".player .title").startswith("jazz"))
        if skipped[-1]:
            page.click("button[title='Next song']")
        else:
            page.evaluate("document.querySelector('audio').playbackRate = 16")
            music_s += 10
    assert len(set(played)) == len(played)
    state = page.evaluate("import('/js/radio.js').then(r => r.radio.get())")
    assert state["isOn"]
    assert not set(state["skipped"]) & set(state["seeds"])
    assert sum(skipped) <= 4  # by chance it would be half of them
