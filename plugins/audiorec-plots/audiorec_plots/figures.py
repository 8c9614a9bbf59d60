"""Create a figure in audiorec's style, the same on any machine, and write it to a file.

    with house_style():
        figure = new_figure(11, 7)  ...  write_picture(figure, Path("song.png"))

    a head of at most four classes  ──draw_areas──▶ stacked areas that fill the height
    a head of more classes          ──draw_strip──▶ a heat map, one row per class
    an `Envelope`                   ──draw_waveform──▶ sample range, and root mean square within

Figures belong to their caller only: pyplot, which keeps a reference to every figure and may open a
window, is never imported.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import matplotlib.style
import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.patches import Patch

from audiorec.errors import InputError
from audiorec.files.own_files import replaced, write_errors
from audiorec.files.visible import clock, visible
from audiorec.types import Envelope, Float64Array, FloatArray, ScoreSeries

if TYPE_CHECKING:  # it loads a decoder
    from audiorec_plots.sound import Spectrogram

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

    Four colours for areas, ten for dots. Within each set, any two differ by at least 24 in CIELAB,
    with normal sight, without red cones and without green ones. The four, after Okabe and Ito, also
    differ in lightness, so they can be told apart in greyscale. Ten greys could not, so a map shows
    each class in a small map of its own.

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


OURS = "DejaVu Sans"  # shipped with matplotlib
OTHERS = (
    "Noto Sans CJK JP",
    "Noto Sans",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Sans Hebrew",
    "Noto Sans Arabic",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Segoe UI Symbol",
    "Arial Unicode MS",
)
BOX = "\u25a1"
_UNSEEN = frozenset("\u200c\u200d\ufe0e\ufe0f")  # joiners and variation selectors: no glyph
LONGEST = 60  # characters of a name in a picture


def drawable(text: str, *, longest: int = LONGEST) -> str:
    """Return a text as one drawable line, shortened in the middle if it is too long."""
    shown = "".join(_glyph(c) for c in visible(text))
    if len(shown) <= longest:
        return shown
    head = (longest - 1) * 2 // 3
    return f"{shown[:head]}…{shown[len(shown) - (longest - 1 - head) :]}"


@cache
def font_families() -> tuple[str, ...]:
    """Return the font families for drawing text, matplotlib's own first.

    It covers Latin, Greek, Cyrillic, Hebrew and Arabic. Other scripts are drawn in fonts from a
    short list, if installed; characters missing from all of them become a box.
    """
    there = {entry.name for entry in fontManager.ttflist}
    return (OURS, *(name for name in OTHERS if name in there))


@cache
def _glyph(character: str) -> str:
    if any(font.get_char_index(ord(character)) for font in _fonts()):
        return character
    return "" if character in _UNSEEN else BOX


@cache
def _fonts() -> tuple[Any, ...]:
    return tuple(get_font(findfont(FontProperties(family=[name]))) for name in font_families())


PictureFormat = Literal["png", "svg", "html"]
FORMATS: tuple[PictureFormat, ...] = get_args(PictureFormat)
DPI = 110  # dots per inch
SMALL_PT, TEXT_PT, TITLE_PT = 8.0, 9.0, 11.0  # points: ticks, labels, titles
INK, FAINT = "#222222", "#767676"  # main text, and secondary lines and ticks
_STYLE: Mapping[str, Any] = {
    "font.size": TEXT_PT,
    "axes.titlesize": TITLE_PT,
    "axes.titlelocation": "left",
    "axes.labelsize": TEXT_PT,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "text.color": INK,
    "text.parse_math": False,
    "text.hinting": "none",  # keeps glyph widths of the layout at any resolution
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "legend.fontsize": SMALL_PT,
    "legend.frameon": False,
    "svg.hashsalt": "audiorec",  # makes the ids in an SVG deterministic
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ margin: 0; background: white; }} \
svg {{ width: 100%; height: auto; display: block; }} \
h1 {{ position: absolute; clip-path: inset(50%); }}</style>
</head>
<body>
<main>
<h1 id="title">{title}</h1>
{drawing}
</main>
</body>
</html>
"""


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with audiorec's matplotlib settings instead of the user's."""
    with rc_context():
        matplotlib.style.use(["default", {**_STYLE, "font.family": list(font_families())}])
        yield


def saved(figure: Figure, form: PictureFormat, *, dpi: float = DPI) -> bytes:
    """Return a figure as file content; HTML is a single page with the picture as inline SVG."""
    nothing = {"Software": None} if form == "png" else {"Date": None, "Creator": None}
    buffer = io.BytesIO()
    drawn = "svg" if form == "html" else form
    with house_style():
        figure.savefig(buffer, format=drawn, dpi=dpi, metadata=nothing, facecolor="white")
    if form != "html":
        return buffer.getvalue()
    heading = figure.get_suptitle() or "audiorec"
    return _page(buffer.getvalue().decode(), heading).encode()


def _page(svg: str, heading: str) -> str:
    """Return a self-contained page that may load nothing from elsewhere."""
    title = escape(" ".join(heading.split()))
    drawing = svg[svg.index("<svg") :].replace("<svg", '<svg role="img" aria-labelledby="title"', 1)
    return _PAGE.format(title=title, drawing=drawing.strip())


SMALLEST, LARGEST = 2.0, 100.0  # inches, width and height of a figure
MOST_PIXELS = 100_000_000
PAD_IN = 0.07  # inches around each laid-out element
DIGITS = 6  # decimals of relative positions: a thousandth of a dot


def picture_format(path: Path) -> PictureFormat:
    """Return the picture format that a file name implies.

    Raises
    ------
    InputError
        If the extension is unknown, or the path cannot be a file.

    Examples
    --------
    >>> picture_format(Path("song.SVG"))
    'svg'
    """
    for name in FORMATS:
        if path.suffix.lower() == f".{name}":
            break
    else:
        raise InputError(f"{path}: unknown picture format; use .png, .svg or .html")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written: it is a folder, or its folder does not exist")
    return name


def check_size(width: float, height: float, dpi: float = DPI) -> None:
    """Check the size of a picture in inches, and its resolution in dots per inch.

    Raises
    ------
    InputError
        If a side is not 2 to 100 inches long, or the picture has over a hundred million dots.
    """
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise InputError(
            f"a picture must be {SMALLEST:g} to {LARGEST:g} inches wide and high, "
            f"got {width:g} by {height:g}"
        )
    if not 1 <= dpi <= MOST_PIXELS or width * height * dpi**2 > MOST_PIXELS:
        raise InputError(
            f"{width:g} by {height:g} inches at {dpi:g} dots per inch is out of range: a "
            f"picture has at least 1 dot per inch and at most {MOST_PIXELS // 10**6} million dots"
        )


class Picture(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        return saved(self, "png", dpi=self.dpi)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` by `height` inches, with constrained layout.

    Raises
    ------
    InputError
        As for `check_size`.
    """
    check_size(width, height)
    figure = Picture(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)  # measures texts with the renderer that draws them
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=PAD_IN, h_pad=PAD_IN)
    return figure


