"""Options of commands that draw a picture: file, size and resolution."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from audiorec.errors import InputError
from audiorec.options import chooses
from audiorec_cli.shared.console import say
from audiorec_cli.shared.options import ADVANCED, out_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


DPI = 110
SIZE = re.compile(
    r"(?:([0-9]{1,6}(?:\.[0-9]{1,6})?)x([0-9]{1,6}(?:\.[0-9]{1,6})?))?(?:@([0-9]{1,6}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOptions:
    """File, size and resolution of a picture."""

    out: Annotated[Path, out_file(metavar="FILE", help="The picture: .png, .svg or .html.")]
    size: Annotated[
        str | None,
        chooses(
            metavar="WxH[@DPI]",
            help="Inches, and dots per inch, as in 16x9@200 or @80.",
            panel=ADVANCED,
        ),
    ] = None

    def check(self, usual: tuple[float, float]) -> tuple[float, float]:
        """Return width and height in inches; refuse what cannot be drawn, before any work."""
        from audiorec.plots.figures import check_size, picture_format, require_figure

        width, height = self.inches or usual
        require_figure()
        picture_format(self.out)
        check_size(width, height, self.dpi)
        return width, height

    @property
    def inches(self) -> tuple[float, float] | None:
        """Width and height, None if the drawing decides them."""
        width, height, _ = self._parts()
        return None if width is None else (float(width), float(height))

    @property
    def dpi(self) -> int:
        """Resolution in dots per inch."""
        return int(self._parts()[2] or DPI)

    def _parts(self) -> tuple[Any, ...]:
        parts = SIZE.fullmatch(self.size or "")
        if parts is None:
            raise InputError(f"--size {self.size}: give inches and dots per inch, as in 16x9@200")
        return parts.groups()

    def write(self, figure: "Figure") -> None:
        """Write the picture."""
        from audiorec.plots.figures import write_picture

        write_picture(figure, self.out, dpi=self.dpi)
        say(f"written: {self.out}")
