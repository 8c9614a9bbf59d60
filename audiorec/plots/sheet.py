"""An empty figure in our style, and the file that it becomes.

    with house_style():
        figure = new_figure(11, 7)  ...  write_picture(figure, Path("song.png"))

A figure belongs to nobody but its caller: pyplot, which keeps every figure and may open a window,
is never imported.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiorec.errors import InputError, MissingExtraError
from audiorec.evaluation.pictures import require_figure
from audiorec.files.atomic import replaced, write_errors
from audiorec.plots.style import DPI, FORMATS, TITLE_PT, PictureFormat, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALLEST, LARGEST = 2.0, 100.0  # inches: a figure is as wide and as high
MOST_PIXELS = 100_000_000
PAD_IN = 0.07  # inches around whatever is laid out
DIGITS = 6  # of a place as a share of the figure: a thousandth of a dot


def require_plots() -> None:
    """Check that pictures can be drawn; asked before long work, so that it is not lost.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    require_figure()


def picture_format(path: Path) -> PictureFormat:
    """Return the format that a file's name asks for.

    Raises
    ------
    InputError
        If the name ends otherwise, or no file can be written there.

    Examples
    --------
    >>> picture_format(Path("song.SVG"))
    'svg'
    """
    for name in FORMATS:
        if path.suffix.lower() == f".{name}":
            break
    else:
        raise InputError(f"{path}: a picture is written as .png, .svg or .html; name it so")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path}: no file can be written there")
    return name


def check_size(width: float, height: float, dpi: float = DPI) -> None:
    """Refuse a picture of so many inches, and dots an inch, that is none.

    Raises
    ------
    InputError
        If a side is not 2 to 100 inches long, or there would be over a hundred million dots.
    """
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise InputError(
            f"a picture is {SMALLEST:g} to {LARGEST:g} inches wide and high, "
            f"not {width:g} by {height:g}"
        )
    if not 1 <= dpi <= MOST_PIXELS or width * height * dpi**2 > MOST_PIXELS:
        raise InputError(
            f"{width:g} by {height:g} inches at {dpi:g} dots an inch are no picture of at most "
            f"{MOST_PIXELS // 10**6} million dots"
        )


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of `width` by `height` inches, laid out when it is drawn.

    Raises
    ------
    InputError
        As `check_size`.
    MissingExtraError
        Without matplotlib.
    """
    check_size(width, height)
    require_plots()
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from audiorec.plots.shown import ShownFigure
    except ImportError as error:
        raise MissingExtraError("pictures", "plot", str(error)) from error
    figure = ShownFigure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)  # texts are measured as they will be drawn
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=PAD_IN, h_pad=PAD_IN)
    return figure


def finish(figure: "Figure", heading: str) -> None:
    """Write a heading above a figure that has everything else, and lay it out for good.

    The solver of the layout is not exact: the last bits of what it finds differ from run to run,
    and with them the names that an SVG has for its parts.
    """
    title = figure.suptitle(heading, x=0.01, ha="left", fontsize=TITLE_PT + 2, fontweight="bold")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        x, y, width, height = (round(value, DIGITS) for value in axes.get_position().bounds)
        axes.set_position((x, y, width, height))
    x, y = title.get_position()
    title.set_position((round(x, DIGITS), round(y, DIGITS)))


def picture_bytes(figure: "Figure", form: PictureFormat, *, dpi: float = DPI) -> bytes:
    """Return a figure as a file of `form`, the same bytes for the same drawing.

    A size that is none is an `InputError`, as in `check_size`.
    """
    width, height = figure.get_size_inches()
    check_size(width, height, dpi)
    return saved(figure, form, dpi=dpi)


def write_picture(figure: "Figure", path: Path, *, dpi: float = DPI) -> None:
    """Write a figure as PNG, SVG or a page of HTML, by the ending of `path`; whole or not at all.

    Raises
    ------
    InputError
        If `path` ends otherwise or is no place for a file, or the picture is too large.
    StoreError
        If the file cannot be written.
    """
    data = picture_bytes(figure, picture_format(path), dpi=dpi)
    with write_errors(path), replaced(path) as temporary:
        temporary.write_bytes(data)