def finish(figure: Figure, heading: str) -> None:
    """Add a heading to a complete figure, and freeze its layout.

    The layout solver is not exact: the last bits of its result differ from run to run, and with
    them the ids of an SVG's elements. Positions are therefore rounded.
    """
    title = figure.suptitle(heading, x=0.01, ha="left", fontsize=TITLE_PT + 2, fontweight="bold")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        x, y, width, height = (round(value, DIGITS) for value in axes.get_position().bounds)
        axes.set_position((x, y, width, height))
    x, y = title.get_position()
    title.set_position((round(x, DIGITS), round(y, DIGITS)))


def picture_bytes(figure: Figure, form: PictureFormat, *, dpi: float = DPI) -> bytes:
    """Return a figure as file content in `form`, the same bytes for the same drawing.

    Raises `InputError` for an invalid size, as `check_size` does.
    """
    width, height = figure.get_size_inches()
    check_size(width, height, dpi)
    return saved(figure, form, dpi=dpi)


def write_picture(figure: Figure, path: Path, *, dpi: float = DPI) -> None:
    """Write a figure as PNG, SVG or an HTML page, by the extension of `path`, atomically.

    Raises
    ------
    InputError
        If the extension is unknown, `path` cannot be a file, or the picture is too large.
    StoreError
        If the file cannot be written.
    """
    data = picture_bytes(figure, picture_format(path), dpi=dpi)
    with write_errors(path), replaced(path) as temporary:
        temporary.write_bytes(data)


