"""What the page looks like to everyone: words, sizes of what one taps, colours."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from web_server import choose, go

STATIC = Path(__file__).parents[2] / "audiorec" / "web" / "static"
VIEWS = {
    "/": ".hero h1",
    "/map": ".legend .group",
    "/songs": ".grid .space .row",
    "/albums": ".tile",
    "/album/Clips": ".open-album .song-line",
    "/artist/Dread": ".artist-hero h1",
    "/find": ".sayings a",
    "/find?q=genre%3Dmetal": ".found .song-line",
    "/library": ".chart",
    "/tidy": ".copies h1",
    "/list": ".making",
}
# Words of engineers; commands stand in code, which is left out. One version of a title is music.
ENGINEERS = (
    r"\b(stores?|scores?|(?<!one )version|embeddings?|vectors?|backbone|parquet|rows?|null|NaN)\b"
)
SPOKEN = r"""() => {
  const text = [];
  const walk = (node) => {
    if (node.nodeType === 3) text.push(node.data);
    else if (node.nodeType === 1 && !["CODE", "PRE", "BDI"].includes(node.tagName)) {
      for (const name of ["title", "aria-label", "placeholder", "aria-valuetext"])
        text.push(node.getAttribute(name) || "");
      node.childNodes.forEach(walk);
    }
  };
  walk(document.body);
  return text.join("\n");
}"""
# Not yet as large as a thumb: rows of text, which are links as a whole, are 44 pixels apart.
SMALL = """() => [...document.querySelectorAll("button, select, input, summary, nav a, .button")]
  .filter(one => one.checkVisibility() && !one.closest("label"))
  .map(one => [one.title || one.innerText || one.id || one.className, one.getBoundingClientRect()])
  .filter(([, box]) => box.width && box.height < 43.5)
  .map(([name, box]) => `${name}: ${box.height}`)"""


def test_nobody_who_listens_reads_the_words_of_engineers(open_page, address):
    page = open_page(address)
    choose(page, "Prelude")
    page.wait_for_selector(".near li")
    said = {"song": page.evaluate(SPOKEN)}
    for path, ready in VIEWS.items():
        go(page, path)
        page.wait_for_selector(ready)
        said[path] = page.evaluate(SPOKEN)
    found = {name: set(re.findall(ENGINEERS, text, re.I)) for name, text in said.items()}
    assert {name: words for name, words in found.items() if words} == {}


def test_a_thumb_hits_everything_on_a_phone(open_page, address):
    page = open_page(address, viewport={"width": 390, "height": 844}, has_touch=True)
    for path, ready in VIEWS.items():
        go(page, path)
        page.wait_for_selector(ready)
        assert page.evaluate(SMALL) == [], path
    choose(page, "Prelude")
    page.wait_for_selector(".near li")
    assert page.evaluate(SMALL) == []


# What eyes without one kind of cone see of linear red, green and blue (Machado and others, 2009).
BLIND = {
    "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998]],
    "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
              [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip
LMS = np.array(  # and of OKLab
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LAB = np.array(
    [
        [0.2104542553, 0.793617785, -0.0040720468],
        [1.9779984951, -2.428592205, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.808675766],
    ]
)


def seen_by(colours, eyes):
    """Return colours (n, 3) of a palette in OKLab, as eyes without a kind of cone see them."""
    srgb = np.array([[int(one[at : at + 2], 16) for at in (1, 3, 5)] for one in colours]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(np.clip(linear @ np.array(BLIND[eyes]).T, 0, 1) @ LMS.T) @ LAB.T


@pytest.mark.parametrize("eyes", BLIND)
@pytest.mark.parametrize("name", ["DARK", "LIGHT"])
def test_genres_differ_for_eyes_that_see_fewer_colours(name, eyes):
    text = (STATIC / "js" / "colours.js").read_text()
    colours = re.findall("#[0-9a-f]{6}", re.search(rf"{name} = \[(.*)\]", text)[1])
    assert len(colours) == 10
    seen = seen_by(colours, eyes)
    closest = min(np.linalg.norm(a - b) for a, b in combinations(seen, 2))
    print(f"{name}, {eyes}-blind: the closest two are {closest:.3f} apart in OKLab")
    assert closest > 0.04  # twice what one just tells apart side by side; shapes are offered too
