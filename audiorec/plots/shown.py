"""A figure that a notebook shows without pyplot."""

from matplotlib.figure import Figure

from audiorec.plots.style import saved


class ShownFigure(Figure):
    """A matplotlib Figure whose picture is what a notebook displays."""

    def _repr_png_(self) -> bytes:
        return saved(self, "png", dpi=self.dpi)
