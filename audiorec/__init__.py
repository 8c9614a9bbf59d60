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

Everything else is in packages: ``from audiorec.search import Space``, ``from audiorec.recall import
SASRec, evaluate``. ``help("audiorec.search")`` draws the data flow of one and lists its public
names. Importing `audiorec` loads none of them.

`audiorec.errors` has the error classes, `audiorec.spec` the specs that define what a vector means,
`audiorec.types` the shared types.
"""

from audiorec.runs.imports import install_guard

install_guard()  # first: later imports must never come from the current folder

from typing import TYPE_CHECKING, Any  # noqa: E402

from audiorec.exports import lazy  # noqa: E402

if TYPE_CHECKING:
    from audiorec import errors as errors
    from audiorec.extraction.reader import vector as vector
    from audiorec.extraction.run import extract as extract
    from audiorec.library.dataset import FeatureDataset as FeatureDataset
    from audiorec.library.dataset import pad_songs as pad_songs
    from audiorec.library.library import duplicates as duplicates
    from audiorec.library.library import open_store as open_store
    from audiorec.library.library import path as path
    from audiorec.library.library import playlist as playlist
    from audiorec.library.library import similar as similar
    from audiorec.library.readings import classify as classify
    from audiorec.library.score_views import scores as scores
    from audiorec.library.score_views import taggram as taggram
    from audiorec.library.vectorizer import AudioVectorizer as AudioVectorizer

# The names above once more, for the import on first use.
HOMES = {
    "audiorec": ("errors",),
    "audiorec.extraction.reader": ("vector",),
    "audiorec.extraction.run": ("extract",),
    "audiorec.library.dataset": ("FeatureDataset", "pad_songs"),
    "audiorec.library.library": ("duplicates", "open_store", "path", "playlist", "similar"),
    "audiorec.library.readings": ("classify",),
    "audiorec.library.score_views": ("scores", "taggram"),
    "audiorec.library.vectorizer": ("AudioVectorizer",),
}

_exported, __dir__ = lazy(__name__, HOMES)


def __getattr__(name: str) -> Any:
    """Return a public name, imported on first use; the version is that of the distribution."""
    if name == "__version__":
        from audiorec.distribution import own_version

        return own_version()
    return _exported(name)
