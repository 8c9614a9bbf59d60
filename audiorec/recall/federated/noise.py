"""What is done to the numbers that cross, so that they say less: clipped, noised, rounded.

    gradients of a step (B, d) ──Defence.gradients──▶ each clipped to C, noise of norm n C added
    vectors of users (B, d)    ──Defence.vectors────▶ rounded to float16, or noised

The noise's expected *norm* is n times the clip, so in one coordinate it is n C / sqrt(d): at
d = 64 and n = 3 that is 0.375 C. It makes known attacks fail (`audiorec.recall.federated.audit`
measures which); it is no promise of privacy (`audiorec.recall.federated.accounting`).
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from audiorec.errors import InputError
from audiorec.types import FloatArray

Rounding = Literal["float32", "float16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defence:
    """How the numbers that cross are made to say less.

    Attributes
    ----------
    clip : float or None
        The largest norm of a user's gradient, C; None: as it is. A user's gradient is the songs
        that the model expects less those that were played, as unit vectors: at most 2 long.
    noise : float
        Expected norm of the noise on a user's gradient, in clips; 0: none.
    rounding : {"float32", "float16"}
        What users' vectors are rounded to before they leave.
    vector_noise : float
        Expected norm of the noise on a user's vector, which is 1 long; 0: none.
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
            raise InputError("noise is counted in clips: set clip as well")
        if self.rounding not in ("float32", "float16"):
            raise InputError(f"rounding must be float32 or float16, got {self.rounding!r}")

    @property
    def guards_gradients(self) -> bool:
        """Whether a gradient is changed at all."""
        return self.clip is not None

    @property
    def guards_vectors(self) -> bool:
        """Whether a vector is changed at all."""
        return self.rounding != "float32" or self.vector_noise > 0

    def gradients(self, rows: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return gradients (B, d) as they may leave: float32."""
        if self.clip is None:
            return rows
        norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        kept = rows * np.minimum(1.0, self.clip / np.maximum(norms, 1e-30))
        return _noised(kept, self.noise * self.clip, rng)

    def vectors(self, rows: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return users' vectors (B, d) as they may leave: float32, of float16's values if so."""
        found = _noised(rows, self.vector_noise, rng) if self.vector_noise else rows
        if self.rounding == "float16":
            found = found.astype(np.float16).astype(np.float32)
        return found

    def words(self) -> str:
        """Say what was done, in one sentence.

        Examples
        --------
        >>> Defence(rounding="float16").words()
        'Gradients were cut to 1, with noise of norm 3; vectors were rounded to float16.'
        >>> Defence(clip=None, noise=0.0).words()
        'Gradients and vectors crossed as they were.'
        """
        if not self.guards_gradients and not self.guards_vectors:
            return "Gradients and vectors crossed as they were."
        done = "Gradients crossed as they were"
        if self.clip is not None:
            noise = f"with noise of norm {self.noise * self.clip:g}" if self.noise else "not noised"
            done = f"Gradients were cut to {self.clip:g}, {noise}"
        if self.vector_noise:
            done += f"; vectors got noise of norm {self.vector_noise:g}"
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
