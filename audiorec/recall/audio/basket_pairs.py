"""Songs that stand together in a log, as pairs of song and song: sessions and playlists.

* A **session** is a user's listening without a pause of half an hour. Skips, dislikes and
  plays that are known to have ended before half of the song are not part of it.
* A **playlist** is all rows with the event ``playlist`` and one ``playlist_id``, in the order
  of the file. A file without that column has one playlist a user.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc

from audiorec.errors import InputError
from audiorec.files.user_files import column_names, read_table
from audiorec.listening.baskets import (
    SESSION_GAP_S,
    WINDOW,
    Baskets,
    co_occurring,
    playlists,
    sessions,
)
from audiorec.listening.events import EVENTS, Interactions
from audiorec.types import Pairs

PLAYLIST_ID = "playlist_id"
LEFT_OUT = ("skip", "dislike", "playlist")
MIN_RATIO = 0.5  # a play that ended earlier was not wanted

From = Literal["sessions", "playlists"]


def song_pairs(
    path: Path,
    log: Interactions,
    song_ids: Collection[str],
    *,
    source: From,
    gap_s: float = SESSION_GAP_S,
    window: int = WINDOW,
) -> Pairs:
    """Return which songs stand together.

    Parameters
    ----------
    path : Path
        The file that `log` was read from; looked at again for its ``playlist_id``.
    log : Interactions
    song_ids : collection of str
        The numbers in the pairs are places in this; other songs are passed over, before
        places in a session are counted.
    source : {"sessions", "playlists"}
    gap_s : float
        Seconds without listening that end a session.
    window : int
        Songs of a session that lie further apart do not count as together; a playlist counts
        as a whole.

    Raises
    ------
    InputError
        If no two songs stand together.
    """
    place = {name: number for number, name in enumerate(song_ids)}
    if source == "sessions":
        baskets = _sessions(log, place, gap_s)
    else:
        baskets, window = _playlists(path, log, place), 0
    pairs = co_occurring(baskets, len(place), window=window)
    if not len(pairs):
        raise InputError(f"{path}: no two known songs stand in one of its {source}")
    return pairs


def _sessions(log: Interactions, place: dict[str, int], gap_s: float) -> Baskets:
    song = _places(log, place)
    wanted = ~np.isin(log.event, [EVENTS.index(name) for name in LEFT_OUT])
    cut_short = (log.event == EVENTS.index("play")) & (log.played_ratio < MIN_RATIO)
    rows = np.flatnonzero(wanted & ~cut_short & (song >= 0))
    return sessions(log.user[rows], song[rows], log.timestamp[rows], gap_s=gap_s)


def _playlists(path: Path, log: Interactions, place: dict[str, int]) -> Baskets:
    named = _named_playlists(path)
    if named is None:
        song = _places(log, place)
        rows = np.flatnonzero((log.event == EVENTS.index("playlist")) & (song >= 0))
        rows = rows[np.argsort(log.timestamp[rows], kind="stable")]
        return playlists(log.user[rows], song[rows])
    owners, names = named
    song = np.array([place.get(name, -1) for name in names], np.int64)
    _, owner = np.unique(owners, return_inverse=True)
    return playlists(owner[song >= 0], song[song >= 0])


def _named_playlists(path: Path) -> tuple[Any, list[str]] | None:
    """Return playlist and song of each playlist event, None without such a column."""
    columns, failure = (PLAYLIST_ID, "song_id", "event"), "cannot be read"
    if PLAYLIST_ID not in column_names(path, failure):
        return None
    table = read_table(path, failure, needed=columns, texts=True)
    is_playlist = pc.equal(table.column("event"), "playlist")
    kept = table.filter(pc.and_(is_playlist, pc.is_valid(table.column(PLAYLIST_ID))))
    owners = np.asarray(kept.column(PLAYLIST_ID).to_pylist(), object).astype(str)
    return owners, kept.column("song_id").to_pylist()


def _places(log: Interactions, place: dict[str, int]) -> Any:
    """Return the place of each row's song, -1 where it is not known: shape (P,), int64."""
    of_song = np.array([place.get(name, -1) for name in log.song_ids], np.int64)
    return of_song[log.song]
