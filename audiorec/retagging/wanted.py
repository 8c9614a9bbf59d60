"""Choose the fields of a song's file: version and genre from the heads, moods from the backbone.

    store, ["AUDIOREC_GENRE", "mood"], rows  ──wanted_fields──▶  [{"AUDIOREC_GENRE": ["jazz"]}, …]

Songs that are not classified anywhere (silence, speech, under three segments) get no genre and no
mood here either.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from audiorec.errors import InputError
from audiorec.library.readings import each_reading
from audiorec.retagging.formats import GENRE, MOOD
from audiorec.search.tag_means import TagMeans, tag_means
from audiorec.store.store import VectorStore
from audiorec.tagger.weights import MOODS
from audiorec.types import FloatArray, Int64Array

OWN = "AUDIOREC_"
# Fields available with the shipped heads; any other head gets a field named after it.
FIELDS = (f"{OWN}VERSION", f"{OWN}GENRE", f"{OWN}MOOD", GENRE, MOOD)
MOST_LETTERS = 100  # per value, since class names come from the store
MOST_MOODS = 2
LEAST_MOOD = 0.1  # mean of a tag's sigmoid; most songs have no mood tag above it
_SPELLED = {"hiphop": "Hip-Hop"}  # spelling in the standard field; other classes are capitalised


def checked_fields(store: VectorStore, fields: Sequence[str] | None) -> tuple[str, ...]:
    """Normalise the spelling of fields and drop repeats; by default one own field for each head.

    Raises
    ------
    InputError
        If `fields` is empty, or the store cannot fill one of them.
    """
    heads = list(dict.fromkeys(name.partition("/")[0] for name in store.metadata.classes))
    own = [f"{OWN}{head.upper()}" for head in heads]
    known = [*own, f"{OWN}MOOD", *([GENRE] if GENRE in heads else []), MOOD]
    fields = own if fields is None else fields
    spelled = {name.lower(): name for name in known} | {"version": f"{OWN}VERSION"}
    wrong = [field for field in fields if field.lower() not in spelled]
    if wrong or not fields:
        raise InputError(f"no field {' or '.join(wrong) or 'at all'}: there are {', '.join(known)}")
    return tuple(dict.fromkeys(spelled[field.lower()] for field in fields))


def wanted_fields(
    store: VectorStore, fields: Sequence[str], rows: Int64Array
) -> list[dict[str, tuple[str, ...]]]:
    """Return one mapping of field to values for each song; fields without a value are omitted.

    Parameters
    ----------
    store : VectorStore
    fields : sequence of str
        As `checked_fields` returns them.
    rows : ndarray, shape (m,), int64

    Raises
    ------
    AudiorecError
        If moods are requested and the store has no `heard_tags`.
    """
    moods = tag_means(store) if any(MOOD in field.lower() for field in fields) else None
    found = []
    for row, reading in zip(rows.tolist(), each_reading(store, rows, None), strict=True):
        values: dict[str, tuple[str, ...]] = {}
        for field in fields:
            name = field.removeprefix(OWN).lower()
            if name != MOOD:
                label = reading.best.get(name)
                text = label if label is None or field != GENRE else _spelled(label)
                words: tuple[str, ...] = () if text is None else (_plain(text),)
            else:
                words = () if reading.best.get(GENRE) is None else _moods(moods, row)
            if words:
                values[field] = words
        found.append(values)
    return found


def _plain(text: str) -> str:
    """Remove unprintable characters from a value and limit its length."""
    return "".join(c for c in text if c.isprintable())[:MOST_LETTERS]


def _spelled(label: str) -> str:
    return _SPELLED.get(label, label.replace("_", " ").capitalize())


def _moods(means: TagMeans | None, row: int) -> tuple[str, ...]:
    """Return up to two moods of a song, strongest first, of those with a mean of 0.1 or more."""
    if means is None:
        return ()
    values: FloatArray = means.values[row]
    order = sorted(MOODS, key=lambda m: -_value(values, means.names, m))
    clear = [mood for mood in order if _value(values, means.names, mood) >= LEAST_MOOD]
    return tuple(mood.lower() for mood in clear[:MOST_MOODS])


def _value(values: FloatArray, names: Sequence[str], mood: str) -> float:
    return float(np.nan_to_num(values[names.index(mood)]))


def in_words(fields: Mapping[str, Sequence[str]]) -> str:
    """Format fields as one line: ``AUDIOREC_GENRE=jazz, mood=sad|mellow``."""
    return ", ".join(f"{name}={'|'.join(values)}" for name, values in fields.items())
