"""Neighbours in Qdrant: python examples/recipes/qdrant.py STORE.

In memory here; QdrantClient("http://localhost:6333") asks a server. Prepared units go in.
pip install qdrant-client
"""

import sys

from qdrant_client import QdrantClient, models

import audiorec
from audiorec.search import Choice

library = audiorec.open_store(sys.argv[1] if len(sys.argv) > 1 else "build/examples/vecs.parquet")
space = library.space("vector")
client = QdrantClient(":memory:")
size = models.VectorParams(size=space.matrix.shape[1], distance=models.Distance.COSINE)
client.create_collection("songs", vectors_config=size)
payload = [{"song_id": song_id} for song_id in library.ids]
client.upload_collection("songs", vectors=space.matrix, payload=payload, ids=range(len(library)))
near = client.query_points("songs", query=space.matrix[0], limit=4).points[1:]
print(f"near {library.ids[0]}:", ", ".join(point.payload["song_id"] for point in near))
wanted = library.similar(
    library.ids[0], 3, by="vector", choice=Choice(also=("non-music",)), minimum=-1
)
print("as audiorec finds them:", [p.payload["song_id"] for p in near] == list(wanted.song_ids))
