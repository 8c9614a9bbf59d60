"""An empty figure in our style, and the file that it becomes.

    with house_style():
        figure = new_figure(11, 7)  ...  write_picture(figure, Path("song.png"))

A figure belongs to nobody but its caller: pyplot, which keeps every figure and may open a window,
is never imported.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from audiorec.errors import InputError, MissingExtraError
from audiorec.evaluation.pictures import require_figure
from audiorec.files.atomic import replaced, write_errors
from audiorec.plots.style import DPI, FORMATS, TITLE_PT, PictureFormat, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALLEST, LARGEST = 2.0, 100.0  # inches: a figure is as wide and as high
MOST_PIXELS = 100_000_000


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
        raise InputError(f"{path}: a picture is written as .png or .svg; name it so")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path}: no file can be written there")
    return name


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of `width` by `height` inches, laid out when it is drawn.

    Raises
    ------
    InputError
        If a side is not 2 to 100 inches long.
    MissingExtraError
        Without matplotlib.
    """
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise InputError(
            f"a picture is {SMALLEST:g} to {LARGEST:g} inches wide and high, "
            f"not {width:g} by {height:g}"
        )
    require_plots()
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from audiorec.plots.shown import ShownFigure
    except ImportError as error:
        raise MissingExtraError("pictures", "plot", str(error)) from error
    figure = ShownFigure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)  # texts are measured as they will be drawn
    return figure


def heading(figure: "Figure", text: str) -> None:
    """Write a figure's title above it, from the left."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=TITLE_PT + 2, fontweight="bold")


def picture_bytes(figure: "Figure", form: PictureFormat, *, dpi: float = DPI) -> bytes:
    """Return a figure as a file of `form`, the same bytes for the same drawing.

    An SVG of more than `MOST_PIXELS` or a `dpi` below 1 is an `InputError`.
    """
    width, height = figure.get_size_inches()
    if not 1 <= dpi <= MOST_PIXELS or width * height * dpi**2 > MOST_PIXELS:
        raise InputError(
            f"{width:g} by {height:g} inches at {dpi:g} dots an inch are no picture of 1 to "
            f"{MOST_PIXELS // 10**6} million dots"
        )
    return saved(figure, form, dpi=dpi)


def write_picture(figure: "Figure", path: Path, *, dpi: float = DPI) -> None:
    """Write a figure as PNG or SVG, by the ending of `path`; whole or not at all.

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
