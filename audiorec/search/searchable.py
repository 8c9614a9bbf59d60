"""A store with search: finds songs by name and by similarity.

    SearchableStore.open(path)  →  .resolve(text)  .similar(query, k)  .space(by)  .duplicates()
    "etude", "~/Music/piano/etude.flac"  ──song_named──▶  the song's id
    "~/Music/piano/etude.flac"           ──song_of_file─▶  the same, None for an unknown file

It caches the spaces that it opens and the columns that choices read. A path may be relative,
contain ``..``, and lead through links; it is resolved to the file.
Errors say why: no such song, no such file, or a song that failed during extraction.
`audiorec.library` builds on it for commands, Python and servers.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.columns import StoreColumns
from audiorec.errors import (
    InputError,
    SeveralSongsError,
    ShapeError,
    StoreError,
    UnknownFileError,
    UnknownSongError,
)
from audiorec.files.arrow import string_array
from audiorec.search.choice import Chooser, Chosen
from audiorec.search.copies import Group, Recordings, find_duplicates
from audiorec.search.explain import Closeness, FactReader, Usual
from audiorec.search.near import near_each
from audiorec.search.questions import MINIMUM, Choice
from audiorec.search.space import Neighbours, Space, SpaceChoice, choose_space, open_space
from audiorec.store.aliases import resolve
from audiorec.store.inventory import files_beside
from audiorec.store.schema import Kind, open_checked
from audiorec.store.store import VectorStore, unique_match
from audiorec.types import BoolArray, Float64Array, FloatArray, IdMap, Int64Array

ROOTED = ("/", "~", "./", "../")  # prefixes of paths; ids never start with them
SAMPLE = 2_000  # songs from which it is counted how many have a fact
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")  # a file name's extension


def song_named(store: VectorStore, text: str) -> str:
    """Return the id of the song that a text names.

    Tried in this order: an exact id; the path of a file in the store; an alias; the only id that
    ends in ``/text``; the only id that contains the text, ignoring case.

    Raises
    ------
    UnknownSongError
        If no song matches; has up to five near matches. If the text looks like a path, an
        `UnknownFileError`, which is also a ``FileNotFoundError``; if several songs match, a
        `SeveralSongsError`.
    InputError
        If the song failed during extraction; says why.
    """
    name = stored_spelling(text)
    known = name if name in store else song_of_file(store, text)
    if known is not None:
        return known
    try:
        return resolve(store, name)
    except UnknownSongError as error:
        if reason := _failure(store, name, part=not error.near):
            raise InputError(reason) from error
        # Ids look like paths, too: with near matches, take the text for a misspelt id.
        like_one = os.sep in name or _ENDING.search(name) is not None
        if name.startswith(ROOTED) or (like_one and not error.near):
            raise UnknownFileError(name, error.near) from error
        if not error.near:
            raise UnknownSongError(name, store=str(store.path)) from error
        raise


def song_of_file(store: VectorStore, path: str) -> str | None:
    """Return the id of the song stored in a file; None if there is no such song or file."""
    file = os.path.expanduser(path)  # noqa: PTH111 - a path, perhaps not UTF-8
    if not os.path.isfile(file):  # noqa: PTH113
        return None
    full = (os.path.abspath(file), os.path.realpath(file))  # noqa: PTH100
    uris = store.column("uri")
    number = pc.index_in(
        string_array([stored_spelling(name) for name in full]), value_set=uris.combine_chunks()
    )
    for row in number.to_pylist():
        if row is not None:
            return str(store.id_array[row].as_py())
    # The store may know the file by the path of another link.
    ids = store.column(StoreColumns.ID)
    names = {os.path.basename(stored_spelling(name)) for name in full}  # noqa: PTH119
    for name in names:
        near = pc.ends_with(uris, f"/{name}")
        result = zip(uris.filter(near).to_pylist(), ids.filter(near).to_pylist(), strict=True)
        for uri, song_id in result:
            with suppress(OSError):
                if os.path.samefile(uri, file):  # noqa: PTH121
                    return str(song_id)
    return None


def stored_spelling(path: str) -> str:
    r"""Return a path or an id as the store writes it: bytes that are not UTF-8 as ``\xe9``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _failure(store: VectorStore, text: str, *, part: bool) -> str:
    """Say why a song has no vector, from the errors file; empty if it is not listed there.

    With `part`, the text may also be a part of the id, as in the store.
    """
    path = files_beside(store.path).get(Kind.ERRORS)
    if path is None:
        return ""
    try:
        with open_checked(path, Kind.ERRORS) as file:
            table = file.read([StoreColumns.ID, "uri", "status", "message"])
    except StoreError:
        return ""
    ids = table.column(StoreColumns.ID).combine_chunks()
    full = stored_spelling(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111
    row = pc.index(table.column("uri"), string_array([full])[0]).as_py()
    if row < 0:
        try:
            result = unique_match(ids, text)
        except UnknownSongError:
            return ""
        if not (part or f"/{result}".casefold().endswith(f"/{text}".casefold())):
            return ""
        row = pc.index(ids, string_array([result])[0]).as_py()
    status, message = (table.column(name)[row].as_py() for name in ("status", "message"))
    return f"{ids[row].as_py()} failed during extraction: {status}: {message}"


class SearchableStore(VectorStore):
    """The songs of one ``vecs.parquet``, searchable by name and by similarity."""

    _auto = cached_property(choose_space)
    _chooser = cached_property(Chooser)

    @cached_property
    def _spaces(self) -> dict[object, Space]:
        return {}

    @cached_property
    def _closeness(self) -> dict[Space, Closeness]:
        return {}

    def resolve(self, query: str) -> str:
        """Return the id of the song that `query` names; see `song_named`.

        Of several songs that are one recording, it is the best copy.

        Examples
        --------
        >>> SearchableStore.open("fixtures/formats/vecs-v1.parquet").resolve("etude")
        'piano/etude.flac'
        """
        return self.resolve_noted(query)[0]

    def resolve_noted(self, query: str) -> tuple[str, str]:
        """Return the id of the song that `query` names, and a note if it is one of its copies."""
        try:
            return song_named(self, query), ""
        except SeveralSongsError as error:
            rows = [self.row_number(name) for name in error.near]
            best = self.recordings.best(rows) if error.count == len(rows) else None
            if best is None:
                raise
            name = str(self.id_array[best].as_py())
            return name, f"{query} names {len(rows)} copies of one recording; {name} is used"

    def row(self, song_id: str) -> dict[str, Any]:
        """Return a song's columns without the vector; a unique part of its id is enough."""
        return super().row(self.resolve(song_id))

    def vector(self, song_id: str) -> FloatArray:
        """Return one song's vector: shape (V,), float32; a unique part of its id is enough."""
        return super().vector(self.resolve(song_id))

    @property
    def music(self) -> BoolArray:
        """Which songs are music: shape (n,), bool; see `audiorec.search.choice.is_music`."""
        return self._chooser.music

    def chosen(self, choice: Choice, among: BoolArray | None = None) -> Chosen:
        """Return the eligible songs, of `among` if given, and the limits; see `Choice`."""
        return self._chooser.chosen(choice, among)

    @property
    def recordings(self) -> Recordings:
        """Which songs are one recording; see `audiorec.search.copies.recordings_of`."""
        return self._chooser.recordings

    def copies(self, rows: Sequence[int] | Int64Array, *, one_version: bool = False) -> int:
        """Return how many further songs are copies, or versions of one title, of `rows`."""
        return self._chooser.copies(np.asarray(rows, np.int64), one_version=one_version)

    def copies_left_out(self, rows: Sequence[int], choice: Choice) -> str:
        """Say how many copies, or versions, of some songs a choice leaves out; empty for none."""
        if "copies" in choice.also or not (
            count := self.copies(rows, one_version=choice.one_version)
        ):
            return ""
        one, many = ("version", "versions") if choice.one_version else ("copy", "copies")
        how = "`one_version`" if choice.one_version else "`also=copies` shows them"
        return f"{count} {one if count == 1 else many} of these songs left out ({how})"

    def copies_of(self, row: int) -> list[str]:
        """Return the ids of the other copies of a song, best first."""
        return [str(self.id_array[other].as_py()) for other in self.recordings.of(row)]

    @cached_property
    def facts(self) -> FactReader:
        """Reads what is certain about the store's songs."""
        return FactReader(self)

    @cached_property
    def usual(self) -> Usual:
        """The facts of the store's music, or of 2,000 songs of it, each time the same."""
        rows = np.flatnonzero(self.music)
        if len(rows) > SAMPLE:
            rows = np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))
        return Usual(self.facts.of_rows(rows))

    def closer_than(self, space: Space, similarities: FloatArray | Float64Array) -> Float64Array:
        """Return the share of pairs of the store's music that are less similar in a space.

        The pairs are sampled once per space, the same each time; see `Closeness`. In a store
        without two pieces of music they are of all its songs.
        """
        if space not in self._closeness:
            music = space.rows[self.music[space.rows]]
            self._closeness[space] = Closeness.of(space, music if len(music) > 1 else space.rows)
        return self._closeness[space].closer_than(similarities)

    def similar(
        self,
        query: str | Sequence[str] | FloatArray,
        k: int = 10,
        *,
        by: str | Path = "auto",
        choice: Choice = Choice(),  # noqa: B008 - frozen
        diversity: float = 0.0,
        minimum: float = MINIMUM,
    ) -> Neighbours:
        """Return the `k` songs nearest to one song, or to each of several.

        Parameters
        ----------
        query : str, sequence of str, or ndarray, shape (V,) or (Q, V)
            An id or a unique part of one (see `resolve`), or the numbers of a song in the space
            (a sound, a vector, an embedding); a sequence of either for several queries. A song
            given by name is not among its own neighbours.
        k : int
            Number of songs; fewer if fewer are eligible.
        by : {"auto", "sound", "vector"} or path
            The sound, the vector, or the embeddings in a file. By default sound, or the vector in a
            store without; the vector as well if vectors are given (by their length).
        choice : Choice
            Which songs are eligible, and how many per artist or album.
        diversity : float
            From 0, the nearest songs, to 1, songs as unlike each other as possible.
        minimum : float
            Minimum similarity; -1 admits all songs.

        Returns
        -------
        neighbours : Neighbours
            Most similar first, ties in id order. For several queries, a sequence of such
            results.

        Raises
        ------
        UnknownSongError
            If a text in `query` names no song, or several.
        InputError
            If `k` is below 1, a number is not finite, or as for `Choice` and `space`.
        ShapeError
            If a vector has another length than the store's.

        Examples
        --------
        >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
        >>> found = store.similar("etude", 2, by="vector", minimum=-1)
        >>> [(n.song_id, round(n.similarity, 2)) for n in found]
        [('piano/prelude.flac', 0.95), ('speech/news.ogg', 0.52)]
        >>> store.similar(["etude", "prelude"], 1).song_ids.tolist()
        [['piano/prelude.flac'], ['piano/etude.flac']]
        """
        names, own = [query] if isinstance(query, str) else query, None
        if by == "auto" and self._is_vector(names):
            by = "vector"
        space = self.space(by)
        if isinstance(names, np.ndarray):
            if names.ndim not in (1, 2):
                raise ShapeError(f"a query must have shape (V,) or (Q, V), got {names.shape}")
            units = space.prepare(np.atleast_2d(names))
        else:
            own = IdMap(self.id_array).rows(names)
            for place in np.flatnonzero(own < 0).tolist():
                own[place] = self.row_number(self.resolve(names[place]))
            units = space.units(own)
        chosen = self.chosen(choice)
        result = near_each(space, units, k, chosen, own=own, diversity=diversity, minimum=minimum)
        single = isinstance(query, str) or (own is None and np.ndim(query) == 1)
        return result[0] if single else result

    def default_space(self, by: str | Path = "auto") -> SpaceChoice:
        """Return the space that is used by default; see `choose_space`."""
        return self._auto if str(by) == "auto" else choose_space(self, by)

    def space(self, by: str | Path = "auto") -> Space:
        """Return a space in which songs are compared, ready to search; opened once and cached.

        Parameters
        ----------
        by : {"auto", "sound", "vector"} or path
            By default sound, or the vector in a store without; or a file of learnt embeddings.

        Raises
        ------
        InputError
            If `by` is unknown, or the store has no sound.
        StoreError
            If the file of embeddings is missing, damaged or of another kind.
        SpecMismatchError
            If that file comes from another extractor.
        """
        compared = self.default_space(by)
        key = (compared.by, compared.table)
        if key not in self._spaces:
            self._spaces[key] = open_space(self, compared)
        return self._spaces[key]

    def _is_vector(self, query: object) -> bool:
        """Return whether a query consists of vectors of the store, by their length."""
        shape: tuple[int, ...] = query.shape if isinstance(query, np.ndarray) else ()
        return shape[-1:] == (self.metadata.dimension,)

    def duplicates(self) -> list[Group]:
        """Return the recordings of which there are several copies, most certain first.

        See `audiorec.search.copies.find_duplicates`.

        Examples
        --------
        >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
        >>> store.duplicates()
        []
        """
        return find_duplicates(self)
