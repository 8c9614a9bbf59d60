"""The networks of a run: the shipped one, or one that another package brings.

    shipped  ──ShippedNetworks──▶  msd and the shipped heads
    mn04     ──PackagedNetwork──▶  one network, scored by heads trained on it or by its own tags

All networks of a run get the same segments, so a run never mixes two front ends.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.spec import FeatureSpec
from audiorec.tagger.backbone import load_backbone
from audiorec.tagger.features import OUTPUT_WIDTHS, Backbone, split_input
from audiorec.tagger.heads import Head, Heads, shipped_heads
from audiorec.tagger.own_backbone import OpenedBackbone, OwnBackbone
from audiorec.tagger.vectors import BLOCKS, SoundProjection, shipped_sound, unit
from audiorec.tagger.weights import MSD, WEIGHTS, backbone_weights
from audiorec.types import STATISTICS, AnyFeatures, Float64Array, FloatArray, Numbers


class Scorer(Protocol):
    """Converter of features to scores: heads, or a network's own outputs."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Column names of `scores`, as ``head/class``."""

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of the networks that it reads."""

    @property
    def statistics(self) -> tuple[str, ...]:
        """Statistics per column of `scores` in a vector, from `audiorec.types.STATISTICS`."""

    def __iter__(self) -> Iterator[Head]: ...

    def scores(self, features: Mapping[str, AnyFeatures]) -> FloatArray:
        """Return scores (T, H), float32."""


class SoundColumns(Protocol):
    """Maker of the lists that stand beside a song's vector (`audiorec.store.schema.LISTS`).

    Attributes
    ----------
    id : str
        What made `sound` of the features.
    inputs : tuple of str
        Outputs of which it needs a song's mean.
    lists : mapping of str to int
        The columns and their widths.
    """

    id: str
    inputs: tuple[str, ...]
    lists: Mapping[str, int]

    def of_means(self, means: Mapping[str, Float64Array]) -> dict[str, Numbers]:
        """Return a song's lists, given the means of `inputs` over its segments."""


class Networks(Protocol):
    """The networks available to a run.

    Attributes
    ----------
    feature_outputs : tuple of str
        Outputs that ``--features`` stores, as ``network.output``.
    filterbank : ndarray or None
        Filterbank of a front end with scale ``given``.
    """

    feature_outputs: tuple[str, ...]
    filterbank: FloatArray | None

    @property
    def sound(self) -> SoundColumns | None:
        """What makes the lists beside a vector; None if the network has no embedding."""

    def width(self, output: str) -> int:
        """Return the width of an output such as ``msd.tags``: numbers per segment."""

    def origin(self, name: str) -> dict[str, str]:
        """Return a network's entry in a store: name, sha256 and licence."""

    def scorer(self, heads: Sequence[Path]) -> Scorer:
        """Load heads, or the default scorer if none are given; refuse heads of other networks."""

    def load(self, name: str) -> Backbone:
        """Open a network."""


class ShippedNetworks:
    """The network shipped with audiorec."""

    # Enough to train a head or the user-audio model without decoding again.
    feature_outputs: tuple[str, ...] = ("msd.tags", "msd.penultimate")
    filterbank: FloatArray | None = None

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec

    @property
    def sound(self) -> SoundColumns | None:
        """The shipped projection, if it was learnt with this front end."""
        shipped = shipped_sound()
        return ShippedSound(shipped) if shipped.front_end == self._spec.front_end else None

    def width(self, output: str) -> int:
        """Return the width of an output: numbers per segment."""
        return OUTPUT_WIDTHS[split_input(output)[1]]

    def origin(self, name: str) -> dict[str, str]:
        """Return a network's entry in a store."""
        return backbone_weights(name).origin()

    def scorer(self, heads: Sequence[Path]) -> Heads:
        """Load heads; by default the two shipped ones."""
        loaded = Heads([Head.load(path) for path in heads or shipped_heads()])
        odd = [name for name in loaded.backbones if name not in WEIGHTS]
        if odd:
            raise InputError(
                f"a head reads the backbone {odd[0]!r}: select it (`backbone` {odd[0]}), or use "
                "heads of the shipped backbone"
            )
        loaded.check_backbones({n: backbone_weights(n).sha256 for n in loaded.backbones})
        loaded.check_front_end(self._spec.front_end)
        return loaded

    def load(self, name: str) -> Backbone:
        """Open the network."""
        known = backbone_weights(name).name
        return load_backbone(known, mel=self._spec.mel)


