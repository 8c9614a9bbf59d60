"""audiorec: a folder of songs becomes vectors that a music recommender can use.

============================  =========================================================
``extract(paths, out=)``      songs to ``vecs.parquet``, in worker processes
``open_store(path)``          ``vecs.parquet`` to a `Library`: its songs, and all below
``similar(song, k)``          the songs of a store that sound most like one song
``path(a, b)``                a smooth way from one song to another
``playlist(*songs)``          so many minutes of songs that go with some songs
``duplicates()``              the same audio more than once
``classify(paths)``           what songs are: version, genre, voice
``vector(path)``              one song to its vector (84,)
``scores(path)``              one song to its score series (T, 14)
``taggram(path, model)``      one song to the backbone's own tags (T, 50)
``AudioVectorizer()``         paths to vectors, as a scikit-learn transformer
``FeatureDataset(path)``      ``features.parquet`` as a PyTorch dataset
``pad_songs(items)``          its songs, collated to one length
============================  =========================================================

Everything else is in packages, here in the order in which songs and listening pass through
them; ``help("audiorec.search")`` draws the flow of one and says what of it is public. Importing
`audiorec` loads none of them.

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
`audiorec.spec`, names for arrays in `audiorec.types`.
"""

from audiorec.runs.imports import install_guard

install_guard()  # first: what is imported from here on never lies in the current folder

from importlib import import_module  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    __version__: str
    from audiorec.extraction.reader import scores, taggram, vector
    from audiorec.extraction.run import extract
    from audiorec.library.classified import classify
    from audiorec.library.dataset import FeatureDataset, pad_songs
    from audiorec.library.library import open_store
    from audiorec.library.shortcuts import duplicates, path, playlist, similar
    from audiorec.library.vectorizer import AudioVectorizer

__all__ = [
    "AudioVectorizer",
    "FeatureDataset",
    "__version__",
    "classify",
    "duplicates",
    "extract",
    "open_store",
    "pad_songs",
    "path",
    "playlist",
    "scores",
    "similar",
    "taggram",
    "vector",
]

_HOME = {
    "AudioVectorizer": "audiorec.library.vectorizer",
    "FeatureDataset": "audiorec.library.dataset",
    "classify": "audiorec.library.classified",
    "duplicates": "audiorec.library.shortcuts",
    "extract": "audiorec.extraction.run",
    "open_store": "audiorec.library.library",
    "pad_songs": "audiorec.library.dataset",
    "path": "audiorec.library.shortcuts",
    "playlist": "audiorec.library.shortcuts",
    "scores": "audiorec.extraction.reader",
    "similar": "audiorec.library.shortcuts",
    "taggram": "audiorec.extraction.reader",
    "vector": "audiorec.extraction.reader",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that the import stays light."""
    if name == "__version__":
        from importlib.metadata import version

        return version("audiorec")
    if name == "errors":  # what somebody who catches one has not imported
        return import_module("audiorec.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'audiorec' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
