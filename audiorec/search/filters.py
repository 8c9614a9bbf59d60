"""Select songs of a store by conditions, and leave out songs by patterns.

    "genre=jazz|blues, duration<10:00"  ──parse_conditions──▶ conditions
    store, conditions  ──matching───▶ (n,) bool
    store, patterns    ──excluding──▶ (n,) bool
    store, "bpm"       ──numbers_of─▶ (n,) float64, NaN where unknown
    store, "artist"    ──name_codes─▶ (n,) int32: equal codes for equal names
    "Gb", "f♯"         ──tonic_of───▶ "F#", as the store writes it

Conditions may come from other programs, so their cost is bounded: by `MAX_LETTERS` and
`MAX_VALUES`, by matching that never goes back over a text, and by the caller's deadline.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import translate
from functools import cached_property, partial
from typing import Literal, cast

import numpy as np

from audiorec.errors import InputError
from audiorec.files.arrow import booleans
from audiorec.runs.timing import punctual
from audiorec.search.music import stated_versions
from audiorec.search.questions import GenreFrom
from audiorec.search.stored_labels import stated_genres, stored_labels
from audiorec.store.schema import ATTRIBUTE, GENRE_TAG, LANGUAGE, TAGS, TEXT_ATTRIBUTES
from audiorec.store.store import VectorStore
from audiorec.tagger.song_labels import STYLES, SongLabels
from audiorec.types import (
    SCALES,
    TONICS,
    BoolArray,
    Float64Array,
    FloatArray,
    Int32Array,
    Int64Array,
    Status,
    name_numbers,
    normalised_name,
)

BPM, BPM_OTHER, YEAR = "bpm", "bpm_other", "year"
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def is_attribute(store: VectorStore, name: str) -> bool:
    """Return whether a name is a column of the store for tempo, key, mood or a tag.

    Raises
    ------
    InputError
        If it names such a column but the store lacks it; the message says how to add it.
    """
    columns = {**store.metadata.attributes, **store.metadata.tags}
    if name in columns:
        return True
    if (name in TAGS or ATTRIBUTE.fullmatch(name)) and name not in store.metadata.classes:
        there = ", ".join(sorted(columns))
        raise InputError(
            f"{store.path}: has no column {name!r}; there are: {there}"
            if there
            else f"{store.path}: has no column {name!r}; add it: "
            f"audiorec extract FOLDER --overwrite --out {store.path}"
        )
    return False


def numbers_of(store: VectorStore, name: str) -> Float64Array:
    """Return a numeric column: shape (n,), float64; NaN where a song's value is unknown."""
    if name in (*TEXT_ATTRIBUTES, GENRE_TAG, LANGUAGE):
        raise InputError(f"{name} is text: compare it with = or !=")
    values = [np.nan if v is None else v for v in store.column(name).to_pylist()]
    return np.asarray(values, np.float64)


def tonic_of(text: str) -> str:
    """Return a tonic in the store's spelling, whatever its own; raise `InputError` for no tonic.

    Examples
    --------
    >>> tonic_of("Gb"), tonic_of("a#"), tonic_of("B"), tonic_of("E♭")
    ('F#', 'Bb', 'B', 'Eb')
    """
    plain = text.strip().replace("♯", "#").replace("♭", "b")
    result = re.fullmatch(r"([A-Ga-g])([#b]?)", plain)
    if result is None:
        raise InputError(
            f"unknown key {text!r}; there are: {', '.join(TONICS)}; major and minor go into scale"
        )
    step = _STEPS[result[1].upper()] + {"": 0, "#": 1, "b": -1}[result[2]]
    return TONICS[step % 12]