class PackagedNetwork:
    """One network that another package brings."""

    def __init__(self, own: OwnBackbone, spec: FeatureSpec) -> None:
        own.check_spec(spec)
        self.own, self._spec = own, spec
        self.feature_outputs = tuple(own.outputs)
        self.filterbank = own.filterbank

    @property
    def sound(self) -> SoundColumns | None:
        """Its own embedding, if it has one."""
        return OwnSound(self.own) if self.own.width else None

    def width(self, output: str) -> int:
        """Return the width of an output such as ``mn04.embedding``: numbers per segment."""
        self._check(output.rpartition(".")[0])
        if output not in self.own.outputs:
            raise InputError(f"no output {output!r}; there are {', '.join(self.own.outputs)}")
        return self.own.outputs[output]

    def origin(self, name: str) -> dict[str, str]:
        """Return the network's entry in a store."""
        self._check(name)
        return self.own.origin()

    def scorer(self, heads: Sequence[Path]) -> Scorer:
        """Load heads that were trained on the network; by default use its own outputs."""
        if not heads:
            return OwnScores(self.own)
        loaded = Heads([Head.load(path) for path in heads])
        for name in loaded.backbones:
            self._check(name)
        loaded.check_backbones({self.own.name: self.own.sha256})
        loaded.check_front_end(self._spec.front_end)
        return loaded

    def load(self, name: str) -> Backbone:
        """Open the network; its package decides what runs it."""
        self._check(name)
        return OpenedBackbone(self.own)

    def _check(self, name: str) -> None:
        if name != self.own.name:
            raise InputError(
                f"this run uses the backbone {self.own.name!r}, not {name!r}: backbones with "
                "different front ends cannot be mixed"
            )


class ShippedSound:
    """Lists by the shipped projection of one network (`audiorec.tagger.vectors`)."""

    def __init__(self, projection: SoundProjection) -> None:
        self._projection = projection
        self.id = projection.sha256[:16]
        self.inputs: tuple[str, ...] = tuple(f"{MSD.name}.{output}" for output in (*BLOCKS, "tags"))
        tags = OUTPUT_WIDTHS["tags"]
        self.lists: Mapping[str, int] = {
            "sound": projection.width,
            "embedding": projection.size,
            "heard_tags": tags,
        }

    def of_means(self, means: Mapping[str, Float64Array]) -> dict[str, Numbers]:
        """Return a song's lists."""
        *blocks, tags = (means[name].astype(np.float32) for name in self.inputs)
        embedding = self._projection.embedding(*blocks)
        return {
            "sound": self._projection.project(embedding),
            "embedding": embedding,
            "heard_tags": tags.astype(np.float16),
        }


class OwnSound:
    """Lists of a package's network: the mean of its embedding, and the same of length 1."""

    def __init__(self, own: OwnBackbone) -> None:
        self.id = own.sha256[:16]
        self.inputs: tuple[str, ...] = (f"{own.name}.embedding",)
        self.lists: Mapping[str, int] = dict.fromkeys(("sound", "embedding"), own.width)

    def of_means(self, means: Mapping[str, Float64Array]) -> dict[str, Numbers]:
        """Return a song's lists; raise `ShapeError` if a number does not fit into float16."""
        mean = means[self.inputs[0]]
        with np.errstate(over="ignore"):
            embedding = mean.astype(np.float16)
        if not np.isfinite(embedding).all():
            raise ShapeError("a mean embedding must be finite and within float16")
        return {"sound": unit(mean).astype(np.float32), "embedding": embedding}


class OwnScores:
    """Scorer of a network without heads: its own tags, or else its embedding, unchanged.

    An embedding is not a score, so a vector keeps only its mean over the song.
    """

    def __init__(self, own: OwnBackbone) -> None:
        self.backbones = (own.name,)
        has_scores = bool(own.classes)
        self._role = "scores" if has_scores else "embedding"
        self.statistics = STATISTICS if has_scores else ("mean",)
        names = own.classes or tuple(map(str, range(own.width)))
        self.classes = tuple(f"{own.name}/{name}" for name in names)

    def __iter__(self) -> Iterator[Head]:
        return iter(())

    def scores(self, features: Mapping[str, AnyFeatures]) -> FloatArray:
        """Return the network's output (T, H), float32."""
        result: FloatArray = getattr(features[self.backbones[0]], self._role)
        if result.ndim != 2 or result.shape[1] != len(self.classes):
            raise ShapeError(f"scores must have {len(self.classes)} columns, got {result.shape}")
        return np.array(result, np.float32)
