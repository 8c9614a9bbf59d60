"""Every view in light and dark, narrow and wide: accessible, nothing jumps, nothing from elsewhere.

With AUDIOREC_SCREENSHOTS=FOLDER a picture of each is kept.
"""

import hashlib
import json
import os
import re
from pathlib import Path

import pytest
from needs import needs
from web_server import browsing, choose, go, until, write_music, write_recall

from audiorec.recall.serving.nightly.current import promote

STATIC = Path(__file__).parents[2] / "audiorec" / "web" / "static"
PICTURES = os.environ.get("AUDIOREC_SCREENSHOTS")
LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
    "wide": {"color_scheme": "dark", "viewport": {"width": 1800, "height": 1000}},
}
# By axe-core, all of its rules or some: what is dark, narrow or wide has the same parts.
JUDGED = {"light": [], "dark": ["color-contrast", "link-in-text-block"]}


@pytest.fixture(scope="module")
def recommended(tmp_path_factory):
    """The address of a library with recommendations."""
    store = write_music(tmp_path_factory.mktemp("recommended"))
    serving = write_recall(store, playlists=[(0, 1, 2), (3, 4, 5, 6), (7, 8)])
    with browsing(store, "--recall", serving, "-i", store.parent / "plays.csv") as address:
        yield address


SEEN = [
    ("home", "/", ".hero h1"),
    ("map", "/map", ".legend .group"),
    ("albums", "/album/Clips", ".open-album .song-line"),
    ("artists", "/artist/Dread", ".artist-hero h1"),
    ("find", "/find?q=genre%3Dmetal", ".found .song-line"),
    ("glance", "/library", ".chart"),
    ("tidy", "/tidy", ".copies h1"),
]


def views(page):
    """Go through the views; gives the name of each when it is complete."""
    yield "songs"
    for name, path, ready in SEEN:
        go(page, path)
        page.wait_for_selector(ready)
        yield name
    choose(page, "Louder")
    page.wait_for_selector(".near li")
    page.click("text=The file")
    yield "song"
    page.click("text=Make a list from it")
    page.click("text=Along a curve")
    page.click("text=Make the list")
    page.wait_for_selector(".listed li:nth-child(3)")
    yield "list"
    go(page, "/recommend")
    page.wait_for_selector(".users li")
    yield "whom"
    page.click(".users >> text=u3")
    page.wait_for_selector(".ranked li")
    yield "recommendations"


def violations(page, rules):
    """Return what axe-core complains of, by some of its rules or by all."""
    only = {"runOnly": rules} if rules else {}
    found = page.evaluate("asked => axe.run(asked)", {"resultTypes": ["violations"], **only})
    return [
        f"{one['id']}: {node['html'][:160]} {node.get('failureSummary', '')}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("look", LOOKS)
def test_every_view(open_page, recommended, look):
    needs("axe_playwright_python")
    from axe_playwright_python.base import AXE_FILE_PATH

    page = open_page(recommended, **LOOKS[look])
    if look in JUDGED:
        page.evaluate(f"{Path(AXE_FILE_PATH).read_text()}; 0")
    for name in views(page):
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / f"{name}-{look}.png")
        if look in JUDGED:
            assert violations(page, JUDGED[look]) == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_nothing_jumps_while_a_song_is_opened(open_page, recommended):
    page = open_page(recommended)
    page.evaluate(
        "window.jumps = 0; new PerformanceObserver(l => l.getEntries().forEach("
        "e => { if (!e.hadRecentInput) window.jumps += e.value; }))"
        ".observe({type: 'layout-shift', buffered: true})"
    )
    choose(page, "Louder")
    page.wait_for_selector(".near li")
    page.wait_for_timeout(400)
    assert page.evaluate("window.jumps") < 0.05


def test_the_page_is_small(open_page, recommended):
    sizes = []
    page = open_page(recommended)
    page.on("response", lambda r: "/api/" not in r.url and sizes.append(len(r.body())))
    page.reload()
    page.wait_for_selector(".grid .space .row")
    assert 40_000 < sum(sizes) <= 380_000  # with 76 kB of fonts


def test_recommendations_say_why_and_show_on_the_map(open_page, recommended):
    page = open_page(recommended, view="/recommend", ready=".users li")
    page.click(".users >> text=u3")
    page.wait_for_selector(".ranked li")
    assert page.locator(".channel").count() == 4
    assert page.locator(".ranked .badge").count() > 0
    assert re.search("listeners|sounds like|popular", page.inner_text(".ranked"))
    page.click("text=Show on the map")
    page.wait_for_selector("text=Shown: recommended songs")


def test_playlists_by_others_are_opened_and_played(open_page, recommended):
    page = open_page(recommended)
    page.click("nav >> text=Recommendations")
    page.click(".users >> text=u1")
    first = page.locator("h3:has-text('Playlists by others') + ol li").first
    name, about = first.locator(".title").inner_text(), first.locator(".why").inner_text()
    songs = {"by u0": 3, "by u2": 2}[name]
    assert about.startswith(f"{songs} songs: ")
    assert "played before" in about
    first.locator("button[title^='Play']").click()
    until(page, f"import('/js/player.js').then(p => p.playing.get().queue.length === {songs})")
    first.locator(".title").click()
    until(page, f"document.querySelectorAll('.listed li').length === {songs}")


def test_recommendations_follow_the_night_that_is_served(open_page, tmp_path):
    store = write_music(tmp_path)
    root = write_recall(store, days=(2, 3))
    with browsing(store, "--recall", root) as address:
        page = open_page(address)
        page.click("nav >> text=Recommendations")
        page.click(".users >> text=u1")
        page.wait_for_selector(".ranked li")
        shown = "import('/js/store.js').then(s => s.page.get().library.about.recall.run_id)"
        runs = [json.loads((root / f"dt=2026-01-0{n}/run.json").read_text()) for n in (2, 3)]
        before, after = (run["run_id"] for run in runs)
        assert page.evaluate(shown) == after
        promote(root)
        look = "document.dispatchEvent(new Event('visibilitychange'))"  # in place of ten seconds
        until(page, f"({look}, {shown}.then(run => run === '{before}'))")
        page.wait_for_selector(".ranked li")
        assert "of a new night" in page.inner_text("[role=status].hidden")
        page.close()


def test_what_others_wrote_is_what_they_published():
    entries = json.loads((STATIC / "vendor" / "vendored.json").read_text())
    scripts = {path.name for path in (STATIC / "vendor").glob("*.js")}
    assert {entry["file"] for entry in entries} == scripts
    for entry in entries:
        data = (STATIC / "vendor" / entry["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        assert all((STATIC / "vendor" / name).is_file() for name in entry["licences"])


OWN = sorted(p for p in STATIC.rglob("*") if p.suffix in (".js", ".css", ".html", ".svg"))


@pytest.mark.parametrize("path", OWN, ids=lambda p: p.name)
def test_a_file_of_the_page_is_of_this_server_and_readable(path):
    text = path.read_text()
    assert re.findall(r"https?://(?!www\.w3\.org/)[^\s\"'`]+", text) == []
    assert "@import" not in text
    if "vendor" not in path.parts:
        assert text.count("\n") <= 450
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "dangerously",
            "eval(",
            "document.write",
        ):
            assert word not in text
        assert not re.search(r"<script>|\son\w+=\"|javascript:", text)
