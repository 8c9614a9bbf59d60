"""Pictures that a command draws beside its tables."""

from pathlib import Path

from audiorec.errors import InputError


def check_plot(path: Path | None) -> None:
    """Refuse a picture that could not be drawn before the long work begins."""
    if path is None:
        return
    from audiorec.evaluation.pictures import require_figure

    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: a picture's name ends in .png")
    require_figure()
