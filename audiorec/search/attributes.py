"""Tempo, key and moods of a store's songs, for conditions and curves.

    store, "bpm"  ──numbers_of──▶ (n,) float64, NaN where nothing is known
    "Gb", "f♯"    ──tonic_of────▶ "F#", as the store writes it

They are columns that ``audiorec extract --attributes`` makes; a store may lack them.
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
    """Whether a name is a column of tempo, key or moods that the store has.

    Raises
    ------
    InputError
        If it is such a column, and the store has none of them; says what makes them.
    """
    if name in store.metadata.attributes:
        return True
    if ATTRIBUTE.fullmatch(name) and name not in store.metadata.classes:
        there = ", ".join(sorted(store.metadata.attributes))
        raise InputError(
            f"{store.path}: no {name!r}, there are: {there}"
            if there
            else f"{store.path}: has no {name!r}; what adds it: "
            f"audiorec extract FOLDER --attributes --out {store.path}"
        )
    return False


def numbers_of(store: VectorStore, name: str) -> Float64Array:
    """Return a column of numbers: shape (n,), float64; NaN where nothing is known of a song."""
    if name in TEXT_ATTRIBUTES:
        raise InputError(f"{name} is no number: it is compared with = or !=")
    values = [np.nan if v is None else v for v in store.column(name).to_pylist()]
    return np.asarray(values, np.float64)


def tonic_of(text: str) -> str:
    """Return a tonic as the store writes it, whatever its spelling; an `InputError` if it is none.

    Examples
    --------
    >>> tonic_of("Gb"), tonic_of("a#"), tonic_of("B"), tonic_of("E♭")
    ('F#', 'Bb', 'B', 'Eb')
    """
    plain = text.strip().replace("♯", "#").replace("♭", "b")
    found = re.fullmatch(r"([A-Ga-g])([#b]?)", plain)
    if found is None:
        raise InputError(
            f"no key {text!r}; there are: {', '.join(TONICS)}; major and minor stand in scale"
        )
    step = _STEPS[found[1].upper()] + {"": 0, "#": 1, "b": -1}[found[2]]
    return TONICS[step % 12]
