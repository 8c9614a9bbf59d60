"""Ten things that a stranger wants, by mouse and by keyboard; the steps are those of the docs."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from made_library import metadata
from web_server import ROWS, browsing, until, write_music, write_recall

from audiorec.store.records import row_batch
from audiorec.store.schema import Kind, schema_of, write_table

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "page.md"
GRID = "[role=grid]"


@pytest.fixture(scope="module")
def recommended(tmp_path_factory):
    store = write_music(tmp_path_factory.mktemp("tasks"))
    serving = write_recall(store)
    write_failures(store.with_name("vecs.errors.parquet"))
    with browsing(store, "--recall", serving, "-i", store.parent / "plays.csv") as address:
        yield address


def write_failures(path):
    about = metadata(Kind.ERRORS)
    row = {
        "song_id": "cut.mp3", "uri": "/music/cut.mp3", "size": 0, "mtime_ns": 5, "stage": "read",
        "status": "empty", "message": "the file is empty", "attempts": 1,
        "failed_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    batch = row_batch(row, schema_of(about))
    write_table(path, pa.Table.from_batches([batch], batch.schema), about)


class Mouse:
    """Clicks, choices and words, counted."""

    def __init__(self, page):
        self.page, self.steps = page, 0

    def click(self, selector, **place):
        self.page.locator(selector).first.click(**place)
        self.steps += 1

    def choose(self, selector, value):
        self.page.select_option(selector, value)
        self.steps += 1

    def write(self, selector, text):
        self.page.fill(selector, text)
        self.steps += 1

    def song(self, title):
        self.click(f"{ROWS} .cell.title >> text=/^{re.escape(title)}$/")
        self.page.wait_for_selector(f"#song-title:has-text('{title}')")


class Keyboard:
    """Keys and words, counted; Tab until a part is reached counts once, however far it is."""

    def __init__(self, page):
        self.page, self.steps = page, 0

    def press(self, key):
        self.page.keyboard.press(key)
        self.steps += 1

    def go(self, selector):
        for _ in range(150):
            self.page.keyboard.press("Tab")
            if self.page.evaluate(f"document.activeElement.matches({selector!r})"):
                self.steps += 1
                return
        raise AssertionError(f"Tab does not lead to {selector}")

    def button(self, words, key="Enter"):
        """Go to the button of these words, and press it."""
        for _ in range(150):
            self.page.keyboard.press("Tab")
            name = self.page.evaluate(
                "(document.activeElement.title || document.activeElement.innerText || '').trim()"
            )
            if name.startswith(words):
                self.page.keyboard.press(key)
                self.steps += 2
                return
        raise AssertionError(f"Tab does not lead to {words}")

    def write(self, text):
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)
        self.steps += 1

    def song(self, title):
        """Find a song by its words, and choose it."""
        self.press("/")
        self.write(title)
        until(
            self.page,
            f"document.querySelector('{ROWS}')?.innerText.startsWith('{title}')",
        )
        self.go(GRID)
        self.press("Home")
        self.page.wait_for_selector(f"#song-title:has-text('{title}')")


def find_by_conditions(page, hand):
    if isinstance(hand, Mouse):
        hand.click("text=Conditions")
        hand.choose(".helper label:has-text('Genre') select", "genre=jazz")
        until(page, f"document.querySelectorAll('{ROWS}').length === 3")
        hand.choose(".helper label:has-text('Version') select", "version=instrumental")
        hand.choose(".helper label:has-text('Length') select", "duration<4:00")
    else:
        hand.press("/")
        hand.button("Conditions")
        hand.go("#conditions input")
        hand.write("genre=jazz, version=instrumental, duration<4:00")
    until(page, f"document.querySelectorAll('{ROWS}').length === 2")


def hear_a_moment(page, hand):
    hand.song("Prelude")
    page.wait_for_selector(".strips")  # before they are there, keys and clicks mean nothing
    if isinstance(hand, Mouse):
        box = page.locator(".scores .area").bounding_box()
        hand.click(".scores .area", position={"x": box["width"] / 2, "y": 90})
    else:
        hand.go(".scores .area")
        hand.press("5")
    until(page, "import('/js/player.js').then(p => p.now() > 4)")


def what_sounds_like_it(page, hand):
    hand.song("Louder")
    assert "both by Dread" in page.wait_for_selector(".near .why").inner_text()


def compare_two(page, hand):
    hand.song("Louder")
    page.wait_for_selector(".near li")
    hand.click(".near >> text=Compare") if isinstance(hand, Mouse) else hand.button("Compare with")
    page.wait_for_selector(".compare .parts li")


def a_list_that_rises(page, hand):
    hand.song("Prelude")
    for words in ("Make a list from it", "Along a curve", "Make the list"):
        hand.click(f"text={words}") if isinstance(hand, Mouse) else hand.button(words)
    page.wait_for_selector(".listed li:nth-child(3)")


def a_path(page, hand):
    for title in ("Prelude", "Louder"):
        hand.song(title)
        if isinstance(hand, Mouse):
            hand.click("text=Add to list")
        else:
            hand.press("a")
    for words in ("Your list", "A path between two", "Make the list"):
        hand.click(f"button:has-text('{words}')") if isinstance(hand, Mouse) else hand.button(words)
    until(page, "document.querySelectorAll('.listed li').length > 2")


def save_a_list(page, hand):
    hand.song("Prelude")
    hand.click("text=Add to list") if isinstance(hand, Mouse) else hand.press("a")
    name = f"{type(hand).__name__}.m3u8"
    if isinstance(hand, Mouse):
        hand.click("button:has-text('Your list')")
        hand.write(".saving input", name)
        hand.click(".saving button")
    else:
        hand.button("Your list")
        hand.go(".saving input")
        hand.write(name)
        hand.press("Enter")
    page.wait_for_selector(".saving .done:has-text('Saved 1 song')")


def why_recommended(page, hand):
    for words in ("Recommendations", "u3"):
        hand.click(f"button:has-text('{words}')") if isinstance(hand, Mouse) else hand.button(words)
        page.wait_for_selector(".users li")
    assert page.wait_for_selector(".ranked .why").inner_text()


def without_one_song(page, hand):
    why_recommended(page, hand)
    if isinstance(hand, Mouse):
        hand.click(".heard input")
    else:
        hand.go(".heard input")
        hand.press(" ")
    until(page, "document.querySelectorAll('.heard input:not(:checked)').length === 1")
    page.wait_for_selector(".ranked li")


def broken_files(page, hand):
    hand.click("nav >> text=State") if isinstance(hand, Mouse) else hand.button("State")
    assert "is empty" in page.wait_for_selector(".failures").inner_text()


TASKS = {
    "find all jazz under four minutes without singing": find_by_conditions,
    "hear the middle of a song": hear_a_moment,
    "see what sounds like a song, and why": what_sounds_like_it,
    "compare two songs": compare_two,
    "make a list of an hour that rises": a_list_that_rises,
    "make a path from one song to another": a_path,
    "save a list for another player": save_a_list,
    "see why a song is recommended to somebody": why_recommended,
    "see what changes if one song had not been heard": without_one_song,
    "see which files are broken, and why": broken_files,
}


def told():
    """Return the steps by mouse and by keyboard that the docs count, by task."""
    rows = re.findall(r"^\| (\w.*?) \| (\d+) \| (\d+) \|$", PAGE.read_text(), re.MULTILINE)
    return {task: {"Mouse": int(mouse), "Keyboard": int(keys)} for task, mouse, keys in rows}


@pytest.mark.parametrize("kind", [Mouse, Keyboard])
@pytest.mark.parametrize("task", TASKS)
def test_a_task(open_page, recommended, task, kind):
    page = open_page(recommended)
    hand = kind(page)
    TASKS[task](page, hand)
    assert hand.steps == told()[task][kind.__name__]


def test_the_docs_have_these_tasks():
    assert list(told()) == list(TASKS)
