"""Side information of songs, and facts about songs, artists and other entities: read and checked.

    song_id, artist, album, language, genre, version, released, …  ──read_side──▶  `SongSide`
    a store: tags, and classes predicted by its heads      ──side_of_store──▶  `SongSide`
    head         relation   tail              weight
    song:a.mp3   by         artist:Ayla                    ──read_triples──▶  `Triples`

Columns are converted for models: texts and booleans to categories, numbers to float32, ``released``
to days since 1970. Any value may be missing. Ids of facts are typed: the part before the first
colon is the type, the rest the name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.columns import LogColumns
from audiorec.errors import DamagedFileError, ShapeError
from audiorec.files.arrow import integers
from audiorec.files.languages import language_of
from audiorec.files.user_files import column_names, read_table
from audiorec.listening.events import to_floats, without_dictionary
from audiorec.store.schema import LANGUAGE
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, FloatArray, IdMap, Int32Array, Int64Array, string_array

NEEDED = ("head", "relation", "tail")
FACTS_FAILURE = "cannot be read as triples"
TYPED = r"^[a-z][a-z0-9_]*:(?s:.)+"
MAX_TYPE = 40  # characters of an id in a message
_TYPE = re.compile(r"([a-z][a-z0-9_]*):")


@dataclass(frozen=True, slots=True, eq=False)
class Triples:
    """A table of F facts.

    Attributes
    ----------
    entity_ids : tuple of str, length E
        Typed ids, sorted: ``artist:Ayla``.
    relations : tuple of str, length R
        Sorted.
    head, relation, tail : ndarray, shape (F,), int32
        Indices into `entity_ids` and `relations`.
    weight : ndarray, shape (F,), float32
        Weight of each fact, above 0.
    """

    entity_ids: tuple[str, ...]
    relations: tuple[str, ...]
    head: Int32Array
    relation: Int32Array
    tail: Int32Array
    weight: FloatArray

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.head, self.relation, self.tail, self.weight)}
        if shapes != {(len(self.head),)}:
            raise ShapeError(f"triples must have one shape (F,), got {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.head)


def type_of(entity_id: str) -> str:
    """Return the type of a typed id; "" if it has none.

    Examples
    --------
    >>> type_of("song:rock/live: 1.mp3")
    'song'
    """
    result = _TYPE.match(entity_id)
    return result.group(1) if result else ""


def entities_of_type(kind: str, triples: Triples) -> tuple[str, ...]:
    """Return the names of all entities of one type, such as song or artist, in order."""
    start = f"{kind}:"
    return tuple(name.removeprefix(start) for name in triples.entity_ids if name.startswith(start))


def read_triples(path: Path) -> Triples:
    """Read ``head``, ``relation``, ``tail`` and optionally ``weight`` from Parquet or CSV.

    Raises
    ------
    InputError
        If the file is missing or lacks a column, an id has no type, a relation is empty, a
        weight is not finite and above 0, or a fact is duplicated.
    """
    has_weight = LogColumns.WEIGHT in column_names(path, FACTS_FAILURE)
    wanted = (LogColumns.WEIGHT,) if has_weight else ()
    table = read_table(path, FACTS_FAILURE, needed=NEEDED, wanted=wanted, texts=True)
    if not len(table):
        raise DamagedFileError(f"{path}: {FACTS_FAILURE}: it has no rows")
    columns = {name: table.column(name).combine_chunks() for name in NEEDED}
    for name in ("head", "tail"):
        typed = pc.match_substring_regex(columns[name], TYPED).fill_null(False)
        _refuse(path, ~typed.to_numpy(zero_copy_only=False), columns[name], f"{name} has no type")
    lengths = pc.binary_length(columns["relation"]).fill_null(0).to_numpy(zero_copy_only=False)
    _refuse(path, lengths == 0, columns["relation"], "the relation is empty")
    weight = np.ones(len(table), np.float32)
    if has_weight:
        texts = table.column(LogColumns.WEIGHT).combine_chunks()
        given = pc.binary_length(texts).fill_null(0).to_numpy(zero_copy_only=False) > 0
        numbers, _ = to_floats(pc.if_else(pa.array(given), texts, None))
        wrong = given & ~((numbers > 0) & (numbers < np.finfo(np.float32).max))
        _refuse(path, wrong, texts, "weight is not above 0")
        weight = np.where(given, numbers, 1.0).astype(np.float32)
    entity_ids = _distinct(columns["head"], columns["tail"])
    relations = _distinct(columns["relation"])
    head, tail = (_numbers(columns[name], entity_ids) for name in ("head", "tail"))
    relation = _numbers(columns["relation"], relations)
    order = np.lexsort((tail, relation, head))
    facts = np.stack([head, relation, tail])[:, order]
    again = np.zeros(len(order), np.bool_)
    again[order[1:]] = (np.diff(facts, axis=1) == 0).all(axis=0)
    _refuse(path, again, columns["head"], "the fact is duplicated; its head")
    return Triples(entity_ids, relations, head, relation, tail, weight)


def _distinct(*columns: Any) -> tuple[str, ...]:
    return tuple(sorted(set(pc.unique(pa.chunked_array(columns)).to_pylist())))


def _numbers(column: Any, ids: tuple[str, ...]) -> Int32Array:
    numbers: Int32Array = pc.index_in(column, value_set=string_array(ids)).to_numpy()
    return numbers.astype(np.int32)


def _refuse(path: Path, bad: Any, column: Any, what: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        shown = str(column[int(rows[0])].as_py())[:MAX_TYPE]
        hint = "; write song:ID, artist:NAME" if what.endswith("type") else ""
        raise DamagedFileError(
            f"{path}: {what}: {shown!r} in row {rows[0] + 1}, and {len(rows) - 1} more rows{hint}"
        )


CATEGORIES = ("artist", "album", LANGUAGE, "genre", "version")  # always texts
RELEASED = "released"
HEADS = ("version", "genre")  # heads whose classes serve as categories
FAILURE = "cannot be read as side information"
FROM_HEADS = "_from_heads"  # suffix of the column that marks values predicted by a head
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?$")
FIRST_YEAR, LAST_YEAR = 1000, 2200


@dataclass(frozen=True, slots=True, eq=False)
class Category:
    """One categorical column of S songs."""

    number: Int32Array  # (S,): an index into `values`; -1 if unknown
    values: tuple[str, ...]  # sorted
    # (S,): which values were predicted by a head instead of read from metadata
    is_heard: BoolArray

    def texts(self) -> list[str | None]:
        """Return the value of each song; None if it is unknown."""
        return [None if n < 0 else self.values[n] for n in self.number.tolist()]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SongSide:
    """Side information of S songs.

    Attributes
    ----------
    song_ids : tuple of str, length S
        Sorted.
    categories : mapping of str to Category
    numbers : mapping of str to ndarray, shape (S,), float32
        NaN if unknown.
    released : ndarray, shape (S,), float32
        Days since 1970, negative before; NaN if unknown. A year alone means 1 January.
    """

    song_ids: tuple[str, ...]
    categories: Mapping[str, Category] = field(default_factory=dict)
    numbers: Mapping[str, FloatArray] = field(default_factory=dict)
    released: FloatArray

    def __post_init__(self) -> None:
        columns = [*(c.number for c in self.categories.values()), *self.numbers.values()]
        if any(c.shape != (len(self.song_ids),) for c in (*columns, self.released)):
            raise ShapeError(f"each column of side information needs {len(self.song_ids)} values")

    def __len__(self) -> int:
        return len(self.song_ids)

    def named(self, name: str) -> dict[str, str]:
        """Return the known values of a category by song; none without the category."""
        texts = self.categories[name].texts() if name in self.categories else ()
        return {song: text for song, text in zip(self.song_ids, texts, strict=False) if text}

    def among(self, song_ids: Any) -> "SongSide":
        """Return the side information of the given songs, in order; unknown where it has none."""
        row, unknown = IdMap(self.song_ids).rows(song_ids), np.float32(np.nan)
        return SongSide(
            song_ids=tuple(song_ids),
            categories={
                name: Category(
                    np.append(of.number, np.int32(-1))[row],
                    of.values,
                    np.append(of.is_heard, False)[row],
                )
                for name, of in self.categories.items()
            },
            numbers={name: np.append(of, unknown)[row] for name, of in self.numbers.items()},
            released=np.append(self.released, unknown)[row],
        )

    def alone(self, name: str) -> "SongSide | None":
        """Return one category alone; None if it is unknown."""
        if name not in self.categories:
            return None
        nothing = np.full(len(self), np.nan, np.float32)
        one = {name: self.categories[name]}
        return SongSide(song_ids=self.song_ids, categories=one, released=nothing)


def read_side(path: Path) -> SongSide:
    """Read side information from a Parquet or CSV file with one row per song.

    Raises
    ------
    InputError
        If the file is missing or lacks ``song_id``; if a song is duplicated or has no id; if a
        column is neither text, boolean, number nor date; if a number is infinite or beyond
        float32, or ``released`` is not a date.
    """
    names = column_names(path, FAILURE)
    texts = dict.fromkeys((LogColumns.SONG, *CATEGORIES, RELEASED), pa.string())
    types = {name: kind for name, kind in texts.items() if name in names}
    table = read_table(
        path, FAILURE, needed=(LogColumns.SONG,), wanted=None, types=types, null_values=[""]
    )
    ids = _texts(path, LogColumns.SONG, without_dictionary(table.column(LogColumns.SONG)))
    order = _order(path, ids)
    table = table.take(integers(order))
    heard = {n: _flags(table.column(n)) for n in names if n.endswith(FROM_HEADS)}
    categories: dict[str, Category] = {}
    numbers: dict[str, FloatArray] = {}
    released = np.full(len(ids), np.nan, np.float32)
    for name in names:
        if name == LogColumns.SONG or name in heard:
            continue
        column = without_dictionary(table.column(name))
        if name == RELEASED:
            released = _released(path, column)
        elif name not in CATEGORIES and _is_number(column.type):
            numbers[name] = _finite(path, name, column)
        else:
            guessed = heard.get(f"{name}{FROM_HEADS}", np.zeros(len(ids), np.bool_))
            categories[name] = _category(_texts(path, name, column), guessed)
    song_ids = tuple(ids.take(integers(order)).to_pylist())
    return SongSide(song_ids=song_ids, categories=categories, numbers=numbers, released=released)


def side_of_store(store: VectorStore) -> SongSide:
    """Return side information from a store: artist, album, and version and genre from its heads.

    A head's value is the class with the highest mean score; `Category.is_heard` marks it, as it
    marks a language that is guessed from the title (`language_of`) for lack of a tag. Where all
    songs have the same language, it says nothing and is left out.
    """
    table = store.table(["artist", "album", "title"])
    none = np.zeros(len(store.ids), np.bool_)
    categories = {
        n: _category(without_dictionary(table.column(n)), none) for n in ("artist", "album")
    }
    for head in HEADS:
        means = store.metadata.mean_columns(head)
        if not means:
            continue
        best = [block[:, list(means.values())].argmax(axis=1) for block in store.blocks()]
        number = np.concatenate([np.empty(0, np.int64), *best])
        heard = string_array(list(means)).take(integers(number))
        categories[head] = _category(heard, ~none)
    spoken, guessed = _languages(store, table.column("title").to_pylist())
    if len(set(spoken) - {None}) > 1:
        categories[LANGUAGE] = _category(pa.array(spoken, pa.string()), guessed)
    released = np.full(len(store.ids), np.nan, np.float32)
    return SongSide(song_ids=tuple(store.ids), categories=categories, released=released)


def _languages(store: VectorStore, titles: list[str | None]) -> tuple[list[str | None], BoolArray]:
    """Return the language of each song, by its tags or else its title, and which are guessed."""
    has_tags = LANGUAGE in store.metadata.tags
    tagged = store.column(LANGUAGE).to_pylist() if has_tags else [None] * len(titles)
    pairs = zip(tagged, titles, strict=True)
    return (
        [tag or language_of(title) for tag, title in pairs],
        np.array([tag is None for tag in tagged], np.bool_),
    )


def known_side(table: Path | SongSide | None, store: VectorStore | None) -> SongSide | None:
    """Return the side information of a table, with its gaps filled from a store; either may lack.

    Raises
    ------
    InputError
        As `read_side`.
    """
    heard = None if store is None else side_of_store(store)
    given = read_side(table) if isinstance(table, Path) else table
    return heard if given is None else given if heard is None else fill_missing(given, heard)


def fill_missing(side: SongSide, heard: SongSide) -> SongSide:
    """Fill in missing categories of the songs in `side` from `heard`.

    Examples
    --------
    >>> from audiorec.store.store import VectorStore
    >>> store = side_of_store(VectorStore.open("fixtures/formats/vecs-v1.parquet"))
    >>> full = fill_missing(read_side(Path("fixtures/formats/side-v1.csv")), store)
    >>> genre = full.categories["genre"]
    >>> genre.texts()[1:3], genre.is_heard[1:3].tolist()
    (['classical', 'blues'], [False, True])
    """
    categories = dict(side.categories)
    for name, other in heard.among(side.song_ids).categories.items():
        mine = categories.get(name)
        texts, is_heard = other.texts(), other.is_heard & (other.number >= 0)
        if mine is not None:
            pairs = zip(mine.texts(), texts, strict=True)
            texts = [own if own is not None else their for own, their in pairs]
            is_heard = np.where(mine.number >= 0, mine.is_heard, is_heard)
        categories[name] = _category(pa.array(texts, pa.string()), is_heard)
    return replace(side, categories=categories)


def _order(path: Path, ids: Any) -> Int64Array:
    lengths = pc.binary_length(ids).fill_null(0).to_numpy(zero_copy_only=False)
    if not len(ids):
        raise DamagedFileError(f"{path}: {FAILURE}: it has no rows")
    if not lengths.all():
        raise DamagedFileError(f"{path}: row {int(np.argmin(lengths)) + 1} has no song_id")
    order: Int64Array = pc.sort_indices(ids).to_numpy().astype(np.int64)
    ordered = ids.take(integers(order))
    same = pc.equal(ordered[1:], ordered[:-1]).to_numpy(zero_copy_only=False)
    if same.any():
        at = int(np.flatnonzero(same)[0])
        rows = sorted(int(order[i]) + 1 for i in (at, at + 1))
        name = ordered[at].as_py()
        raise DamagedFileError(
            f"{path}: the song {name!r} is duplicated, in rows {rows[0]} and {rows[1]}"
        )
    return order


def _texts(path: Path, name: str, column: Any) -> Any:
    """Convert a column to strings; empty values are null."""
    kind = column.type
    simple = pa.types.is_boolean(kind) or _is_number(kind) or pa.types.is_null(kind)
    if not simple and not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
        raise DamagedFileError(
            f"{path}: column {name!r} holds {kind}, expected text, booleans or numbers; "
            f"dates belong in {RELEASED!r}"
        )
    return column.cast(pa.string())


def _category(texts: Any, is_heard: BoolArray) -> Category:
    texts = texts.cast(pa.string())
    empty = pc.equal(pc.binary_length(texts), 0).fill_null(True)
    texts = pc.if_else(empty, None, texts)
    values = sorted(set(texts.to_pylist()) - {None})
    number = pc.index_in(texts, value_set=string_array(values), skip_nulls=True).fill_null(-1)
    codes = number.to_numpy(zero_copy_only=False).astype(np.int32)
    return Category(codes, tuple(values), is_heard & (codes >= 0))


def _flags(column: Any) -> BoolArray:
    texts = without_dictionary(column).cast(pa.string())
    return pc.equal(texts, "true").fill_null(False).to_numpy(zero_copy_only=False)


def _finite(path: Path, name: str, column: Any) -> FloatArray:
    numbers = column.cast(pa.float64(), safe=False).fill_null(np.nan)
    with np.errstate(over="ignore"):
        values: FloatArray = numbers.to_numpy(zero_copy_only=False).astype(np.float32)
    endless = np.flatnonzero(np.isinf(values))
    if len(endless):
        raise DamagedFileError(
            f"{path}: column {name!r} is infinite or exceeds float32 for {len(endless)} songs"
        )
    return values


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _released(path: Path, column: Any) -> FloatArray:
    """Convert dates, timestamps, ISO texts or years to days since 1970: (S,), float32."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        days = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
        seconds = days.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
        return np.floor(seconds / 86_400.0).astype(np.float32)
    texts = _texts(path, RELEASED, column).to_pylist()
    result = np.full(len(texts), np.nan, np.float32)
    for row, text in enumerate(texts):
        if text:
            result[row] = _days(path, text.strip())
    return result


def _days(path: Path, text: str) -> float:
    day = text[:10] if len(text) > len("2024-03-01") and text[10] in "T " else text
    try:
        if not _DATE.match(day) or not FIRST_YEAR <= int(day[:4]) <= LAST_YEAR:
            raise ValueError
        return float(np.datetime64(day, "D").astype(np.int64))
    except ValueError as error:
        raise DamagedFileError(
            f"{path}: released {text[:40]!r} is not a date; write 1994, 1994-05 or 1994-05-20"
        ) from error
