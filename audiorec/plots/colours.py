"""Colours and markers of classes, distinguishable by the colour-blind.

Four colours for areas, ten for dots. Within each set, any two differ by at least 24 in CIELAB,
with normal sight, without red cones and without green ones. The four, after Okabe and Ito, also
differ in lightness, so they can be told apart in greyscale. Ten greys could not, so a map shows
each class in a small map of its own.
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
REST = "#B3B3B3"  # classes beyond the ten, and songs that are not music
RANGE = "#9DBFD9"  # range of a waveform
PAIR = ("#0072B2", "#E69F00")  # two compared songs
MARKERS = ("^", "o", "s", "D", "v", "P", "p", "h")
HEAT = "cividis"


def class_colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each class, by its position; those after the tenth are grey.

    Examples
    --------
    >>> class_colours(["blues", "classical"])
    {'blues': '#1F3A93', 'classical': '#F0E442'}
    """
    colours = (*MANY, *[REST] * len(names))
    return dict(zip(names, colours, strict=False))


def class_markers(names: Sequence[str]) -> dict[str, str]:
    """Return a marker for each class, by its position; those after the eighth share the last."""
    last = MARKERS[-1]
    return dict(zip(names, (*MARKERS, *[last] * len(names)), strict=False))
