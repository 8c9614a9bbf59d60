"""Make paths and playlists for the page, read those that one has, and save them where one says.

a form             ──question_of──▶ a question about the library, as its class declares it
one song           ──similar_to───▶ the songs that sound most like it
two songs          ──path_of──────▶ a path from one to the other
songs, a curve     ──playlist_of──▶ a playlist of songs near them
a playlist's text  ──songs_given──▶ the songs of the library that it names
a sentence         ──described_by─▶ the songs that it describes
songs, skips       ──radio_of─────▶ what a radio plays next
rows, a file name  ──`Saver`──────▶ an .m3u8 where the user says; can be undone
rows               ──songs_as─────▶ a playlist, a table or paths, as text that the browser keeps
library            ──`CopiesView`─▶ its copies side by side: which is best, why, bytes to gain
"""

import csv
import io
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from math import isfinite
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar
from urllib.parse import unquote

import numpy as np

from audiorec.columns import StoreColumns
from audiorec.errors import ExistingFileError, InputError, MissingFileError, StoreError
from audiorec.files.m3u8 import PlaylistEntry, render_m3u8, write_m3u8
from audiorec.files.own_files import refuse_link, write_errors, write_own
from audiorec.files.visible import visible
from audiorec.listening.imports.importing import KnownSongs
from audiorec.listening.imports.rows import SongRef
from audiorec.options import made
from audiorec.playlists.answers import PathOfSongs, PlaylistOfSongs
from audiorec.search.copies import Group, find_duplicates, kbit_s, not_compared
from audiorec.search.questions import SPREAD, PathQuestion, PlaylistQuestion, SimilarQuestion
from audiorec.search.similar import SimilarSongs
from audiorec.store.export import guarded_text
from audiorec.store.schema import TEXT_ATTRIBUTES
from audiorec.web.forms import FormField, fields_for, read_form
from audiorec.web.song_columns import SongColumns
from audiorec.web.song_view import plain

MOST_SONGS = 2_000
MOST_LETTERS = 500  # of a sentence
FEWEST, MOST, PART = 20, 200, 5  # songs for a sentence: a fifth of the library within limits
RADIO = 5  # songs that a radio asks for at a time
MOST_POINTS = 50
MOST_POINT = 1e4  # of any curve; each kind has closer limits
NAMED_UNKNOWN = 3  # names that the library does not have, in an answer
MAX_OLD = 4 << 20  # bytes of a replaced playlist, kept in memory for undo
ENDINGS = (".m3u8", ".m3u")
# How curves of columns are called in a remark.
COLUMNS = {
    " bpm misses": " the tempo misses",
    " loudness misses": " the loudness misses",
    " tag_": " ",
}
Document = dict[str, Any]
Q = TypeVar("Q", SimilarQuestion, PathQuestion, PlaylistQuestion)


# The page always says why, and draws its curves.
FORMS: dict[type, tuple[FormField, ...]] = {
    SimilarQuestion: fields_for(SimilarQuestion, without=("why",)),
    PathQuestion: fields_for(PathQuestion, without=("why",)),
    PlaylistQuestion: fields_for(PlaylistQuestion, without=("why", "curve")),
}


def question_of(
    kind: type[Q], given: Mapping[str, Any], *, is_query: bool = False, **own: Any
) -> Q:
    """Return a question from the values of the page's form, and from the page's `own`.

    Raises `InputError` for a value that the question's declaration does not allow.
    """
    return made(kind, {**read_form(FORMS[kind], given, is_query=is_query), **own})


def similar_to(shelf: SongColumns, question: SimilarQuestion) -> Document:
    """Return the songs most similar to one, why, and how close they are."""
    result = shelf.ready.ask(question)
    closer = result.beside.percent
    return _document(shelf, result) | {"closer": closer}


def path_of(shelf: SongColumns, question: PathQuestion) -> Document:
    """Return a smooth path from one song to another; `InputError` if they cannot be compared."""
    result = shelf.ready.ask(question)
    return _document(shelf, result)


