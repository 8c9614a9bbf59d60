"""A figure that notebooks display without pyplot."""

from matplotlib.figure import Figure

from audiorec.plots.figures import saved


class ShownFigure(Figure):
    """A matplotlib Figure with a PNG representation for notebooks."""

    def _repr_png_(self) -> bytes:
        return saved(self, "png", dpi=self.dpi)
