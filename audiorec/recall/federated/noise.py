"""Defence of the exchanged numbers: clipping, noise and rounding.

    gradients of a step (B, d) ──Defence.gradients──▶ each clipped to C, noise of norm n C added
    user vectors (B, d)        ──Defence.vectors────▶ rounded to float16, or noised

The noise's expected *norm* is n times the clip, so its deviation per coordinate is n C / sqrt(d):
at d = 64 and n = 3 that is 0.375 C. It makes known attacks fail (`audiorec.recall.federated.audit`
measures which) but does not guarantee privacy (`audiorec.recall.federated.accounting`).
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from audiorec.errors import InputError
from audiorec.types import FloatArray

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
        if self.clip is not None and not self.clip > 0:
            raise InputError(f"clip must be above 0, got {self.clip}")
        if not self.noise >= 0 or not self.vector_noise >= 0:
            raise InputError("noise and vector_noise must be 0 or more")
        if self.noise and self.clip is None:
            raise InputError("noise is a multiple of clip: set clip as well")
        if self.rounding not in ("float32", "float16"):
            raise InputError(f"rounding must be float32 or float16, got {self.rounding!r}")

    @property
    def guards_gradients(self) -> bool:
        """Whether gradients are changed."""
        return self.clip is not None

    @property
    def guards_vectors(self) -> bool:
        """Whether vectors are changed."""
        return self.rounding != "float32" or self.vector_noise > 0

    def gradients(self, rows: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return gradients (B, d) clipped and noised, float32."""
        if self.clip is None:
            return rows
        norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        kept = rows * np.minimum(1.0, self.clip / np.maximum(norms, 1e-30))
        return _noised(kept, self.noise * self.clip, rng)

    def vectors(self, rows: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return user vectors (B, d) noised and rounded, always as float32."""
        found = _noised(rows, self.vector_noise, rng) if self.vector_noise else rows
        if self.rounding == "float16":
            found = found.astype(np.float16).astype(np.float32)
        return found

    def words(self) -> str:
        """Return one sentence that describes the defence.

        Examples
        --------
        >>> Defence(rounding="float16").words()
        'Gradients were clipped to 1, with noise of norm 3; vectors were rounded to float16.'
        >>> Defence(clip=None, noise=0.0).words()
        'Gradients and vectors were sent unchanged.'
        """
        if not self.guards_gradients and not self.guards_vectors:
            return "Gradients and vectors were sent unchanged."
        done = "Gradients were sent unchanged"
        if self.clip is not None:
            noise = f"with noise of norm {self.noise * self.clip:g}" if self.noise else "no noise"
            done = f"Gradients were clipped to {self.clip:g}, {noise}"
        if self.vector_noise:
            done += f"; vectors have noise of norm {self.vector_noise:g}"
        if self.rounding != "float32":
            done += f"; vectors were rounded to {self.rounding}"
        return f"{done}."

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


NOTHING = Defence(clip=None, noise=0.0)


def _noised(rows: Any, norm: float, rng: np.random.Generator) -> FloatArray:
    """Add Gaussian noise whose expected squared norm is `norm` squared."""
    if norm:
        rows = rows + rng.standard_normal(rows.shape) * (norm / rows.shape[1] ** 0.5)
    found: FloatArray = rows.astype(np.float32)
    return found
