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
