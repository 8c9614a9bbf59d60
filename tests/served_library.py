"""A small library behind the APIs of `audiorec serve`, and the server as a process."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from made_library import series, song, write_library
from needs import needs

from audiorec.store.aliases import add_own_aliases

TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of the tests alone
BEARER = {"Authorization": f"Bearer {TOKEN}"}
# Id, artist, album, title, genre (log-odds of jazz, metal, pop), segments of three seconds.
SONGS = [
    ("ann/blue.flac", "Ann", "One", "Blue", (3.0, 0, 0), 20),
    ("ann/green.flac", "Ann", "One", "Green", (2.6, 0, 0.2), 30),
    ("ann/red.flac", "Ann", "Two", "Red", (2.2, 0, 0.4), 40),
    ("bob/loud.mp3", "Bob", "Noise", "Loud", (0, 3.0, 0), 50),
    ("bob/louder.mp3", "Bob", "Noise", "Louder", (0, 2.5, 0.3), 60),
    ("cee/soft & sweet.ogg", "Cee", None, "Soft <&> sweet", (0.5, 0, 2.5), 70),
    ("cee/café.ogg", "Cee", "Songs", "Blue", (0.8, 0, 2.0), 80),
    ("dee/odd\x01.ogg", None, None, None, (0, 1.5, 1.5), 90),
]


def server_id(n):
    """What a music server calls the n-th song: as long as Navidrome's ids."""
    return f"{n:022x}"


def write_served(folder, songs=SONGS, *, aliases=True, seed=0):
    """Write a store, and the server's ids of all songs but the last as aliases."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        song(
            song_id,
            series(seed + n, genre=genre, version=(0, 1.0), segments=segments, spread=0.2),
            artist=artist,
            album=album,
            title=title,
        )
        for n, (song_id, artist, album, title, genre, segments) in enumerate(songs)
    ]
    store = write_library(folder, rows)
    if aliases:
        pairs = [(server_id(n), song_id) for n, (song_id, *_) in enumerate(songs[:-1])]
        add_own_aliases(folder / "aliases.parquet", pairs)
    return store


def snapshot_of(store, **more):
    """Return a snapshot of a store."""
    from audiorec.web.apis.snapshot import Snapshot, SnapshotSources

    return Snapshot(SnapshotSources(Path(store), **more))


def asked(path, query=None, *, body=None, media_type="application/json"):
    """Return a request as a handler gets it."""
    from audiorec.web.apis.messages import ApiRequest

    pairs = {name: [str(value)] for name, value in (query or {}).items()}
    if body is None:
        return ApiRequest(path, pairs)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ApiRequest(path, pairs, data, media_type)


def document(reply):
    """Return the JSON of an answer."""
    return json.loads(reply.body)


@contextmanager
def serving(store, *arguments, token=TOKEN, script=""):
    """Serve a store as a process of its own; gives its base address and the process.

    `script` is Python that runs first.
    """
    needs("starlette")
    script += "\nfrom audiorec_cli.main import main; main()"
    command = [sys.executable, "-c", script, "serve", "-v", str(store), *map(str, arguments)]
    log = Path(store).parent / "serve.log"
    secret = Path(store).parent / "token.txt"
    secret.write_text(f"{token}\n")
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [*command, *(["--token-file", str(secret)] if token else [])],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=Path(store).parent,
        ) as process,
    ):
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), log.read_text()
            yield address.partition("/#")[0].rstrip("/"), process
        finally:
            process.terminate()
            process.wait(timeout=60)
            assert "Traceback" not in log.read_text()


def finished(coroutine):
    """Return what a coroutine returns, in a thread: a browser's tests leave a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
