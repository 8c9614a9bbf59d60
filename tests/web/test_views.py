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
from web_server import browsing, choose, until, write_music, write_recall

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


def views(page):
    """Go through the views; gives the name of each when it is complete."""
    yield "library"
    choose(page, "Louder")
    page.wait_for_selector(".near li")
    page.wait_for_selector(".strips")
    yield "song"
    page.click("text=The numbers behind it")
    page.wait_for_selector(".heat td")
    page.click("text=The file")
    yield "numbers"
    page.locator(".near >> text=Compare").first.click()
    page.wait_for_selector(".compare .parts li")
    yield "compare"
    page.keyboard.press("Escape")
    page.click("text=Conditions")
    page.get_by_placeholder("genre=jazz, duration<4:00").fill("genre=metal")
    until(page, "document.querySelectorAll('.grid .space .row').length < 5")
    yield "conditions"
    page.keyboard.press("Escape")
    page.click("text=Make a list from it")
    page.click("text=Along a curve")
    page.click("text=Make the list")
    page.wait_for_selector(".listed li:nth-child(3)")
    yield "list"
    page.click("nav >> text=Duplicates")
    page.wait_for_selector(".copies h2")
    yield "duplicates"
    page.click("nav >> text=Recommendations")
    page.wait_for_selector(".users li")
    yield "whom"
    page.click(".users >> text=u3")
    page.wait_for_selector(".ranked li")
    page.click("text=Weight of each channel")
    page.click("text=Places of each channel")
    yield "recommendations"
    page.click("nav >> text=Reports")
    add_reports(page, "one.json", report())
    page.wait_for_selector(".chart li")
    yield "reports"
    page.click("nav >> text=State")
    page.wait_for_selector(".facts")
    yield "state"


def report(**figures):
    """What ``recall evaluate --json`` prints, in short."""
    channels = [
        {
            "channel": name,
            "queries": 60,
            "measures": {
                "recall": {"5": [at, at - 0.05, at + 0.05], "10": [at + 0.1, at, at + 0.2]}
            },
            "strata": {"played once": {"recall": at / 2, "wanted": 9}},
            "gini": 0.6,
        }
        for name, at in (figures or {"popular": 0.2, "sasrec": 0.4}).items()
    ]
    return json.dumps(
        {"schema": "audiorec/recall-evaluate/1", "split": "time", "channels": channels}
    )


def add_reports(page, name, text):
    file = {"name": name, "mimeType": "application/json", "buffer": text.encode()}
    page.set_input_files(".reports input[type=file]", [file])


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
    assert 40_000 < sum(sizes) <= 300_000


def test_recommendations_dials_and_a_history_without_a_song(open_page, recommended):
    page = open_page(recommended)
    page.click("nav >> text=Recommendations")
    page.click(".users >> text=u3")
    page.wait_for_selector(".ranked li")
    assert page.locator(".channel").count() == 4
    assert page.locator(".ranked .badge").count() > 0
    assert re.search("listeners|sounds like|popular", page.inner_text(".ranked"))
    before = page.inner_text(".ranked")
    dial = page.locator(".dials label", has_text="Songs of one artist").locator("input")
    with page.expect_response("**/api/fuse"):
        dial.fill("1")
    until(page, "document.querySelector('.ranked').innerText.length > 0")
    with page.expect_response("**/api/fuse"):
        dial.fill("0")
    page.click("text=Weight of each channel")
    with page.expect_response("**/api/fuse"):
        page.locator(".weights label", has_text="item-knn").locator("input").evaluate(
            "one => { one.value = 0; one.dispatchEvent(new Event('input', {bubbles: true})); }"
        )
    until(page, f"document.querySelector('.ranked').innerText !== {json.dumps(before)}")
    assert "item-knn" not in page.inner_text(".ranked")
    with page.expect_response("**/api/ask"):
        page.locator(".heard input").first.uncheck()
    page.wait_for_selector(".ranked .changed, .fused .note, .ranked li")
    page.click("text=Show on the map")
    page.wait_for_selector("text=Shown: recommended songs")