Operator = Literal["=", "!=", "<", "<=", ">", ">="]
SURE_KEY, HAS_BEAT = 0.5, 0.3  # confidence below which a song has no key, and no beat, to ask for
UNKNOWN = -1  # the code of a row without a value
TEXT_COLUMNS = ("artist", "title", "album", "codec", "status")
CLOSED_COLUMNS = ("codec", "status")  # a value that never occurs is taken for a typo
DURATION, STYLE, GENRE, VERSION = "duration", "style", "genre", "version"
MAX_LETTERS = 10_000  # of all conditions together
MAX_VALUES = 200  # of all conditions together
WILDCARDS = "*?"
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]?\d(?:\.\d+)?)")
_COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^=!<>,|"]+))\s*')
_OPERATOR = re.compile(r"!=|<=|>=|=|<|>")
_VALUE = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,|"=!<>\s][^,|"]*))\s*')


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as written; `matching` checks whether its name exists."""

    name: str
    operator: Operator
    values: tuple[str, ...]  # one or more

    def __str__(self) -> str:
        """Return the condition as `parse_conditions` reads it."""
        values = "|".join(_written(value, _VALUE) for value in self.values)
        return f"{_written(self.name, _NAME)}{self.operator}{values}"


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Parse conditions.

    The grammar::

        conditions = condition { "," condition }          all must hold
        condition  = name operator value { "|" value }    one matching value is enough
        operator   = "=" | "!=" | "<" | "<=" | ">" | ">="

    Spaces around names and values are ignored. A name or value that contains any of
    ``= ! < > , | "`` goes into double quotes; a double quote within them is doubled.

    Raises
    ------
    InputError
        If the text does not follow the grammar, says where; or if it is longer than `MAX_LETTERS`
        or has more than `MAX_VALUES` values.

    Examples
    --------
    >>> for condition in parse_conditions('genre = jazz|blues, artist != "Earth, Wind & Fire"'):
    ...     print(condition.name, condition.operator, condition.values)
    genre = ('jazz', 'blues')
    artist != ('Earth, Wind & Fire',)
    """
    if len(text) > MAX_LETTERS:
        raise InputError(f"conditions of {len(text):,} letters; at most {MAX_LETTERS:,} are read")
    conditions: list[Condition] = []
    at = 0
    while not conditions or at < len(text):
        condition, at = _condition(text, at)
        conditions.append(condition)
        if sum(len(one.values) for one in conditions) > MAX_VALUES:
            raise InputError(f"conditions with more than {MAX_VALUES} values")
        if at < len(text):
            if text[at] != ",":
                raise _syntax(text, at, "a comma between conditions")
            at += 1
            if at == len(text):
                raise _syntax(text, at, "a condition after the comma")
    return tuple(conditions)


def matching(
    store: VectorStore, conditions: Sequence[Condition], *, genre_from: GenreFrom = "tags"
) -> BoolArray:
    """Return which songs meet all conditions: shape (n,), bool; all True for no conditions.

    ===============  ==================  ======================================================
    name             operators           value
    ===============  ==================  ======================================================
    a head           ``= !=``            a class: the likeliest one of the song
    style            ``= !=``            a style: ``disco``; ``""`` for none
    a class          ``< <= > >=``       the mean score, from 0 to 1; written ``genre.jazz``, or
                                         ``jazz`` if no other head has one
    artist, title,   ``= !=``            a text, ignoring case; ``*`` and ``?`` are wildcards,
    album                                ``""`` matches songs without one
    genre_tag        ``= !=``            the same, of the file's own words
    codec, status    ``= !=``            a value that occurs
    duration         all                 seconds or ``3:20``; ``=`` and ``!=`` round to the second
    year             all                 that of the tags
    bpm              all                 beats per minute, ``=`` and ``!=`` round to whole numbers
    key_confidence,  all                 from 0 to 1; so are bpm_confidence, tag_happy, tag_sad
    ...                                  and the like
    key, scale       ``= !=``            ``C``, ``F#`` or ``Gb``; ``major`` or ``minor``
    ===============  ==================  ======================================================

    The last three rows need a store with attributes (not ``extract --vector-only``). Where a song's
    value is unknown, only ``!=`` is true: one without an artist tag meets ``artist!=Abba``. A key
    of a confidence below 0.5 is unknown, and a tempo of one below 0.3: such a song has no beat.
    `genre_from` says where genres and styles come from: what is stated, by the owner, the file's
    tag, the artist's other songs or the sound (``tags``); the sound alone; or either of both.

    Raises
    ------
    InputError
        If a name, class, status or number is invalid; the message lists the valid ones.

    Examples
    --------
    >>> from audiorec.search.searchable import SearchableStore
    >>> store = SearchableStore.open("fixtures/formats/vecs-v1.parquet")
    >>> mask = matching(store, parse_conditions("artist=anna, duration>0:50"))
    >>> [song_id for song_id, meets in zip(store.ids, mask) if meets]
    ['piano/etude.flac', 'piano/prelude.flac']
    """
    mask = np.ones(len(store), np.bool_)
    tests = _Tests(store, genre_from)
    tempos = [one for one in conditions if one.name == BPM and is_attribute(store, BPM)]
    for condition in conditions:
        if condition not in tempos:
            mask &= tests.meets(condition)
    return mask & tests.meet_tempos(tempos) if tempos else mask


