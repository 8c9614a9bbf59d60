"""Colours and markers of classes, told apart by the colour-blind.

Four colours for areas, ten for dots. No two of either are nearer than 24 in CIELAB, whether seen
with normal sight, without red cones or without green ones. The four, after Okabe and Ito, differ in
lightness as well, and so stay apart in greyscale. Ten greys would not be told apart: a map gives
each class a small map of its own.
"""

from collections.abc import Sequence

FEW = ("#F0E442", "#0072B2", "#D98200", "#444444")  # yellow, blue, orange, grey: L* 89, 46, 62, 29
MANY = (
    "#1F3A93",  # dark blue
    "#F0E442",  # yellow
    "#DDCC77",  # sand
    "#56B4E9",  # sky blue
    "#80CDC1",  # teal
    "#882255",  # wine
    "#D55E00",  # vermilion
    "#000000",
    "#CC6677",  # rose
    "#B2182B",  # red
)
REST = "#B3B3B3"  # classes beyond the ten, and what is no music
RANGE = "#9DBFD9"  # of a waveform
PAIR = ("#0072B2", "#E69F00")  # two songs
MARKERS = ("^", "o", "s", "D", "v", "P", "p", "h")
HEAT = "cividis"


def of_classes(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each class, by its place; those beyond the tenth are grey.

    Examples
    --------
    >>> of_classes(["blues", "classical"])
    {'blues': '#1F3A93', 'classical': '#F0E442'}
    """
    colours = (*MANY, *[REST] * len(names))
    return dict(zip(names, colours, strict=False))


def markers(names: Sequence[str]) -> dict[str, str]:
    """Return a marker for each class, by its place; those beyond the eighth share the last."""
    last = MARKERS[-1]
    return dict(zip(names, (*MARKERS, *[last] * len(names)), strict=False))
