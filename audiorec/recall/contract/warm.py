"""Warm start: go on from a trained channel, with new songs and new plays.

    a trained channel, data ──Start.of──▶ `Start`: its rows of the songs, the plays it has not seen

The trained channel has learnt from its validation part too, so a warm start may only be judged on
plays that came later. A bundle holds no users; it holds the time of its newest play, and later
plays are the new ones, on which it is judged before it goes on. Without times nothing can be
judged.
"""

from dataclasses import asdict, dataclass, is_dataclass, replace
from math import ceil
from typing import Any, TypeVar

import numpy as np

from audiorec.errors import InputError
from audiorec.recall.contract.data import RecallData
from audiorec.types import BoolArray, FloatArray, IdMap, Int64Array, rows_or_zeros

WARM_EPOCHS = 0.25  # of all that the last full training ran: to choose their number, and after
R = TypeVar("R")
Channel = Any  # `audiorec.recall.contract.channel.Channel`, which imports this module

JUDGED_ON_NEW = "plays later than all that the earlier model learnt from, before it went on"
# Settings that may differ from those of the trained channel: none of them shapes the weights.
MAY_DIFFER = frozenset(
    {
        "max_epochs",
        "patience",
        "max_examples",
        "most_judged",
        "learning_rate",
        "seed",
        "device",
        "jobs",
        "users",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The trained channel that a training went on from, and what was new to it."""

    model_id: str  # empty if it was not saved
    added_songs: int  # played, and not in its catalogue
    later_plays: int | None = None  # None: unknown, since the plays have no times
    generation: int = 1  # warm starts since a training from scratch
    epochs: int = 0  # of that training; 0: unknown

    def facts(self) -> dict[str, str | int]:
        """Return the lines of a model card."""
        plays = "unknown: no times" if self.later_plays is None else self.later_plays
        of = self.model_id or "a model that was not saved"
        return {"goes on from": of, "added songs": self.added_songs, "later plays": plays}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """A trained channel beside the data that it goes on with.

    Attributes
    ----------
    channel : Channel
        It is only read.
    data : RecallData
        The data, and the songs that the channel knows in its catalogue of S songs.
    row : ndarray, shape (S,), int64
        Row of each song in the channel's catalogue; -1 for a new song.
    learnt : ndarray, shape (S,), bool
        Songs that the channel has learnt from plays.
    is_new : ndarray, shape (P,), bool, or None
        Plays that are later than all that the channel has learnt from; None if that is unknown.
    """

    channel: Any
    data: RecallData
    row: Int64Array
    learnt: BoolArray
    is_new: BoolArray | None

    @classmethod
    def of(cls, channel: Channel, start: Channel, data: RecallData) -> "Start":
        """Check that a channel can go on from `start`; raise `InputError` if not."""
        check_start(channel, start)
        if start.by != data.by:
            raise InputError(
                f"{channel.name}: the model to go on from learnt by {start.by}, and the data is by "
                f"{data.by}: read the log alike (`by` {start.by}), or train without `start`"
            )
        data = replace(data, new_songs=tuple(sorted({*data.new_songs, *start.song_ids})))
        row = IdMap(start.song_ids).rows(data.song_ids).astype(np.int64)
        times, until = data.plays.time, start.newest_play
        is_known = not (np.isnan(until) or np.isnan(times).any())
        return cls(
            channel=start,
            data=data,
            row=row,
            learnt=(row >= 0) & ~start.is_cold[row],
            is_new=times > until if is_known else None,
        )

    def rows(self, table: FloatArray) -> FloatArray:
        """Return the rows of a table of the channel, for the songs of the data; new songs get 0."""
        return rows_or_zeros(table, self.row)

    def recipe(self, recipe: R) -> R:
        """Return the recipe of a shorter training."""
        of: Any = recipe
        best = self._full_epochs or of.max_epochs
        ran = min(best + of.patience, of.max_epochs) + best
        return replace(of, max_epochs=min(ceil(ran * WARM_EPOCHS), of.max_epochs))

    @property
    def _full_epochs(self) -> int:
        """The number of epochs of the last full training; 0 if it is unknown."""
        before: Parent | None = self.channel.parent
        return int(self.channel.trained.epochs if before is None else before.epochs)

    @property
    def digest(self) -> str:
        """What a checkpoint of this training depends on beside the data."""
        return f"{self.channel.model_id}/{self.channel.newest_play}"

    @property
    def parent(self) -> Parent:
        """What the new model says of the channel that it goes on from."""
        songs = int(((self.row < 0) & (self.data.counts > 0)).sum())
        plays = None if self.is_new is None else int(self.is_new.sum())
        before = 0 if self.channel.parent is None else self.channel.parent.generation
        return Parent(
            model_id=self.channel.model_id,
            added_songs=songs,
            later_plays=plays,
            generation=before + 1,
            epochs=self._full_epochs,
        )


def check_start(channel: Channel, start: Channel) -> None:
    """Raise `InputError` unless a channel can go on from `start`, whatever the data."""
    name = channel.name
    if not channel.goes_on:
        raise InputError(f"{name}: has no warm start: train without `start`")
    if start.name != name:
        raise InputError(f"{name}: cannot go on from a model of {start.name}")
    if not start.song_ids:
        raise InputError(f"{name}: the model to go on from is not trained")
    ours, theirs = (_settings(one) for one in (channel, start))
    for setting in sorted(ours.keys() - MAY_DIFFER):
        if ours[setting] != theirs.get(setting):
            raise InputError(
                f"{name}: {setting} is {theirs.get(setting)!r} in the model to go on from, and "
                f"{ours[setting]!r} here: leave the setting out, or train without `start`"
            )


def _settings(channel: Channel) -> dict[str, Any]:
    recipe = getattr(channel, "recipe", None)
    return asdict(recipe) if is_dataclass(recipe) and not isinstance(recipe, type) else {}