def excluding(store: VectorStore, patterns: Collection[str]) -> tuple[BoolArray, tuple[str, ...]]:
    """Return which songs match a pattern, (n,) bool, and the patterns that match no id.

    A pattern is an id; a folder, ending in ``/``; a glob with ``*``, ``?`` or ``[``, which must
    match the whole id; or else a part of an id. Case is ignored, but a pattern that equals an id
    exactly matches that song alone.
    """
    mask = np.zeros(len(store), np.bool_)
    lowered = [song_id.casefold() for song_id in store.ids] if patterns else []
    idle = []
    for pattern in patterns:
        fits = store.mask([pattern]) if pattern in store else _fits(lowered, pattern.casefold())
        if not fits.any():
            idle.append(pattern)
        mask |= fits
    return mask, tuple(idle)


def mean_scores(store: VectorStore) -> FloatArray:
    """Return each song's mean score of each class: shape (n, H), float32.

    Raises
    ------
    InputError
        If the store's vectors have no mean.
    """
    statistics = store.metadata.statistics
    if "mean" not in statistics:
        raise InputError(f"{store.path}: its vectors hold no mean scores to filter by")
    return store.read_vectors()[:, statistics.index("mean") :: len(statistics)].copy()


def levels_of_tempo(store: VectorStore) -> tuple[Float64Array, Float64Array]:
    """Return the tempo of each song, and the other that one may tap as well: (n,) each.

    NaN where a song has no beat, or no other.
    """
    first = numbers_of(store, BPM)
    first = np.where(_is_sure(store, "bpm_confidence", HAS_BEAT), first, np.nan)
    if BPM_OTHER not in store.metadata.attributes:
        return first, np.full(len(store), np.nan)
    return first, np.where(np.isnan(first), np.nan, numbers_of(store, BPM_OTHER))


def _is_sure(store: VectorStore, confidence: str, least: float) -> BoolArray:
    """Return of which songs tempo or key is known; of all where the store has no confidence."""
    if confidence not in store.metadata.attributes:
        return np.ones(len(store), np.bool_)
    sure: BoolArray = numbers_of(store, confidence) >= least
    return sure


