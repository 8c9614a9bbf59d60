"""What another program calls a song, and what this store calls it: exact names, both ways.

    "3f1c…" of a music server ──`SongNames.find`──▶ `NamedSong`: row, and by which kind of name
    rows ──`SongNames.called`──▶ the names of the same kind; None for a song that has none

A part of an id is enough for a person, and never for a program: a server that asks for a song
which the store does not have must not get the neighbours of another one.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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
        In the store.
    kind : str
        ``id``, or the kind of alias.
    text : str
        As it was asked for.
    """

    row: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class _Aliases:
    texts: pa.StringArray  # in their order
    rows: Int64Array  # the song of each
    order: Int64Array  # places in `texts`, by row: the songs' names are found here
    ordered: Int64Array  # rows[order]


class SongNames:
    """The ids of a store, and all aliases of its songs as they were when this was made.

    Parameters
    ----------
    store : VectorStore
    """

    def __init__(self, store: VectorStore) -> None:
        self._ids = store.id_array
        self._n = len(store)
        table = alias_table(store)
        rows = IdMap(self._ids).rows(table.column("song_id").combine_chunks())
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
        """Return the song of an exact id, or else of an alias; the kinds in their usual order.

        Raises
        ------
        UnknownSongError
            If there is none.
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
        """Return what some songs are called by the same kind of name; None for one without.

        Of several aliases of a song, the first that is as long as the one that was asked by:
        ids of one server usually are.
        """
        if like.kind == BY_ID:
            return [self.id_of(row) for row in rows]
        return [self._name(self._kinds[like.kind], row, len(like.text)) for row in rows]

    @property
    def usual(self) -> NamedSong:
        """The kind of name that a program is told a song by where it has named none itself.

        An alias of the user's own where there are any: they are there for a server.
        """
        own = AliasKind.CSV.value
        return NamedSong(-1, own if own in self._kinds else BY_ID, "")

    def nameless(self, like: NamedSong) -> frozenset[str]:
        """Return the ids of the songs that have no name of this kind, and so cannot be told."""
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
    """Return an alias in the form in which the store keeps its kind."""
    if kind is AliasKind.MBID:
        return text.lower()
    return text.replace("-", "").upper() if kind is AliasKind.ISRC else text


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a pair of surrogates, out of JSON
        return False
    return True