def test_quotas_answer_by_keyboard_and_by_mouse_and_are_taken_back(open_page, recommended):
    page = open_page(recommended)
    page.click("nav >> text=Recommendations")
    page.click(".users >> text=u3")
    page.wait_for_selector(".ranked li")
    before = page.inner_text(".ranked")
    summary = page.locator("summary", has_text="Places of each channel")
    summary.focus()
    page.keyboard.press("Enter")
    places, say = page.locator(".places"), page.locator(".weights")
    quota = places.get_by_role("slider", name="popular")
    found = places.get_by_role("slider").evaluate_all("all => all.map(one => one.value)")
    assert found == ["8", "15", "7", "0"]  # says of 1, 2 and 1, in 30 places; replay has no share
    page.evaluate(
        "window.jumps = 0; new PerformanceObserver(l => l.getEntries().forEach("
        "e => { if (!e.hadRecentInput) window.jumps += e.value; }))"
        ".observe({type: 'layout-shift'})"
    )
    for name in ("item-knn", "nearest-audio"):
        places.get_by_role("slider", name=name).focus()
        page.keyboard.press("Home")
    quota.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    with page.expect_response("**/api/fuse"):
        page.keyboard.press("ArrowLeft")
    until(page, "document.querySelectorAll('.ranked li').length === 4")
    assert "4 places in the list" in page.inner_text(".quotas")
    assert say.locator("input").first.is_disabled()  # the weights are not used
    assert set(page.locator(".ranked .badge").all_inner_texts()) == {"popular"}
    box = quota.bounding_box()
    with page.expect_response("**/api/fuse"):
        page.mouse.click(box["x"] + 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("text=Nothing left to recommend")
    assert page.evaluate("window.jumps") < 0.05
    with page.expect_response("**/api/fuse"):
        page.get_by_role("button", name="Reset the places").click()
    until(page, f"document.querySelector('.ranked').innerText === {json.dumps(before)}")
    assert "The weights decide." in page.inner_text(".quotas")


def test_recommendations_for_a_history_of_ones_own(open_page, recommended):
    page = open_page(recommended)
    page.click("nav >> text=Recommendations")
    page.fill("textarea", "jazz-vibraphone.mp3\nno-such-song\nblues-band.mp3")
    page.click("text=Use these")
    page.wait_for_selector(".ranked li")
    assert "no-such-song" in page.inner_text(".who .note")
    assert {"Vibes", "Blue band"} <= set(page.inner_text(".heard").splitlines())
    names = page.locator(".ranked .title").all_inner_texts()
    assert names
    assert not {"Vibes", "Blue band"} & set(names)


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
        shown = "import('/js/store.js').then(s => s.page.get().library.about.recall.folder)"
        assert page.evaluate(shown).endswith("dt=2026-01-03")
        promote(root)
        look = "document.dispatchEvent(new Event('visibilitychange'))"  # in place of ten seconds
        until(page, f"({look}, {shown}.then(folder => folder.endsWith('dt=2026-01-02')))")
        page.wait_for_selector(".ranked li")
        assert "of a new night" in page.inner_text("[role=status].hidden")
        page.close()


def test_reports_are_compared(open_page, recommended):
    page = open_page(recommended)
    page.click("nav >> text=Reports")
    add_reports(page, "one.json", report())
    until(page, "document.querySelectorAll('.chart li').length === 2")
    assert page.locator(".chart .name").all_inner_texts() == ["sasrec", "popular"]
    assert "0.5000 [0.4000, 0.6000]" in page.inner_text(".chart")  # the largest k at first
    page.select_option(".reports label:has-text('Lists of') select", "5")
    assert "0.4000 [0.3500, 0.4500]" in page.inner_text(".chart")
    add_reports(page, "two.json", report(mind=0.3))
    until(page, "document.querySelectorAll('.chart li').length === 3")
    assert page.locator(".chart .name").all_inner_texts()[1] == "mind (two.json)"
    assert page.locator(".reports tbody tr").count() == 3
    for name, text in (("bad.json", "{"), ("other.json", '{"schema": "x"}'), ("null.json", "null")):
        add_reports(page, name, text)
        page.wait_for_selector(f".failure:has-text('{name}')")
    page.click("button[title='Remove one.json']")
    until(page, "document.querySelectorAll('.chart li').length === 1")


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