def playlist_of(shelf: SongColumns, wish: Mapping[str, Any]) -> Document:
    """Return a playlist of songs near some songs.

    Parameters
    ----------
    shelf : SongColumns
    wish : mapping
        ``seeds``: rows; ``curve``: what it is ``of`` (``genre/jazz``, ``bpm``, ``loudness``,
        ``tag_happy``) and its ``points``, evenly spaced; ``new``: only songs other than the seeds,
        best first; and the options of `PlaylistQuestion`.

    Raises
    ------
    InputError
        If there are no seeds, or a value is out of range.
    """
    seeds = rows_in(wish.get("seeds"), len(shelf.library))
    if not seeds:
        raise InputError("choose a song to start with")
    curve = _curve(wish.get("curve"))
    given = {name: value for name, value in wish.items() if name not in ("seeds", "curve", "new")}
    question = question_of(PlaylistQuestion, given, seeds=seeds, curve=[curve] if curve else ())
    if wish.get("new") is True:
        return _new_songs(shelf, question)
    result = shelf.ready.ask(question)
    document = _document(shelf, result)
    if curve:
        scores = next(iter(result.curve_scores.values()))
        document["scores"] = [float(f"{score:.6g}") for score in scores]
    return document


def _new_songs(shelf: SongColumns, wanted: PlaylistQuestion) -> Document:
    """Return the songs most like some songs and none of them, best first, for some minutes."""
    question = SimilarQuestion(
        seeds=wanted.seeds,
        k=1 + int(wanted.minutes),
        minimum=-1.0,
        choice=wanted.choice,
        words=wanted.words,
    )
    result = shelf.ready.ask(question)
    ends = np.cumsum([song["duration_s"] or 0.0 for song in result.songs])
    n = max(1, int(np.searchsorted(ends, 60 * wanted.minutes, side="right")))
    document = _document(shelf, result)
    return document | {name: document[name][:n] for name in ("rows", "why")}


def songs_given(shelf: SongColumns, wish: Mapping[str, Any]) -> Document:
    """Return the songs of a list that the user has, in its order, and what the library lacks.

    Parameters
    ----------
    shelf : SongColumns
    wish : mapping
        ``text``: a playlist (M3U), a table (CSV) with ``song_id``, ``uri``, or ``title`` and
        ``artist``, or one id or path per line.

    Raises
    ------
    InputError
        If it names no song, or more than `MOST_SONGS`.
    """
    text = wish.get("text")
    if not isinstance(text, str):
        raise InputError("text: the content of a playlist is expected")
    try:
        songs = list(islice(_named_songs(text.removeprefix("\ufeff")), MOST_SONGS + 1))
    except csv.Error as error:
        raise InputError(f"this is not a table: {error}") from None
    if not 1 <= len(songs) <= MOST_SONGS:
        raise InputError(f"a playlist of 1 to {MOST_SONGS} songs is expected")
    with shelf.lock:
        known = KnownSongs(shelf.library)
    rows = [known.find(song).row for song in songs]
    lost = [song for song, row in zip(songs, rows, strict=True) if row < 0]
    if len(lost) == len(songs):
        raise InputError(f"the library has none of its songs, for example {_called(lost[0])}")
    return {
        "rows": list(dict.fromkeys(row for row in rows if row >= 0)),
        "missing": len(lost),
        "examples": [_called(song) for song in lost[:NAMED_UNKNOWN]],
    }


def _named_songs(text: str) -> Iterator[SongRef]:
    """Yield what a playlist, a table or a list of names says of each song."""
    lines = text.splitlines()
    if {"uri", StoreColumns.ID, "title"} & set(next(csv.reader(lines[:1]), [])):
        for row in csv.DictReader(lines):
            yield SongRef(
                id=row.get(StoreColumns.ID) or "",
                path=row.get("uri") or "",
                artist=row.get("artist") or "",
                title=row.get("title") or "",
            )
        return
    label = ""
    for line in filter(None, map(str.strip, lines)):
        if line.startswith("#EXTINF:"):
            label = line.partition(",")[2]
        elif not line.startswith("#"):
            artist, _, title = label.partition(" - ")
            path = unquote(line[7:]) if line.startswith("file://") else line
            yield SongRef(id=line, path=path, artist=artist.strip(), title=title.strip())
            label = ""


def _called(song: SongRef) -> str:
    return song.path or song.id or f"{song.artist} - {song.title}"


