"""Details of one song for the page.

row ──`SongView`──▶ .song      tags, classes, location, and whether it can be played
                    .scores    its scores over time
                    .copies    the other copies of its recording
"""

from collections.abc import Mapping
from datetime import datetime
from shlex import quote
from typing import Any

import numpy as np

from audiorec.columns import StoreColumns
from audiorec.errors import InputError, SongError
from audiorec.library.library import Library
from audiorec.library.readings import each_reading, most_itself
from audiorec.store.corrections import NO_BEAT, correct
from audiorec.store.inventory import USUAL_NAMES
from audiorec.store.schema import Kind
from audiorec.web.gate import AddressKeys
from audiorec.web.song_columns import SongColumns, class_words
from audiorec.web.sound import Roots

SAID = {"genre": "genre", "version": "version", "bpm": "tempo", "music": "music"}
HIDDEN = ("vector", "mtime_ns", "extractor_id", "content_hash")
LONGEST = 500  # letters of a value that is not a plain one
Document = dict[str, Any]


class SongView:
    """Handlers of the page's requests about single songs.

    Parameters
    ----------
    shelf : SongColumns
    roots : Roots
    keys : AddressKeys
    """

    def __init__(self, shelf: SongColumns, roots: Roots, keys: AddressKeys) -> None:
        self._shelf, self._roots, self._keys = shelf, roots, keys
        self._library: Library = shelf.library

    def song(self, row: int) -> Document:
        """Return a song's columns, playback addresses, and classes."""
        with self._shelf.lock:
            columns = self._library.rows([row])[0]
            result = each_reading(self._library, [row], self._shelf.series[0])
            reading = next(result) if self._has_means else None
            part = most_itself(self._library, columns[StoreColumns.ID], self._shelf.series[0])
        uri = str(columns.get("uri") or "")
        shown = {n: plain(v) for n, v in columns.items() if n not in HIDDEN}
        document: Document = {"row": row, "columns": shown, "sound": self._sound(row, uri)}
        document |= {"part": part, "corrected": self._corrected(row)}
        if reading is not None:
            document["reading"] = {
                "best": dict(reading.best),
                "genre": {**reading.genre_facts(), "words": _shown(reading.genre_words)},
                "scores": {h: _rounded(s) for h, s in reading.scores.items()},
                "voiced": reading.voiced,
                "remark": reading.remark,
            }
        return document

    def _corrected(self, row: int) -> Document:
        """Return what the owner says of a song."""
        said = self._library.corrections
        own = {key: said[field][row] for key, field in SAID.items() if row in said[field]}
        typed: Document = {**own}
        if own.get("bpm", NO_BEAT) != NO_BEAT:
            typed["bpm"] = float(own["bpm"])
        return typed | ({"music": own["music"] == "yes"} if "music" in own else {})

    def correct(self, row: int, wish: Mapping[str, Any]) -> str:
        """Write what the owner says of a song, and return it in words.

        Parameters
        ----------
        row : int
        wish : mapping
            Any of ``genre``, ``version``: texts; ``bpm``: a number, or none; ``music``: true or
            false; or ``undo``, which takes all of them back.

        Raises
        ------
        InputError
            If there is none of these, or a value is not possible.
        """
        undo = wish.get("undo") is True
        values = {
            key: "" if undo else _stated(key, wish[key]) for key in SAID if undo or key in wish
        }
        if not values:
            raise InputError(f"give one of: {', '.join(SAID)}, undo")
        for key, value in values.items():
            correct(self._library, self._library.ids[row], SAID[key], value)
        said = (f"{SAID[key]} {class_words(f'{key}/{value}')}" for key, value in values.items())
        return "Taken back." if undo else f"You said: {', '.join(said)}."

    def uri(self, row: int) -> str:
        """Return the path of a song's file, as stored."""
        with self._shelf.lock:
            return str(self._library.rows([row])[0].get("uri") or "")

    def scores(self, row: int) -> Document:
        """Return the scores of a song over time, or under ``why`` the reason why there are none."""
        song_id = self._library.ids[row]
        with self._shelf.lock:
            file, why = self._shelf.series
            if file is None or song_id not in file:
                text = why or "the scores file does not have this song"
                return {"why": text, "command": extract_command(self._library, self._roots)}
            series = file.series(song_id)
        return {
            "classes": list(series.classes),
            "words": [class_words(name) for name in series.classes],
            "start_s": np.round(series.start_s.astype(np.float64), 3).tolist(),
            "scores": np.rint(1000 * series.scores).astype(int).tolist(),
        }

    def copies(self, row: int) -> Document:
        """Return the other copies of a song, best first, and whether the song is the best one."""
        with self._shelf.lock:
            recordings = self._library.recordings
        others = recordings.of(row)
        return {"copies": others, "best": recordings.best([row, *others]) in (row, None)}

    @property
    def _has_means(self) -> bool:
        return "mean" in self._library.metadata.statistics

    def _sound(self, row: int, uri: str) -> Document:
        try:
            self._roots.open(uri).close()
        except SongError as error:
            return {"why_not": error.reason, "folder": uri.rpartition("/")[0]}
        return {
            "url": self._keys.keyed(f"/audio/{row}"),
            "cover": self._keys.keyed(f"/cover/{row}"),
        }


def _stated(key: str, value: Any) -> str:
    """Return a correction as text; `InputError` for a value of another type."""
    if key == "music" and isinstance(value, bool):
        return "yes" if value else "no"
    if key == "bpm" and (value is None or type(value) in (int, float)):
        return NO_BEAT if value is None else f"{value:.6g}"
    if key in ("genre", "version") and isinstance(value, str):
        return value
    raise InputError(f"{key}: {str(value)[:40]!r} is not possible")


def extract_command(library: Library, roots: Roots) -> str:
    """Return the command that hears what a store lacks, its scores included."""
    store = library.path.resolve()
    scores = store.with_name(USUAL_NAMES[Kind.SCORES])
    names = *roots.folders, "--out", str(store), "--scores", str(scores)
    return " ".join(["audiorec extract", *map(quote, names)])


def plain(value: Any) -> Any:
    """Convert a value to one that JSON can hold."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    return str(value)[:LONGEST]  # for example a list, in a column that the user added


def _shown(words: str) -> str:
    """Return a genre in words as the page spells its classes."""
    return " ".join(class_words(f"genre/{word}") for word in words.split())


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in scores.items()}
