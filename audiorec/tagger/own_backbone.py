"""A network that another package brings, by an entry point of ``audiorec.backbones``.

    [project.entry-points."audiorec.backbones"]
    mn04 = "my_package:MN04"                        an `OwnBackbone`: front end, outputs, ``open``
    segments (B, T, M)  ──OpenedBackbone.features──▶  scores (B, C), embedding (B, D)

The package is code like any other that is installed: it opens its own weights, with whatever
library it likes, and audiorec checks the shapes and the range of what comes out.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from audiorec.errors import InputError, ShapeError, SpecMismatchError
from audiorec.spec import FeatureSpec
from audiorec.tagger.features import check_batch_size
from audiorec.types import AddedFeatures, FloatArray

Role = Literal["scores", "embedding"]
ROLES: tuple[Role, ...] = get_args(Role)
Network = Callable[[FloatArray], Mapping[Role, FloatArray]]
NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
RESERVED = ("msd", "musicnn_msd", "ours", "version", "genre")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnBackbone:
    """A network of another package.

    Attributes
    ----------
    name : str
        Name used in heads, columns and commands: up to 32 characters of a-z, 0-9 and _.
    weights_sha256 : str
        Identifies the weights. Change it with all else that changes numbers, except the front end
        and the names of the classes, which are part of `sha256` anyway.
    licence : str
        Licence of the weights, for example MIT.
    features : FeatureSpec
        The front end: everything between a file and the network's input.
    open : callable of no arguments
        Loads the network, in the worker that runs it. What it returns turns segments (B, T, M),
        float32, into the outputs by role: ``scores`` (B, C), each from 0 to 1, and ``embedding``
        (B, D), float32. A segment's numbers must not depend on the other segments.
    classes : tuple of str, length C
        Names of the scores; empty for a network without.
    width : int
        D, the width of the embedding; 0 for a network without.
    filterbank : ndarray, shape (n_mels, 1 + n_fft // 2), float32, optional
        The matrix from spectra to mel bands, for a front end of the scale ``given``.
    """

    name: str
    weights_sha256: str
    licence: str
    features: FeatureSpec
    open: Callable[[], Network]
    classes: tuple[str, ...] = ()
    width: int = 0
    filterbank: FloatArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in RESERVED:
            raise InputError(
                f"name: must have up to 32 characters of a-z, 0-9 and _, begin with a letter and "
                f"be none of {', '.join(RESERVED)}; got {self.name!r}"
            )
        if not self.widths:
            raise InputError(f"{self.name}: needs classes, the width of an embedding, or both")
        if len(set(self.classes)) != len(self.classes) or not all(self.classes):
            raise InputError(f"{self.name}: names of classes must be unique and not empty")
        if (self.filterbank is None) != (self.features.mel.scale != "given"):
            raise InputError(f"{self.name}: a filterbank goes with the scale 'given'")

    @property
    def widths(self) -> dict[Role, int]:
        """Numbers per segment of each output, by role."""
        sizes = {"scores": len(self.classes), "embedding": self.width}
        return {role: sizes[role] for role in ROLES if sizes[role]}

    @property
    def sha256(self) -> str:
        """Checksum of the weights, the front end and the classes; the hop is no part of it."""
        content = {
            "weights": self.weights_sha256,
            "front_end": self.features.front_end,
            "classes": self.classes,
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def outputs(self) -> dict[str, int]:
        """Widths of its outputs, keyed as in heads and features: ``mn04.embedding``."""
        return {f"{self.name}.{role}": width for role, width in self.widths.items()}

    def origin(self) -> dict[str, str]:
        """Return the network's entry in a store: name, sha256 and licence."""
        return {"name": self.name, "sha256": self.sha256, "licence": self.licence}

    def check_spec(self, spec: FeatureSpec) -> None:
        """Raise `SpecMismatchError` if the front end is not the network's."""
        if spec.front_end != self.features.front_end:
            raise SpecMismatchError(
                f"backbone {self.name!r} has front end {self.features.front_end}, but this one is "
                f"{spec.front_end}"
            )


class OpenedBackbone:
    """A network of another package, loaded; `batch_size` segments are run at once."""

    def __init__(self, own: OwnBackbone, *, batch_size: int = 8) -> None:
        self.name, self.weights_sha256, self.own = own.name, own.sha256, own
        self.batch_size = check_batch_size(batch_size)
        self._run = own.open()

    def features(self, segments: FloatArray) -> AddedFeatures:
        """Return the features of B segments (B, T, M), float32; B may be 0.

        Raises `ShapeError` for segments of another shape, and for outputs that are missing, of
        another shape, not finite, or scores outside 0 to 1.
        """
        spec = self.own.features
        shape = (spec.segment.n_frames, spec.mel.n_mels)
        if segments.shape[1:] != shape:
            raise ShapeError(f"segments must have shape (B, {shape[0]}, {shape[1]})")
        starts = range(0, len(segments), self.batch_size)
        parts = [self._checked(segments[i : i + self.batch_size]) for i in starts]
        return AddedFeatures(
            **{
                role: np.concatenate(
                    [np.empty((0, width), np.float32), *(part[role] for part in parts)]
                )
                for role, width in self.own.widths.items()
            }
        )

    def _checked(self, segments: FloatArray) -> dict[Role, FloatArray]:
        said, result = self._run(segments), {}
        for role, width in self.own.widths.items():
            values = np.asarray(said.get(role), np.float32)
            if values.shape != (len(segments), width) or not np.isfinite(values).all():
                raise ShapeError(
                    f"{self.name}: expected finite {role} of shape ({len(segments)}, {width}), "
                    f"got {values.shape}"
                )
            if role == "scores" and (values.min() < 0 or values.max() > 1):
                raise ShapeError(f"{self.name}: scores must lie between 0 and 1")
            result[role] = values
        return result
