"""audiorec: from a folder of songs to vectors for music recommendation.

========================  ======================================================
``extract(paths, out=)``  songs to ``vecs.parquet``, in worker processes
``open_store(path)``      ``vecs.parquet`` to a `Library` with the methods below
``similar(song, k)``      the most similar songs of a store
``path(a, b)``            a smooth transition from one song to another
``playlist(*songs)``      a playlist of similar songs with a given length
``duplicates()``          songs with the same audio
``classify(paths)``       version, genre and voice of songs
``vector(path)``          the vector of one song (84,)
``scores(path)``          the score series of one song (T, 14)
``taggram(path, model)``  the backbone's own tags of one song (T, 50)
``AudioVectorizer()``     paths to vectors, as a scikit-learn transformer
``FeatureDataset(path)``  ``features.parquet`` as a PyTorch dataset
``pad_songs(items)``      pads the songs of such a dataset to a batch
========================  ======================================================

Everything else is in packages, listed in the order of the data flow; ``help("audiorec.search")``,
for example, draws the flow of one and lists its public names. Importing `audiorec` loads none of
them.

==============  ==============================================================
``files``       atomic writes, tables, object stores
``audio``       audio files to log-mel segments
``tagger``      segments to scores, scores to a vector
``runs``        worker processes, progress, log, record
``store``       ``vecs.parquet`` and the files beside it
``extraction``  many songs to a store, on one machine or many
``search``      similar songs, and why they are similar
``playlists``   playlists, and paths between songs
``plots``       plots of songs and libraries
``library``     a store's songs, for notebooks
``listening``   listening logs to likes, histories and baskets
``evaluation``  measures on arrays: ranks, intervals, classes
``learning``    shared by all training: losses, checkpoints, bundles
``labelling``   trains heads on labelled songs
``analysis``    correlation of listening with audio similarity
``simulation``  simulated listening, to try things on
``recall``      recall channels: one folder per family of models
==============  ==============================================================

`audiorec.errors` has the error classes, `audiorec.spec` the specs that define what a vector means,
`audiorec.types` the shared types.
"""

from audiorec.runs.imports import install_guard

install_guard()  # first: later imports must never come from the current folder

from importlib import import_module  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    __version__: str
    from audiorec.extraction.reader import scores, taggram, vector
    from audiorec.extraction.run import extract
    from audiorec.library.classify_files import classify
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
    "classify": "audiorec.library.classify_files",
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
    """Load a public name on first use, so that the import stays fast."""
    if name == "__version__":
        from audiorec.distribution import own_version

        return own_version()
    if name == "errors":  # so that ``audiorec.errors`` works without its own import
        return import_module("audiorec.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'audiorec' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
