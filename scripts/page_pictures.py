"""Make the pictures of docs/page.md: the page over the bundled clips, in Chromium.

    uv run --group full python scripts/page_pictures.py [FOLDER]

Extracts the clips, makes a small listening log up, lets ``recall run`` propose songs, and takes one
picture of each view into FOLDER, docs/pictures by default.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from web_server import browsing, choose, chromium, until, write_recall  # noqa: E402

SIZE = {"width": 1280, "height": 800}
SONG = "Country Fiddle"
# The first picture within the scores is the waveform: transparent until it is drawn.
WAVE_IS_DRAWN = """(() => {
  const wave = document.querySelector(".scores canvas");
  if (!wave?.width || !wave.height) return false;
  const { data } = wave.getContext("2d").getImageData(0, 0, wave.width, wave.height);
  return data.some((value) => value > 0);
})()"""


def main() -> None:
    """Take the pictures."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "vecs.parquet"
        clips = ROOT / "fixtures" / "audio"
        script = "from audiorec_cli.main import main; main()"
        arguments = [
            "extract",
            clips,
            "--out",
            store,
            "--scores",
            store.with_name("scores.parquet"),
        ]
        subprocess.run([sys.executable, "-c", script, *map(str, arguments), "-q"], check=True)
        serving = write_recall(store)
        log = store.parent / "plays.csv"
        with (
            browsing(store, "--root", clips, "--recall", serving, "-i", log) as address,
            chromium() as browser,
        ):
            for scheme in ("light", "dark"):
                page = browser.new_context(viewport=SIZE, color_scheme=scheme).new_page()
                page.goto(address)
                take(page, out, scheme)


def take(page, out: Path, scheme: str) -> None:
    """Take one picture a view."""
    page.wait_for_selector(".grid .space .row")
    rows = page.locator(".grid .space .row .cell.title").all_inner_texts()
    chosen = next((row for row in rows if SONG in row), rows[-1])
    choose(page, chosen)
    page.wait_for_selector(".near li")
    page.wait_for_selector(".strips")
    until(page, WAVE_IS_DRAWN)
    page.wait_for_timeout(300)  # for what is drawn in the next frames
    page.screenshot(path=out / f"page-library-{scheme}.png")
    if scheme == "dark":
        return
    page.click("text=Make a list from it")
    page.click("text=Along a curve")
    page.fill("label:has-text('Minutes') input", "2")
    page.click("text=Make the list")
    page.wait_for_selector(".listed li:nth-child(3)")
    page.wait_for_timeout(300)
    page.screenshot(path=out / "page-list.png")
    page.click("nav >> text=Recommendations")
    page.click(".users >> text=u3")
    page.wait_for_selector(".ranked li")
    page.click("text=Places of each channel")
    page.wait_for_timeout(300)
    page.screenshot(path=out / "page-recommendations.png")


if __name__ == "__main__":
    main()