def class_number(store: VectorStore, name: str) -> int:
    """Return the position of a class named as ``genre.jazz``, ``genre/jazz`` or ``jazz``.

    Raises
    ------
    InputError
        If no head has it, or several do; the message lists all classes.
    """
    dotted = [name.replace("/", ".", 1) for name in store.metadata.classes]
    wanted = name.replace("/", ".", 1)
    number = [i for i, whole in enumerate(dotted) if wanted in (whole, whole.partition(".")[2])]
    if wanted in dotted:
        return dotted.index(wanted)
    if len(number) != 1:
        labels = [part for whole in dotted for part in (whole, whole.partition(".")[2])]
        near = () if number else get_close_matches(wanted, labels, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        which = "ambiguous class" if number else "unknown class"
        raise InputError(f"{which} {name!r}; {hint}there are: {', '.join(dotted)}")
    return number[0]


def text_codes(store: VectorStore, column: str) -> tuple[Int32Array, list[str]]:
    """Encode a text column as integers: codes (n,), int32, and the distinct texts.

    A code is the index of the row's text in the second result, or `UNKNOWN` if the row has none.
    Codes let artists, albums and hashes of a million songs be compared as integers.

    Examples
    --------
    >>> from audiorec.search.searchable import SearchableStore
    >>> text_codes(SearchableStore.open("fixtures/formats/vecs-v1.parquet"), "status")
    (array([0, 0, 1, 0, 2], dtype=int32), ['ok', 'truncated', 'short'])
    """
    array = store.column(column).combine_chunks().dictionary_encode()
    numbers = array.indices
    codes = np.frombuffer(numbers.buffers()[1] or b"", np.int32, len(numbers), 4 * numbers.offset)
    known = booleans(numbers.is_valid())
    return np.where(known, codes, np.int32(UNKNOWN)), array.dictionary.to_pylist()


def name_codes(store: VectorStore, column: str) -> Int32Array:
    """Encode a name column as integers, equal if `normalised_name` is equal: (n,), int32."""
    codes, texts = text_codes(store, column)
    return name_numbers([*texts, None]).astype(np.int32)[codes]


def _condition(text: str, at: int) -> tuple[Condition, int]:
    name, at = _token(text, at, _NAME, "a name")
    operator = _OPERATOR.match(text, at)
    if operator is None:
        raise _syntax(text, at, "one of = != < <= > >=")
    value, at = _token(text, operator.end(), _VALUE, "a value")
    values = [value]
    while at < len(text) and text[at] == "|":
        value, at = _token(text, at + 1, _VALUE, "a value")
        values.append(value)
    return Condition(name, cast("Operator", operator.group()), tuple(values)), at


def _token(text: str, at: int, pattern: re.Pattern[str], what: str) -> tuple[str, int]:
    result = pattern.match(text, at)
    if result is None:
        raise _syntax(text, at, what)
    quoted, bare = result.groups()
    return (bare.strip() if quoted is None else quoted.replace('""', '"')), result.end()


def _syntax(text: str, at: int, expected: str) -> InputError:
    where = f"before {text[at : at + 20]!r}" if text[at:].strip() else "at the end"
    return InputError(
        f"conditions {text!r}: {expected} expected {where}; for example: "
        "genre=jazz, duration<600, artist!=Abba"
    )


def _written(text: str, pattern: re.Pattern[str]) -> str:
    """Return a name or value as written in a condition, quoted if needed."""
    bare = pattern.fullmatch(text)
    plain = bare is not None and bare.group(2) == text and text.strip() == text
    return text if plain else '"' + text.replace('"', '""') + '"'


class _Tests:
    """Evaluates conditions on one store, and caches what it reads."""

    def __init__(self, store: VectorStore, genre_from: GenreFrom) -> None:
        self.store, self.genre_from = store, genre_from
        self.heads: dict[str, list[str]] = {}
        for name in store.metadata.classes:
            head, _, label = name.partition("/")
            self.heads.setdefault(head, []).append(label)
        self.texts: dict[str, tuple[Int32Array, list[str]]] = {}
        self.labels = {label for labels in self.heads.values() for label in labels}

    def meets(self, condition: Condition) -> BoolArray:
        name = condition.name
        if name in TEXT_COLUMNS:
            return self._text(condition)
        if name == DURATION:
            seconds = np.asarray(self.store.column("duration_s").to_pylist(), np.float64)
            return _number(condition, seconds, _seconds)
        if name in self.heads:
            return self._head(condition)
        if name == STYLE:
            return self._style(condition)
        if name not in self.labels and is_attribute(self.store, name):
            return self._attribute(condition)
        if "." in name or "/" in name or name in self.labels:
            number = class_number(self.store, name)
            if condition.operator in ("=", "!="):
                raise InputError(f"{condition}: compare a mean score with <, <=, > or >=")
            means = self._means[:, number].astype(np.float64)
            return _number(condition, means, partial(_finite, expected="a number from 0 to 1"))
        example = self.store.metadata.classes[0].replace("/", ".", 1)
        columns = (*TEXT_COLUMNS, DURATION, STYLE, *self.store.metadata.attributes)
        raise InputError(
            f"{condition}: unknown name {name!r}; there are the heads {', '.join(self.heads)}, "
            f"their classes, such as {example}, and {', '.join(columns)}"
        )

    @cached_property
    def _means(self) -> FloatArray:
        return mean_scores(self.store)

    def _head(self, condition: Condition) -> BoolArray:
        """Compare the likeliest class; ties of mean scores go to the first."""
        labels = self.heads[condition.name]
        _check_operator(condition)
        # The owner may have called a song's genre by a word of their own.
        own = set(self.store.corrections[GENRE].values()) if condition.name == GENRE else set()
        for value in condition.values:
            if value not in labels and value not in own:
                there = ", ".join([*labels, *sorted(own.difference(labels))])
                raise InputError(f"{condition}: unknown class {value!r}; there are: {there}")
        prefix = f"{condition.name}/"
        names = self.store.metadata.classes
        columns = [i for i, name in enumerate(names) if name.startswith(prefix)]
        wanted = [labels.index(value) for value in condition.values if value in labels]
        best = self._means[:, columns].argmax(axis=1)
        if condition.name == GENRE:
            return _signed(condition, self._fits_genre(condition, best, wanted))
        if condition.name == VERSION:
            best = stated_versions(self.store)
        return _signed(condition, np.isin(best, wanted))

    def _fits_genre(self, condition: Condition, best: Int64Array, wanted: list[int]) -> BoolArray:
        """Compare the stated genre, else the likeliest, or the sound, as `genre_from` says."""
        fits = np.zeros(len(self.store), np.bool_)
        if self.genre_from != "sound":
            stated = stated_genres(self.store)
            fits = np.isin(stated.likeliest(best, self.heads[GENRE]), wanted)
            fits |= stated.which(lambda one: one.is_one_of(condition.values))
        if self.genre_from == "tags":
            return fits
        heard = stored_labels(self.store)
        if heard is not None:
            known = np.isfinite(heard.genre[:, 0])
            best = np.where(known, np.nan_to_num(heard.genre).argmax(axis=1), best)
        return fits | np.isin(best, wanted)

    def _style(self, condition: Condition) -> BoolArray:
        """Compare the styles that are stated, or those that are heard, or either."""
        _check_operator(condition)
        names, heard = SongLabels.shipped().styles, None
        for value in condition.values:
            if value and value not in STYLES:
                there = ", ".join(sorted(STYLES))
                raise InputError(f"{condition}: unknown style {value!r}; there are: {there}")
        fits = np.zeros(len(self.store), np.bool_)
        if self.genre_from != "sound":
            fits |= stated_genres(self.store).which(
                lambda one: not {*(one.styles or ("",))}.isdisjoint(condition.values)
            )
        if self.genre_from != "tags" and (heard := stored_labels(self.store)) is not None:
            clear = np.column_stack([heard.style_clear, ~heard.style_clear.any(axis=1)])
            places = [n for n, name in enumerate((*names, "")) if name in condition.values]
            fits |= clear[:, places].any(axis=1)
        return _signed(condition, fits)

    def _attribute(self, condition: Condition) -> BoolArray:
        """Compare tempo, key, a mood or a tag; an unknown value meets only ``!=``."""
        name = condition.name
        if name in (GENRE_TAG, LANGUAGE):
            return self._text(condition)
        if name in TEXT_ATTRIBUTES:
            _check_operator(condition)
            codes, texts = text_codes(self.store, name)
            wanted = [
                _scale(condition, v) if name == "scale" else tonic_of(v) for v in condition.values
            ]
            fits = np.asarray([*(text in wanted for text in texts), False], np.bool_)
            return _signed(
                condition, fits[codes] & _is_sure(self.store, "key_confidence", SURE_KEY)
            )
        whole = {YEAR: "a year"}
        if name not in whole and condition.operator in ("=", "!="):
            raise InputError(f"{condition}: compare {name} with <, <=, > or >=")
        expected = whole.get(name, "a number from 0 to 1")
        return _number(condition, numbers_of(self.store, name), partial(_finite, expected=expected))

    def meet_tempos(self, conditions: Sequence[Condition]) -> BoolArray:
        """Return which songs meet all conditions on the tempo at one of their levels."""
        result = np.zeros(len(self.store), np.bool_)
        read = partial(_finite, expected="beats per minute")
        first, other = levels_of_tempo(self.store)
        for level, there in ((first, True), (other, ~np.isnan(other))):
            fits = [_number(condition, level, read) for condition in conditions]
            result |= np.all(fits, axis=0) & there
        return result

    def _text(self, condition: Condition) -> BoolArray:
        _check_operator(condition)
        codes, texts = self._names(condition.name)
        if condition.name in CLOSED_COLUMNS:
            known = [str(one) for one in Status] if condition.name == "status" else sorted(texts)
            _check_values(condition, known)
        fits = _fits_any(texts, condition.values)
        # Code -1 of rows without a text indexes the last entry.
        unknown = "" in map(normalised_name, condition.values)
        return _signed(condition, np.asarray([*fits, unknown], np.bool_)[codes])

    def _names(self, column: str) -> tuple[Int32Array, list[str]]:
        """Return the codes of a text column, and its distinct texts, normalised; read once."""
        if column not in self.texts:
            codes, texts = text_codes(self.store, column)
            self.texts[column] = codes, [normalised_name(text) for text in punctual(texts)]
        return self.texts[column]


def _scale(condition: Condition, value: str) -> str:
    if value.strip().lower() not in SCALES:
        raise InputError(f"{condition}: unknown scale {value!r}; there are: {', '.join(SCALES)}")
    return value.strip().lower()


def _check_operator(condition: Condition) -> None:
    if condition.operator not in ("=", "!="):
        raise InputError(f"{condition}: compare {condition.name} with = or !=")


def _check_values(condition: Condition, known: Sequence[str]) -> None:
    names = [normalised_name(text) for text in known]
    for value in condition.values:
        if not any(_fits_any(names, [value])):
            raise InputError(
                f"{condition}: unknown {condition.name} {value!r}; there are: {', '.join(known)}"
            )


def _fits_any(texts: Sequence[str], values: Collection[str]) -> list[bool]:
    """Return which normalised texts equal a value, or match one with the wildcards ``*`` and ``?``.

    The standard library's translation of a pattern never goes back over what a ``*`` has matched,
    so a pattern of m letters takes at most n * m steps on a text of n.
    """
    names = {normalised_name(value) for value in values}
    patterns = [name for name in names if any(letter in name for letter in WILDCARDS)]
    plain = names.difference(patterns)
    tests = [re.compile(translate(pattern.replace("[", "[[]"))).match for pattern in patterns]
    if not tests:
        return [text in plain for text in punctual(texts)]
    return [text in plain or any(test(text) for test in tests) for text in punctual(texts)]


def _number(
    condition: Condition,
    numbers: Float64Array,
    read: Callable[[str, Condition], float],
) -> BoolArray:
    values = [read(value, condition) for value in condition.values]
    if condition.operator in ("=", "!="):  # rounded: whole seconds or beats
        return _signed(condition, np.isin(np.rint(numbers), np.rint(values)))
    if len(values) > 1:
        raise InputError(f"{condition}: {condition.operator} takes one value")
    return _COMPARE[condition.operator](numbers, values[0])


def _seconds(text: str, condition: Condition) -> float:
    clock = _CLOCK.fullmatch(text.strip())
    if clock is not None:
        hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        text = str(3600.0 * hours + 60.0 * minutes + seconds)
    return _finite(text, condition, "seconds or a time like 3:20")


def _finite(text: str, condition: Condition, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"{condition}: {expected} expected, got {text!r}")
    return value


def _signed(condition: Condition, fits: BoolArray) -> BoolArray:
    return ~fits if condition.operator == "!=" else fits


def _fits(lowered: list[str], pattern: str) -> BoolArray:
    if any(c in pattern for c in "*?["):
        test = re.compile(translate(pattern)).match
        return np.fromiter((test(text) is not None for text in lowered), np.bool_, len(lowered))
    if pattern.endswith("/"):
        return np.fromiter((t.startswith(pattern) for t in lowered), np.bool_, len(lowered))
    result = (bool(pattern) and pattern in text for text in lowered)
    return np.fromiter(result, np.bool_, len(lowered))