def radio_of(shelf: SongColumns, wish: Mapping[str, Any]) -> Document:
    """Return the next songs of a radio: rows near those heard, away from those skipped.

    Parameters
    ----------
    shelf : SongColumns
    wish : mapping
        ``seeds``: rows of songs that were heard; ``skipped``: rows of songs that were not; both
        newest last; ``played``: rows that are not played again.

    Raises
    ------
    InputError
        If there are no seeds, or the library has no such song.
    """
    library = shelf.library
    seeds, skipped, played = (
        rows_in(wish.get(name, []), len(library)) for name in ("seeds", "skipped", "played")
    )
    if not seeds:
        raise InputError("choose a song to start with")
    question = SimilarQuestion(
        seeds=seeds[:1] + seeds[1:][-3:],
        less_like=skipped[-2:],
        k=RADIO,
        minimum=-1.0,  # rather something else than silence
        choice=replace(SPREAD, exclude_ids={library.ids[row] for row in (*played, *skipped)}),
    )
    result = library.ask(question)
    return {"rows": result.rows.tolist()}


def described_by(shelf: SongColumns, wish: Mapping[str, Any]) -> Document:
    """Return the songs that a sentence describes, best first, and what was understood.

    Parameters
    ----------
    shelf : SongColumns
    wish : mapping
        ``text``: the sentence, of at most 500 characters.

    Raises
    ------
    InputError
        If nothing of the sentence is understood, or the songs have no embedding.
    """
    text = wish.get("text")
    if not isinstance(text, str) or len(text) > MOST_LETTERS:
        raise InputError(f"a sentence has at most {MOST_LETTERS} characters")
    result = shelf.ready.find(text, k=min(MOST, max(FEWEST, len(shelf.library) // PART)))
    return {
        "rows": result.rows.tolist(),
        "fit": [None if one is None else round(one, 3) for one in result.strengths],
        "fits": result.fits,
        "parts": {
            name: np.nan_to_num(one, nan=-1).round(3).tolist() for name, one in result.parts.items()
        },
        "understood": list(result.sentence.chips),
        "unknown": list(result.not_understood),
    }


def _document(shelf: SongColumns, found: PathOfSongs | PlaylistOfSongs | SimilarSongs) -> Document:
    """Return a list with what each song has in common with the one it was found by."""
    with shelf.lock:
        why = found.beside.said
    notes = [] if isinstance(found, SimilarSongs) else _in_words(shelf, found.notes)
    return {"rows": found.rows.tolist(), "notes": notes, "why": why}


def _in_words(shelf: SongColumns, notes: Sequence[str]) -> list[str]:
    """Return remarks with names of classes and columns replaced by their display names."""
    result = []
    for note in notes:
        said = note
        for name, words in (*shelf.made("about")["words"].items(), *COLUMNS.items()):
            said = said.replace(name, words)
        result.append(said)
    return result


def rows_in(value: object, n: int) -> list[int]:
    """Check row numbers sent by a page and return them; raise `InputError` for anything else."""
    if not isinstance(value, list) or len(value) > MOST_SONGS:
        raise InputError(f"a list of at most {MOST_SONGS} songs is expected")
    rows = [row for row in value if type(row) is int and 0 <= row < n]
    if len(rows) < len(value):
        raise InputError("the library has no such song")
    return rows


def _curve(value: object) -> str:
    """Convert a drawn curve to the syntax of the command line; empty if there is none."""
    if value is None:
        return ""
    if not isinstance(value, dict):
        raise InputError("a curve needs a name and points")
    name, points = value.get("of"), value.get("points")
    numbers: Sequence[Any] = points if isinstance(points, list) else []
    good = all(type(p) in (int, float) and abs(p) < MOST_POINT for p in numbers)
    if not isinstance(name, str) or not 1 <= len(numbers) <= MOST_POINTS or not good:
        raise InputError("a curve needs a name and up to 50 numbers")
    return f"{name}:{'..'.join(f'{point:.6g}' for point in numbers)}"


class Saver:
    """Writer of playlists, which can undo the last save."""

    def __init__(self, shelf: SongColumns) -> None:
        self._shelf = shelf
        self._last: tuple[Path, bytes | None, bytes] | None = None

    def turn_to(self, shelf: SongColumns) -> None:
        """Switch to another edition of the library; the last save can still be undone."""
        self._shelf = shelf

    def save(self, rows: Sequence[int], name: str, *, replace: bool = False) -> Document:
        """Write a playlist.

        Parameters
        ----------
        rows : sequence of int
        name : str
            A path; a relative one is taken from the folder of the store.
        replace : bool
            Replace an existing playlist; otherwise that is an error.

        Raises
        ------
        ExistingFileError
            If the file exists and `replace` is false.
        InputError
            If the name does not fit a playlist, its folder does not exist, or the file in the way
            is no playlist.
        """
        place = self._place(name)
        old: bytes | None = None
        if place.exists():
            if not replace:
                raise ExistingFileError(f"{place}: already exists")
            old = _old(place)
        with self._shelf.lock:
            songs = self._shelf.library.rows(list(rows))
        left_out = write_m3u8(map(PlaylistEntry.of, songs), place)
        self._last = place, old, place.read_bytes()
        return {"path": str(place), "songs": len(songs) - len(left_out), "left_out": len(left_out)}

    def undo(self) -> Document:
        """Undo the last save: restore the previous file, or remove the new one.

        Raises
        ------
        InputError
            If nothing was saved, or the file has changed since.
        StoreError
            If the file cannot be written; it is unchanged, and undo can be tried again.
        """
        if self._last is None:
            raise InputError("nothing has been saved yet")
        place, old, written = self._last
        refuse_link(place)
        if not place.is_file() or place.read_bytes() != written:
            raise InputError(f"{place}: has changed since it was saved; left unchanged")
        if old is None:
            with write_errors(place):
                place.unlink()
        else:
            write_own(place, old)
        self._last = None
        return {"path": str(place), "restored": old is not None}

    def _place(self, name: str) -> Path:
        if not name.strip() or "\0" in name or not name.lower().endswith(ENDINGS):
            raise InputError("give a name that ends in .m3u8, for example evening.m3u8")
        folder = self._shelf.library.path.resolve().parent
        try:
            name.encode()
            # expanduser leaves an unknown user's ~; abspath does not resolve a link: it is refused.
            place = Path(os.path.abspath(folder / os.path.expanduser(name)))  # noqa: PTH100, PTH111
            if not place.parent.is_dir():
                raise MissingFileError(f"{place.parent}: no such folder")
            refuse_link(place)
            if place.exists() and not stat.S_ISREG(place.lstat().st_mode):
                raise InputError(f"{place}: cannot be replaced: not a regular file")
        except UnicodeEncodeError:
            raise InputError("the name is not valid Unicode") from None
        except StoreError as error:
            raise InputError(str(error)) from None
        except OSError as error:  # a name that is too long, a folder that may not be read
            raise InputError(f"{name}: cannot be written: {error.strerror}") from None
        return place


def _old(place: Path) -> bytes:
    """Return the content to be replaced; refuse files other than playlists, against mistakes."""
    if place.stat().st_size > MAX_OLD:
        raise InputError(f"{place}: too large for a playlist; left unchanged")
    old = place.read_bytes()
    if not old.lstrip(b"\xef\xbb\xbf").startswith(b"#EXTM3U"):
        raise InputError(f"{place}: not a playlist; left unchanged")
    return old


KINDS = ("m3u8", "csv", "paths")
# Columns of a table: those that every store has, and those that it may have.
SONG = ("title", "artist", "album", "duration_s", "loudness_lufs", "bpm", *TEXT_ATTRIBUTES)
FILE = ("codec", "source_rate", "size", StoreColumns.ID, "uri")
APART = ("duration_s", "loudness_lufs", "status", *FILE[:3], "uri")  # of a copy, on the page
COPY = ("recording", "verdict", "best", "surplus", "why", "kbit_s")
Song = dict[str, Any]


def songs_as(shelf: SongColumns, rows: Sequence[int], kind: object) -> Document:
    """Return some songs as text, with absolute paths, and how many it cannot hold.

    Parameters
    ----------
    shelf : SongColumns
    rows : sequence of int
    kind : {"m3u8", "csv", "paths"}

    Raises
    ------
    InputError
        If `kind` is none of these.
    """
    if kind not in KINDS:
        raise InputError(f"a list is given as one of: {', '.join(KINDS)}")
    with shelf.lock:
        songs = shelf.library.rows(list(rows))
    if kind == "csv":
        return {"text": _table((*SONG, *FILE), songs), "left_out": 0}
    text, left_out = render_m3u8(map(PlaylistEntry.of, songs), folder=None)
    if kind == "paths":
        text = "".join(f"{line}\n" for line in text.splitlines()[2::2])
    return {"text": text, "left_out": len(left_out)}


class CopiesView:
    """The recordings that a library holds more than once: those of ``audiorec duplicates``.

    Parameters
    ----------
    shelf : SongColumns
    """

    def __init__(self, shelf: SongColumns) -> None:
        self._shelf = shelf
        self._finding = threading.Lock()

    def all(self) -> Document:
        """Return every recording with its copies, best first, in values that JSON can hold."""
        groups = [
            {
                "verdict": group.verdict.value,
                "why": group.why,
                "gain": sum(s["size"] for _, s in songs if s[StoreColumns.ID] in group.surplus),
                "songs": [
                    {
                        "row": row,
                        "kbit_s": kbit_s(song),
                        "surplus": group.surplus.get(song[StoreColumns.ID]),
                    }
                    | {name: plain(song.get(name)) for name in APART}
                    for row, song in songs
                ],
            }
            for group, songs in self._found()
        ]
        return {"groups": groups, "notes": self._notes}

    def given(self, wish: Mapping[str, Any]) -> Document:
        """Return the copies as text: all as a table, else the files that are surplus.

        Parameters
        ----------
        wish : mapping
            ``as``: as in `songs_as`, or ``script``: a shell script that removes what is surplus;
            ``verdicts``: how certain the recordings are; ``rows``: whose recordings alone, if
            given.
        """
        verdicts = wish.get("verdicts")
        if not isinstance(verdicts, list):
            raise InputError("verdicts: a list of them is expected")
        result = [one for one in self._found() if one[0].verdict.value in verdicts]
        if "rows" in wish:
            wanted = {*rows_in(wish["rows"], len(self._shelf.library))}
            result = [one for one in result if wanted & {row for row, _ in one[1]}]
        if wish.get("as") == "script":
            return {"text": _script(result), "left_out": 0}
        if wish.get("as") != "csv":
            rows = [
                row for one, own in result for row, s in own if s[StoreColumns.ID] in one.surplus
            ]
            return songs_as(self._shelf, rows, wish.get("as"))
        lines = [
            {
                **song,
                "recording": number,
                "verdict": group.verdict.value,
                "best": "no" if index else "yes",
                "surplus": "yes" if song[StoreColumns.ID] in group.surplus else "no",
                "why": group.surplus.get(song[StoreColumns.ID], group.why),
                "kbit_s": kbit_s(song),
            }
            for number, (group, songs) in enumerate(result, 1)
            for index, (_, song) in enumerate(songs)
        ]
        return {"text": _table((*COPY, *SONG[:5], *FILE), lines), "left_out": 0}

    def _found(self) -> list[tuple[Group, list[tuple[int, Song]]]]:
        """Return each recording, and the rows and songs of its copies, best first."""
        with self._finding:
            return self._groups

    @cached_property
    def _groups(self) -> list[tuple[Group, list[tuple[int, Song]]]]:
        library = self._shelf.library
        self._notes = [note] if (note := not_compared(library)) else []
        duplicates = find_duplicates(library)
        songs = iter(library.rows([row for group in duplicates for row in group.rows]))
        return [(group, [(row, next(songs)) for row in group.rows]) for group in duplicates]


def _script(recordings: Iterable[tuple[Group, list[tuple[int, Song]]]]) -> str:
    """Return a shell script that removes the surplus copies of each recording.

    Names may hold anything: they are quoted, and shown without control characters in comments.
    """
    lines = [
        "#!/bin/sh",
        "# Removes the copies of a library's recordings. Read it before you run it.",
    ]
    for group, songs in recordings:
        kept = [song["uri"] for _, song in songs if song[StoreColumns.ID] not in group.surplus]
        lines += ["", *(f"# kept: {visible(uri)}" for uri in kept)]
        for _, song in songs:
            if (why := group.surplus.get(song[StoreColumns.ID])) and song["uri"].startswith("/"):
                lines += [f"# {visible(why)}", f"rm -v -- {quote(song['uri'])}"]
    return "\n".join([*lines, ""])


def _table(names: Sequence[str], songs: Iterable[Song]) -> str:
    """Return songs as CSV, one line per song; what the store lacks is empty, no formula runs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(song.get(name)) for name in names] for song in songs)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return guarded_text(value)
    return f"{value:.6g}" if isinstance(value, float) and isfinite(value) else plain(value)