SEGMENT_S = 3.0  # seconds, for a series of a single segment
MOST_AREAS = len(FEW)
LONGEST_CLASS = 24  # characters of a class name
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600)  # between two ticks
MOST_TICKS = 12
LOUDEST_DB = 80.0  # range of a spectrogram below its loudest value


@dataclass(frozen=True, slots=True)
class HeadSeries:
    """The columns of one head."""

    head: str
    classes: tuple[str, ...]  # without the head's name
    scores: FloatArray  # (T, C)

    @property
    def means(self) -> Float64Array:
        """Mean score of each class: shape (C,)."""
        return self.scores.mean(axis=0, dtype=np.float64)


def heads_of(series: ScoreSeries) -> list[HeadSeries]:
    """Split a series into heads, in the order of their first columns."""
    columns: dict[str, list[int]] = {}
    for number, name in enumerate(series.classes):
        columns.setdefault(name.partition("/")[0], []).append(number)
    return [
        HeadSeries(head, tuple(class_label(series.classes[n]) for n in numbers), result)
        for head, numbers in columns.items()
        for result in [series.scores[:, numbers]]
    ]


def class_label(name: str) -> str:
    """Return the class in ``head/class``; the whole name if it has no head.

    Examples
    --------
    >>> class_label("version/vocal_accompaniment"), class_label("guitar")
    ('vocal_accompaniment', 'guitar')
    """
    return name.partition("/")[2] or name


def display_name(name: str) -> str:
    """Return a class or head name as displayed in a picture."""
    return drawable(name.replace("_", " "), longest=LONGEST_CLASS)


def edges_s(series: ScoreSeries) -> Float64Array:
    """Return the starts of the segments and the end of the last: shape (T + 1,), seconds.

    A segment extends to the start of the next; the last one has the median length.

    Examples
    --------
    >>> times = np.float32([0, 3, 6, 7.5])
    >>> edges_s(ScoreSeries(np.zeros((4, 1), np.float32), times, ("a/b",))).tolist()
    [0.0, 3.0, 6.0, 7.5, 10.5]
    """
    starts = series.start_s.astype(np.float64)
    length = float(np.median(np.diff(starts))) if len(starts) > 1 else SEGMENT_S
    return np.append(starts, starts[-1] + length)


def draw_waveform(axes: Any, envelope: Envelope) -> None:
    """Draw the range of the samples, and the root mean square within it."""
    length = envelope.duration_s / len(envelope)
    middles = (np.arange(len(envelope)) + 0.5) * length
    low, high, rms = envelope.low, envelope.high, envelope.rms
    axes.fill_between(middles, low, high, color=RANGE, linewidth=0)
    within = np.maximum(low, -rms), np.minimum(high, rms)
    axes.fill_between(middles, *within, color=PAIR[0], linewidth=0)
    limit = max(0.1, float(np.abs([envelope.low, envelope.high]).max()) * 1.05)
    axes.set(ylim=(-limit, limit), ylabel="amplitude")


def draw_spectrogram(axes: Any, spectrogram: "Spectrogram") -> None:
    """Draw a mel spectrogram, the loudest 80 dB of it."""
    from librosa import display  # late: it takes longer to import than most pictures to draw

    level = spectrogram.level_db
    columns = level.shape[1]
    middles = (np.arange(columns) + 0.5) * spectrogram.duration_s / columns
    peak = float(level.max())
    display.specshow(
        level,
        x_coords=middles,
        y_axis="mel",
        sr=spectrogram.sample_rate,
        fmax=spectrogram.sample_rate / 2,
        vmin=peak - LOUDEST_DB,
        vmax=peak,
        cmap="magma",
        ax=axes,
    )
    axes.set(ylabel="hertz", xlabel="")


