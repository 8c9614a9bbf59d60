"""What words mean: the table of concepts, and what captions say of other words.

data/words.csv  ──concepts──▶ `Concept`: words, what is heard, what a "no" before it means
data/grammar.csv  ──meaning_at──▶ what a word does: "bound", "unit", "deny", "filler"
"Calm piano, 钢琴"  ──read_tokens──▶ `Token`, ...   ──tokens──▶ ["calm", "piano", ",", "钢", "琴"]
data/captions.safetensors  ──shipped_captions──▶ `Captions`
"""

import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from audiorec.errors import WeightsError
from audiorec.tagger.weights import read_checked
from audiorec.types import FloatArray, Int64Array
from audiorec.words.labels import words_data

TABLE, GRAMMAR = "words.csv", "grammar.csv"
LONGEST = 6  # words of a phrase
CAPTIONS = "captions.safetensors"
CAPTIONS_SHA256 = "b56bbb3e8d1d4415912e68ba246b9a4b625def45f11687892d8ddf865d9c228a"
CAPTIONS_KEY = "audiorec_captions"
Phrase = tuple[str, ...]

HAN = "\u3400-\u9fff"
# Numbers, ranges, words, Han characters one by one, marks that end a clause, quotes, accidentals.
_TOKEN = re.compile(
    rf"\d+:[0-5]\d|\d+\.\d+|\d+(?=(?:bpm|min|mins|minutes?|secs?|seconds?|hours?)\b)|(?<=\d)\s*[-\u2013\u2014~]\s*(?=\d)"
    rf"|[^\W_{HAN}]+(?:['&][^\W_{HAN}]+)*|[{HAN}]|[,.;:!?、。]|[\"“”「」《》]|[#♯♭]"
)
_WEIGHT = re.compile(r"(.*\S)\s+(-?\d*\.?\d+)")
_KEPT = {"news", "keys", "always", "perhaps", "yes", "gas", "bus"}  # not plurals
_SAME = str.maketrans("。、\u2013\u2014~“”「」《》♯♭", '.,---""""""#b')  # marks that mean the same


class Token(NamedTuple):
    """A word or a mark: in lower case without accents, and where it stands in the text."""

    word: str
    start: int
    end: int


def read_tokens(text: str) -> list[Token]:
    """Return the words and marks of a text that is normalised to NFKC."""
    return [
        Token(_plain(match[0]), *match.span())
        for match in _TOKEN.finditer(text.replace("\u2019", "'"))
    ]


