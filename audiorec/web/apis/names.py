"""Map the names that other programs have for songs to rows of the store, and back.

    "3f1c…" of a music server ──`SongNames.find`──▶ `NamedSong`: row, and the kind of name
    rows ──`SongNames.called`──▶ the names of the same kind; None for a song without one

Names must match exactly. A part of an id is enough for a person, but not for a program: a server
that asks for a song that the store does not have must not get the neighbours of another song.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import ListColumns
from audiorec.errors import InputError, UnknownSongError
from audiorec.store.aliases import AliasKind, alias_table
from audiorec.store.store import VectorStore
from audiorec.types import IdMap, Int64Array

BY_ID = "id"
LONGEST_NAME = 4096  # characters


@dataclass(frozen=True, slots=True)
class NamedSong:
    """A song that another program named.

    Attributes
    ----------
    row : int
        Row in the store.
    kind : str
        ``id``, or the kind of alias.
    text : str
        The name as it was requested.
    """

    row: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class _Aliases:
    texts: pa.StringArray  # sorted
    rows: Int64Array  # the song of each text
    order: Int64Array  # indices into `texts`, sorted by row, to look up a song's names
    ordered: Int64Array  # rows[order]


class SongNames:
    """The ids of a store, and all aliases of its songs, as of construction.

    Parameters
    ----------
    store : VectorStore
    """

    def __init__(self, store: VectorStore) -> None:
        self._ids = store.id_array
        self._n = len(store)
        table = alias_table(store)
        rows = IdMap(self._ids).rows(table.column(ListColumns.SONG).combine_chunks())
        kinds = table.column("kind")
        self._kinds: dict[str, _Aliases] = {}
        self._nameless: dict[str, frozenset[str]] = {}
        for kind in AliasKind:
            mask = pc.equal(kinds, kind.value)
            places = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
            if not len(places):
                continue
            own = rows[places]
            order = np.argsort(own, kind="stable")
            texts = table.column("alias").filter(mask).combine_chunks()
            self._kinds[kind.value] = _Aliases(texts, own, order, own[order])

    def find(self, text: str) -> NamedSong:
        """Return the song with exactly this id or, failing that, alias; kinds in lookup order.

        Raises
        ------
        UnknownSongError
            If there is no such song.
        InputError
            If several songs have this alias.
        """
        if text and len(text) <= LONGEST_NAME and _is_text(text):
            row = pc.index(self._ids, pa.scalar(text, self._ids.type)).as_py()
            if row >= 0:
                return NamedSong(row, BY_ID, text)
            for kind in AliasKind:
                rows = self._with(kind.value, _as_kept(text, kind))
                if len(rows) > 1:
                    raise InputError(f"{text!r} is the {kind} of {len(rows)} songs")
                if rows:
                    return NamedSong(rows[0], kind.value, text)
        raise UnknownSongError(text[:LONGEST_NAME])

    def id_of(self, row: int) -> str:
        """Return the id of a song."""
        return str(self._ids[row].as_py())

    def called(self, rows: Sequence[int], like: NamedSong) -> list[str | None]:
        """Return the songs' names of the same kind as `like`; None for a song without one.

        If a song has several aliases, prefer the first with the same length as `like`, since the
        ids of one server usually have the same length.
        """
        if like.kind == BY_ID:
            return [self.id_of(row) for row in rows]
        return [self._name(self._kinds[like.kind], row, len(like.text)) for row in rows]

    @property
    def usual(self) -> NamedSong:
        """The kind of name used in responses if the request named no song.

        Aliases that the user added, if there are any, since they are meant for a server; else ids.
        """
        own = AliasKind.CSV.value
        return NamedSong(-1, own if own in self._kinds else BY_ID, "")

    def nameless(self, like: NamedSong) -> frozenset[str]:
        """Return the ids of the songs without a name of this kind, which cannot be returned."""
        if like.kind == BY_ID:
            return frozenset()
        if like.kind not in self._nameless:
            self._nameless[like.kind] = self._without(like.kind)
        return self._nameless[like.kind]

    def _without(self, kind: str) -> frozenset[str]:
        there = np.zeros(self._n, np.bool_)
        there[self._kinds[kind].rows] = True
        if there.all():
            return frozenset()
        return frozenset(self._ids.filter(pa.array(~there)).to_pylist())

    def _with(self, kind: str, text: str) -> list[int]:
        known = self._kinds.get(kind)
        if known is None:
            return []
        n = len(known.texts)
        start = bisect.bisect_left(range(n), text, key=lambda i: known.texts[i].as_py())
        rows = []
        for place in range(start, n):
            if known.texts[place].as_py() != text:
                break
            rows.append(int(known.rows[place]))
        return sorted(set(rows))

    @staticmethod
    def _name(known: _Aliases, row: int, length: int) -> str | None:
        start, stop = np.searchsorted(known.ordered, [row, row + 1])
        texts = [known.texts[int(place)].as_py() for place in known.order[start:stop]]
        same = [text for text in texts if len(text) == length]
        return next(iter([*same, *texts]), None)


def _as_kept(text: str, kind: AliasKind) -> str:
    """Normalise an alias to the form in which the store keeps its kind."""
    if kind is AliasKind.MBID:
        return text.lower()
    return text.replace("-", "").upper() if kind is AliasKind.ISRC else text


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, from JSON
        return False
    return True
