"""Defence of the exchanged numbers: clipping, noise and rounding.

    gradients of a step (B, d) ──Defence.gradients──▶ each clipped to C, noise of norm n C added
    user vectors (B, d)        ──Defence.vectors────▶ rounded to float16, or noised

The noise's expected *norm* is n times the clip, so its deviation per coordinate is n C / sqrt(d):
at d = 64 and n = 3 that is 0.375 C. It weakens known attacks
(``benchmarks/federated_tables.py`` measures which) but guarantees no privacy, and no epsilon is
computed for it.

**Noise is never reused.** Noise that two messages share cancels in their difference. So all noise
comes from the system's randomness, anew for each message. Only `Defence.vectors` takes a seed, for
a user who is served repeatedly; it must hold everything that the vector depends on.
"""

import hashlib
import os
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from audiorec.errors import InputError
from audiorec.options import check_fields
from audiorec.types import Float64Array, FloatArray

Rounding = Literal["float32", "float16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defence:
    """Settings of clipping, noise and rounding.

    Attributes
    ----------
    clip : float or None
        Largest norm of a user's gradient, C; None: not clipped. A user's gradient is the expected
        song vector minus the played one, both of unit vectors, so its norm is at most 2.
    noise : float
        Expected norm of the noise on a user's gradient, as a multiple of `clip`; 0: none.
    rounding : {"float32", "float16"}
        Precision of user vectors that are sent.
    vector_noise : float
        Expected norm of the noise on a user vector, which has length 1; 0: none.
    """

    clip: float | None = 1.0
    noise: float = 3.0
    rounding: Rounding = "float32"
    vector_noise: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, clip=">0", noise=">=0", vector_noise=">=0", rounding=get_args(Rounding))
        if self.noise and self.clip is None:
            raise InputError("noise is a multiple of clip: set clip as well")

    @property
    def guards_vectors(self) -> bool:
        """Whether vectors are changed."""
        return self.rounding != "float32" or self.vector_noise > 0

    def gradients(self, rows: FloatArray) -> FloatArray:
        """Return gradients (B, d) clipped and noised, float32."""
        if self.clip is None:
            return rows
        norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        kept = rows * np.minimum(1.0, self.clip / np.maximum(norms, 1e-30))
        return _noised(kept, self.noise * self.clip)

    def vectors(self, rows: FloatArray, seed: bytes | None = None) -> FloatArray:
        """Return user vectors (B, d) noised and rounded, always as float32; see `normals`."""
        result = _noised(rows, self.vector_noise, seed) if self.vector_noise else rows
        if self.rounding == "float16":
            result = result.astype(np.float16).astype(np.float32)
        return result

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


NOTHING = Defence(clip=None, noise=0.0)


def normals(shape: tuple[int, int], seed: bytes | None = None) -> Float64Array:
    """Draw standard normal numbers that nobody else can reproduce.

    They come from the system's randomness, or follow from a secret seed of as many bytes as a hash
    has. Both are cryptographic: from the noise of some rows, which a silent user's gradient shows,
    nobody can compute that of others.
    """
    from scipy.special import ndtri

    n = 8 * shape[0] * shape[1]
    drawn = os.urandom(n) if seed is None else hashlib.shake_256(seed).digest(n)
    # 52 bits, since the middle of an interval needs one more: never 0 or 1.
    uniform = ((np.frombuffer(drawn, "<u8") >> 12) + 0.5) / 2.0**52
    result: Float64Array = ndtri(uniform).reshape(shape)
    return result


def _noised(rows: Any, norm: float, seed: bytes | None = None) -> FloatArray:
    """Add Gaussian noise whose expected squared norm is `norm` squared."""
    if norm:
        rows = rows + normals(rows.shape, seed) * (norm / rows.shape[1] ** 0.5)
    result: FloatArray = rows.astype(np.float32)
    return result
