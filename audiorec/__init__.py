"""audiorec: a folder of songs becomes vectors that a music recommender can use.

==========================  ==================================================
``extract(paths, out=)``    songs to ``vecs.parquet``, in worker processes
``vector(path)``            one song to its vector (84,)
``scores(path)``            one song to its score series (T, 14)
``taggram(path, model)``    one song to the backbone's own tags (T, 50)
``open_store(path)``        ``vecs.parquet`` to ids, vectors, similar songs
==========================  ==================================================

The stages are packages of their own: `audiorec.audio` (file to log-mel segments),
`audiorec.tagger` (segments to scores and vectors), `audiorec.store` (vectors in files) and
`audiorec.search` (which songs are alike). Importing this package loads none of them.
"""

from audiorec.runs.imports import install_guard

install_guard()  # first: what is imported from here on never lies in the current folder

from importlib import import_module  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    __version__: str
    from audiorec.extraction.reader import scores, taggram, vector
    from audiorec.extraction.run import extract
    from audiorec.search.library import open_store

__all__ = ["__version__", "extract", "open_store", "scores", "taggram", "vector"]

_HOME = {
    "extract": "audiorec.extraction.run",
    "open_store": "audiorec.search.library",
    "scores": "audiorec.extraction.reader",
    "taggram": "audiorec.extraction.reader",
    "vector": "audiorec.extraction.reader",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that the import stays light."""
    if name == "__version__":
        from importlib.metadata import version

        return version("audiorec")
    if name not in _HOME:
        raise AttributeError(f"module 'audiorec' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
