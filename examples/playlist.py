"""Make a playlist near a song, and a smooth path between two songs, as files for a player.

python examples/playlist.py [FOLDER FOR OUTPUTS]
"""

import sys
from pathlib import Path

import numpy as np

import audiorec
from audiorec.playlists.draft import Wish
from audiorec.playlists.m3u8 import PlaylistEntry, write_m3u8
from audiorec.playlists.path import find_path
from audiorec.playlists.playlist import make_playlist

out = Path(sys.argv[1] if len(sys.argv) > 1 else "build/examples")
audiorec.extract("fixtures/audio", out=out / "vecs.parquet")
library = audiorec.open_store(out / "vecs.parquet")
units, _ = library.space().units_by_row()  # one row of length 1 a song


def write(rows: np.ndarray, name: str) -> None:
    """Write songs in playing order, with paths relative to the playlist."""
    songs = library.rows(rows.tolist())
    entries = [PlaylistEntry(path=song["uri"], duration_s=song["duration_s"]) for song in songs]
    write_m3u8(entries, out / name)
    print(f"{name}: {', '.join(song['song_id'] for song in songs)}")


# A minute and a half near one song: each next song also has to go with the one before it.
seed = library.row_number("jazz-vibraphone.mp3")
lengths = np.array(library.column("duration_s").to_pylist())
found = make_playlist(units, units[seed], lengths, Wish(seconds=90), seeds=[seed])
print(f"{found.seconds:.0f} seconds of music")
write(found.rows, "near-jazz.m3u8")

# From the piano to the metal band: every step leads nearer to the end, and none is a leap.
ends = library.row_number("classical-piano.flac"), library.row_number("death-metal-band.ogg")
path = find_path(units, *ends, steps=3)
print("similarity of each song to the next:", path.steps.round(2).tolist())
write(path.rows, "piano-to-metal.m3u8")
