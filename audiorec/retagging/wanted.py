"""Which fields a song's file gets: its version and genre by the heads, its moods by the backbone.

    store, ["AUDIOREC_GENRE", "mood"], rows  ──wanted_fields──▶  [{"AUDIOREC_GENRE": ["jazz"]}, …]

A song of which nothing should be said (silence, speech, under three segments) gets no genre and no
mood, as everywhere.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from audiorec.errors import InputError
from audiorec.library.readings import each_reading
from audiorec.retagging.formats import GENRE, MOOD
from audiorec.search.tag_means import TagMeans, tag_means
from audiorec.store.store import VectorStore
from audiorec.tagger.moods import MOODS
from audiorec.types import FloatArray, Int64Array

OWN = "AUDIOREC_"
# What may be asked for of a store with our heads; other heads have a field each by their names.
FIELDS = (f"{OWN}VERSION", f"{OWN}GENRE", f"{OWN}MOOD", GENRE, MOOD)
MOST_LETTERS = 100  # of a value; the names of classes are the store's
MOST_MOODS = 2
LEAST_MOOD = 0.1  # mean of a tag's sigmoid; most songs have no tag of a mood above it
_SPELLED = {"hiphop": "Hip-Hop"}  # what the standard field calls a class; else it is capitalised


def checked_fields(store: VectorStore, fields: Sequence[str] | None) -> tuple[str, ...]:
    """Return fields in their usual spelling, each once; by default one of our own for each head.

    Raises
    ------
    InputError
        If the store cannot fill one, or there is none.
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
    """Return the fields of some songs, a mapping each; a field without a value is not in it.

    Parameters
    ----------
    store : VectorStore
    fields : sequence of str
        As `checked_fields` returns them.
    rows : ndarray, shape (m,), int64

    Raises
    ------
    AudiorecError
        If moods are asked for and ``features.parquet`` beside the store does not have them.
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
    """Return a value of one line that nothing can hide in."""
    return "".join(c for c in text if c.isprintable())[:MOST_LETTERS]


def _spelled(label: str) -> str:
    return _SPELLED.get(label, label.replace("_", " ").capitalize())


def _moods(means: TagMeans | None, row: int) -> tuple[str, ...]:
    """Return the clearest moods of a song, the clearest first; none that is not clear."""
    if means is None:
        return ()
    values: FloatArray = means.values[row]
    order = sorted(MOODS, key=lambda m: -_value(values, means.names, m))
    clear = [mood for mood in order if _value(values, means.names, mood) >= LEAST_MOOD]
    return tuple(mood.lower() for mood in clear[:MOST_MOODS])


def _value(values: FloatArray, names: Sequence[str], mood: str) -> float:
    return float(np.nan_to_num(values[names.index(mood)]))


def in_words(fields: Mapping[str, Sequence[str]]) -> str:
    """Return fields as one line: ``AUDIOREC_GENRE=jazz, mood=sad|mellow``."""
    return ", ".join(f"{name}={'|'.join(values)}" for name, values in fields.items())
