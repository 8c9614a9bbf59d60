"""Words of a sentence in titles, artists, albums and names of files.

    store ──Titles──▶ .matched(["ave", "maria"]) ──▶ (n,): 1 where all of them are said
                      .named("Ave Maria") ──▶ rows of that title, or of that artist

A word of five letters or more may be wrong in one letter if no title has it as it is written.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import StoreColumns
from audiorec.files.arrow import integers
from audiorec.search.filters import text_codes
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, Float64Array, Int64Array, normalised_name
from audiorec.words.vocabulary import stem, tokens

FIELDS = ("title", "artist", "album")
TYPO = 5  # letters of a word that may be wrong in one
LETTERS = "abcdefghijklmnopqrstuvwxyz"
FILE = "file name"
Postings = tuple[dict[str, int], Int64Array, Int64Array]


class Titles:
    """The words of a store's titles, artists, albums and file names, read when first asked."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    @cached_property
    def artists(self) -> Collection[str]:
        """The artists, as `normalised_name` writes them."""
        return self._names("artist")

    @cached_property
    def titles(self) -> Collection[str]:
        """The titles, likewise."""
        return self._names("title")

    @cached_property
    def albums(self) -> Collection[str]:
        """The albums, likewise."""
        return self._names("album")

    def _names(self, column: str) -> Collection[str]:
        return frozenset(map(normalised_name, text_codes(self._store, column)[1])) - {""}

    def named(self, name: str) -> tuple[str, list[int]]:
        """Return the rows of all songs of this title, or else artist or album, and which it is."""
        wanted = normalised_name(name)
        for column in FIELDS:
            if wanted in getattr(self, f"{column}s"):
                codes, texts = text_codes(self._store, column)
                same = [code for code, text in enumerate(texts) if normalised_name(text) == wanted]
                return column, np.flatnonzero(np.isin(codes, same)).tolist()
        return "", []

    @cached_property
    def _text(self) -> pa.ChunkedArray:
        """What is said of each song, in lower case without accents, on one line."""
        ids = self._store.column(StoreColumns.ID)
        files = pc.replace_substring_regex(ids, r"^.*/", "")
        files = pc.replace_substring_regex(files, r"\.[A-Za-z][A-Za-z0-9]{1,4}$", "")
        said = pc.binary_join_element_wise(
            *(self._store.column(name) for name in FIELDS),
            files,
            " ",
            null_handling="replace",
            null_replacement="",
        )
        plain = pc.replace_substring_regex(pc.utf8_normalize(said, "NFKD"), r"\p{Mn}", "")
        return pc.utf8_lower(plain)

    @cached_property
    def _postings(self) -> Postings:
        """The code of each word, the codes in order, and the row of each."""
        text = self._text.combine_chunks()
        words = pc.split_pattern_regex(text, r"[^\p{L}\p{N}]+")
        coded = pc.list_flatten(words).dictionary_encode()
        codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        rows = pc.list_parent_indices(words).to_numpy().astype(np.int64)
        order = np.argsort(codes, kind="stable")
        number = {word: code for code, word in enumerate(coded.dictionary.to_pylist())}
        return number, codes[order], rows[order]

    def having(self, word: str) -> BoolArray:
        """Return which songs say a word, or in Han characters have it within one: (n,)."""
        result = np.zeros(len(self._store), np.bool_)
        if "\u3400" <= word[0] <= "\u9fff":
            result |= pc.match_substring(self._text, word).to_numpy(zero_copy_only=False)
            return result
        number, codes, rows = self._postings
        for spelled in self._spelled(word):
            first, last = np.searchsorted(codes, [number[spelled], number[spelled] + 1])
            result[rows[first:last]] = True
        return result

    def _spelled(self, word: str) -> list[str]:
        """Return the words of titles that a word is: itself, its plural, or with one typo."""
        number, *_ = self._postings
        same = [one for one in dict.fromkeys((word, stem(word), f"{word}s")) if one in number]
        if same or len(word) < TYPO:
            return same
        return [one for one in dict.fromkeys(_typos(word)) if one in number]

    def matched(self, words: Mapping[str, float]) -> tuple[Float64Array, list[str]]:
        """Return how much of some words, weighted, is said of each song: (n,), 0 to 1.

        A word counts the more the fewer songs have it. Returns the words that any song has, too.
        """
        n = len(self._store)
        total, most, there = np.zeros(n), 0.0, []
        for word, weight in words.items():
            has = self.having(word)
            counts = weight * float(np.log1p(n / (1 + has.sum())))
            total += counts * has
            most += counts
            there += [word] if has.any() else []
        return (total / most if most else total), there

    def phrase(self, words: str) -> BoolArray:
        """Return which songs have words, one after the other, in their title or file name: (n,)."""
        wanted = f" {' '.join(tokens(words))} "
        spaced = pc.replace_substring_regex(self._text, r"[^\p{L}\p{N}]+", " ")
        padded = pc.binary_join_element_wise(" ", spaced, " ", "")
        if any("\u3400" <= letter <= "\u9fff" for letter in wanted):
            padded, wanted = spaced, wanted.replace(" ", "")
        found: BoolArray = pc.match_substring(padded, wanted).to_numpy(zero_copy_only=False)
        return found

    def called(self, text: str) -> BoolArray:
        """Return which songs, or their files, are called so, in two words or more: (n,)."""
        wanted, result = _plain(text), np.zeros(len(self._store), np.bool_)
        if len(wanted) > 1:
            rows = np.flatnonzero(np.all([self.having(word) for word in wanted], axis=0))
            names = self._store.table(["title", StoreColumns.ID]).take(integers(rows))
            result[rows] = [
                wanted
                in (_plain(one["title"] or ""), _plain(PurePosixPath(one[StoreColumns.ID]).stem))
                for one in names.to_pylist()
            ]
        return result

    def where(self, row: int, words: Sequence[str]) -> list[str]:
        """Return where a song says any of some words: title, artist, album, file name."""
        song = self._store.rows([row])[0]
        said = {name: song[name] or "" for name in FIELDS}
        said[FILE] = PurePosixPath(song[StoreColumns.ID]).stem
        spelled = {one for word in words for one in (*self._spelled(word), word)}
        return [
            name
            for name, text in said.items()
            if spelled.intersection(tokens(text)) or any(word in text for word in _han(words))
        ]


def _plain(name: str) -> list[str]:
    """Return the words of a title, without the number of a track, and without an article."""
    words = [word for word in tokens(name) if word.isalnum()]
    first = next((n for n, word in enumerate(words) if not word.isdecimal()), 0)
    return words[first + (words[first : first + 1] == ["the"]) :]


def _han(words: Sequence[str]) -> list[str]:
    return [word for word in words if "\u3400" <= word[0] <= "\u9fff"]


def _typos(word: str) -> Iterator[str]:
    """Yield all words that differ in one letter: left out, swapped, replaced or added."""
    parts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    for before, after in parts:
        if after:
            yield before + after[1:]
            yield from (before + letter + after[1:] for letter in LETTERS)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        yield from (before + letter + after for letter in LETTERS)
