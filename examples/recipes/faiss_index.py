"""Neighbours in Faiss: python examples/recipes/faiss_index.py STORE.

Lists of near songs pay from some ten million songs on; below, `similar` compares all of them
exactly. pip install faiss-cpu
"""

import sys

import faiss
import numpy as np

import audiorec
from audiorec.search import Choice

library = audiorec.open_store(sys.argv[1] if len(sys.argv) > 1 else "build/examples/vecs.parquet")
space = library.space()
units = space.matrix  # of length 1, so the inner product is the cosine
lists = max(1, int(4 * np.sqrt(len(units)))) if len(units) >= 10_000 else 1
index = faiss.index_factory(units.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
index.train(units)
index.add(units)
index.nprobe = min(lists, 96)  # the more lists it looks into, the more of the nearest it finds
faiss.write_index(index, str(library.path.with_suffix(".faiss")))
_, rows = index.search(units[:1], 4)
near = [library.ids[space.rows[row]] for row in rows[0, 1:]]
first = library.ids[space.rows[0]]
print(f"near {first}:", ", ".join(near))
wanted = library.similar(first, 3, choice=Choice(also=("non-music", "copies")), minimum=-1)
print("as audiorec finds them:", near == list(wanted.song_ids))
