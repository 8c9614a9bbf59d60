"""Create an empty figure in audiorec's style, and write it to a file.

    with house_style():
        figure = new_figure(11, 7)  ...  write_picture(figure, Path("song.png"))

Figures belong to their caller only: pyplot, which keeps a reference to every figure and may open a
window, is never imported.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiorec.errors import InputError, MissingExtraError
from audiorec.evaluation.pictures import require_figure
from audiorec.files.own_files import replaced, write_errors
from audiorec.plots.style import DPI, FORMATS, TITLE_PT, PictureFormat, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALLEST, LARGEST = 2.0, 100.0  # inches, width and height of a figure
MOST_PIXELS = 100_000_000
PAD_IN = 0.07  # inches around each laid-out element
DIGITS = 6  # decimals of relative positions: a thousandth of a dot


def require_plots() -> None:
    """Check that pictures can be drawn; called before long work, so that it is not wasted.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    require_figure()


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


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of `width` by `height` inches, with constrained layout.

    Raises
    ------
    InputError
        As for `check_size`.
    MissingExtraError
        If matplotlib is not installed.
    """
    check_size(width, height)
    require_plots()
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from audiorec.plots.notebook_figure import ShownFigure
    except ImportError as error:
        raise MissingExtraError("a picture", "plot", str(error)) from error
    figure = ShownFigure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)  # measures texts with the renderer that draws them
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=PAD_IN, h_pad=PAD_IN)
    return figure


def finish(figure: "Figure", heading: str) -> None:
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


def picture_bytes(figure: "Figure", form: PictureFormat, *, dpi: float = DPI) -> bytes:
    """Return a figure as file content in `form`, the same bytes for the same drawing.

    Raises `InputError` for an invalid size, as `check_size` does.
    """
    width, height = figure.get_size_inches()
    check_size(width, height, dpi)
    return saved(figure, form, dpi=dpi)


def write_picture(figure: "Figure", path: Path, *, dpi: float = DPI) -> None:
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
