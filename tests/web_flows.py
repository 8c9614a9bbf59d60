"""Ten ways through the page that one opens it for, on any library: tests and a benchmark walk them.

Each takes a page of a browser, does what one does there, and returns what one saw.
"""

from urllib.parse import unquote

from web_server import ROWS, go, until

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
SHOWN = "import('/js/store.js').then(s => s.page.get().library.n)"
PLAYS = "import('/js/player.js').then(p => p.now() > 0.1 && !p.playing.get().isPaused)"
PLAYING = "import('/js/player.js').then(p => p.playing.get())"
# What one can tap that is smaller than a thumb; text within a line is no button.
SMALL = """() => [...document.querySelectorAll("button, select, input, .thumbs a, .button")]
  .filter(one => one.checkVisibility())
  .map(one => [one.title || one.innerText || one.id, one.getBoundingClientRect()])
  .filter(([, box]) => box.width && box.bottom > 0 && box.top < innerHeight && box.height < 43.5)
  .map(([name, box]) => `${name}: ${box.height}`)"""
NEAR_IN_VIEW = """(() => { const m = window.songMap; const { width, height } = m.size;
  const rows = [m.songs.selected, ...m.songs.near.slice(0, 4)];
  return rows.every(r => { const [x, y] = m.toScreen(m.songs.x[r], m.songs.y[r]);
    return x > 0 && y > 0 && x < width && y < height; }); })()"""


def first_run(page):
    """See how far the hearing is; return it, and the line below."""
    page.wait_for_selector(".first-run h1")
    return page.inner_text(".first-run h1"), page.inner_text(".first-run p.quiet")


def open_while_hearing(page, *, grow=lambda: None, timeout_s=60.0):
    """Touch nothing until more songs are shown; return how many there were, and are.

    `grow` brings more songs, where they do not come by themselves.
    """
    before = page.evaluate(SHOWN)
    grow()
    until(page, f"{SHOWN}.then(n => n > {before})", timeout_s=timeout_s)
    return before, page.evaluate(SHOWN)


def search(page, words):
    """Search, and open the best answer; return its title."""
    page.fill("#find", words)
    page.wait_for_selector(".found .song-line")
    assert page.url.endswith(f"/find?q={words.replace(' ', '+')}")
    page.locator(".found .song-line .title").first.click()
    return page.wait_for_selector("#song-title").inner_text()


def back(page, words):
    """Go back from a song to the search that it was found by."""
    page.go_back()
    page.wait_for_selector(".found .song-line")
    assert page.input_value("#find") == words


def new_tab(page, token):
    """Open the address of a song in a new tab, without the token; return the title there."""
    title, link = page.inner_text("#song-title"), page.url
    assert token not in link
    other = page.context.new_page()
    other.goto(link)
    assert other.wait_for_selector("#song-title").inner_text() == title
    other.close()
    return title


def correct_and_find(page, genre):
    """Say that the genre of the shown song is another one, and find it by that genre."""
    title = page.inner_text("#song-title")
    pill = page.locator(".not-right .pill", has_text=genre.capitalize())
    if pill.count():
        pill.click()
    else:
        page.fill(".not-right input", genre)
        page.press(".not-right input", "Enter")
    page.wait_for_selector(f".not-right:has-text('You said {genre}')")
    page.fill("#find", f"genre={genre}")
    page.wait_for_selector(".found h2:has-text('with all of that')")
    titles = page.locator(".found .title").all_inner_texts()
    assert title in titles, f"{title} is not among {titles}"
    return titles


def album(page, name=None):
    """Open an album in its place and play its second song; return its name and how many it has.

    Without a `name`, the first album that is shown; where files name none, what the page says.
    """
    page.wait_for_selector(".albums .tile, .albums p.quiet")
    tiles = page.locator(".tile .title")
    if not tiles.count():
        return page.inner_text(".albums p.quiet")
    name = name or tiles.first.inner_text()
    tiles.get_by_text(name, exact=True).first.click()
    page.wait_for_selector(".open-album .song-line")
    assert unquote(page.url).endswith(f"/album/{name}")
    covers = page.locator(".open-album .cover-button")
    covers.nth(min(1, covers.count() - 1)).click()
    until(page, PLAYS)
    return name, covers.count()


def phone_map(page, song):
    """Choose a song of the map by thumb: it and its nearest stay in view; return its title."""
    until(page, "window.songMap?.landView")
    go(page, f"/map?song={song}")
    page.wait_for_selector(".song-card .near-it a")
    until(page, NEAR_IN_VIEW)
    assert page.evaluate(SMALL) == []
    page.click(".song-card >> text=Play")
    until(page, PLAYS)
    box = page.locator(".player .play").bounding_box()
    assert box["y"] > PHONE["viewport"]["height"] * 0.6  # by the thumb
    for path, ready in (("/", ".tile"), ("/songs", ROWS), ("/albums", ".albums h1")):
        title = page.inner_text(".player .title")
        go(page, path)
        page.wait_for_selector(ready)
        assert page.evaluate(SMALL) == [], path
    return title


def duplicates(page):
    """Hear two copies of a recording at the same moment; return the title of the view."""
    page.wait_for_selector(".copies h1")
    if not page.locator(".recording .copy").count():
        return page.inner_text(".copies h1")
    page.keyboard.press("x")
    until(page, PLAYS)
    row = page.evaluate(PLAYING)["row"]
    page.keyboard.press("x")
    until(page, f"{PLAYING}.then(s => s.row !== {row})")
    return page.inner_text(".copies h1")


def radio(page):
    """Start a radio from the shown song and skip one; return the songs that were to follow."""
    page.click(".song >> text=Radio")
    until(page, PLAYS)
    until(page, f"{PLAYING}.then(s => s.queue.length > 2)")
    queue = page.evaluate(PLAYING)["queue"]
    page.click("button[title='Next song']")
    until(page, f"{PLAYING}.then(s => s.row === {queue[1]})")
    until(page, PLAYS)
    return queue
