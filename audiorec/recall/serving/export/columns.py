"""Convert features, samples and embeddings to Arrow columns of the tables of an export."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.files.arrow import encoded, integers
from audiorec.recall.serving.export.features import FeatureColumn
from audiorec.recall.serving.export.samples import OUTCOMES, Samples
from audiorec.recall.serving.export.schema import FEATURES
from audiorec.recall.serving.export.users import moments
from audiorec.types import FloatArray, Int64Array, string_array


def feature_arrays(features: Mapping[str, FeatureColumn]) -> dict[str, Any]:
    """Return the columns of `FEATURES`; null where a feature is unknown."""
    found = {}
    for column in FEATURES:
        numbers = features[column.name]
        values = numbers.values
        if numbers.unknown is not None:
            values = np.where(numbers.unknown, 0, values)
        kind = np.int32 if column.kind == "int32" else np.float32
        found[column.name] = pa.array(values.astype(kind), mask=numbers.unknown)
    return found


def outcome_arrays(samples: Samples) -> dict[str, Any]:
    """Return the columns ``outcome`` and ``played_at`` of samples."""
    return {
        "outcome": string_array(OUTCOMES).take(integers(samples.outcome)),
        "played_at": moments(samples.played),
    }


def dot_array(users: FloatArray, songs: FloatArray, song: Int64Array) -> Any:
    """Return the dot products of users (n, E) and songs; null where either has no embedding."""
    own = songs[song]
    value = np.einsum("ij,ij->i", users, own)
    known = np.asarray(users.any(axis=1)) & np.asarray(own.any(axis=1))
    return pa.array(value.astype(np.float32), mask=~known)


def served_rows(rows: Any, served: Any) -> Int64Array:
    """Return the row of `served` with the user, song and run of each sample; -1 for none."""
    n, keys = len(rows), ("user_id", "song_id", "run_id")
    if not len(served) or not n:
        return np.full(n, -1, np.int64)
    key = np.zeros(n + len(served), np.int64)
    for name in keys:
        both = pa.concat_arrays(
            [one_array(t.column(name).combine_chunks()) for t in (rows, served)]
        )
        number, values = encoded(both.fill_null(""))
        key = key * (len(values) + 1) + number
    known, place = np.unique(key[n:], return_index=True)
    at = np.minimum(np.searchsorted(known, key[:n]), len(known) - 1)
    return np.where(known[at] == key[:n], place[at], -1).astype(np.int64)


def one_array(array: Any) -> Any:
    """Return a string array, joining chunks."""
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else string_array([])
    return array.cast(pa.string())
