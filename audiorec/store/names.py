"""Fuzzy lookup of a song id.

Searches a hundred thousand ids in a fraction of a second: Arrow filters by substrings, and only
the best few hundred ids are compared letter by letter.
"""

from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pyarrow.compute as pc

from audiorec.errors import SeveralSongsError, UnknownSongError
from audiorec.files.arrow import booleans, integers

NEAR_MATCHES = 5
NEAR_RATIO = 0.5  # difflib ratio: below, two names share less than half of their letters
FINALISTS = 200  # ids that are compared letter by letter
GRAM = 3  # letters
MAX_GRAMS = 32


def unique_match(ids: Any, query: str) -> str:
    """Return the only id that ends in ``/query``, or else the only id that contains `query`.

    Case is ignored. If there is none, raise `UnknownSongError` with near matches; if there are
    several, its subclass `SeveralSongsError`.
    """
    text = query.casefold()
    lowered = pc.utf8_lower(ids)
    endings = ids.filter(pc.ends_with(lowered, "/" + text.removeprefix("/")))
    if query and len(endings) == 1:
        return str(endings[0].as_py())
    matches = ids.filter(pc.match_substring(lowered, text)) if text.strip() else ids[:0]
    if len(matches) == 1:
        return str(matches[0].as_py())
    if len(matches) > 1:
        several = endings if len(endings) else matches
        raise SeveralSongsError(query, _ranked(several, query), len(several))
    raise UnknownSongError(query, near_names(ids, query))


def near_names(ids: Any, query: str) -> tuple[str, ...]:
    """Return up to five ids that look like `query`, best first.

    Examples
    --------
    >>> from audiorec.files.arrow import string_array
    >>> near_names(string_array(["Abba - Waterloo", "Toto - Africa"]), "abba watrelo")
    ('Abba - Waterloo',)
    """
    text = query.casefold()
    lowered = pc.utf8_lower(ids)
    shared = np.zeros(len(ids), np.int32)
    for gram in _grams(text):
        shared += booleans(pc.match_substring(lowered, gram))
    rows = np.flatnonzero(shared)
    # Most shared pieces first; ties go to the shorter id, then to the order of ids.
    lengths = pc.utf8_length(ids).to_numpy(zero_copy_only=False)[rows]
    best = rows[np.lexsort((rows, lengths, -shared[rows]))[:FINALISTS]]
    return _ranked(ids.take(integers(best)), query, at_least=NEAR_RATIO)


def _grams(text: str) -> list[str]:
    """Cut a text into overlapping trigrams, thinned evenly if there are many."""
    pieces = sorted({text[i : i + GRAM] for i in range(max(1, len(text) - GRAM + 1))} - {""})
    step = -(-len(pieces) // MAX_GRAMS) or 1
    return pieces[::step]


def _ranked(ids: Any, query: str, *, at_least: float = 0.0) -> tuple[str, ...]:
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(query.casefold())

    def ratio(text: str) -> float:
        matcher.set_seq1(text.casefold())
        return matcher.ratio()

    # People remember a file's name better than its folders.
    rated = [
        (max(ratio(name), ratio(name.rpartition("/")[2])), name)
        for name in ids[:FINALISTS].to_pylist()
    ]
    best = sorted((-rate, name) for rate, name in rated if rate >= at_least)
    return tuple(name for _, name in best[:NEAR_MATCHES])
