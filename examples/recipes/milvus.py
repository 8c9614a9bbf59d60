"""Neighbours in Milvus: python examples/recipes/milvus.py STORE.

In a file here; MilvusClient("http://localhost:19530") asks a server. Prepared units go in.
pip install pymilvus milvus-lite
"""

import sys
import tempfile

from pymilvus import MilvusClient

import audiorec
from audiorec.search import Choice

library = audiorec.open_store(sys.argv[1] if len(sys.argv) > 1 else "build/examples/vecs.parquet")
space = library.space()
ids = [library.ids[row] for row in space.rows]
with tempfile.TemporaryDirectory() as folder:
    client = MilvusClient(f"{folder}/songs.db")
    client.create_collection("songs", dimension=space.matrix.shape[1], metric_type="COSINE")
    songs = zip(ids, space.matrix.tolist(), strict=True)
    client.insert("songs", [{"id": n, "song_id": i, "vector": v} for n, (i, v) in enumerate(songs)])
    asked = client.search("songs", [space.matrix[0].tolist()], limit=4, output_fields=["song_id"])
    near = [song["entity"]["song_id"] for song in asked[0][1:]]
    client.close()
print(f"near {ids[0]}:", ", ".join(near))
wanted = library.similar(ids[0], 3, choice=Choice(also=("non-music", "copies")), minimum=-1)
print("as audiorec finds them:", near == list(wanted.song_ids))
