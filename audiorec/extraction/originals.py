"""Listen to the copies that a store has: which is the original, and what only the files tell.

    links of a store ──hear_copies──▶ both files of each are opened once; the file beside the store

Copies of one kind, two lossless or two lossy ones, need no listening: which was first cannot be
told. Files that are not there now are tried again next time.
"""

import threading
from pathlib import Path
from typing import Any

from audiorec.audio.originals import Listened, Origin, likeness, origin
from audiorec.errors import SongError
from audiorec.files.storage import is_uri
from audiorec.store.links import read_links, write_heard
from audiorec.store.recordings import LOSSLESS, SHIFT_S, Heard
from audiorec.store.store import VectorStore

ALIKE = 0.8  # least correlation of the spectrograms of copies


def hear_copies(vectors: Path, stop: threading.Event) -> int:
    """Listen to each pair of copies that nobody has listened to; return how many that were."""
    store = VectorStore.open(vectors)
    links = read_links(store)
    if links is None:
        return 0
    heard = 0
    for n, (a, b) in enumerate(links.pairs.tolist()):
        if links.heard[n] != Heard.NOT_YET or stop.is_set():
            continue
        one, other = store.rows([a, b])
        try:
            links.heard[n], links.khz[n] = told(one, other, sure=bool(links.sure[n]))
        except (SongError, OSError):
            continue
        heard += 1
    if heard:
        write_heard(store, links)
    return heard


def told(one: dict[str, Any], other: dict[str, Any], *, sure: bool) -> tuple[Heard, int]:
    """Say which of two songs is the original, and from how many kilohertz on it has more."""
    paths = [song["uri"] for song in (one, other)]
    if not sure:
        if any(map(is_uri, paths)) or likeness(*paths, shift_s=SHIFT_S) < ALIKE:
            return Heard.OTHER, 0
        longer = one["duration_s"] - other["duration_s"]
        if abs(longer) > SHIFT_S:
            return (Heard.FIRST if longer > 0 else Heard.SECOND), 0
    lossless = [str(song["codec"]).startswith(LOSSLESS) for song in (one, other)]
    if lossless[0] == lossless[1] or any(map(is_uri, paths)):
        return Heard.UNKNOWN, 0
    at = lossless.index(False)
    found, khz = origin(
        Listened.to(paths[at]), (one, other)[at]["codec"], Listened.to(paths[1 - at])
    )
    if found is Origin.UNKNOWN:
        return Heard.UNKNOWN, 0
    is_first = (at == 0) == (found is Origin.LOSSY)
    return (Heard.FIRST if is_first else Heard.SECOND), khz
