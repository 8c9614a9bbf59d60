"""Options of commands that draw a picture: file, size and resolution."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiorec.errors import InputError
from audiorec_cli.shared.console import say
from audiorec_cli.shared.options import more

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOptions:
    """File, size and resolution of a picture."""

    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The picture: .png, .svg or .html.")
    ]
    width: Annotated[float | None, more(metavar="INCHES", help="Width of the picture.")] = None
    height: Annotated[float | None, more(metavar="INCHES", help="Height of the picture.")] = None
    dpi: Annotated[int, more(metavar="N", min=1, help="Resolution in dots per inch.")] = 110

    def check(self, usual: tuple[float, float]) -> tuple[float, float]:
        """Return width and height in inches; refuse what cannot be drawn, before any work."""
        from audiorec.plots.figures import check_size, picture_format, require_plots

        width = usual[0] if self.width is None else self.width
        height = usual[1] if self.height is None else self.height
        require_plots()
        picture_format(self.out)
        check_size(width, height, self.dpi)
        return width, height

    def write(self, figure: "Figure") -> None:
        """Write the picture."""
        from audiorec.plots.figures import write_picture

        write_picture(figure, self.out, dpi=self.dpi)
        say(f"written: {self.out}")


def check_plot(path: Path | None) -> None:
    """Refuse a picture that cannot be drawn, before any work."""
    if path is None:
        return
    from audiorec.evaluation.pictures import require_figure

    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: the name of the picture must end in .png")
    require_figure()
