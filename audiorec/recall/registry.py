"""All channels by name: those of audiorec, and those of other packages.

    "vs-knn"           ──channel_class──▶ `audiorec.recall.simple.knn.VSKNN`
    "external:FILE"    ──channel_class──▶ `audiorec.recall.simple.external.External` of that table
    "my_package:Hour"  ──channel_class──▶ the class ``Hour``, which the user named
    model/             ──load_channel───▶ the channel that wrote it

Channels are entry points of the group ``audiorec.channels`` (`audiorec.runs.entry_points`), so this
module imports no family, and a package that adds a channel needs no change here. Judging and
serving reach channels only through this module.

A model folder holds the name of its channel and may come from anyone. `load_channel` therefore
imports nothing but what an installed package registers under that name, or what the user named:
here, or in the variable ``AUDIOREC_CHANNELS``.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

from audiorec.errors import InputError, WeightsError
from audiorec.files.visible import visible
from audiorec.learning.bundle import read_kind
from audiorec.recall.contract.channel import KIND, Channel
from audiorec.runs.entry_points import Registry, brought_by

CHANNELS = Registry("audiorec.channels", "channel")
VARIABLE = "AUDIOREC_CHANNELS"  # classes as module:Class, separated by spaces
EXTERNAL = "external:"  # prefix of the path of a candidates file
NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")  # also names folders and files


def is_external(name: str) -> bool:
    """Return whether a name stands for a table of candidates, ``external:FILE``."""
    return name.startswith(EXTERNAL)


def channel_class(named: str) -> type[Channel]:
    """Return the channel class that the user named.

    Parameters
    ----------
    named : str
        A registered name, ``external:FILE`` for a table of candidates, or ``module:Class``, which
        is imported: never pass a text that was read from a file of others; see `known_channel`.

    Raises
    ------
    InputError
        If there is no such channel; the message lists the registered ones.

    Examples
    --------
    >>> channel_class("rules").horizon
    'short'
    >>> channel_class("audiorec.recall.simple.counts:Rules").name
    'rules'
    """
    if is_external(named):
        # A new class for each table, so that several can be compared in one run.
        external = channel_class("external")
        table = named.removeprefix(EXTERNAL)
        own = {"name": named, "TABLE": table, "__doc__": external.__doc__}
        return type(external.__name__, (external,), own)
    if named not in CHANNELS and (kind := _imported(named)) is not None:
        return kind
    return _checked(CHANNELS.named(named), named)


def known_channel(name: str) -> type[Channel] | None:
    """Return the class of a channel whose name was read from a file; None if it is unknown.

    Only registered channels, those that this program has imported already, and those that the user
    names in ``AUDIOREC_CHANNELS`` are known: a file cannot make any other module run.

    Raises
    ------
    InputError
        If a package registers the name, but its channel cannot be imported.
    """
    if name in CHANNELS:
        return _checked(CHANNELS[name], name)
    return _imported(name) or next((k for k in named_by_user() if k.name == name), None)


def named_by_user() -> list[type[Channel]]:
    """Return the classes that the user names in ``AUDIOREC_CHANNELS``; errors as above."""
    return [channel_class(text) for text in os.environ.get(VARIABLE, "").split()]


def load_channel(path: str | os.PathLike[str]) -> Channel:
    """Load a trained channel of any kind from its bundle.

    Raises
    ------
    WeightsError
        If the folder is missing, damaged, or holds no channel that is known here.
    InputError
        If a package registers the channel, but it cannot be imported.
    """
    kind = read_kind(path)
    if not kind.startswith(KIND):
        raise WeightsError(f"{path}: a {kind} model, not a recall channel")
    name = kind.removeprefix(KIND)
    known = known_channel(name)
    if known is None:
        how = brought_by(CHANNELS.group, name) or (
            f"channel {visible(repr(name))} is unknown here: install the package that registers "
            f"it, or name its class: {VARIABLE}=my_package:MyChannel"
        )
        raise WeightsError(f"{path}: {how}")
    return known.load(path)


def _checked(found: object, named: str) -> type[Channel]:
    """Check what an entry point or a reference leads to, and return it."""
    where = visible(named)
    if not (isinstance(found, type) and issubclass(found, Channel)):
        raise InputError(f"{where}: is not a channel class, but {visible(repr(found))}")
    name = getattr(found, "name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InputError(f"{where}: name must be lower-case letters, digits and -, got {name!r}")
    is_reference = ":" in named
    if not is_reference and name != named:
        raise InputError(f"{where}: is registered under this name, but its class says {name!r}")
    if is_reference and name in CHANNELS and CHANNELS[name] is not found:
        raise InputError(f"{where}: its name {name!r} is that of another channel")
    return found


def _imported(name: str) -> type[Channel] | None:
    """Return the class of this name that the program has defined or imported, the newest one."""
    base: Any = Channel  # abstract
    result = [kind for kind in _below(base) if kind.__dict__.get("name") == name]
    return result[-1] if result else None


def _below(kind: type[Channel]) -> Iterator[type[Channel]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)
