"""Read facts about songs, artists and other entities: ``triples.parquet``, ``triples.csv``.

    head         relation   tail              weight
    song:a.mp3   by         artist:Ayla                  ──read_triples──▶  `Triples`
    artist:Ayla  similar    artist:Bob        0.7

Ids are typed: the part before the first colon is the type, the rest the name.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiorec.errors import DamagedFileError, ShapeError
from audiorec.files.user_files import column_names, read_table
from audiorec.listening.casting import to_floats
from audiorec.types import FloatArray, Int32Array, string_array

NEEDED = ("head", "relation", "tail")
FAILURE = "cannot be read as triples"
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
    found = _TYPE.match(entity_id)
    return found.group(1) if found else ""


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
    has_weight = "weight" in column_names(path, FAILURE)
    wanted = ("weight",) if has_weight else ()
    table = read_table(path, FAILURE, needed=NEEDED, wanted=wanted, texts=True)
    if not len(table):
        raise DamagedFileError(f"{path}: {FAILURE}: it has no rows")
    columns = {name: table.column(name).combine_chunks() for name in NEEDED}
    for name in ("head", "tail"):
        typed = pc.match_substring_regex(columns[name], TYPED).fill_null(False)
        _refuse(path, ~typed.to_numpy(zero_copy_only=False), columns[name], f"{name} has no type")
    lengths = pc.binary_length(columns["relation"]).fill_null(0).to_numpy(zero_copy_only=False)
    _refuse(path, lengths == 0, columns["relation"], "the relation is empty")
    weight = np.ones(len(table), np.float32)
    if has_weight:
        texts = table.column("weight").combine_chunks()
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


def describe_triples(triples: Triples) -> dict[str, Any]:
    """Count facts by relation and entities by type, as JSON values."""
    counts = np.bincount(triples.relation, minlength=len(triples.relations))
    types = Counter(map(type_of, triples.entity_ids))
    return {
        "facts": len(triples),
        "relations": dict(zip(triples.relations, counts.tolist(), strict=True)),
        "things": dict(sorted(types.items())),
    }


def _distinct(*columns: Any) -> tuple[str, ...]:
    return tuple(sorted(set(pc.unique(pa.chunked_array(columns)).to_pylist())))


def _numbers(column: Any, ids: tuple[str, ...]) -> Int32Array:
    found: Int32Array = pc.index_in(column, value_set=string_array(ids)).to_numpy()
    return found.astype(np.int32)


def _refuse(path: Path, bad: Any, column: Any, what: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        shown = str(column[int(rows[0])].as_py())[:MAX_TYPE]
        hint = "; write song:ID, artist:NAME" if what.endswith("type") else ""
        raise DamagedFileError(
            f"{path}: {what}: {shown!r} in row {rows[0] + 1}, and {len(rows) - 1} more rows{hint}"
        )
