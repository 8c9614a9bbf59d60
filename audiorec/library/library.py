"""A library of songs: one door for commands, Python and servers.

open_store(path)  →  `Library`: .ids  .vectors (n, V)  .resolve(text)  .similar(query, k)
"""

from pathlib import Path

from audiorec.search.searchable import SearchableStore


class Library(SearchableStore):
    """The songs of one ``vecs.parquet``, to be found by name and by likeness.

    Use `open_store`.

    Examples
    --------
    >>> library = open_store("fixtures/formats/vecs-v1.parquet")
    >>> [n.song_id for n in library.similar("etude", 2)]
    ['piano/prelude.flac']
    """


def open_store(path: str | Path) -> Library:
    """Open a ``vecs.parquet``; see `Library` and `VectorStore.open`."""
    return Library.open(path)
