"""The songs of a store as unit vectors, a few of them at a time.

rows  ──StoreUnits──▶  units (m, W), read and prepared a row group at a time
"""

import numpy as np

from audiorec.search.scaling import Scaling
from audiorec.store.store import VectorStore
from audiorec.types import FloatArray, Int64Array


class StoreUnits:
    """The units of a store's songs: of a row group when one of them is first asked for, and kept.

    Parameters
    ----------
    store : VectorStore
    scaling : Scaling
    """

    def __init__(self, store: VectorStore, scaling: Scaling) -> None:
        self._store, self._scaling = store, scaling
        self._starts = np.asarray(store.group_starts)
        self._groups: dict[int, FloatArray] = {}

    def __call__(self, rows: Int64Array) -> FloatArray:
        """Return the units of some rows, shape (m, W)."""
        units = np.empty((len(rows), len(self._scaling.columns)), np.float32)
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        for group in np.unique(groups).tolist():
            here = groups == group
            units[here] = self._group(group)[rows[here] - self._starts[group]]
        return units

    def sample(self, n_groups: int, n_rows: int) -> Int64Array:
        """Return some rows of a few row groups, which no one can know beforehand."""
        rng = np.random.default_rng()
        last = len(self._starts) - 1
        groups = rng.choice(last, min(n_groups, last), replace=False)
        rows = np.concatenate([np.arange(*self._starts[g : g + 2]) for g in groups])
        return np.sort(rng.choice(rows, min(n_rows, len(rows)), replace=False))

    def _group(self, group: int) -> FloatArray:
        if group not in self._groups:
            rows = np.arange(*self._starts[group : group + 2])
            vectors = self._store.read_rows(rows)
            self._groups[group] = self._scaling.prepare_all(lambda: [vectors], len(rows))
        return self._groups[group]
