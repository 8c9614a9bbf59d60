"""Ten ways through the page in a real browser, over a folder of your songs: a line for each.

    uv run --group full python -m benchmarks page_flows MUSIC [--work WORK] [--jobs 1]

Hears the songs by ``audiorec start`` into a fresh store below WORK, and opens the page meanwhile:
the first run, the page that grows, a search, Back, its link in a new tab, a corrected genre, an
album, the map of a phone, a recording that is there twice, a radio. The steps are those of
``tests/web/test_flows.py``. Each line of JSON says how many seconds the steps took, the waiting for
pictures and sound included, and what was seen; or why not, and then the command ends with 1. What
the page complains of, or asks of others, is such a reason.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import web_flows
from bench_start import started
from playwright.sync_api import Browser, Error, Page
from web_server import chromium, go, split_address, until

LONGEST_S = 3600.0  # until all songs are heard
GENRE = "campfire"  # one's own word, which no song has before
# Titles that are words alone; of the third, its first word is searched for.
TITLES = """import('/js/store.js').then(s => { const { library } = s.page.get();
  return library.ids.map((_, row) => library.title(row))
    .filter(one => /^\\w{4,} \\w+$/.test(one)); })"""
SONG = """Promise.all(['store', 'route'].map(one => import(`/js/${one}.js`)))
  .then(([s, r]) => r.short(s.page.get().library.ids[7]))"""


class Walk:
    """A browser at an address, and how many ways went wrong."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.browser, self.address = browser, address
        self.base, self.token = split_address(address)
        self.wrong = 0
        self.complaints: list[str] = []

    @contextmanager
    def opened(self, view: str, **settings: Any) -> Iterator[Page]:
        """Open a view in a window of its own."""
        settings.setdefault("viewport", {"width": 1280, "height": 860})
        context = self.browser.new_context(**settings)
        page = context.new_page()
        page.on("console", lambda said: self.complaints.append(said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)
        page.goto(self.address.replace("/#", f"{view}#"))
        page.wait_for_selector("#main h1")
        try:
            yield page
        finally:
            context.close()

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(f"{self.base}/"):
            self.complaints.append(f"asked {request.url}")

    def tell(
        self,
        flow: str,
        walk: Callable[..., Any],
        *arguments: Any,
        expected: str = "",
        **options: Any,
    ) -> None:
        """Walk, and print what was seen; complaints with the `expected` words are none."""
        self.complaints.clear()
        begun, line = time.monotonic(), {"flow": flow}
        try:
            line["saw"] = walk(*arguments, **options)
            said = [one for one in self.complaints if not (expected and expected in one)]
            assert not said, said
        except (AssertionError, Error) as error:
            line["wrong"] = str(error)
            self.wrong += 1
        print(json.dumps({**line, "seconds": round(time.monotonic() - begun, 1)}), flush=True)

    def while_heard(self) -> None:
        """Look at the page as songs come, until all are there."""
        with self.opened("/") as page:
            self.tell("first run", web_flows.first_run, page)
            self.tell("open while hearing", web_flows.open_while_hearing, page, timeout_s=LONGEST_S)
            heard = "document.querySelector('.heard-state').innerText.includes('all heard')"
            until(page, heard, timeout_s=LONGEST_S)

    def afterwards(self) -> None:
        """Go the other ways."""
        with self.opened("/") as page:
            words = page.evaluate(TITLES)[2].split()[0].lower()
            # A name says nothing of a sound, which the server answers by 400.
            self.tell("search", web_flows.search, page, words, expected="status of 400")
            self.tell("Back", web_flows.back, page, words, expected="status of 400")
            page.locator(".found .song-line .title").first.click()
            page.wait_for_selector("#song-title")
            self.tell("link in a new tab", web_flows.new_tab, page, self.token)
            self.tell("correct a genre", web_flows.correct_and_find, page, GENRE)
            go(page, "/albums")
            self.tell("album", web_flows.album, page)
            song = page.evaluate(SONG)
        with self.opened("/map", **web_flows.PHONE) as page:
            self.tell("phone map", web_flows.phone_map, page, song)
        with self.opened("/tidy") as page:
            self.tell("duplicate", web_flows.duplicates, page)
        with self.opened(f"/song/{song}") as page:
            self.tell("radio", lambda: len(web_flows.radio(page)))


def main() -> int:
    """Hear, walk and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("music", type=Path)
    parser.add_argument("--work", type=Path, help="a folder for the store, which is emptied")
    parser.add_argument("--jobs", type=int, default=0, help="processes that hear (0: all cores)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        work = args.work or Path(folder) / "work"
        with started(args.music, work, args.jobs) as (address, *_):
            walk = Walk(browser, address)
            walk.while_heard()
            walk.afterwards()
            return int(walk.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
