"""Report correlations: as figures, and as a table on disk."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.analysis.correlation import Correlations
from audiorec.analysis.pearson import BINS, normality
from audiorec.columns import LogColumns
from audiorec.distribution import created_by
from audiorec.evaluation.ranking import mean_interval
from audiorec.files.tables import write_plain
from audiorec.listening.check import iso
from audiorec.store.schema import METADATA_KEY
from audiorec.types import Float64Array

FORMAT_VERSION = 1
BOOTSTRAP_SAMPLES = 2000
HIGH_QUANTILE = 0.95


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
