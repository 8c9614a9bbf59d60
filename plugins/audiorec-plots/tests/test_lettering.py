"""`audiorec_plots.figures`: what can be read, and told apart."""

from itertools import combinations

import numpy as np
import pytest
from needs import needs

needs("audiorec_plots")

from audiorec_plots import figures
from audiorec_plots.figures import BOX, LONGEST, drawable

# What the eye makes of linear RGB without green cones and without red ones (Machado 2009).
NO_GREEN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881]]  # fmt: skip
NO_RED = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
          [-0.003882, -0.048116, 1.051998]]  # fmt: skip
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour, sight):
    """CIELAB of a colour as ``#rrggbb``, seen through a matrix."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x = XYZ @ np.clip(np.asarray(sight) @ linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", [np.eye(3), NO_GREEN, NO_RED], ids=["all", "no green", "no red"])
@pytest.mark.parametrize(
    ("palette", "least"), [(figures.FEW, 24), (figures.MANY, 24), (figures.PAIR, 60)]
)
def test_colours_are_told_apart(palette, least, sight):
    seen = [lab(colour, sight) for colour in palette]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) >= least


@pytest.mark.parametrize("palette", [figures.FEW, figures.PAIR])
def test_areas_and_pairs_are_told_apart_in_greyscale(palette):
    lightness = sorted(lab(colour, np.eye(3))[0] for colour in palette)
    assert min(np.diff(lightness)) >= 14


def test_classes_beyond_the_palette_are_grey():
    names = [f"class {i}" for i in range(12)]
    found = figures.class_colours(names)
    assert list(found) == names
    assert list(found.values()) == [*figures.MANY, figures.REST, figures.REST]
    assert list(figures.class_markers(names).values())[7:] == ["h"] * 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Björk: Jóga", "Björk: Jóga"),
        ("Ελλάδα, Россия", "Ελλάδα, Россия"),
        ("two\nlines\x1b[2J\u202e", r"two\nlines\x1b[2J\u202e"),
        ("$x^2$", "$x^2$"),
        ("", ""),
    ],
)
def test_text_is_drawn(text, shown):
    assert drawable(text) == shown


def test_what_no_font_has_is_a_box():
    assert drawable("a\U0001f3b5\u200db\u2764\ufe0f").replace("\ufe0f", "") in (
        f"a{BOX}b\u2764",
        f"a{BOX}\u200db\u2764",
        "a\U0001f3b5\u200db\u2764",
    )


@pytest.mark.parametrize("length", [LONGEST, LONGEST + 1, 5_000])
def test_a_long_text_is_cut_in_the_middle(length):
    text = "a" * (length - 1) + "z"
    shown = drawable(text)
    assert len(shown) == LONGEST
    assert (shown == text) is (length == LONGEST)
    assert shown[0], shown[-1] == ("a", "z")
