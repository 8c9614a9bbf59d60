"""Lists of songs that the page makes, and the one thing that it writes: a playlist.

two songs          ──path_of──────▶ a way from one to the other
songs, a curve     ──playlist_of──▶ so many minutes near them
rows, a file name  ──`Saver`──────▶ an .m3u8 where the user says; undone on demand
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import InputError, MissingFileError, StoreError
from audiorec.files.own_files import refuse_link
from audiorec.playlists.m3u8 import PlaylistEntry, write_m3u8
from audiorec.web.shelf import Shelf

MOST_SONGS = 2_000
MOST_POINTS = 50
MAX_MINUTES = 24 * 60.0
MAX_OLD = 4 << 20  # bytes of a playlist that is replaced, kept for undo
ENDINGS = (".m3u8", ".m3u")
Document = dict[str, Any]


def path_of(shelf: Shelf, start: int, end: int, *, steps: int) -> Document:
    """Return a smooth way from one song to another.

    Raises
    ------
    InputError
        If the two cannot be compared, or `steps` makes no sense.
    """
    library = shelf.library
    if not 0 <= steps <= 100:
        raise InputError("between 0 and 100 songs can stand between the two")
    with shelf.lock:
        found = library.path_between(library.ids[start], library.ids[end], steps=steps)
    return {"rows": found.rows.tolist(), "notes": _in_words(shelf, found.notes)}


def playlist_of(shelf: Shelf, wish: Mapping[str, Any]) -> Document:
    """Return a playlist near some songs.

    Parameters
    ----------
    shelf : Shelf
    wish : mapping
        ``seeds``: rows; ``minutes``; ``curve``: a class (``genre/jazz``) and ``points`` from 0
        to 1, at equal distances; ``only``: conditions; ``without``: rows that must not come.

    Raises
    ------
    InputError
        If there are no seeds, or something is out of its range.
    """
    library = shelf.library
    seeds = rows_in(wish.get("seeds"), len(library))
    without = rows_in(wish.get("without", []), len(library))
    minutes = wish.get("minutes", 60)
    if not isinstance(minutes, (int, float)) or not 1 <= minutes <= MAX_MINUTES:
        raise InputError("a list is between a minute and a day long")
    if not seeds:
        raise InputError("choose a song to begin with")
    curve = _curve(wish.get("curve"))
    with shelf.lock:
        found = library.playlist(
            *(library.ids[row] for row in seeds),
            minutes=float(minutes),
            curve=[curve] if curve else (),
            only=wish.get("only") or None,
            exclude=[library.ids[row] for row in without if row not in seeds],
        )
    document: Document = {"rows": found.rows.tolist(), "notes": _in_words(shelf, found.notes)}
    if curve:
        scores = next(iter(found.curve_scores.values()))
        document["scores"] = np.round(np.asarray(scores, np.float64), 3).tolist()
        document["distance"] = found.curve_distance
    return document


def _in_words(shelf: Shelf, notes: Sequence[str]) -> list[str]:
    """Return remarks with the classes called as the page calls them."""
    found = []
    for note in notes:
        said = note
        for name, words in shelf.made("about")["words"].items():
            said = said.replace(name, words)
        found.append(said)
    return found


def rows_in(value: object, n: int) -> list[int]:
    """Return numbers of rows that a page sent; anything else is an `InputError`."""
    if not isinstance(value, list) or len(value) > MOST_SONGS:
        raise InputError(f"a list of at most {MOST_SONGS} songs is expected")
    rows = [row for row in value if type(row) is int and 0 <= row < n]
    if len(rows) < len(value):
        raise InputError("the library has no such song")
    return rows


def _curve(value: object) -> str:
    """Return a drawn curve as the command line writes it; empty for none."""
    if value is None:
        return ""
    if not isinstance(value, dict):
        raise InputError("a curve has a class and points")
    name, points = value.get("class"), value.get("points")
    numbers: Sequence[Any] = points if isinstance(points, list) else []
    good = all(isinstance(p, (int, float)) and 0 <= p <= 1 for p in numbers)
    if not isinstance(name, str) or not 1 <= len(numbers) <= MOST_POINTS or not good:
        raise InputError("a curve has a class and up to 50 points from 0 to 1")
    return f"{name}:{'..'.join(f'{point:.3f}' for point in numbers)}"


class Saver:
    """Writes playlists where the user says, and can take the last one back."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._last: tuple[Path, bytes | None, bytes] | None = None

    def turn_to(self, shelf: Shelf) -> None:
        """Take songs from another edition of the library; what was saved can still be undone."""
        self._shelf = shelf

    def save(self, rows: Sequence[int], name: str, *, replace: bool = False) -> Document:
        """Write a playlist.

        Parameters
        ----------
        rows : sequence of int
        name : str
            A path; a plain name goes to the folder of the store.
        replace : bool
            Replace a file that is there; else that is an error.

        Raises
        ------
        InputError
            If the name is none for a playlist, its folder is not there, or a file is in the way.
        """
        place = self._place(name)
        old: bytes | None = None
        if place.exists():
            if not replace:
                raise InputError(f"{place}: is there already")
            old = _old(place)
        with self._shelf.lock:
            songs = self._shelf.library.rows(list(rows))
        entries = [
            PlaylistEntry(
                path=s["uri"], duration_s=s["duration_s"], artist=s["artist"], title=s["title"]
            )
            for s in songs
        ]
        left_out = write_m3u8(entries, place)
        self._last = place, old, place.read_bytes()
        return {"path": str(place), "songs": len(songs) - len(left_out), "left_out": len(left_out)}

    def undo(self) -> Document:
        """Take the last save back: the file is as it was before, or gone.

        Raises
        ------
        InputError
            If nothing was saved, or the file changed since.
        """
        if self._last is None:
            raise InputError("nothing was saved yet")
        place, old, written = self._last
        refuse_link(place)
        if not place.is_file() or place.read_bytes() != written:
            raise InputError(f"{place}: changed since it was saved, and is left as it is")
        if old is None:
            place.unlink()
        else:
            place.write_bytes(old)
        self._last = None
        return {"path": str(place), "restored": old is not None}

    def _place(self, name: str) -> Path:
        if not name.strip() or "\0" in name or not name.lower().endswith(ENDINGS):
            raise InputError("a name that ends in .m3u8 is expected, for example evening.m3u8")
        place = Path(name).expanduser()
        if not place.is_absolute():
            place = self._shelf.library.path.resolve().parent / place
        place = Path(os.path.abspath(place))  # noqa: PTH100 - a link stays one, and is refused
        if not place.parent.is_dir():
            raise MissingFileError(f"{place.parent}: no such folder")
        try:
            refuse_link(place)
        except StoreError as error:
            raise InputError(str(error)) from None
        if place.exists() and not stat.S_ISREG(place.lstat().st_mode):
            raise InputError(f"{place}: is no file that can be replaced")
        return place


def _old(place: Path) -> bytes:
    """Return what is replaced, if it is a playlist: nothing else may be lost by a slip."""
    if place.stat().st_size > MAX_OLD:
        raise InputError(f"{place}: is too large for a playlist, and is left alone")
    old = place.read_bytes()
    if not old.lstrip(b"\xef\xbb\xbf").startswith(b"#EXTM3U"):
        raise InputError(f"{place}: is no playlist, and is left alone")
    return old
