"""Draw a library as a map on which nearby songs sound alike, and one user's plays on it.

    store ──map_library──▶ `LibraryMap`: positions (m, 2), classes, hubs ──draw_map──▶ a figure

The large panel shows all songs, coloured by genre and marked by version, with the names of a few
hubs: songs that are near to many others. Each genre also has a small panel, which serves as
legend, gives its number of songs, and shows its extent against all songs in grey.

    a `LibraryMap`, plays (m,), shares  ──user_figure──▶  one user's plays on the map, and bars
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from audiorec.errors import InputError, ShapeError, StoreError
from audiorec.search.atlas import MapKind, project, top_classes
from audiorec.search.music import is_music
from audiorec.search.scaling import By
from audiorec.search.searchable import SearchableStore
from audiorec.search.space import Space
from audiorec.search.topk import top_k
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array
from audiorec_plots import figures
from audiorec_plots.figures import (
    FAINT,
    INK,
    SMALL_PT,
    display_name,
    drawable,
    finish,
    house_style,
    new_figure,
)

NEAREST = 10
MOST_QUERIES = 2_000  # queries sampled; among 100,000 songs they take a second
GAP_PT = 7.0  # distance between a dot and its name
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_ALIGN = {1: "left", 0: "center", -1: "right"}
_RAISE = {1: "bottom", 0: "center", -1: "top"}


def hub_counts(units: FloatArray) -> Int64Array:
    """Count the top-ten lists of other songs that contain each song: shape (n,), int64.

    In a large library only 2,000 evenly spaced songs are queried.
    """
    n = len(units)
    if n < 2:
        return np.zeros(n, np.int64)
    asked = np.unique(np.linspace(0, n - 1, min(n, MOST_QUERIES)).round().astype(np.int64))
    result = top_k(units[asked], units, min(NEAREST + 1, n)).indices
    others = result[(result >= 0) & (result != asked[:, None])]
    return np.bincount(others, minlength=n)


def place_names(
    axes: Any, places: Float64Array, rows: Sequence[int], names: Sequence[str]
) -> list[int]:
    """Write names beside dots of a map (n, 2) where they fit; return the rows that were labelled.

    The figure must be laid out. A name stays within the axes, and covers as few dots as possible.
    """
    figure = axes.get_figure()
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    dots = axes.transData.transform(places)
    taken: list[Any] = []
    written = []
    for row, name in zip(rows, names, strict=True):
        best = None
        for side in _SIDES:
            text = _beside(axes, places[row], name, side)
            box = text.get_window_extent(renderer).padded(2)
            text.remove()
            fits = frame.x0 <= box.x0 and box.x1 <= frame.x1
            fits = fits and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if fits and not any(box.overlaps(other) for other in taken):
                covered = _inside(dots, box)
                if best is None or covered < best[0]:
                    best = covered, side, box
        if best is not None:
            _beside(axes, places[row], name, best[1])
            taken.append(best[2])
            written.append(row)
    return written


def _beside(axes: Any, place: Float64Array, name: str, side: tuple[int, int]) -> Any:
    right, up = side
    return axes.annotate(
        name,
        place,
        xytext=(GAP_PT * right, GAP_PT * up),
        textcoords="offset points",
        ha=_ALIGN[right],
        va=_RAISE[up],
        fontsize=SMALL_PT,
        color=INK,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        zorder=5,
        annotation_clip=False,
    )


def _inside(dots: Float64Array, box: Any) -> int:
    x, y = dots.T
    within = (x >= box.x0) & (x <= box.x1) & (y >= box.y0) & (y <= box.y1)
    return int(np.count_nonzero(within))


MAP_SIZE = (12.5, 8.0)  # inches
MOST_PANELS = 10  # classes with their own panel
MOST_NAMES = 8  # hubs labelled
LONGEST_NAME = 30  # characters
RASTER_FROM = 2_000  # songs: above, dots in an SVG are rasterised, as vectors would be slow
COLOUR_HEAD, MARKER_HEAD = "genre", "version"
NO_MUSIC = "not music"
BEHIND = "#D2D2D2"  # songs of other classes in a small panel
TITLES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LibraryMap:
    """The m songs of a map, in store order: positions, classes and hubs.

    Attributes
    ----------
    rows : ndarray, shape (m,), int64
        Rows of the store: all, unless some lack what songs are compared by.
    places : ndarray, shape (m, 2), float64
    variance : tuple of float, or None
        Share of the total variance along each axis, for PCA; else None.
    colour_head, marker_head : str
        Heads shown as colour and as marker; empty if the store has none.
    colour_names, marker_names : tuple of str
        Their classes.
    colour, marker : ndarray, shape (m,), int64
        The class with the highest mean score of each song.
    music : ndarray, shape (m,), bool
        False for silence, jingles, and songs that are rather speech or noise.
    hubs : tuple of (int, str)
        Indices into `rows`, and names, of songs that are near to many others; the most
        frequent neighbour first.
    """

    rows: Int64Array
    places: Float64Array
    variance: tuple[float, float] | None
    by: By
    projection: MapKind
    colour_head: str
    marker_head: str
    colour_names: tuple[str, ...]
    marker_names: tuple[str, ...]
    colour: Int64Array
    marker: Int64Array
    music: BoolArray
    hubs: tuple[tuple[int, str], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def counts(self, head: str) -> dict[str, int]:
        """Return the number of songs, music only, in each class of a head, largest first."""
        names, numbers = self.marker_names, self.marker
        if head == self.colour_head:
            names, numbers = self.colour_names, self.colour
        counts = [int(np.count_nonzero(self.music & (numbers == n))) for n in range(len(names))]
        return dict(sorted(zip(names, counts, strict=True), key=lambda item: -item[1]))


def library_figure(
    store: SearchableStore,
    *,
    by: str | Path = "auto",
    projection: MapKind = "pca",
    seed: int = 0,
    title: str = "",
    size: tuple[float, float] = MAP_SIZE,
) -> Figure:
    """Draw a library as a map.

    Parameters
    ----------
    store : SearchableStore
        For example a `Library`.
    by : {"auto", "sound", "vector"} or path
        The space in which songs are compared; see `SearchableStore.space`.
    projection : {"pca", "tsne", "umap"}
        Projection method; UMAP needs the extra ``map`` of audiorec.
    seed : int
        Used by t-SNE and UMAP.
    title : str
        By default the file name of the store.
    size : tuple of float
        Width and height in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    StoreError
        If the store is empty.
    InputError
        As for `SearchableStore.space`, `project` and `new_figure`.
    MissingExtraError
        If the library that the projection needs is not installed.
    """
    space = store.space(by)
    result = map_library(space, projection=projection, seed=seed)
    return draw_map(result, title=title or store.path.name, size=size)


def map_library(space: Space, *, projection: MapKind = "pca", seed: int = 0) -> LibraryMap:
    """Project the songs of a space onto a map; see `library_figure`."""
    store, rows = space.store, space.rows
    if not len(space):
        raise StoreError(f"{store.path}: has no songs to place on a map")
    units = space.matrix
    places = project(units, projection, seed=seed).astype(np.float64)
    heads = top_classes(store)
    colour_head, marker_head = _heads({head: len(names) for head, (names, _) in heads.items()})
    nothing: tuple[tuple[str, ...], Int64Array] = ((), np.zeros(len(store), np.int64))
    colour_names, colour = heads.get(colour_head, nothing)
    if (colour < 0).any():
        colour = np.where(colour < 0, len(colour_names), colour)
        colour_names = (*colour_names, "none of these")
    marker_names, marker = heads.get(marker_head, nothing)
    music = is_music(store)[rows]
    shares = _variance(units, places) if projection == "pca" else None
    return LibraryMap(
        rows=rows,
        places=places,
        variance=shares,
        by=space.by,
        projection=projection,
        colour_head=colour_head,
        marker_head=marker_head,
        colour_names=colour_names,
        marker_names=marker_names,
        colour=colour[rows],
        marker=marker[rows],
        music=music,
        hubs=_hubs(store, rows, np.where(music, hub_counts(units), -1), colour[rows]),
    )


def draw_map(found: LibraryMap, *, title: str, size: tuple[float, float] = MAP_SIZE) -> Figure:
    """Draw a map, with a small panel for each of the ten largest classes."""
    panels = _panels(found)
    with house_style():
        figure = new_figure(*size)
        n_rows = max(4, -(-len(panels) // 2))
        grid = figure.add_gridspec(n_rows, 3, width_ratios=(1.0, *[0.4 * 2 / n_rows] * 2))
        axes = figure.add_subplot(grid[:, :1] if panels else grid[:, :])
        _draw_dots(axes, found, _palette(found))
        _dress(axes, found)
        for number, (name, own, colour) in enumerate(panels):
            panel = figure.add_subplot(grid[number // 2, 1 + number % 2])
            _draw_panel(panel, found.places, own, colour)
            panel.set_title(f"{name}  {np.count_nonzero(own):,}", fontsize=SMALL_PT, pad=3)
        finish(figure, f"{drawable(title)}  ({_about(found)})")
        numbers, names = zip(*found.hubs, strict=True) if found.hubs else ((), ())
        labels = [drawable(name, longest=LONGEST_NAME) for name in names]
        place_names(axes, found.places, numbers, labels)
    return figure


def _about(found: LibraryMap) -> str:
    n, n_other = len(found), int(np.count_nonzero(~found.music))
    songs = f"{n:,} song{'s' * (n != 1)}"
    return f"{songs}, {n_other:,} {NO_MUSIC}" if n_other else songs


def _heads(widths: dict[str, int]) -> tuple[str, str]:
    """Return the heads for colour and marker: genre and version, else the two widest."""
    order = sorted(widths, key=lambda head: (head == MARKER_HEAD, -widths[head]))
    colour = COLOUR_HEAD if COLOUR_HEAD in widths else next(iter(order), "")
    rest = [head for head in order if head != colour]
    marker = MARKER_HEAD if MARKER_HEAD in rest else next(iter(rest), "")
    return colour, marker


def _variance(units: Any, places: Float64Array) -> tuple[float, float]:
    total = float(units.var(axis=0, dtype=np.float64).sum())
    x, y = places.var(axis=0)
    return (float(x) / total, float(y) / total) if total > 0 else (0.0, 0.0)


def _hubs(
    store: VectorStore, rows: Int64Array, counts: Int64Array, colour: Int64Array
) -> tuple[tuple[int, str], ...]:
    """Return the top hub of each class, with names; in a very small library, all songs."""
    if len(rows) <= MOST_NAMES:
        best = {place: place for place in range(len(rows))}
    else:
        best = {}
        for place in np.argsort(-counts, kind="stable").tolist():
            if counts[place] <= 0 or len(best) == MOST_NAMES:
                break
            best.setdefault(int(colour[place]), place)
    songs = store.rows([int(rows[place]) for place in best.values()])
    names = [song["title"] or Path(song["uri"]).stem for song in songs]
    return tuple(zip(best.values(), names, strict=True))


def _palette(found: LibraryMap) -> dict[str, str]:
    """Return the colour of each class; beyond ten classes, the largest ones get the colours."""
    names = found.colour_names
    if len(names) > len(figures.MANY):
        names = tuple(found.counts(found.colour_head))
    return figures.class_colours(names)


def _draw_dots(axes: Any, found: LibraryMap, palette: dict[str, str]) -> None:
    """Draw all songs, those that are not music at the bottom."""
    n = len(found)
    area = float(np.clip(4000 / n**0.7, 2.0, 42.0))
    look = {"alpha": float(np.clip(30 / n**0.5, 0.35, 0.9)), "rasterized": n > RASTER_FROM}
    x, y = found.places.T
    other = ~found.music
    count = int(other.sum())
    if count:
        axes.scatter(
            x[other], y[other], s=area * 0.8, c=figures.REST, marker="x", linewidth=1,
            label=f"{NO_MUSIC}  {count:,}", **look,
        )  # fmt: skip
    of_class = [palette[name] for name in found.colour_names] or [figures.PAIR[0]]
    names = found.marker_names or ("song",)
    counts = found.counts(found.marker_head) if found.marker_names else {"song": n - count}
    for number, (name, marker) in enumerate(figures.class_markers(names).items()):
        rows = np.flatnonzero(found.music & (found.marker == number))
        if not len(rows):
            continue
        axes.scatter(
            x[rows], y[rows], s=area, c=[of_class[c] for c in found.colour[rows]], marker=marker,
            edgecolor=INK, linewidth=0.4 if n <= RASTER_FROM else 0,
            label=f"{display_name(name)}  {counts[name]:,}", **look,
        )  # fmt: skip


def _dress(axes: Any, found: LibraryMap) -> None:
    """Label the axes, and add a legend of the markers."""
    name = TITLES[found.projection]
    shares = found.variance
    for side, (set_label, which) in enumerate(((axes.set_xlabel, "1"), (axes.set_ylabel, "2"))):
        share = "" if shares is None else f" ({100 * shares[side]:.0f} % of the variance)"
        set_label(f"{name} axis {which}{share}")
    axes.set(xticks=[], yticks=[])
    axes.margins(0.06)
    axes.set_aspect("equal", adjustable="datalim")
    head = display_name(found.colour_head) or "song"
    axes.set_title(f"nearby songs sound alike; colour: {head}, compared by {found.by}")
    legend = axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.045), ncols=5,
        title=display_name(found.marker_head), title_fontsize=SMALL_PT,
        markerscale=1.0 if len(found) <= RASTER_FROM else 3.0,
    )  # fmt: skip
    for handle in legend.legend_handles:  # a marker stands for all colours
        handle.set_alpha(1)
        handle.set_facecolor(INK)
        handle.set_rasterized(False)


def _panels(found: LibraryMap) -> list[tuple[str, BoolArray, str]]:
    """Return name, songs (m,) and colour of each small panel, largest class first."""
    palette = _palette(found)
    numbers = {name: n for n, name in enumerate(found.colour_names)}
    shown = [name for name, n in found.counts(found.colour_head).items() if n][:MOST_PANELS]
    panels = [
        (display_name(name), found.music & (found.colour == numbers[name]), palette[name])
        for name in shown
    ]
    if panels and not found.music.all():
        panels.append((NO_MUSIC, ~found.music, FAINT))
    return panels


def _draw_panel(axes: Any, places: Float64Array, own: BoolArray, colour: str) -> None:
    """Draw some songs against all others in grey."""
    n = len(places)
    area = float(np.clip(900 / n**0.7, 0.5, 14.0))
    raster = n > RASTER_FROM
    edge = 0.0 if raster else 0.4  # the edge sets pale dots off from the grey ones
    axes.scatter(*places[~own].T, s=area * 0.6, c=BEHIND, linewidth=0, rasterized=raster)
    axes.scatter(
        *places[own].T, s=area * 1.5, c=colour, edgecolor=INK, linewidth=edge, rasterized=raster
    )
    axes.set(xticks=[], yticks=[])
    axes.margins(0.06)
    axes.set_aspect("equal", adjustable="datalim")
    for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=2)


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
) -> Figure:
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
    palette = figures.class_colours(found.colour_names)
    sizes = 24 + 90 * plays[heard] / plays.max()
    names = found.colour_names or ("played",)
    for number, name in enumerate(names):
        own = heard[found.colour[heard] == number] if found.colour_names else heard
        if len(own):
            axes.scatter(
                *found.places[own].T,
                s=sizes[np.searchsorted(heard, own)],
                c=palette.get(name, figures.PAIR[0]),
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
    for offset, horizon, colour in zip((-0.2, 0.2), HORIZONS, (INK, figures.PAIR[1]), strict=True):
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
