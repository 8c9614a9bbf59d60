"""A scikit-learn transformer from audio files to columns of numbers.

    paths (n,)  ──AudioVectorizer.transform──▶  vectors (n, 84), mean scores (n, 14), features

It has nothing to fit, so it can be the first step of a pipeline. Files are decoded in worker
processes.
"""

import os
import warnings
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, MissingExtraError, ShapeError, SongError
from audiorec.files.visible import visible
from audiorec.types import STATISTICS, FloatArray

try:
    from sklearn.base import BaseEstimator, TransformerMixin
except ImportError as _error:  # keeps the class importable and documented without it
    BaseEstimator, TransformerMixin = object, type("TransformerMixin", (), {})
    _absent: Exception | None = _error
else:
    _absent = None

if TYPE_CHECKING:
    from audiorec.extraction.pipeline import Song

Output = Literal["vector", "mean", "features"]
OnError = Literal["raise", "nan"]
LAYERS = ("msd.penultimate",)  # for `outputs="features"`
MEAN = slice(STATISTICS.index("mean"), None, len(STATISTICS))  # means within a vector
NAMED = 3  # failed files named in a warning


class AudioVectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn transformer: paths of audio files in, numbers per song out.

    Parameters
    ----------
    outputs : {"vector", "mean", "features"}
        The vector (84 numbers, named as in `Library.frame`); the mean score of each of the 14
        classes; or the means of the backbone's last layer (200 numbers).
    jobs : int
        Worker processes; 0 for one per processor core.
    on_error : {"raise", "nan"}
        What to do with a file that cannot be used: raise a `SongError` that names it, or return
        a row of NaN, with a warning.

    Notes
    -----
    Every call of ``transform`` decodes its files again. For cross-validation, set the pipeline's
    ``memory``, or read vectors from a store: ``library.frame()``.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.

    Examples
    --------
    >>> import audiorec
    >>> vectorizer = audiorec.AudioVectorizer(outputs="mean")
    >>> vectorizer.fit_transform(["fixtures/audio/jazz-vibraphone.mp3"]).shape
    (1, 14)
    """

    def __init__(
        self, *, outputs: Output = "vector", jobs: int = 0, on_error: OnError = "raise"
    ) -> None:
        if _absent is not None:
            raise MissingExtraError("AudioVectorizer", "sklearn", str(_absent)) from _absent
        self.outputs = outputs
        self.jobs = jobs
        self.on_error = on_error

    def fit(self, X: Any = None, y: Any = None) -> Self:  # noqa: N803, ARG002
        """Check the parameters; nothing is learnt, and no file is opened.

        Raises `InputError` for an invalid parameter or a sparse matrix.
        """
        self._check()
        _refuse_sparse(X)
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """Return the numbers of some audio files.

        Parameters
        ----------
        X : sequence of path, length n
            Or one column of a DataFrame, or an array of shape (n,) or (n, 1).

        Returns
        -------
        numbers : ndarray, shape (n, V), float32
            A DataFrame if ``set_output(transform="pandas")`` was called.

        Raises
        ------
        SongError
            For the first file that cannot be used, if ``on_error="raise"``.
        InputError
            If `X` holds anything but paths, or a parameter is invalid.
        ShapeError
            If `X` has more than one column.
        """
        self._check()
        paths = _paths(X)
        names = self.get_feature_names_out()
        numbers = np.full((len(paths), len(names)), np.nan, np.float32)
        failed: list[SongError] = []
        with closing(self._songs(paths)) as songs:
            for row, song in enumerate(songs):
                if not isinstance(song, SongError):
                    numbers[row] = self._numbers(song)
                elif self.on_error == "raise":
                    raise song
                else:
                    failed.append(song)
        if failed:
            some = "; ".join(visible(str(error)) for error in failed[:NAMED])
            more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
            warnings.warn(f"unusable files became rows of NaN: {some}{more}", stacklevel=2)
        return numbers

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:  # noqa: ARG002
        """Return the name of each column: shape (V,), str; `input_features` is ignored."""
        self._check()
        if self.outputs == "features":
            from audiorec.store.schema import feature_column
            from audiorec.tagger.features import OUTPUT_WIDTHS, split_input

            names = [
                f"{feature_column(name)}_{i}"
                for name in LAYERS
                for i in range(OUTPUT_WIDTHS[split_input(name)[1]])
            ]
        else:
            names = _vector_names()
            names = names if self.outputs == "vector" else names[MEAN]
        return np.asarray(names, object)

    def _songs(self, paths: Sequence[str]) -> "Generator[Song | SongError]":
        """Yield a song or an error for each file, in their order."""
        from audiorec.extraction.reader import song_reader

        jobs = min(self.jobs or os.cpu_count() or 1, max(1, len(paths)))
        outputs = LAYERS if self.outputs == "features" else ()
        with song_reader(outputs=outputs, jobs=jobs) as reader:
            yield from reader.read_each(paths)

    def _numbers(self, song: "Song") -> FloatArray:
        if self.outputs == "features":
            means = [song.features[name].mean(axis=0, dtype=np.float64) for name in LAYERS]
            return np.concatenate(means).astype(np.float32)
        return song.vector if self.outputs == "vector" else song.vector[MEAN]

    def _check(self) -> None:
        for name, known in (("outputs", get_args(Output)), ("on_error", get_args(OnError))):
            if getattr(self, name) not in known:
                raise InputError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if not isinstance(self.jobs, int) or self.jobs < 0:
            raise InputError(f"jobs must be 0 or more, got {self.jobs!r}")

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = True  # with one column
        tags.input_tags.allow_nan = False
        tags.no_validation = True
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = []
        return tags


def _paths(X: Any) -> list[str]:  # noqa: N803
    """Return paths from a sequence, a Series, or one column of a table."""
    _refuse_sparse(X)
    values = np.asarray(X, object)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ShapeError(f"X must be paths of shape (n,) or (n, 1), got {values.shape}")
    for value in values:
        if not isinstance(value, (str, os.PathLike)):
            raise InputError(f"X must hold paths of audio files, got {value!r}")
    return [os.fspath(value) for value in values]


def _refuse_sparse(X: Any) -> None:  # noqa: N803
    if hasattr(X, "toarray"):
        raise InputError("X must hold paths of audio files, got a sparse matrix")


@cache
def _vector_names() -> list[str]:
    """Return the column names of a vector under the shipped heads, as in a store."""
    from audiorec.store.schema import Kind, StoreMetadata, number_names
    from audiorec.tagger.heads import Head, Heads, shipped_heads

    classes = Heads([Head.load(path) for path in shipped_heads()]).classes
    return number_names(StoreMetadata(kind=Kind.VECTORS, extractor_id="-", classes=classes))
