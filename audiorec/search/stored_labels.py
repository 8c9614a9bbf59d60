"""What is stated of the songs of a store: their genre and styles, by the first who says anything.

    store, its columns embedding and heard_tags ──stored_labels──▶ `FoundLabels` of n songs: heard
    store ──stated_genres──▶ `StatedGenres`: the owner, the file's tag, the artist, or what is heard

Everything that names, filters or colours by genre reads `stated_genres`. No audio is decoded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from audiorec.store.schema import GENRE_TAG
from audiorec.store.store import VectorStore
from audiorec.tagger.song_labels import (
    EMBEDDING,
    NOTHING_STATED,
    TAGS,
    FoundLabels,
    SongLabels,
    StatedGenre,
    TaggedGenre,
    heard_genre,
    said_genre,
    tagged_genre,
)
from audiorec.tagger.vectors import shipped_sound
from audiorec.types import BoolArray, Int64Array, name_numbers

WIDTHS = {"embedding": EMBEDDING, "heard_tags": TAGS}
AGREE = 2  # songs of an artist or album that have to agree
RATHER_NONE = 0.5  # sum of all genres and styles below which a song is rather none of them


def stored_labels(
    store: VectorStore, numbers: Sequence[int] | Int64Array | None = None
) -> FoundLabels | None:
    """Label the songs of a store by their sound.

    Parameters
    ----------
    store : VectorStore
    numbers : sequence of int, optional
        Rows, in the order of the result; all rows by default.

    Returns
    -------
    found : FoundLabels or None
        NaN, and nothing clear, for a song that was extracted without the columns; None for a
        store without them, of another network, or of a genre head of your own.
    """
    if not has_labels(store):
        return None
    if numbers is not None:
        chosen = np.asarray(numbers, np.int64)
        read = (store.list_rows(name, chosen) for name in WIDTHS)
        heard = [row["segments"] for row in store.rows(chosen.tolist())]
        return _labelled(np.asarray(heard, np.int64), *read)
    segments = np.asarray(store.column("segments").to_pylist(), np.int64)
    blocks = zip(*(store.list_blocks(name) for name in WIDTHS), strict=True)
    bounds = zip(store.group_starts[:-1], store.group_starts[1:], strict=True)
    parts = []
    for (start, stop), lists in zip(bounds, blocks, strict=True):
        own = ((rows - start, result) for rows, result in lists)
        parts.append(_labelled(segments[start:stop], *own))
    if not parts:
        return _labelled(
            segments, *((np.zeros(0, np.int64), np.zeros((0, w))) for w in WIDTHS.values())
        )
    names = [field.name for field in fields(FoundLabels)]
    return FoundLabels(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def has_labels(store: VectorStore) -> bool:
    """Return whether a store has the ten genres, and the columns that labels are read from."""
    about = store.metadata
    same = about.sound_id == shipped_sound().sha256[:16] and SongLabels.shipped().fits(
        about.classes
    )
    return same and all(about.lists.get(name) == width for name, width in WIDTHS.items())


def _labelled(
    segments: Int64Array, *lists: tuple[Int64Array, npt.NDArray[np.floating]]
) -> FoundLabels:
    """Label songs of so many segments by their lists; NaN where a song has none."""
    columns = []
    for (there, result), width in zip(lists, WIDTHS.values(), strict=True):
        values = np.full((len(segments), width), np.nan, np.float32)
        values[there] = result
        columns.append(values)
    return SongLabels.shipped().of(*columns).heard_long(segments)


@dataclass(frozen=True, slots=True, eq=False)
class StatedGenres:
    """What is stated of the n songs of a store.

    Attributes
    ----------
    codes : ndarray, shape (n,), int64
        The statement about each song.
    statements : list of StatedGenre
        The distinct ones; the first says nothing.
    heard : FoundLabels or None
        As from `stored_labels`.
    """

    codes: Int64Array
    statements: list[StatedGenre]
    heard: FoundLabels | None

    def of(self, row: int) -> StatedGenre:
        """Return what is stated of one song."""
        return self.statements[self.codes[row]]

    def which(self, test: Callable[[StatedGenre], bool]) -> BoolArray:
        """Return of which songs the statement passes a test: shape (n,), bool."""
        return np.asarray([test(one) for one in self.statements], np.bool_)[self.codes]

    def likeliest(self, best: Int64Array, genres: Sequence[str]) -> Int64Array:
        """Return the number of each song's genre: that stated, or else the likeliest one.

        `best` (n,) is the number by mean scores, for songs without a label. -1 of a song that is
        stated to be none of them, and of one that is rather none of them.
        """
        if self.heard is not None:
            known = np.isfinite(self.heard.genre[:, 0])
            sums = np.nan_to_num(self.heard.genre).sum(axis=1) + self.heard.styles.sum(axis=1)
            heard = np.nan_to_num(self.heard.genre).argmax(axis=1)
            best = np.where(known, np.where(sums < RATHER_NONE, -1, heard), best)
        own = [[g for g in one.genres if g in genres] for one in self.statements]
        stated = [genres.index(known[0]) if known else -1 for known in own]
        clear = self.which(lambda statement: statement.is_clear)
        return np.where(clear, np.asarray(stated, np.int64)[self.codes], best)


Said = tuple[Int64Array, list[StatedGenre]]
_said: "WeakKeyDictionary[VectorStore, Said]" = WeakKeyDictionary()
_stated: "WeakKeyDictionary[VectorStore, StatedGenres]" = WeakKeyDictionary()


def stated_genres(store: VectorStore) -> StatedGenres:
    """Return what is stated of the songs of a store; computed once for each store."""
    if store not in _stated:
        said, statements = said_genres(store)
        heard = stored_labels(store)
        if heard is not None:
            sounds, distinct = _heard(heard)
            said = np.where(said > 0, said, sounds + len(statements))
            statements = [*statements, *distinct]
        _stated[store] = StatedGenres(said, statements, heard)
    return _stated[store]


def said_genres(store: VectorStore) -> Said:
    """Return what owner, tags and other songs of an artist say; computed once for each store.

    Codes (n,), int64, 0 for nothing, and the distinct statements. Nothing is heard for it.
    """
    if store not in _said:
        statements = [NOTHING_STATED]
        codes = np.zeros(len(store), np.int64)
        if GENRE_TAG in store.metadata.tags:
            tags = store.column(GENRE_TAG).to_pylist()
            code_of: dict[str | None, int] = {None: 0}
            for text in dict.fromkeys(tags):
                said = said_genre(tagged_genre(text) or TaggedGenre(""), "tag")
                if said:
                    code_of[text] = len(statements)
                    statements.append(said)
            codes = np.asarray([code_of.get(text, 0) for text in tags], np.int64)
        for row, value in store.corrections["genre"].items():
            codes[row] = len(statements)
            statements.append(said_genre(tagged_genre(value) or TaggedGenre(value), "correction"))
        if codes.any():
            _inherit_all(store, codes, statements)
        _said[store] = codes, statements
    return _said[store]


def forget_stated(store: VectorStore) -> None:
    """Compute what is stated of a store anew the next time."""
    for kept in (_said, _stated):
        kept.pop(store, None)


def _inherit_all(store: VectorStore, codes: Int64Array, statements: list[StatedGenre]) -> None:
    artist, album = (name_numbers(store.column(n).to_pylist()) for n in ("artist", "album"))
    of_both = np.where(album < 0, -1, (artist + 1) * (len(store) + 1) + album)
    own = codes.copy()
    for groups in (of_both, artist):
        _inherit(codes, own, groups, statements)


def _inherit(
    codes: Int64Array, own: Int64Array, groups: Int64Array, statements: list[StatedGenre]
) -> None:
    """Let songs of which nothing is said have what all others of their group have in common."""
    others: dict[int, list[int]] = {}
    for place in np.flatnonzero((own > 0) & (groups >= 0)).tolist():
        others.setdefault(int(groups[place]), []).append(int(own[place]))
    shared = {}
    for group, said in others.items():
        distinct = [statements[code] for code in dict.fromkeys(said)]
        common = set.intersection(*({*one.genres, *one.styles} for one in distinct))
        if len(said) >= AGREE and common:
            genres, styles = (
                tuple(name for name in names if name in common)
                for names in (distinct[0].genres, distinct[0].styles)
            )
            shared[group] = len(statements)
            words = (*styles, *genres)[0]
            statements.append(
                StatedGenre(source="artist", genres=genres, styles=styles, words=words)
            )
    for place in np.flatnonzero((codes == 0) & (groups >= 0)).tolist():
        codes[place] = shared.get(int(groups[place]), 0)


def _heard(found: FoundLabels) -> tuple[Int64Array, list[StatedGenre]]:
    """Return what is heard of n songs: codes (n,), and the distinct statements."""
    genre = np.where(found.genre_clear, np.nan_to_num(found.genre).argmax(axis=1), -1)
    key = np.column_stack([genre, found.style_clear, found.family])
    _, first, codes = np.unique(key, axis=0, return_index=True, return_inverse=True)
    labels = SongLabels.shipped()
    sounds = [heard_genre(labels.label(found, int(n))) for n in first]
    return codes.ravel().astype(np.int64), sounds
