"""audiorec: a folder of songs becomes vectors that a music recommender can use.

==========================  ==================================================
``extract(paths, out=)``    songs to ``vecs.parquet``, in worker processes
``vector(path)``            one song to its vector (84,)
``scores(path)``            one song to its score series (T, 14)
``taggram(path, model)``    one song to the backbone's own tags (T, 50)
``open_store(path)``        ``vecs.parquet`` to ids, vectors, similar songs
==========================  ==================================================

Everything else is in packages, here in the order in which songs and listening pass through
them. Imports point upwards in this table only, and importing `audiorec` loads none of them.

==============  ==============================================================
``files``       files written whole or not at all, tables, object stores
``audio``       a file to log-mel segments
``tagger``      segments to scores, scores to a vector
``runs``        processes that may die, progress, log, record
``store``       ``vecs.parquet`` and the files beside it
``extraction``  many songs to a store, on one machine or many
``search``      which songs are alike, and why
``playlists``   playlists and paths from song to song
``plots``       songs and libraries as pictures
``library``     the songs of a store as a notebook meets them
``listening``   logs of listening to likes, histories, baskets
``evaluation``  figures on arrays: ranks, intervals, classes
``learning``    what all training shares: losses, checkpoints, bundles
``labelling``   labelled songs to a head of one's own
``analysis``    listening against sound: correlation
``simulation``  made-up worlds to try things on
``recall``      which songs for whom: a folder for each family of models
==============  ==============================================================

Errors are drawn in `audiorec.errors`, the numbers that decide what a vector means are in
`audiorec.spec`, names for arrays in `audiorec.types`. Each package's own docstring draws its
flow and says what of it is public.
"""

from audiorec.runs.imports import install_guard

install_guard()  # first: what is imported from here on never lies in the current folder

from importlib import import_module  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    __version__: str
    from audiorec.extraction.reader import scores, taggram, vector
    from audiorec.extraction.run import extract
    from audiorec.library.library import open_store

__all__ = ["__version__", "extract", "open_store", "scores", "taggram", "vector"]

_HOME = {
    "extract": "audiorec.extraction.run",
    "open_store": "audiorec.library.library",
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
