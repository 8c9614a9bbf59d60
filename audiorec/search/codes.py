"""A text column of a store as small numbers: which rows say the same.

    store, "artist"  ──text_codes──▶  codes (n,), texts

Artists, albums and hashes of a million songs are compared as integers that way.
"""

import re

import numpy as np

from audiorec.files.arrow import flags
from audiorec.store.store import VectorStore
from audiorec.types import Int32Array

UNKNOWN = -1  # the code of a row that says nothing


def text_codes(store: VectorStore, column: str) -> tuple[Int32Array, list[str]]:
    """Give each different text of one column a number.

    Parameters
    ----------
    store : VectorStore
    column : str
        A column of texts, for example ``artist``.

    Returns
    -------
    codes : ndarray, shape (n,), int32
        Index into `texts`; `UNKNOWN` where the row has none.
    texts : list of str
        Each text once, as it stands in the store.

    Examples
    --------
    >>> from audiorec.search.library import Library
    >>> text_codes(Library.open("fixtures/formats/vecs-v1.parquet"), "status")
    (array([0, 0, 1, 0, 2], dtype=int32), ['ok', 'truncated', 'short'])
    """
    array = store.column(column).combine_chunks().dictionary_encode()
    numbers = array.indices
    codes = np.frombuffer(numbers.buffers()[1] or b"", np.int32, len(numbers), 4 * numbers.offset)
    known = flags(numbers.is_valid())
    return np.where(known, codes, np.int32(UNKNOWN)), array.dictionary.to_pylist()


def name_codes(store: VectorStore, column: str) -> Int32Array:
    """Give each different name of one column a number, whatever its case and spaces.

    Returns
    -------
    codes : ndarray, shape (n,), int32
        Equal for ``ABBA`` and ``abba ``; `UNKNOWN` for a row without a name.
    """
    codes, texts = text_codes(store, column)
    numbers: dict[str, int] = {"": UNKNOWN}
    plain = [numbers.setdefault(plain_name(t), len(numbers) - 1) for t in texts]
    merged: Int32Array = np.asarray([*plain, UNKNOWN], np.int32)[codes]
    return merged


def plain_name(text: str) -> str:
    """Return a name in lower case with single spaces.

    Examples
    --------
    >>> plain_name("  The  BEATLES ")
    'the beatles'
    """
    return re.sub(r"\s+", " ", text).strip().casefold()
