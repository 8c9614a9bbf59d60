"""What other packages add to audiorec, by the entry points of their distributions.

    [project.entry-points."audiorec.channels"]       in the ``pyproject.toml`` of any package
    hour = "my_package.hours:Hour"
        "hour"                 ──CHANNELS["hour"]──▶ the class ``Hour``
        "my_package.hours:Hour" ──CHANNELS.named──▶ the same class, without an entry point

audiorec's own channels, importers, APIs and backbones are registered in the same way; its own
commands are a table of the command line, and ``audiorec.commands`` has those of others. A name is
looked up among our own entry points first, so that no other package can replace what is ours, and
the other distributions are searched only for a name that is not ours.

Names also stand in files that anyone may have written: models, tables of candidates. Therefore a
name leads only to what an installed distribution registers; ``module:attribute`` imports whatever
it says, and is accepted only where the user wrote it.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import Any

from audiorec.distribution import NAME
from audiorec.errors import InputError
from audiorec.files.visible import visible
from audiorec.runs.imports import trusted_path

# What the plug-ins of this repository bring, by their folder. Without one, its names lead to it.
PLUGINS: dict[str, dict[str, tuple[str, ...]]] = {
    "audiorec-bliss": {"audiorec.apis": ("bliss",)},
    "audiorec-federated": {
        "audiorec.channels": ("one-way", "two-tower", "mmoe"),
        "audiorec.commands": ("federated",),
    },
    "audiorec-plots": {"audiorec.commands": ("plot",)},
    "audiorec-retag": {"audiorec.commands": ("retag",)},
}
IDENTIFIER = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
REFERENCE = re.compile(rf"{IDENTIFIER}:{IDENTIFIER}")  # ``module:attribute``


class Registry(Mapping[str, Any]):
    """One group of entry points as a mapping: name to object, imported on access.

    Iteration yields our own names first, in their order, then those of other distributions.

    Parameters
    ----------
    group : str
        Of the entry points, such as ``audiorec.channels``.
    what : str
        What one entry is, for messages: ``channel``.

    Examples
    --------
    >>> kinds = Registry("audiorec.imports", "kind of history")
    >>> "spotify" in kinds, "winamp" in kinds, kinds["spotify"].__name__
    (True, False, 'read')
    """

    def __init__(self, group: str, what: str) -> None:
        self.group, self.what = group, what

    def own(self) -> tuple[str, ...]:
        """Return the names that audiorec registers itself, without searching other packages."""
        return tuple(_own(self.group))

    def others(self) -> list[EntryPoint]:
        """Return the entries of other distributions, sorted by name."""
        result: list[EntryPoint] = []
        for distribution in distributions(path=trusted_path()):
            # Parsing the entry points of every package takes longer than many a command runs.
            if f"[{self.group}]" in (distribution.read_text("entry_points.txt") or ""):
                entries = distribution.entry_points.select(group=self.group)
                result += entries if distribution.name != NAME else ()
        return sorted(result, key=lambda entry: entry.name)

    def __getitem__(self, name: str) -> Any:
        """Import and return what a name stands for.

        Raises
        ------
        KeyError
            If no installed distribution registers the name.
        InputError
            If several do, or it cannot be imported; the message names the distribution.
        """
        entry = self._find(name)
        if entry is None:
            raise KeyError(name)
        return self._loaded(entry)

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self.own(), *(entry.name for entry in self.others())))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in _own(self.group) or any(entry.name == name for entry in self.others())

    def named(self, text: str) -> Any:
        """Return what the user named: a registered name, or ``module:attribute``.

        Never pass a text that was read from a file which others may have written.

        Raises
        ------
        InputError
            If there is no such name, or it cannot be imported.
        """
        entry = self._find(text)
        if entry is not None:
            return self._loaded(entry)
        if REFERENCE.fullmatch(text):
            return self._imported(text)
        if line := brought_by(self.group, text):
            raise InputError(line)
        there = ", ".join(self) or "none; install audiorec again, its entry points are missing"
        raise InputError(f"unknown {self.what} {text!r}; there are: {there}")

    def _find(self, name: str) -> EntryPoint | None:
        """Return the entry of a name, our own first."""
        if name in _own(self.group):
            return _own(self.group)[name]
        result = [entry for entry in self.others() if entry.name == name]
        makers = sorted({maker(entry) for entry in result})
        if len(makers) > 1:
            raise InputError(
                f"the {self.what} {visible(name)!r} is registered by {' and '.join(makers)}; "
                "uninstall all but one"
            )
        return result[0] if result else None

    def _loaded(self, entry: EntryPoint) -> Any:
        """Import the object of an entry."""
        if entry.name in _own(self.group):
            return entry.load()
        try:
            return entry.load()
        except Exception as error:
            raise InputError(
                f"the {self.what} {visible(entry.name)!r} of {maker(entry)} cannot be imported "
                f"from {visible(entry.value)!r}: {_reason(error)}"
            ) from error

    def _imported(self, text: str) -> Any:
        """Import ``module:attribute``."""
        try:
            return EntryPoint(text, text, self.group).load()
        except Exception as error:
            reason, module = _reason(error), text.partition(":")[0]
            if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
                reason = (
                    f"there is no module {error.name!r}; install its package (modules in the "
                    "current folder are not imported)"
                )
            raise InputError(f"the {self.what} {text!r} cannot be imported: {reason}") from error


COMMANDS = Registry("audiorec.commands", "command")


def brought_by(group: str, name: str) -> str:
    """Return which plug-in of this repository brings a name, and how to install it; else nothing.

    >>> brought_by("audiorec.commands", "retag").endswith("./plugins/audiorec-retag")
    True
    """
    for folder, brings in PLUGINS.items():
        if name in brings.get(group, ()):
            how = f"in the source folder of audiorec: pip install ./plugins/{folder}"
            return f"{name} comes with a plug-in; {how}"
    return ""


def maker(entry: EntryPoint) -> str:
    """Return name and version of the distribution that registers an entry."""
    return "an unknown distribution" if entry.dist is None else _title(entry.dist)


def _title(distribution: Any) -> str:
    return visible(f"{distribution.name} {distribution.version}")


@cache
def _own(group: str) -> dict[str, EntryPoint]:
    """Return our own entries of a group, in the order of ``pyproject.toml``."""
    for distribution in distributions(name=NAME, path=trusted_path()):
        return {entry.name: entry for entry in distribution.entry_points.select(group=group)}
    return {}


def _reason(error: Exception) -> str:
    """Return the kind and the message of an error in one line."""
    return visible(" ".join(f"{type(error).__name__}: {error}".split()))
