"""The two vectors of a song: statistics of its scores, and its sound, for neighbours.

    scores (T, H)  ──summarise──▶  vector (H * 6,)
    means over the segments: penultimate (200,), mean_pool (753,), max_pool (753,)
        ──embedding──▶ (624,) float16 ──project──▶ (128,) float32, of length 1

A long song has more segments than a short one; a recommender needs vectors of one length. Every
stored vector depends on this module, so a change here is a new store format.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError, WeightsError
from audiorec.tagger.features import OUTPUT_WIDTHS
from audiorec.tagger.weights import data_folder, read_shipped, write_shipped
from audiorec.types import STATISTICS, Float64Array, FloatArray, Int64Array

# A column counts as constant if its largest deviation from the mean is below this share of its
# largest value: float32 scores have seven digits, so the rest is rounding noise.
CONSTANT_SPREAD = 1e-6
LARGEST_SCORE = 1e18  # the variance of larger scores would overflow float32
SKEWNESS_MIN_SEGMENTS = 3  # two points are always symmetric
KURTOSIS_MIN_SEGMENTS = 4  # three points always give -1.5


def summarise(
    scores: npt.NDArray[np.floating], statistics: Sequence[str] = STATISTICS
) -> FloatArray:
    """Summarise scores over time, class by class.

    The layout is class-major: ``vector.reshape(H, 6)[h, s]`` is statistic ``STATISTICS[s]`` of
    class ``h``: max, min, mean, variance, kurtosis, skewness.

    Parameters
    ----------
    scores : ndarray, shape (T, H)
        One row per segment, one column per class; any order of rows gives the same vector.
    statistics : sequence of str
        Subset of the six, in the order of `STATISTICS`.

    Returns
    -------
    vector : ndarray, shape (H * 6,), float32
        Always finite. With fewer statistics, (H * len(statistics),).

    Raises
    ------
    ShapeError
        If `scores` is not two-dimensional or has no rows or columns.
    InputError
        If a score is NaN, infinite or beyond 1e18; the message names the row.

    See Also
    --------
    moments : The same numbers in float64, as a matrix.

    Examples
    --------
    >>> summarise(np.array([[0.2], [0.9], [0.4]])).round(4)
    array([0.9   , 0.2   , 0.5   , 0.0867, 0.    , 0.4703], dtype=float32)
    """
    kept = [STATISTICS.index(name) for name in statistics]
    return moments(scores)[:, kept].ravel().astype(np.float32)


def moments(scores: npt.NDArray[np.floating]) -> Float64Array:
    """Return the six statistics of each class: scores (T, H) to (H, 6), float64.

    Columns and errors are the same as in `summarise`.

    Notes
    -----
    The variance divides by T. Kurtosis is Fisher's: 0 for a normal distribution. Kurtosis and
    skewness are the biased sample values, and 0 where undefined: for a constant class (with a
    variance of 0), kurtosis below four segments, skewness below three.

    For T segments that are not constant the absolute skewness is at most
    ``(T - 2) / sqrt(T - 1)`` and the kurtosis at most ``T - 5 + 1 / (T - 1)``, so both can grow
    with a song's length.

    Deviations from the mean are divided by the largest before they are raised to powers: the
    square of a variance of 1e-26 would underflow in float32, and that of 1e-170 in float64.
    """
    columns = _sorted_columns(scores)
    n_segments = columns.shape[1]
    low, high = columns[:, 0], columns[:, -1]
    # Rounding may push the mean of equal numbers one digit beyond them.
    mean = np.clip(columns.mean(axis=1), low, high)
    deviation = columns - mean[:, None]
    scale = np.abs(deviation).max(axis=1)
    constant = scale <= CONSTANT_SPREAD * np.maximum(np.abs(low), np.abs(high))
    scale = np.where(constant, 0.0, scale)

    z = deviation / np.where(constant, 1.0, scale)[:, None]
    squares = z * z
    m2 = np.where(constant, 1.0, squares.mean(axis=1))  # at least 1 / T: one |z| is 1
    skewness = (squares * z).mean(axis=1) / m2**1.5
    kurtosis = (squares * squares).mean(axis=1) / m2**2 - 3.0
    skewness[constant | (n_segments < SKEWNESS_MIN_SEGMENTS)] = 0.0
    kurtosis[constant | (n_segments < KURTOSIS_MIN_SEGMENTS)] = 0.0

    values = {
        "max": high,
        "min": low,
        "mean": mean,
        "variance": m2 * scale * scale,
        "kurtosis": kurtosis,
        "skewness": skewness,
    }
    return np.stack([values[name] for name in STATISTICS], axis=1)


def _sorted_columns(scores: npt.NDArray[np.floating]) -> Float64Array:
    """Check the scores and return them as (H, T), each class in ascending order.

    Sorting makes every bit of the result independent of the order of the segments; one row per
    class makes it independent of the other classes.
    """
    if scores.ndim != 2 or 0 in scores.shape:
        raise ShapeError(f"scores must have shape (T >= 1, H >= 1), got {scores.shape}")
    columns: Float64Array = np.sort(scores.T.astype(np.float64), axis=1)
    # NaN sorts last and fails the comparison as well.
    if not (np.abs(columns[:, [0, -1]]) <= LARGEST_SCORE).all():
        usable = (np.abs(scores.astype(np.float64)) <= LARGEST_SCORE).all(axis=1)
        row = int(np.flatnonzero(~usable)[0])
        raise InputError(
            f"scores must be finite and at most {LARGEST_SCORE:g}, but row {row} is not"
        )
    return columns


FILE = "sound_msd.safetensors"
SHA256 = "87d94a044a3128232adf0ed9a7e8fc6aabc8d33d0b7b861dfab5a3f70efd00df"
METADATA_KEY = "audiorec_sound"
FORMAT_VERSION = 1
BLOCKS = ("penultimate", "mean_pool", "max_pool")
POOL = OUTPUT_WIDTHS["mean_pool"]
NO_DIRECTION = 1e-9  # a shorter row has no direction and stays 0

Half = npt.NDArray[np.float16]
F = TypeVar("F", np.float32, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SoundProjection:
    """The projection of a network's mean features.

    The embedding is the last layer and those channels of both pools that music moves at all. Each
    of these three blocks is standardised by fixed numbers and brought to length 1. A matrix, learnt
    on parts of pieces and changed copies of them (``scripts/heads/train_sound.py``), then brings
    parts of one piece close together. Nothing depends on a store: songs of two stores compare by
    the cosine, and a song that is added moves no neighbours. The embedding is read as it is stored,
    rounded to float16, so that `project` gives the same for a row of a store as when the song was
    extracted.

    Attributes
    ----------
    backbone_sha256, front_end : str
        Checksum of the network and fingerprint of the front end whose features it reads.
    living : ndarray, shape (L,), int64
        Channels of the pools that the embedding keeps, ascending.
    centre, scale : ndarray, shape (E,), float32
        Subtracted from and multiplied into an embedding of E = 200 + 2 L numbers. 0 leaves a
        number out.
    matrix : ndarray, shape (E, W), float32
    bias : ndarray, shape (W,), float32
    sha256 : str
        Checksum of the file it was read from; empty before it is saved. Numbers of two
        projections never compare.
    """

    backbone_sha256: str
    front_end: str
    living: Int64Array
    centre: FloatArray
    scale: FloatArray
    matrix: FloatArray
    bias: FloatArray
    sha256: str = ""

    def __post_init__(self) -> None:
        lives = self.living
        if lives.ndim != 1 or not 0 < len(lives) <= POOL or (np.diff(lives) <= 0).any():
            raise ShapeError(f"living channels must ascend, got {lives.shape}")
        if lives[0] < 0 or lives[-1] >= POOL:
            raise ShapeError(f"living channels must lie in 0..{POOL - 1}")
        width = self.bias.shape[0] if self.bias.ndim == 1 else 0
        shapes: dict[str, tuple[int, ...]] = {"centre": (self.size,), "scale": (self.size,)}
        shapes |= {"matrix": (self.size, width), "bias": (width,)}
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values.shape != shape or not np.isfinite(values).all():
                raise ShapeError(f"{name} must be finite and of shape {shape}, got {values.shape}")

    @property
    def size(self) -> int:
        """Numbers of an embedding."""
        return OUTPUT_WIDTHS["penultimate"] + 2 * len(self.living)

    @property
    def width(self) -> int:
        """Numbers of a projected song."""
        return len(self.bias)

    def embedding(
        self, penultimate: FloatArray, mean_pool: FloatArray, max_pool: FloatArray
    ) -> Half:
        """Return what is stored of the means over a song's segments.

        Parameters
        ----------
        penultimate : ndarray, shape (..., 200)
        mean_pool, max_pool : ndarray, shape (..., 753)

        Returns
        -------
        embedding : ndarray, shape (..., E), float16

        Raises
        ------
        ShapeError
            If a width is another, or a number does not fit into float16.
        """
        given = dict(zip(BLOCKS, (penultimate, mean_pool, max_pool), strict=True))
        for name, values in given.items():
            if values.shape[-1:] != (OUTPUT_WIDTHS[name],):
                raise ShapeError(
                    f"{name} must have shape (..., {OUTPUT_WIDTHS[name]}), got {values.shape}"
                )
        pools = (mean_pool[..., self.living], max_pool[..., self.living])
        with np.errstate(over="ignore"):
            rounded: Half = np.concatenate([penultimate, *pools], axis=-1).astype(np.float16)
        if not np.isfinite(rounded).all():
            raise ShapeError("mean features must be finite and within float16")
        return rounded

    def project(self, embedding: Half | FloatArray) -> FloatArray:
        """Return the place of songs in the space of sound.

        Parameters
        ----------
        embedding : ndarray, shape (..., E)
            As `embedding` returns it; rounded to float16 if it is not yet.

        Returns
        -------
        sound : ndarray, shape (..., W), float32
            Of length 1; 0 for an embedding without a direction.

        Raises
        ------
        ShapeError
            If the last axis is of another length.
        """
        if embedding.shape[-1:] != (self.size,):
            raise ShapeError(f"embedding must have shape (..., {self.size}), got {embedding.shape}")
        matrix, bias = self.matrix.astype(np.float64), self.bias.astype(np.float64)
        result = self.prepared(embedding, np.float64) @ matrix + bias
        return unit(result).astype(np.float32)

    def prepared(self, embedding: Half | FloatArray, kind: type[F]) -> npt.NDArray[F]:
        """Return embeddings with each block standardised and of length 1: (..., E), of a kind."""
        result = embedding.astype(np.float16, copy=False).astype(kind)
        result -= self.centre  # in place: a library has millions of numbers
        result *= self.scale
        bounds = np.cumsum([OUTPUT_WIDTHS["penultimate"], len(self.living)])
        for block in np.split(result, bounds, axis=-1):
            block[...] = unit(block)
        return result

    def save(self, path: Path | str) -> str:
        """Write this to one safetensors file and return the file's SHA-256."""
        about = {
            "format_version": FORMAT_VERSION,
            "backbone_sha256": self.backbone_sha256,
            "front_end": self.front_end,
        }
        tensors = {
            name: np.ascontiguousarray(getattr(self, name), np.float32)
            for name in ("centre", "scale", "matrix", "bias")
        }
        tensors["living"] = self.living.astype(np.int32)
        return write_shipped(path, METADATA_KEY, about, tensors)

    @classmethod
    def load(cls, path: Path | str, *, sha256: str = "") -> "SoundProjection":
        """Read a file written by `save`.

        Parameters
        ----------
        path : path
        sha256 : str, optional
            What the file must have.

        Raises
        ------
        WeightsError
            If the file is missing (a `MissingWeightsError`), damaged, another one than `sha256`
            says, or of another format.
        """
        about, tensors, result = read_shipped(
            Path(path), METADATA_KEY, FORMAT_VERSION, what="the projection", sha256=sha256
        )
        try:
            return cls(
                backbone_sha256=str(about["backbone_sha256"]),
                front_end=str(about["front_end"]),
                living=tensors.pop("living").astype(np.int64),
                sha256=result,
                **tensors,
            )
        except (KeyError, TypeError, ShapeError) as error:
            raise WeightsError(f"{path}: damaged: {error!r}") from error


@cache
def shipped_sound() -> SoundProjection:
    """Return the shipped projection, its checksum verified; see `SoundProjection.load`."""
    return SoundProjection.load(data_folder() / FILE, sha256=SHA256)


def unit(rows: npt.NDArray[F]) -> npt.NDArray[F]:
    """Return rows (..., W) of length 1; a row without a direction becomes 0."""
    length = np.sqrt(np.square(rows).sum(axis=-1, keepdims=True))
    return np.where(length > NO_DIRECTION, rows / np.maximum(length, NO_DIRECTION), 0.0)
