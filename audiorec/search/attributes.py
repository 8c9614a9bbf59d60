"""Tempo, key and moods of a store's songs, as read by conditions and curves.

    store, "bpm"  ──numbers_of──▶ (n,) float64, NaN where unknown
    "Gb", "f♯"    ──tonic_of────▶ "F#", as the store writes it

``audiorec extract`` writes the columns; an older store may lack them.
"""

import re

import numpy as np

from audiorec.errors import InputError
from audiorec.store.schema import ATTRIBUTE, TEXT_ATTRIBUTES
from audiorec.store.store import VectorStore
from audiorec.types import TONICS, Float64Array

BPM = "bpm"
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def is_attribute(store: VectorStore, name: str) -> bool:
    """Return whether a name is a tempo, key or mood column of the store.

    Raises
    ------
    InputError
        If it names such a column but the store lacks it; the message says how to add it.
    """
    if name in store.metadata.attributes:
        return True
    if ATTRIBUTE.fullmatch(name) and name not in store.metadata.classes:
        there = ", ".join(sorted(store.metadata.attributes))
        raise InputError(
            f"{store.path}: has no column {name!r}; there are: {there}"
            if there
            else f"{store.path}: has no column {name!r}; add it: "
            f"audiorec extract FOLDER --upgrade --out {store.path}"
        )
    return False


def numbers_of(store: VectorStore, name: str) -> Float64Array:
    """Return a numeric column: shape (n,), float64; NaN where a song's value is unknown."""
    if name in TEXT_ATTRIBUTES:
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
    found = re.fullmatch(r"([A-Ga-g])([#b]?)", plain)
    if found is None:
        raise InputError(
            f"unknown key {text!r}; there are: {', '.join(TONICS)}; major and minor go into scale"
        )
    step = _STEPS[found[1].upper()] + {"": 0, "#": 1, "b": -1}[found[2]]
    return TONICS[step % 12]
