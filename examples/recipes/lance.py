"""Neighbours in LanceDB: python examples/recipes/lance.py STORE.

Prepared units go in, not the 84 numbers: raw, half of the neighbours would be others.
pip install lancedb
"""

import sys
import tempfile

import lancedb
import pyarrow as pa

import audiorec
from audiorec.search import Choice

library = audiorec.open_store(sys.argv[1] if len(sys.argv) > 1 else "build/examples/vecs.parquet")
space = library.space("vector")
units = pa.FixedSizeListArray.from_arrays(pa.array(space.matrix.ravel()), space.matrix.shape[1])
with tempfile.TemporaryDirectory() as folder:
    table = lancedb.connect(folder).create_table(
        "songs", pa.table({"song_id": list(library.ids), "unit": units})
    )
    near = table.search(space.matrix[0]).distance_type("cosine").limit(4).to_list()
    print(f"near {library.ids[0]}:", ", ".join(song["song_id"] for song in near[1:]))
    wanted = library.similar(
        library.ids[0], 3, by="vector", choice=Choice(also=("non-music",)), minimum=-1
    )
    print("as audiorec finds them:", [s["song_id"] for s in near[1:]] == list(wanted.song_ids))
