"""The form of a tower, and the two constants that its two engines share. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from audiorec.errors import InputError

Pooling = Literal["mean", "attention"]
EMBEDDING = 40  # numbers in an embedding
MIN_SCALE = 1e-3  # a feature that hardly varies is not blown up
# A segment weighs e^-8 to e^8, reached softly: no exponential overflows.
WEIGHT_LIMIT = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerSpec:
    """The form of a tower.

    Attributes
    ----------
    inputs : tuple of str
        What stands in a segment's row, for example ``msd_penultimate``.
    width : int
        Numbers in a row: D.
    embedding : int
        E.
    hidden : int
        Units of the small network; 0 for the linear part alone.
    pooling : {"mean", "attention"}
    attention : int
        Units that decide how much a segment counts.
    dropout, input_dropout : float
        Of hidden units and of features, in training.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    inputs: tuple[str, ...]
    width: int
    embedding: int = EMBEDDING
    hidden: int = 64
    pooling: Pooling = "attention"
    attention: int = 32
    dropout: float = 0.3
    input_dropout: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.embedding, self.attention) < 1 or self.hidden < 0:
            raise InputError(f"a tower needs positive widths, got {self}")
        if self.pooling not in ("mean", "attention"):
            raise InputError(f"pooling must be mean or attention, got {self.pooling!r}")
        if not (0 <= self.dropout < 1 and 0 <= self.input_dropout < 1):
            raise InputError("dropout must lie in [0, 1)")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TowerSpec":
        """Read what ``asdict`` wrote."""
        return cls(**{**content, "inputs": tuple(content["inputs"])})
