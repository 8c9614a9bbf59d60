"""Draw one user: plays on the map of the library, and a portrait beside it.

a `LibraryMap`, plays (m,), shares  ──user_figure──▶  a map, and bars for both horizons
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.plots import style
from audiorec.plots.figures import finish, new_figure
from audiorec.plots.library_map import BEHIND, LibraryMap
from audiorec.plots.panels import display_name
from audiorec.plots.style import FAINT, INK, SMALL_PT, drawable, house_style
from audiorec.types import Int64Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USER_SIZE = (12.5, 7.0)  # inches
MOST_BARS = 6  # per kind
LONGEST = 26  # characters of a value
HORIZONS = ("long", "short")
Share = Mapping[str, Any]  # horizon, kind, value, share


def user_figure(
    found: LibraryMap,
    plays: Int64Array,
    shares: Sequence[Share],
    *,
    title: str,
    size: tuple[float, float] = USER_SIZE,
) -> "Figure":
    """Draw a user's plays on the map of a library, and a portrait over long and short horizons.

    Parameters
    ----------
    found : LibraryMap
        A map of m songs.
    plays : ndarray, shape (m,), int64
        Number of plays of each song by the user; mostly 0.
    shares : sequence of mapping
        Rows of a portrait: ``horizon`` (long, short), ``kind``, ``value``, ``share``.
    title : str
    size : tuple of float
        Width and height in inches.

    Raises
    ------
    ShapeError
        If the lengths of plays and map differ.
    InputError
        If the user played none of the songs, or as for `new_figure`.
    MissingExtraError
        If matplotlib is not installed.
    """
    if plays.shape != (len(found),):
        raise ShapeError(f"plays must have shape ({len(found)},), got {plays.shape}")
    if not plays.any():
        raise InputError("the user played no song of this store; check the song ids of the log")
    kinds = list(dict.fromkeys(row["kind"] for row in shares))
    with house_style():
        figure = new_figure(*size)
        grid = figure.add_gridspec(max(1, len(kinds)), 2, width_ratios=(1.0, 0.62))
        _draw_map(figure.add_subplot(grid[:, 0]), found, plays)
        for number, kind in enumerate(kinds):
            rows = [row for row in shares if row["kind"] == kind]
            _draw_shares(figure.add_subplot(grid[number, 1]), kind, rows, first=number == 0)
        n = int(np.count_nonzero(plays))
        finish(figure, f"{drawable(title)}  ({n:,} songs, {int(plays.sum()):,} plays)")
    return figure


def _draw_map(axes: Any, found: LibraryMap, plays: Int64Array) -> None:
    """Draw all songs in grey, and the user's coloured by genre and sized by plays."""
    heard = np.flatnonzero(plays)
    others = found.places[plays == 0]
    area = float(np.clip(4000 / len(found) ** 0.7, 2.0, 30.0))
    axes.scatter(*others.T, s=area, c=BEHIND, linewidth=0, rasterized=len(found) > 2_000)
    palette = style.class_colours(found.colour_names)
    sizes = 24 + 90 * plays[heard] / plays.max()
    names = found.colour_names or ("played",)
    for number, name in enumerate(names):
        own = heard[found.colour[heard] == number] if found.colour_names else heard
        if len(own):
            axes.scatter(
                *found.places[own].T,
                s=sizes[np.searchsorted(heard, own)],
                c=palette.get(name, style.PAIR[0]),
                edgecolor=INK,
                linewidth=0.5,
                label=display_name(name),
            )
    axes.set(xticks=[], yticks=[])
    axes.margins(0.06)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title("songs that were played; nearby songs sound alike")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=5, fontsize=SMALL_PT)


def _draw_shares(axes: Any, kind: str, rows: Sequence[Share], *, first: bool) -> None:
    """Draw the shares of one kind: a pair of bars per value, long above short."""
    by = {(row["horizon"], row["value"]): float(row["share"]) for row in rows}
    values = list(dict.fromkeys(row["value"] for row in rows))
    values.sort(key=lambda value: -max(by.get((h, value), 0.0) for h in HORIZONS))
    values = values[:MOST_BARS]
    places = np.arange(len(values))
    for offset, horizon, colour in zip((-0.2, 0.2), HORIZONS, (INK, style.PAIR[1]), strict=True):
        widths = [by.get((horizon, value), 0.0) for value in values]
        label = "over months" if horizon == "long" else "in the last days"
        axes.barh(places + offset, widths, height=0.36, color=colour, label=label)
    axes.set_yticks(places, [drawable(value, longest=LONGEST) for value in values])
    axes.invert_yaxis()
    axes.set(xlim=(0, 1))
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"{display_name(kind)}: share of the plays")
    axes.grid(axis="x", color=FAINT, alpha=0.25)
    axes.set_axisbelow(True)
    if first:
        axes.legend(loc="lower right")
