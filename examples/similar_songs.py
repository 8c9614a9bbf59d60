"""Turn a folder of songs into vectors, and find the songs that sound alike.

    python examples/similar_songs.py [FOLDER FOR OUTPUTS]

Run it twice: the second run opens no song, because none has changed.
"""

import sys
from pathlib import Path

import audiorec

out = Path(sys.argv[1] if len(sys.argv) > 1 else "build/examples")

# Worker processes decode the songs; a broken file costs itself and becomes a row of errors.parquet.
report = audiorec.extract("fixtures/audio", out=out / "vecs.parquet")
print(f"{report.extracted} songs extracted, {report.unchanged} unchanged, {report.failed} failed")

library = audiorec.open_store(out / "vecs.parquet")
print(f"{len(library)} songs, vectors of shape {library.vectors.shape}")

# A song is named by its id or a unique part of it: here the path in the folder.
for neighbour in library.similar("jazz-vibraphone.mp3", k=3):
    print(f"{neighbour.similarity:6.3f}  {neighbour.song_id}")

# Any other file can be the query: its vector is made on the spot.
vector = audiorec.vector("fixtures/audio/metal-band-with-woman-singing.mp3")
names = [n.song_id for n in library.similar(vector, k=2)]
print("nearest to the metal band:", ", ".join(names))
