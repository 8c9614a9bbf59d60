"""A library on disk for the commands that read one: 30 songs in five formats, with tags."""

from itertools import cycle

import av
import numpy as np
import soundfile
from made_library import series, song, write_library

FORMATS = ("flac", "mp3", "ogg", "opus", "m4a")
ARTISTS = ("Abba", "Miles Davis", "Metallica", None, "ABBA ", "Bjørk")
RATE = 48_000


def write_sound(path, seed):
    """Write half a second of a tone in the format of the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.1 * np.sin(np.arange(RATE // 2) * (0.02 + 0.001 * seed)).astype(np.float32)
    if path.suffix not in (".opus", ".m4a"):
        soundfile.write(path, wave, RATE)
        return
    codec, container = {".opus": ("libopus", "ogg"), ".m4a": ("aac", "ipod")}[path.suffix]
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)


def write_songs(folder):
    """Write 30 songs and their store; song 7 stands there twice, 7b being its copy."""
    songs = []
    for i, ending in zip(range(30), cycle(FORMATS)):
        path = folder / "music" / f"album {i % 4}" / f"song {i:02}.{ending}"
        write_sound(path, i)
        scores = series(i, genre=((i % 3) * 1.5, (i % 5) * 0.8, 0), version=(i % 2, 0))
        row = {
            "uri": str(path),
            "artist": ARTISTS[i % len(ARTISTS)],
            "title": f"Song {i}",
            "album": f"Album {i % 4}",
            "duration_s": 60.0 + 7 * i,
            "codec": ending,
        }
        songs.append(song(f"album {i % 4}/song {i:02}.{ending}", scores, **row))
    copied, scores = songs[7]
    copy = {"content_hash": copied["content_hash"], "duration_s": copied["duration_s"]}
    songs.append(song("copies/song 7b.mp3", scores, **copy))
    write_library(folder, songs, scores=True, features=True)


def files_in(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def read_m3u8(path):
    """Read a playlist as a player would: (seconds, label, file) of each entry."""
    lines = path.read_bytes().decode("utf-8").split("\n")
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == ""
    entries = []
    for about, location in zip(lines[1:-1:2], lines[2:-1:2], strict=True):
        seconds, _, label = about.removeprefix("#EXTINF:").partition(",")
        assert about.startswith("#EXTINF:")
        assert "\\" not in location
        entries.append((int(seconds), label, path.parent / location))
    return entries


def assert_opens(entries):
    for _, _, path in entries:
        with av.open(str(path)) as container:
            assert next(container.decode(audio=0)).samples > 0
