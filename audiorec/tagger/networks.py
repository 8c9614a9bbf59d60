"""Which networks hear a song: those that are shipped, or one that a user added.

    shipped  ──ShippedNetworks──▶  msd, mtt and the heads that come with them
    mn04/    ──AddedNetwork──▶     one network, scored by heads of its own or by its own tags

All networks of one run get the same segments, so shipped and added ones are never in one run.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.spec import FeatureSpec
from audiorec.tagger.backbone import Engine, load_backbone
from audiorec.tagger.batching import Backbone
from audiorec.tagger.head_inputs import OUTPUT_WIDTHS, split_input
from audiorec.tagger.heads import Head, Heads, shipped_heads
from audiorec.tagger.weights import WEIGHTS, backbone_weights
from audiorec.types import STATISTICS, AnyFeatures, FloatArray

if TYPE_CHECKING:
    from audiorec.tagger.added import AddedBackbone


class Scorer(Protocol):
    """What turns features into scores: heads, or the tags of a network itself."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Column names of `scores`, as ``head/class``."""

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of the networks that are read."""

    @property
    def statistics(self) -> tuple[str, ...]:
        """What a vector keeps of each column of `scores`; some of `audiorec.types.STATISTICS`."""

    def __iter__(self) -> Iterator[Head]: ...

    def scores(self, features: Mapping[str, AnyFeatures]) -> FloatArray:
        """Return scores (T, H), float32."""


class Networks(Protocol):
    """The networks that a run may use.

    Attributes
    ----------
    feature_outputs : tuple of str
        What ``--features`` keeps of them, as ``network.output``.
    filterbank : ndarray or None
        Of their front end, where its scale is given.
    """

    feature_outputs: tuple[str, ...]
    filterbank: FloatArray | None

    def width(self, output: str) -> int:
        """Return the numbers a segment of an output (``msd.tags``)."""

    def origin(self, name: str) -> dict[str, str]:
        """Return what a store says of a network: name, sha256 and licence."""

    def scorer(self, heads: Sequence[Path]) -> Scorer:
        """Load heads, or what scores where none is named; refuse those of other networks."""

    def load(self, name: str, *, engine: Engine, device: str) -> Backbone:
        """Open a network."""


class ShippedNetworks:
    """The two networks that come with audiorec."""

    # Enough to train a head or user-audio without decoding again.
    feature_outputs: tuple[str, ...] = (
        *("msd.tags", "msd.penultimate"),
        *("mtt.tags", "mtt.penultimate"),
    )
    filterbank: FloatArray | None = None

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec

    def width(self, output: str) -> int:
        """Return the numbers a segment of an output."""
        return OUTPUT_WIDTHS[split_input(output)[1]]

    def origin(self, name: str) -> dict[str, str]:
        """Return what a store says of a network."""
        return backbone_weights(name).origin()

    def scorer(self, heads: Sequence[Path]) -> Heads:
        """Load heads; by default the shipped pair."""
        loaded = Heads([Head.load(path) for path in heads or shipped_heads()])
        odd = [name for name in loaded.backbones if name not in WEIGHTS]
        if odd:
            raise InputError(
                f"a head reads the backbone {odd[0]!r}: name it (--backbone {odd[0]}), or use "
                "heads of the shipped ones"
            )
        loaded.check_backbones({n: backbone_weights(n).sha256 for n in loaded.backbones})
        loaded.check_front_end(self._spec.front_end)
        return loaded

    def load(self, name: str, *, engine: Engine, device: str) -> Backbone:
        """Open one of the two, in either engine."""
        known = backbone_weights(name).name
        return load_backbone(known, engine=engine, device=device, mel=self._spec.mel)


class AddedNetwork:
    """One network that a user added."""

    def __init__(self, folder: Path, spec: FeatureSpec) -> None:
        from audiorec.tagger.added import open_added  # late: most runs have none

        self.added = open_added(folder)
        self.added.check_spec(spec)
        self._spec = spec
        self.feature_outputs = tuple(self.added.outputs)
        self.filterbank = self.added.stated.filterbank

    def width(self, output: str) -> int:
        """Return the numbers a segment of an output (``mn04.embedding``)."""
        self._check(output.rpartition(".")[0])
        if output not in self.added.outputs:
            raise InputError(f"no output {output!r}; there are {', '.join(self.added.outputs)}")
        return self.added.outputs[output]

    def origin(self, name: str) -> dict[str, str]:
        """Return what a store says of the network."""
        self._check(name)
        return self.added.origin()

    def scorer(self, heads: Sequence[Path]) -> Scorer:
        """Load heads that were trained on the network; by default its own answers score."""
        if not heads:
            return OwnScores(self.added)
        loaded = Heads([Head.load(path) for path in heads])
        for name in loaded.backbones:
            self._check(name)
        loaded.check_backbones({self.added.name: self.added.sha256})
        loaded.check_front_end(self._spec.front_end)
        return loaded

    def load(self, name: str, *, engine: Engine, device: str) -> Backbone:
        """Open it, in ONNX Runtime on the processor."""
        from audiorec.tagger.backbone_added import AddedOnnx

        self._check(name)
        if engine != "onnx" or device != "cpu":
            raise InputError(f"backbone {name!r} runs with engine onnx on device cpu alone")
        return AddedOnnx(self.added)

    def _check(self, name: str) -> None:
        if name != self.added.name:
            raise InputError(
                f"this run hears songs by the backbone {self.added.name!r}, not by {name!r}: "
                "backbones with other front ends are never mixed"
            )


class OwnScores:
    """What scores where a network has no heads: its own tags, or else its embedding as it is.

    An embedding is no score, and its mean over a song is all that a vector keeps of it (decision
    0044).
    """

    def __init__(self, added: "AddedBackbone") -> None:
        self.backbones = (added.name,)
        has_scores = "scores" in added.widths
        self._role = "scores" if has_scores else "embedding"
        self.statistics = STATISTICS if has_scores else ("mean",)
        names = added.stated.classes or tuple(map(str, range(added.widths["embedding"])))
        self.classes = tuple(f"{added.name}/{name}" for name in names)

    def __iter__(self) -> Iterator[Head]:
        return iter(())

    def scores(self, features: Mapping[str, AnyFeatures]) -> FloatArray:
        """Return the network's answer (T, H), float32."""
        found: FloatArray = getattr(features[self.backbones[0]], self._role)
        if found.ndim != 2 or found.shape[1] != len(self.classes):
            raise ShapeError(f"scores must have {len(self.classes)} columns, got {found.shape}")
        return np.array(found, np.float32)