def draw_areas(axes: Any, edges: Float64Array, head: HeadSeries) -> None:
    """Draw the scores of a few classes as stacked areas, the first at the bottom."""
    tops = np.vstack([np.zeros(len(head.scores)), head.scores.T.cumsum(axis=0, dtype=np.float64)])
    tops = np.hstack([tops, tops[:, -1:]])  # step="post" needs the last height twice
    for n, (low, high) in enumerate(pairwise(tops)):
        axes.fill_between(edges, low, high, step="post", color=FEW[n], linewidth=0)
    for top in tops[1:-1]:  # separates colours that look alike in greyscale
        axes.step(edges, top, where="post", color="white", linewidth=0.6)
    axes.set(ylim=(0, 1), yticks=(0, 0.5, 1))


def draw_strip(axes: Any, edges: Float64Array, head: HeadSeries, order: Sequence[int]) -> Any:
    """Draw a heat map, one row per class in the given order from the top; return the mesh."""
    rows = list(order)[::-1]
    mesh = axes.pcolormesh(
        edges, np.arange(len(rows) + 1), head.scores.T[rows], cmap=HEAT, vmin=0, vmax=1
    )
    mesh.set_rasterized(True)  # avoids gaps between the cells in an SVG
    axes.set_yticks(np.arange(len(rows)) + 0.5, [display_name(head.classes[n]) for n in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(0, len(rows))
    return mesh


def draw_head(axes: Any, edges: Float64Array, head: HeadSeries, order: Sequence[int]) -> Any:
    """Draw one head as areas or as a heat map; return the mesh of a heat map, else None."""
    if len(head.classes) <= MOST_AREAS:
        return draw_areas(axes, edges, head)
    return draw_strip(axes, edges, head, order)


def area_legend(axes: Any, head: HeadSeries, *, title: str = "") -> None:
    """Draw the legend of stacked areas into empty axes, with mean scores if there is a title."""
    means = [f"  {mean:.2f}" if title else "" for mean in head.means]
    labels = [display_name(name) + mean for name, mean in zip(head.classes, means, strict=True)]
    handles = [Patch(color=FEW[n], label=label) for n, label in enumerate(labels)]
    axes.legend(
        handles=handles[::-1],
        loc="center left",
        bbox_to_anchor=(-0.04, 0.5),
        title=title or None,
        alignment="left",
        title_fontsize=SMALL_PT,
    )


def strip_means(axes: Any, head: HeadSeries, order: Sequence[int]) -> None:
    """Write the mean score of each heat map row into empty axes beside it."""
    rows = list(order)[::-1]
    axes.set_ylim(0, len(rows))
    for index, n in enumerate(rows):
        axes.text(0, index + 0.5, f"{head.means[n]:.2f}", va="center", fontsize=SMALL_PT)
    axes.text(0, len(rows) * 1.01, "mean score", va="bottom", fontsize=SMALL_PT)


def heat_bar(axes: Any, mesh: Any, place: tuple[float, float, float, float]) -> None:
    """Draw a heat map's colour scale into empty axes, at a place (x, y, width, height)."""
    inner = axes.inset_axes(place)
    axes.get_figure().colorbar(mesh, cax=inner)
    inner.set_ylabel("score of a segment", fontsize=SMALL_PT)


def by_mean(means: Float64Array) -> list[int]:
    """Return class numbers by descending mean; ties keep their order."""
    return [int(n) for n in np.argsort(-means, kind="stable")]


def time_axis(axes: Any, end_s: float, *, label: bool = True) -> None:
    """Format the x axis as clock times from 0 to `end_s`."""
    step = next((s for s in _STEPS_S if end_s / s <= MOST_TICKS), _STEPS_S[-1])
    ticks = np.arange(0, end_s + 1e-6, step)
    axes.set_xlim(0, end_s)
    axes.set_xticks(ticks, [clock(t) for t in ticks] if label else [])
    if label:
        axes.set_xlabel("time (h:mm:ss)" if end_s >= 3600 else "time (m:ss)")
