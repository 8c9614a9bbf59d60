"""Networks by name: the shipped one, and those that installed packages bring.

"mn04"              ──own_backbone──▶  `OwnBackbone`, by an entry point of ``audiorec.backbones``
"my_module:NETWORK" ──own_backbone──▶  the same, where a user names it
heads               ──backbone_of────▶  the name of the network that they were trained on
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from audiorec.errors import InputError, MissingWeightsError
from audiorec.runs.entry_points import Registry
from audiorec.tagger.heads import Head
from audiorec.tagger.own_backbone import OwnBackbone
from audiorec.tagger.weights import WEIGHTS

BACKBONES = Registry("audiorec.backbones", "backbone")


def own_backbone(name: str) -> OwnBackbone:
    """Return a network of an installed package, by its name or as ``module:attribute``.

    Raises
    ------
    InputError
        If there is none, or what is there is no `OwnBackbone`; the message lists those there are.
    """
    found = BACKBONES.named(name)
    if not isinstance(found, OwnBackbone):
        raise InputError(f"{name}: is no audiorec.tagger.OwnBackbone, but {type(found).__name__}")
    return found


def backbone_of(heads: Sequence[Path]) -> str | None:
    """Return the name of the network that some heads were trained on; None for the shipped.

    Raises
    ------
    MissingWeightsError
        If no installed package brings it.
    """
    needed = {name for path in heads for name in Head.load(path).backbones} - WEIGHTS.keys()
    name = min(needed, default=None)
    if name is not None and installed([name]) is None:
        raise MissingWeightsError(
            f"no installed package brings the backbone {name!r}, which a head was trained on"
        )
    return name


def installed(names: Iterable[str]) -> str | None:
    """Return the first of some networks, sorted, that an installed package brings, if any."""
    theirs = {entry.name for entry in BACKBONES.others()}
    return min(theirs.intersection(names), default=None)
