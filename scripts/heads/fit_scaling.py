"""Write centre and spread of a store's vectors into the file beside the heads that `similar` reads.

    audiorec extract fixtures/demo --out demo/vecs.parquet
    python scripts/heads/fit_scaling.py demo/vecs.parquet

Run it after new heads are trained: ``train_heads.py`` writes those of its own music. The shipped
numbers are of the first 36 songs of the list, when there were no more.
"""

import sys
from dataclasses import replace

import numpy as np

from audiorec.search.scaling import FILE, WEIGHTS, MeasuredHeads, log_odds
from audiorec.store.store import VectorStore
from audiorec.tagger.weights import data_folder


def main() -> None:
    """Read the store, and write the file anew."""
    store = VectorStore.open(sys.argv[1])
    names = store.metadata.statistics
    known = MeasuredHeads.load(data_folder() / FILE)
    if not known.fits(store.metadata):
        raise SystemExit(f"{sys.argv[1]}: is not of the heads in {data_folder()}")
    scores = np.tile([name in WEIGHTS for name in names], len(store.metadata.classes))
    vectors = np.asarray(store.vectors)
    columns = np.where(scores, log_odds(vectors), vectors)
    centre, spread = columns.mean(axis=0), columns.std(axis=0)
    replace(known, centre=centre, spread=spread).save(data_folder() / FILE)


if __name__ == "__main__":
    main()
