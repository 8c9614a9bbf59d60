"""The settings in which figures are drawn and saved, independent of the user's own.

with house_style(): ...draw...  saved(figure, "png") -> bytes, the same for the same drawing
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Literal, get_args

from audiorec.evaluation.pictures import require_figure
from audiorec.plots.lettering import font_families

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    require_figure()
    import matplotlib.style
    from matplotlib import rc_context

    with rc_context():
        matplotlib.style.use(["default", {**_STYLE, "font.family": list(font_families())}])
        yield


def saved(figure: "Figure", form: PictureFormat, *, dpi: float = DPI) -> bytes:
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