def _plain(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.casefold())
    bare = "".join(c for c in plain if not unicodedata.combining(c))
    return bare.strip().translate(_SAME)


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case, without accents; marks are words of their own.

    Examples
    --------
    >>> tokens("Hip-Hop, café 钢琴!")
    ['hip', 'hop', ',', 'cafe', '钢', '琴', '!']
    """
    return [token.word for token in read_tokens(unicodedata.normalize("NFKC", text))]


def stem(word: str) -> str:
    """Return a word without the ending of its plural.

    Examples
    --------
    >>> stem("drums"), stem("melodies"), stem("bass"), stem("news")
    ('drum', 'melody', 'bass', 'news')
    """
    if len(word) < 4 or word in _KEPT or word.endswith(("ss", "us", "is")):
        return word
    return f"{word[:-3]}y" if word.endswith("ies") else word.removesuffix("s")


def key(words: Iterable[str]) -> Phrase:
    """Return how a phrase is looked up."""
    return tuple(map(stem, words))


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """One row of the table.

    Attributes
    ----------
    words : tuple of str
        How it is called; the first is its name.
    heard : mapping of str to float
        What a song with it has, and how much each counts.
    denied : mapping of str to float
        What a song without it lacks.
    sounds : bool
        Whether what is not music may be meant.
    kind : str
        ``use`` if songs may be asked for it, ``mood`` for what describes other things, ``name`` if
        it can only be found in titles; else empty.
    """

    words: tuple[str, ...]
    heard: Mapping[str, float]
    denied: Mapping[str, float]
    sounds: bool
    kind: str = ""


def rows_of(table: str) -> list[dict[str, str]]:
    """Return the rows of a shipped table."""
    text = read_checked(words_data() / table)[0].decode()
    return list(csv.DictReader(text.splitlines()))


@cache
def _grammar() -> dict[tuple[str, Phrase], str]:
    """Return what the words of the grammar mean, each in its role: numbers, bounds, denials."""
    return {
        (row["role"], tuple(tokens(word) or [word])): row["means"] or row["role"]
        for row in rows_of(GRAMMAR)
        for word in row["words"].split(";")
    }


def meaning_at(words: Phrase, at: int, role: str) -> tuple[str, int]:
    """Return what the longest phrase of a role that begins here means, and where it ends.

    Examples
    --------
    >>> meaning_at(("longer", "than", "two"), 0, "bound"), meaning_at(("two",), 0, "bound")
    (('least minutes', 2), ('', 0))
    """
    for end in range(min(len(words), at + LONGEST), at, -1):
        if means := _grammar().get((role, words[at:end])):
            return means, end
    return "", at


@cache
def concepts() -> tuple[Concept, ...]:
    """Return the rows of the shipped table.

    A row has the words of one concept, separated by semicolons, and what is to be heard in a song:
    labels of `audiorec.words.labels`, tags (``tag.rock``), classes (``genre.jazz``,
    ``version.vocal``), ``version.voiced`` (with a voice), ``bpm`` and ``loud``, each with a weight,
    by default 1. The column ``denied`` has what "no" denies if that is something else. The column
    ``sounds`` says whether speech, noise and jingles may be what is meant, ``kind`` as `Concept`
    does.
    """
    return tuple(
        Concept(
            words=tuple(word.strip() for word in row["words"].split(";")),
            heard=_weights(row["heard"]),
            denied=_weights(row["denied"])
            or {name: weight for name, weight in _weights(row["heard"]).items() if weight > 0},
            sounds=row["sounds"] == "yes",
            kind=row["kind"],
        )
        for row in rows_of(TABLE)
    )


@cache
def phrases() -> dict[Phrase, Concept]:
    """Return the concept of each phrase of the table."""
    return {key(tokens(word)): concept for concept in concepts() for word in concept.words}


def concept_at(words: Phrase, at: int) -> tuple[Concept, int] | None:
    """Return the concept that begins here, the longest first, and where it ends."""
    ends = range(min(len(words), at + LONGEST), at, -1)
    found = ((phrases().get(key(words[at:end])), end) for end in ends)
    return next(((concept, end) for concept, end in found if concept is not None), None)


def _weights(text: str) -> dict[str, float]:
    weights = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        weighted = _WEIGHT.fullmatch(part)
        name, weight = weighted.groups() if weighted else (part, "1")
        weights[name] = float(weight)
    return weights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Captions:
    """What captions say of words.

    Attributes
    ----------
    places : mapping of tuple of str to int
        The row of each word or pair of words.
    labels : tuple of str, length L
    which : ndarray, shape (n, m), int64
        For each phrase the places of m labels.
    weights : ndarray, shape (n, m), float32
        What each of them counts; 0 for none.
    """

    places: Mapping[Phrase, int]
    labels: tuple[str, ...]
    which: Int64Array
    weights: FloatArray

    def heard(self, phrase: Phrase) -> dict[str, float]:
        """Return what a phrase makes one hear; empty if no caption has it."""
        place = self.places.get(phrase)
        if place is None:
            return {}
        pairs = zip(self.which[place].tolist(), self.weights[place].tolist(), strict=True)
        return {self.labels[label]: weight for label, weight in pairs if weight}


@cache
def shipped_captions() -> Captions:
    """Return the shipped weights, their checksum verified.

    Raises
    ------
    WeightsError
        If the file is missing or damaged.
    """
    path = words_data() / CAPTIONS
    read_checked(path, sha256=CAPTIONS_SHA256)
    try:
        with safe_open(str(path), framework="numpy") as file:
            about = json.loads((file.metadata() or {})[CAPTIONS_KEY])
            weights = file.get_tensor("weights").astype(np.float32)
            which = file.get_tensor("which").astype(np.int64)
        rows = {tuple(said.split()): index for index, said in enumerate(about["phrases"])}
        labels = tuple(about["labels"])
        return Captions(places=rows, labels=labels, which=which, weights=weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: damaged: {error!r}") from error
