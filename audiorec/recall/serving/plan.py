"""What the nightly job is to do: the table ``[recall]`` of a settings file.

recall.toml ──NightlyPlan.read──▶ `NightlyPlan`
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from audiorec.errors import InputError
from audiorec.files.settings import filled, read_settings
from audiorec.files.storage import is_uri
from audiorec.listening.days import offset_s
from audiorec.recall.contract.channel import Channel
from audiorec.recall.registry import channel_class
from audiorec.recall.serving.blocks import REPLAY
from audiorec.recall.serving.export.night import night_recipe
from audiorec.recall.serving.rules import FusionRecipe, by_horizon
from audiorec.recall.serving.tuned import read_tuned

Resolve = Callable[[str, str], Path]  # the name of a setting and its text: where it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was before the end of a day.

    Attributes
    ----------
    ends_s : float
        The end, in seconds since 1970.
    exposures : tuple of Path
        What the runs of earlier days showed, as far as it counts.
    export : Path, optional
        The export of the newest earlier day.
    """

    ends_s: float
    exposures: tuple[Path, ...] = ()
    export: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NightlyPlan:
    """The table ``[recall]`` of a settings file.

    Attributes
    ----------
    interactions, out : Path
        The listening log, and the folder that all goes to. Paths are relative to the file.
    channels : tuple of str
        By name; each is trained on the log.
    vectors, features, songs, side, profiles, triples : Path, optional
        What is known of songs and users; see `read_context`.
    exposures : Path, optional
        What other systems showed: `user_id`, `song_id`, `shown_at`.
    k : int
        Songs for each user.
    depth : int
        Songs that each channel is asked for.
    keep_heard : bool
        Let songs of the log come again.
    entry : str
        The product that the lists are for; stands in the exposures.
    exposure_days : float
        How long a song that was shown stays out; 0: exposures are written, not read.
    settings : mapping of str to mapping
        Settings of channels, by channel.
    weights : mapping of str to float
        By channel; 1 where a channel is not named.
    short_share : float, optional
        Part of the weight that channels of short horizon share.
    fusion : mapping
        Settings of `FusionRecipe`, but for ``k`` and ``weights``.
    tuned : Path, optional
        What ``recall tune --out`` kept, in place of weights, short_share and fusion.
    export : mapping, optional
        Settings of `audiorec.recall.serving.export.job.ExportRecipe`; None: nothing is exported.
    utc_offset : str
        Of the midnights between days, where a run is of one day: ``+08:00``; empty for UTC.
    """

    interactions: Path
    out: Path
    channels: tuple[str, ...]
    vectors: Path | None = None
    features: Path | None = None
    songs: Path | None = None
    side: Path | None = None
    profiles: Path | None = None
    triples: Path | None = None
    exposures: Path | None = None
    k: int = 100
    depth: int = 200
    keep_heard: bool = False
    entry: str = "daily"
    exposure_days: float = 7.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Any] = field(default_factory=dict)
    short_share: float | None = None
    fusion: Mapping[str, Any] = field(default_factory=dict)
    tuned: Path | None = None
    export: Mapping[str, Any] | None = None
    utc_offset: str = ""

    def __post_init__(self) -> None:
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise InputError("channels must name one channel or more, each once")
        for name in (*self.settings, *self.weights):
            if name not in self.channels:
                raise InputError(
                    f"{name!r} has settings or a weight, and is no channel of the plan"
                )
        if self.depth < self.k:
            raise InputError(f"depth must be at least k, got {self.depth} and {self.k}")
        for name in self.channels:
            self.channel(name)
        if self.tuned is not None and (self.weights or self.fusion or self.short_share is not None):
            raise InputError("tuned has weights and all else of the fusion: give it or them")
        if self.tuned is None:
            self.recipe()
        night_recipe(self.export)
        offset_s(self.utc_offset)

    @classmethod
    def read(cls, path: Path, resolved: Resolve | None = None) -> "NightlyPlan":
        """Read a settings file.

        `resolved` takes the name of a setting and the place that it has in the file, which may be a
        URI, and returns its path on this machine; by default it is one, relative to the file.

        Raises
        ------
        InputError
            If it is missing or damaged, or has an unknown key or a wrong value.
        """
        given = read_settings(path, "recall")
        # Checked as it stands before anything is fetched.
        plan = filled(cls, given, f"{path}: [recall]")
        places: dict[str, Any] = {}
        for name in (*plan.files(), "out"):
            text = str(given[name])
            if resolved is None and is_uri(text):
                raise InputError(f"{path}: {name} is a URI, which open_night reads")
            places[name] = path.parent / text if resolved is None else resolved(name, text)
        return replace(plan, **places)

    def files(self) -> dict[str, Path]:
        """Return the files that are read, by setting."""
        sound = ("vectors", "features", "songs")
        names = ("interactions", *sound, "side", "profiles", "triples", "exposures", "tuned")
        return {name: place for name in names if (place := getattr(self, name)) is not None}

    def channel(self, name: str) -> Channel:
        """Return a channel of the plan, not fitted."""
        kind: Any = channel_class(name)
        settings = self.settings.get(name)
        if settings and getattr(kind, "Recipe", None) is None:
            raise InputError(f"{name} has no settings")
        recipe = [filled(kind.Recipe, settings, f"settings of {name}")] if settings else []
        made: Channel = kind(*recipe)
        return made

    def recipe(self) -> FusionRecipe:
        """Return the settings of the fusion."""
        if self.tuned is not None:
            return read_tuned(self.tuned).for_channels(self.channels, k=self.k)
        weights = tuple(float(self.weights.get(name, 1.0)) for name in self.channels)
        if self.short_share is not None:
            horizons = [channel_class(name).horizon for name in self.channels]
            if not self.fusion.get("replay_share"):  # it brings nothing, and takes no weight
                pairs = zip(weights, self.channels, strict=True)
                weights = tuple(0.0 if name == REPLAY else weight for weight, name in pairs)
            weights = by_horizon(weights, horizons, self.short_share)
        given = {**self.fusion, "k": self.k, "weights": list(weights)}
        return filled(FusionRecipe, given, "fusion")
