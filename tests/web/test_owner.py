"""What an owner wants from the page, in a real browser, on a desk and on a phone."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from made_library import series, song
from web_server import AUDIO, ROWS, choose, until, write_music

SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Twelve clips with tempo, key and moods; one is there three times, best with the most bits."""
    folder = tmp_path_factory.mktemp("owner")
    copies = [
        song(
            name,
            series(0, genre=(3, 0, 0), version=(0, 3), segments=6, spread=0.3),
            uri=str(folder / "music" / name),
            content_hash="hash of jazz-vibraphone.mp3",
            codec=codec,
            size=size,
            title="Vibes",
            artist="Ayla",
        )
        for name, codec, size in (("vibes.flac", "flac", 3_000_000), ("vibes.ogg", "vorbis", 2_000))
    ]
    store = write_music(folder, attributes=True, more=copies)
    for name in ("vibes.flac", "vibes.ogg"):
        shutil.copy(AUDIO / "jazz-vibraphone-later.ogg", folder / "music" / name)
    return store


@pytest.fixture(params=SIZES)
def page(open_page, address, request):
    return open_page(address, viewport=SIZES[request.param])


def to_list(page):
    """Show the list, which is one of three parts on a phone."""
    tab = page.locator(".tabs >> text=List")
    if tab.is_visible():
        tab.click()


def column(page, name):
    return page.eval_on_selector_all(f"{ROWS} .cell.{name}", "all => all.map(one => one.innerText)")


def downloaded(page, button):
    with page.expect_download() as loading:
        page.click(button)
    return loading.value.suggested_filename, Path(loading.value.path()).read_text()


def test_copies_side_by_side_the_best_marked_and_a_list_to_hand_on(page, library):
    page.click("nav >> text=Duplicates")
    page.wait_for_selector(".recording")
    assert page.locator(".recording").count() == 1
    assert "1 recording with 2 surplus copies, 1 MB to gain" in page.inner_text(".copies h2")
    lines = page.locator(".recording tbody tr").all_inner_texts()
    assert "vibes.flac" in lines[0]
    assert "Best: 1333 against 444 kbit/s" in lines[0]
    assert [("Best" in line) for line in lines] == [True, False, False]
    assert all("kbit/s" in line and "MB" in line for line in lines)
    name, paths = downloaded(page, ".downloads >> text=Paths")
    assert name == "duplicates.txt"
    music = library.parent / "music"
    assert paths.splitlines() == [str(music / n) for n in ("jazz-vibraphone.mp3", "vibes.ogg")]
    name, text = downloaded(page, ".downloads >> text=Table")
    assert [(row["best"], row["why"]) for row in csv.DictReader(io.StringIO(text))] == [
        ("yes", "1333 against 444 kbit/s"),
        ("no", ""),
        ("no", ""),
    ]
    page.click(".recording button[title^='Play']")
    until(page, "import('/js/player.js').then(p => p.now() > 0.1)")
    assert all((music / n).is_file() for n in ("jazz-vibraphone.mp3", "vibes.ogg", "vibes.flac"))


def test_columns_are_chosen_sorted_by_and_remembered(page):
    to_list(page)
    page.click(".list >> text=Columns")
    for name in ("Tempo", "Key", "Copies", "Mood"):
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
    page.select_option(".sorter select", label="Copies")
    until(page, f"document.querySelector('{ROWS} .cell.copies').innerText === ''")
    assert sorted(column(page, "copies")) == [""] * 11 + ["2"] * 3
    page.reload()
    page.wait_for_selector(ROWS)
    to_list(page)
    heads = page.locator(".heads .cell").all_inner_texts()
    assert {"Title", "Tempo", "Key", "Copies"} <= {head.strip(" ▴▾") for head in heads}


def test_previews_begin_where_a_song_is_most_itself_and_go_on(page):
    choose(page, "Prelude")
    page.evaluate(
        "import('/js/api.js').then(a => import('/js/store.js').then(async s => {"
        " const song = await a.ofSong(s.page.get().selected);"
        " song.part = {start_s: 2, end_s: 2.6}; }))"
    )
    page.click(".player >> text=Previews")
    page.click(".song .main")
    until(page, "import('/js/player.js').then(p => p.now() > 2)")
    first = page.evaluate("import('/js/player.js').then(p => p.playing.get().row)")
    until(page, f"import('/js/player.js').then(p => p.playing.get().row !== {first})")
    page.click(".player >> text=Previews")
    until(
        page,
        "import('/js/player.js').then(p => p.playing.get().until === null "
        "|| p.playing.get().until > 1e9)",
    )


def test_what_comes_next_is_reordered_and_removed(page):
    to_list(page)
    choose(page, "Prelude")
    page.click(".song .main")
    until(page, "import('/js/player.js').then(p => p.now() > 0.1)")
    page.click("text=Up next")
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
        to_list(page)
        choose(page, title)
        page.click("text=Add to list")
    page.click("button:has-text('Your list')")


def listed(page):
    return page.eval_on_selector_all(
        ".listed .names .title", "all => all.map(one => one.innerText)"
    )


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


def test_a_list_is_saved_where_the_hand_is_and_downloaded_as_a_table(page, library):
    start_list(page, "Prelude", "Louder")
    name = f"kept-{page.viewport_size['width']}"
    page.fill(".saving input", f"{name}.m3u8")
    page.click(".saving > button")
    page.wait_for_selector(".saving .done:has-text('Saved 2 songs')")
    box = page.locator(".saving .done").bounding_box()
    player = page.locator(".player").bounding_box()
    assert 0 < box["y"] < box["y"] + box["height"] <= player["y"]  # not behind the player
    kept = (library.parent / f"{name}.m3u8").read_text().splitlines()
    assert kept[2::2] == ["music/classical-piano.flac", "music/metal-band-with-woman-singing.mp3"]
    found, text = downloaded(page, ".downloads >> text=Table")
    assert found == f"{name}.csv"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["title"], row["key"]) for row in rows] == [("Prelude", "C"), ("Louder", "C")]
    found, text = downloaded(page, ".downloads >> text=Playlist")
    assert (found, text[:7]) == (f"{name}.m3u8", "#EXTM3U")


def test_an_empty_list_says_what_to_do(page):
    page.click("nav >> text=Your list")
    assert page.locator(".curve").count() == 0
    page.click(".making >> text=Choose a song in the library")
    page.wait_for_selector(ROWS)
    to_list(page)
    choose(page, "Prelude")
    page.click("nav >> text=Your list")
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
    colour = page.evaluate("import('/js/colours.js').then(c => c.accent())")
    wanted = [int(colour[n : n + 2], 16) for n in (1, 3, 5)]
    drawn = page.evaluate(
        "(() => { const c = document.querySelector('.picture canvas');"
        " const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height); let n = 0;"
        " for (let i = 0; i < data.length; i += 4) if (data[i] === "
        + str(wanted[0])
        + " && data[i + 1] === "
        + str(wanted[1])
        + " && data[i + 2] === "
        + str(wanted[2])
        + ") n++; return n; })()"
    )
    assert drawn > 100
    page.click("text=Hide it")
    until(page, "window.songMap.songs.route === null")
