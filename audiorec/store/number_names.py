"""Names for the numbers of a vector, that any database takes as column names.

version/vocal, mean  →  version_vocal_mean
"""

import re

from audiorec.errors import InputError
from audiorec.store.schema import StoreMetadata


def number_names(metadata: StoreMetadata) -> list[str]:
    """Return a name for each number of a vector, in its order: class-major, length V.

    Raises
    ------
    InputError
        If two classes would have one name.

    Examples
    --------
    >>> from audiorec.store.schema import Kind
    >>> two = StoreMetadata(
    ...     kind=Kind.VECTORS, extractor_id="a", classes=("genre/hip-hop",),
    ...     statistics=("max", "mean"),
    ... )
    >>> number_names(two)
    ['genre_hip_hop_max', 'genre_hip_hop_mean']
    """
    names = [
        f"{plain}_{statistic}"
        for plain in map(_plain, metadata.classes)
        for statistic in metadata.statistics
    ]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two numbers of a vector would be called {twice[0]!r}: rename a class")
    return names


def _plain(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_").lower()
