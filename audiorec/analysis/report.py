"""Report correlations: as figures, as a table on disk, and as a picture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from audiorec.analysis.correlation import Correlations
from audiorec.analysis.pearson import BINS, normality
from audiorec.columns import LogColumns
from audiorec.distribution import created_by
from audiorec.errors import InputError, import_extra
from audiorec.evaluation.ranking import mean_interval
from audiorec.files.own_files import replaced
from audiorec.files.tables import write_plain
from audiorec.listening.check import iso
from audiorec.store.schema import METADATA_KEY
from audiorec.types import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMAT_VERSION = 1
BOOTSTRAP_SAMPLES = 2000
HIGH_QUANTILE = 0.95
PICTURE_ENDS = (".png", ".svg", ".pdf")
PICTURE_INCHES = (7.0, 4.2)
FIGURE = ("matplotlib.figure", "a picture", "plot")
OBSERVED_COLOUR, NULL_COLOUR = "#2a6f97", "#222222"


def summary(found: Correlations) -> dict[str, Any]:
    """Return all figures, ready for JSON.

    Intervals are 95 % over users: percentiles of a bootstrap, except for the null's (percentiles
    over its draws).
    """

    def interval(values: Float64Array) -> tuple[float, float]:
        found = mean_interval(values, rng, samples=BOOTSTRAP_SAMPLES)
        return found.low, found.high

    rng = np.random.default_rng([found.spec.seed, 2])
    spec, positive = found.spec, (found.r > 0).astype(np.float64)
    null_low, null_high = np.quantile(found.null.share_positive, [0.025, 0.975])
    return {
        "since": iso(found.since),
        "until": None if spec.until is None else iso(spec.until),
        "half_life_days": spec.half_life_days if np.isfinite(spec.half_life_days) else None,
        "min_songs": spec.min_songs,
        "seed": spec.seed,
        "users": len(found.r),
        "left_out": found.left_out,
        "pairs": int(found.n.sum()),
        "median_new_songs": float(np.median(found.n)),
        "median_favourites": float(np.median(found.favourites)),
        "mean_r": float(found.r.mean()),
        "mean_r_interval": interval(found.r),
        "share_positive": float(positive.mean()),
        "share_positive_interval": interval(positive),
        "shuffled_completions": {
            "draws": found.null.draws,
            "share_positive": float(found.null.share_positive.mean()),
            "share_positive_interval": (float(null_low), float(null_high)),
            "users_above_95_percent": float((found.null.quantile > HIGH_QUANTILE).mean()),
        },
        "shuffled_songs": {
            "draws": len(found.control.mean_z),
            "mean_z": float(found.z.mean()),
            "p": found.control.p,
        },
        "normality_of_z": normality(found.z),
        "histogram": {
            "edges": np.round(BINS, 6).tolist(),
            "users": np.histogram(found.r, BINS)[0].tolist(),
            "shuffled": (found.null.histogram / found.null.draws).tolist(),
        },
    }


def write_correlations(path: Path, found: Correlations, *, about: Mapping[str, Any]) -> None:
    """Write one row per user, sorted by id, atomically.

    Parameters
    ----------
    path : Path
        Columns ``user_id``, ``r``, ``n``, ``favourites``, ``z``, ``null_quantile``.
    found : Correlations
    about : mapping
        What was compared; stored in the metadata.
    """
    content = {
        "kind": "correlation",
        "format_version": FORMAT_VERSION,
        "created_by": created_by(),
        "since": iso(found.since),
        "half_life_days": str(found.spec.half_life_days),
        "min_songs": found.spec.min_songs,
        **about,
    }
    table = pa.table(
        {
            LogColumns.USER: pa.array(found.user_ids),
            "r": pa.array(found.r.astype(np.float32)),
            "n": pa.array(found.n.astype(np.int32)),
            "favourites": pa.array(found.favourites.astype(np.int32)),
            "z": pa.array(found.z.astype(np.float32)),
            "null_quantile": pa.array(found.null.quantile.astype(np.float32)),
        }
    )
    metadata = {METADATA_KEY: json.dumps(content, sort_keys=True, allow_nan=False).encode()}
    write_plain(path, table.replace_schema_metadata(metadata))


def check_picture(path: Path) -> None:
    """Check that a picture can be drawn, before the work for it begins.

    Raises
    ------
    InputError
        If the extension is not one of `PICTURE_ENDS`.
    MissingExtraError
        If matplotlib is not installed.
    """
    if path.suffix.lower() not in PICTURE_ENDS:
        raise InputError(f"{path}: unknown picture format; use {', '.join(PICTURE_ENDS)}")
    import_extra(*FIGURE)


def write_picture(path: Path, found: Correlations, *, simulated: bool) -> None:
    """Draw the histogram of r over the users, with that of shuffled completions.

    Raises
    ------
    InputError, MissingExtraError
        As for `check_picture`.
    """
    check_picture(path)
    figure = import_extra(*FIGURE).Figure(figsize=PICTURE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    _draw(axes, found, simulated)
    with replaced(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower().removeprefix("."), dpi=150)


def _draw(axes: "Axes", found: Correlations, simulated: bool) -> None:
    users = np.histogram(found.r, BINS)[0]
    shuffled = found.null.histogram / found.null.draws
    axes.bar(BINS[:-1], users, np.diff(BINS), align="edge", color=OBSERVED_COLOUR, label="users")
    axes.stairs(shuffled, BINS, color=NULL_COLOUR, linewidth=1.5, label="completions shuffled")
    axes.axvline(0.0, color=NULL_COLOUR, linewidth=0.8, linestyle=":")
    share, chance = (found.r > 0).mean(), found.null.share_positive.mean()
    title = f"{len(found.r):,} users: r > 0 for {share:.1%}, by chance for {chance:.1%}"
    axes.set_title(title + ("\nsimulated listening" if simulated else ""), fontsize=10)
    axes.set_xlabel("r between completion of new songs and similarity to favourites")
    axes.set_ylabel("users")
    axes.legend(frameon=False, loc="upper left")  # "best" warns where a machine is slow
