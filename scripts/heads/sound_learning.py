"""Learn the projection of sound: parts of one piece, and copies of a part, should lie together.

    mean features ──standardise, length 1──▶ (E,) ──whiten within pieces──PCA──▶ (128,)

The differences between parts of one piece have a covariance; where it is large, a number says
little about the piece, and counts less. Shrinkage adds a multiple of its mean variance to all
directions: at 0 the differences are whitened fully, at infinity not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sound_data import SPEC, Rows

from audiorec.tagger.features import OUTPUT_WIDTHS
from audiorec.tagger.vectors import BLOCKS, SoundProjection
from audiorec.tagger.weights import WEIGHTS
from audiorec.types import Float64Array, FloatArray

# A number that moves by less than this part of its mean says nothing that float16 keeps.
STILL = 2.0**-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a projection is learnt.

    Attributes
    ----------
    shrinkage : float or None
        In mean variances of the differences within pieces; None does not whiten.
    width : int or None
        Numbers of a projected song; None keeps all.
    """

    shrinkage: float | None = 3.0
    width: int | None = 128


def embeddings(rows: Rows, sound: SoundProjection) -> npt.NDArray[np.float16]:
    """Return what a store would hold of each row."""
    return sound.embedding(*(rows.said[f"msd.{block}"] for block in BLOCKS))


def learn(
    rows: Rows, changed: Sequence[Rows] = (), short: Rows | None = None, recipe: Recipe = Recipe()
) -> SoundProjection:
    """Learn a projection.

    Parameters
    ----------
    rows : Rows
        Parts of pieces.
    changed : sequence of Rows
        The same under changes: further parts of their pieces.
    short : Rows, optional
        Clips of other music, which say together with `rows` what is usual.
    recipe : Recipe
    """
    plain = standardising(rows if short is None else rows.joined(short))
    x = plain.prepared(embeddings(rows, plain), np.float64)
    root = np.eye(x.shape[1])
    if recipe.shrinkage is not None:
        every = rows.joined(*changed)
        y = plain.prepared(embeddings(every, plain), np.float64)
        root = inverse_root(within(y, every.piece), recipe.shrinkage)
    matrix = root @ principal_axes((x - x.mean(axis=0)) @ root)[:, : recipe.width]
    return _replaced(plain, matrix=matrix, bias=-x.mean(axis=0) @ matrix)


def standardising(rows: Rows) -> SoundProjection:
    """Return a projection that only standardises: by rows of which each corpus counts the same."""
    pools = [rows.said[f"msd.{block}"].astype(np.float16) for block in BLOCKS[1:]]
    living = np.flatnonzero(np.any([_moves(pool.astype(np.float64)) for pool in pools], axis=0))
    size = OUTPUT_WIDTHS["penultimate"] + 2 * len(living)
    plain = SoundProjection(
        backbone_sha256=WEIGHTS["msd"].sha256,
        front_end=SPEC.front_end,
        living=living,
        centre=np.zeros(size, np.float32),
        scale=np.ones(size, np.float32),
        matrix=np.eye(size, dtype=np.float32),
        bias=np.zeros(size, np.float32),
    )
    exact = embeddings(rows, plain).astype(np.float64)
    _, number, counts = np.unique(rows.corpus, return_inverse=True, return_counts=True)
    weights = 1 / counts[number] / len(counts)
    centre = weights @ exact
    spread = np.sqrt(weights @ np.square(exact - centre))
    moves = _moves(exact)
    scale = np.where(moves, 1 / np.where(moves, spread, 1.0), 0.0)
    return _replaced(plain, centre=centre, scale=scale)


def _moves(values: Float64Array) -> npt.NDArray[np.bool_]:
    """Return of each column whether it moves by more than float16 rounds."""
    return values.std(axis=0) > STILL * np.abs(values.mean(axis=0))


def within(x: Float64Array, piece: npt.NDArray[np.str_]) -> Float64Array:
    """Return the covariance (E, E) of rows about the mean of their piece; a piece counts once."""
    names, number = np.unique(piece, return_inverse=True)
    counts = np.bincount(number)
    sums = np.zeros((len(names), x.shape[1]))
    np.add.at(sums, number, x)
    apart = x - (sums / counts[:, None])[number]
    many = counts > 1
    weighted = apart / np.sqrt(np.maximum(counts - 1, 1))[number][:, None]
    found: Float64Array = weighted.T @ weighted / max(1, many.sum())
    return found


def inverse_root(covariance: Float64Array, shrinkage: float) -> Float64Array:
    """Return the inverse square root of a covariance to which some of its mean is added."""
    size = len(covariance)
    values, vectors = np.linalg.eigh(
        covariance + shrinkage * np.trace(covariance) / size * np.eye(size)
    )
    found: Float64Array = (vectors / np.sqrt(values)) @ vectors.T
    return found


def principal_axes(x: Float64Array) -> Float64Array:
    """Return the axes (E, E) of centred rows, the widest first; each's largest part is positive."""
    _, axes = np.linalg.eigh(x.T @ x / len(x))
    axes = axes[:, ::-1]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
    found: Float64Array = axes * np.sign(largest)
    return found


def _replaced(sound: SoundProjection, **arrays: Float64Array) -> SoundProjection:
    exact: dict[str, FloatArray] = {n: a.astype(np.float32) for n, a in arrays.items()}
    return replace(sound, **exact)  # type: ignore[arg-type]
