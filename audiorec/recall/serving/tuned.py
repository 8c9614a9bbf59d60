"""Learnt fusion settings, and their file: ``tuned.json``.

    search ──▶ `Tried`: settings with figures ──▶ `Tuned`: the chosen ones, checked
    `Tuned` ──write_tuned──▶ tuned.json ──read_tuned──▶ `FusionRecipe` for the same channels

Weights and points are stored by channel, so that tables may be given in any order.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from audiorec.errors import DamagedFileError, InputError
from audiorec.evaluation.classification import Interval
from audiorec.files.own_files import parse_json, replaced
from audiorec.files.user_files import from_table, read_text
from audiorec.recall.serving.rules import FusionRecipe

SCHEMA_NAME = "audiorec/recall-tuned/1"
MAX_BYTES = 1 << 20
ALONE = " alone"  # ends the name of an attempt with one channel
Measure = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """Settings that the search evaluated, with their figures.

    Attributes
    ----------
    name : str
        Description, such as ``rules alone`` or ``diversity 0.2``.
    recipe : FusionRecipe
    figures : mapping of str to float
        Measures at k and MRR@20; if lists were fused, also ``popularity`` (plays per song),
        ``gini``, ``coverage``, ``new`` (share of never-played songs) and diversities.
    """

    name: str
    recipe: FusionRecipe
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tuned:
    """Result of `tune`.

    Attributes
    ----------
    recipe : FusionRecipe
        The chosen settings.
    tried : tuple of Tried
        Steps of the search, on the first half: each channel alone, equal weights, the best
        weights, points, then the dials.
    steps : int
        Total number of evaluated settings.
    checked : mapping of (str, str) to Interval
        On the second half, by (what, measure): ``chosen``, and its difference to equal weights
        (``over equal``) and to the channel that is best alone in this measure (``over best
        alone``); and that of equal weights (``equal over best alone``).
    by : tuple of str and int
        The measure and k that were maximised.
    alone : mapping of str to str
        The channel that is best alone, by measure, on the first half.
    """

    recipe: FusionRecipe
    tried: tuple[Tried, ...]
    steps: int
    checked: Mapping[tuple[str, str], Interval]
    by: Measure = field(default=("ndcg", 100))
    alone: Mapping[str, str] = field(default_factory=dict)

    def below(self) -> list[str]:
        """Return a line for the chosen settings, and for equal weights, if worse than a channel."""
        at = measure_name(self.by)
        kinds = {"over best alone": "the chosen settings", "equal over best alone": "equal weights"}
        found = {what: self.checked.get((what, at)) for what in kinds}
        return [
            f"{kinds[what]} are worse than {self.alone.get(at)} alone: {at} "
            f"{gap:+}, on the other half"
            for what, gap in found.items()
            if gap is not None and gap.value < 0
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedFile:
    """Learnt fusion settings, by channel.

    Attributes
    ----------
    path : Path
    entry : str
        The product that the settings are for; empty for any.
    channels : tuple of str
    recipe : FusionRecipe
        With weights and points in the order of `channels`.
    below : str
        A warning if the settings were worse than the best channel alone on other users; else empty.
    """

    path: Path
    entry: str
    channels: tuple[str, ...]
    recipe: FusionRecipe
    below: str = ""

    def for_channels(self, names: Sequence[str], *, k: int | None = None) -> FusionRecipe:
        """Return the settings for tables of these channels, in their order.

        Raises
        ------
        InputError
            If the channels are not those that the settings were learnt for.
        """
        if sorted(names) != sorted(self.channels):
            raise InputError(
                f"{self.path}: learnt for {', '.join(self.channels)}; got {', '.join(names)}; "
                "give the same channels, or learn new settings: audiorec recall tune"
            )
        at = [self.channels.index(name) for name in names]
        return replace(
            self.recipe,
            weights=tuple(self.recipe.weights[n] for n in at),
            points=tuple(self.recipe.points[n] for n in at) if self.recipe.points else (),
            k=self.recipe.k if k is None else k,
        )

    def for_some(self, names: Sequence[str], *, k: int) -> FusionRecipe:
        """Return the settings for any channels; those that were not learnt get weight 0.

        Raises
        ------
        InputError
            If no channel has a learnt weight above 0.
        """
        none = (0.0,) * len(self.recipe.points[0]) if self.recipe.points else ()
        rows = dict(zip(self.channels, self.recipe.points, strict=False))
        weights = dict(zip(self.channels, self.recipe.weights, strict=True))
        if not any(weights.get(name) for name in names):
            raise InputError(
                f"{self.path}: learnt for {', '.join(self.channels)}; none of them is available"
            )
        return replace(
            self.recipe,
            weights=tuple(weights.get(name, 0.0) for name in names),
            points=tuple(rows.get(name, none) for name in names) if rows else (),
            k=k,
        )


def write_tuned(path: Path, tuned: Tuned, channels: Sequence[str], *, entry: str = "") -> None:
    """Write learnt settings, atomically."""
    checked = {
        f"{what}: {measure}": [round(v, 6) for v in (one.value, one.low, one.high)]
        for (what, measure), one in tuned.checked.items()
    }
    content = {
        "schema": SCHEMA_NAME,
        "entry": entry,
        "channels": list(channels),
        "fusion": settings_of(tuned.recipe),
        "by": measure_name(tuned.by),
        "checked": checked,
    }
    with replaced(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def read_tuned(path: Path) -> TunedFile:
    """Read a file that `write_tuned` wrote.

    Raises
    ------
    InputError
        If the file is missing, or holds invalid settings.
    DamagedFileError
        If the file is not of this format.
    """
    text = read_text(path, "cannot read learnt settings")
    try:
        content: Any = parse_json(text.encode(), max_bytes=MAX_BYTES)
    except ValueError as error:
        raise DamagedFileError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, Mapping) or content.get("schema") != SCHEMA_NAME:
        raise DamagedFileError(f"{path}: not a file that audiorec recall tune --out wrote")
    channels, entry = content.get("channels"), content.get("entry")
    if not isinstance(channels, list) or not all(isinstance(n, str) for n in channels):
        raise DamagedFileError(f"{path}: channels must be a list of names")
    fusion = content.get("fusion")
    if not isinstance(fusion, Mapping) or not isinstance(entry, str):
        raise DamagedFileError(f"{path}: fusion must be a table of settings, and entry a string")
    recipe = from_table(FusionRecipe, fusion, f"{path}: fusion")
    recipe.weights_of(len(channels))
    recipe = recipe if recipe.weights else replace(recipe, weights=(1.0,) * len(channels))
    below = _below(path, content)
    return TunedFile(path=path, entry=entry, channels=tuple(channels), recipe=recipe, below=below)


def _below(path: Path, content: Mapping[str, Any]) -> str:
    """Return a warning if the checked difference to the best channel alone is below 0."""
    by, checked = content.get("by"), content.get("checked")
    found = checked.get(f"over best alone: {by}") if isinstance(checked, Mapping) else None
    if not isinstance(found, list) or len(found) != 3:
        return ""
    try:
        gap = Interval(*map(float, found))
    except (TypeError, ValueError):
        return ""
    if not gap.value < 0:
        return ""
    return f"{path}: lists by these settings were worse than the best channel alone: {by} {gap:+}"


def settings_of(recipe: FusionRecipe) -> dict[str, Any]:
    """Return a recipe as JSON values."""
    return json.loads(json.dumps(asdict(recipe)))


def measure_name(measure: Measure) -> str:
    """Return a measure and k as text, such as ``ndcg@100``."""
    return f"{measure[0]}@{measure[1]}"
