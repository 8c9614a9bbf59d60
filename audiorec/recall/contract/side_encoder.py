"""Encode side information and sound of songs as model inputs.

    `Context` of a training ──SideEncoder.fit──▶ `SideEncoder` ──encode──▶ `SongFeatures`

Categories come from the side information; artists and head classes that it lacks come from the
sound. Values of a single song carry no more information than its id and count as unknown. Numbers
and sound are standardised over the songs that were played.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from audiorec.errors import InputError, WeightsError
from audiorec.learning.bundle import texts_as_arrays, texts_of_arrays
from audiorec.learning.song_features import SongFeatures, no_features
from audiorec.recall.contract.data import Context, Sound
from audiorec.types import BoolArray, Float64Array, FloatArray, IdMap, Int64Array

MIN_SONGS = 2  # songs that must share a value; rarer values count as unknown
MAX_DEVIATION = 5.0  # standard deviations
RELEASED = "released"
Texts = Mapping[str, list[str | None]]  # one value per song, by category


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SideEncoder:
    """Vocabulary and scaling with which side information and sound are encoded.

    Attributes
    ----------
    categories : mapping of str to tuple of str
        The values of each category, sorted; value i has the code i + 1.
    numbers : tuple of str
        Names of numeric columns, in order.
    mean, scale : ndarray, float64
        One value per numeric column, then one per value of the sound.
    made_by : str
        `Sound.made_by` of the training; empty without sound or if unknown.
    """

    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    mean: Float64Array = field(default_factory=lambda: np.zeros(0))
    scale: Float64Array = field(default_factory=lambda: np.ones(0))
    made_by: str = ""

    @property
    def sound_width(self) -> int:
        """Number of values of a song's sound; 0 if trained without sound."""
        return len(self.mean) - len(self.numbers)

    @classmethod
    def fit(cls, context: Context, song_ids: tuple[str, ...], played: BoolArray) -> Self:
        """Learn the vocabulary and the scales from the played songs (S,) of a catalogue."""
        if context.side is None and context.sound is None:
            return cls()
        rows = np.flatnonzero(played)
        known = tuple(song_ids[row] for row in rows.tolist())
        texts, numbers, sound = _columns(context, known)
        categories = {name: values for name, t in texts.items() if (values := _shared(t))}
        kept = tuple(n for n, values in numbers.items() if not np.isnan(values).all())
        columns = [numbers[name][:, None] for name in kept]
        raw = np.concatenate([*columns, sound], axis=1).astype(np.float64)
        with np.errstate(invalid="ignore"):
            there = ~np.isnan(raw)
            n = np.maximum(1, there.sum(axis=0))
            mean = np.where(there, raw, 0).sum(axis=0) / n
            spread = np.sqrt(np.where(there, raw - mean, 0.0).__pow__(2).sum(axis=0) / n)
        made_by = context.sound.made_by if context.sound is not None else ""
        scale = np.where(spread > 1e-9, spread, 1.0)
        return cls(categories=categories, numbers=kept, mean=mean, scale=scale, made_by=made_by)

    def encode(self, context: Context, song_ids: tuple[str, ...]) -> SongFeatures:
        """Return the features of any songs; values unseen in training are encoded as unknown.

        Raises
        ------
        InputError
            If the sound has another width or `made_by` than in training.
        """
        if not self.categories and not len(self.mean):
            return no_features(len(song_ids))
        texts, numbers, sound = _columns(context, song_ids)
        if sound.shape[1] and self.sound_width:
            self._refuse(context.sound, sound.shape[1])
        if sound.shape[1] != self.sound_width:
            sound = np.full((len(song_ids), self.sound_width), np.nan)
        nothing: list[str | None] = [None] * len(song_ids)
        codes = [_codes(texts.get(n, nothing), values) for n, values in self.categories.items()]
        none = np.full(len(song_ids), np.nan)
        columns = [numbers.get(name, none)[:, None] for name in self.numbers]
        raw = np.concatenate([*columns, sound], axis=1).astype(np.float64)
        z = np.clip((raw - self.mean) / self.scale, -MAX_DEVIATION, MAX_DEVIATION)
        flags = [~np.isnan(column) for column in columns]
        flags += [~np.isnan(sound[:, :1])] if self.sound_width else []
        # A flag of 0.5 tells "unknown" from "equal to the mean" without outweighing the numbers.
        flagged = [0.5 * flag for flag in flags]
        dense = np.concatenate([np.nan_to_num(z, nan=0.0), *flagged], axis=1)
        return SongFeatures(
            codes=np.stack(codes, axis=1) if codes else np.zeros((len(song_ids), 0), np.int64),
            sizes=tuple(len(values) + 1 for values in self.categories.values()),
            dense=dense.astype(np.float32),
        )

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return tensors and JSON values for a bundle."""
        tensors: dict[str, Any] = {"facts.mean": self.mean, "facts.scale": self.scale}
        for number, values in enumerate(self.categories.values()):
            tensors |= texts_as_arrays(f"facts.category_{number}", values)
        config = {
            "categories": list(self.categories),
            "numbers": list(self.numbers),
            "made_by": self.made_by,
        }
        return tensors, config

    @classmethod
    def of_state(cls, tensors: Mapping[str, Any], config: Mapping[str, Any]) -> Self:
        """Restore from the result of `state`; raise `WeightsError` if it is inconsistent."""
        try:
            found = cls(
                categories={
                    str(name): texts_of_arrays(f"facts.category_{number}", tensors)
                    for number, name in enumerate(config["categories"])
                },
                numbers=tuple(map(str, config["numbers"])),
                mean=tensors["facts.mean"],
                scale=tensors["facts.scale"],
                made_by=str(config["made_by"]),
            )
        except (KeyError, TypeError) as error:
            raise WeightsError(f"invalid song facts: {error!r}") from error
        if found.mean.shape != found.scale.shape or found.sound_width < 0:
            raise WeightsError("invalid song facts: numbers of columns disagree")
        return found

    def _refuse(self, sound: Sound | None, width: int) -> None:
        maker = "" if sound is None else sound.made_by
        if width != self.sound_width:
            raise InputError(
                f"trained on {self.sound_width} numbers of sound per song, got {width}"
            )
        if self.made_by and maker and maker != self.made_by:
            raise InputError(f"trained on sound of {self.made_by}, got {maker}")


def _columns(
    context: Context, song_ids: tuple[str, ...]
) -> tuple[Texts, dict[str, FloatArray], Float64Array]:
    """Return categories, numbers and sound of songs; unknown is None, NaN or a row of NaN."""
    texts: dict[str, list[str | None]] = {}
    numbers: dict[str, FloatArray] = {}
    sound = np.zeros((len(song_ids), 0))
    if context.side is not None:
        rows = IdMap(context.side.song_ids).rows(song_ids)
        for name, category in context.side.categories.items():
            values = (*category.values, None)
            number = np.append(category.number, -1)[rows]
            texts[name] = [values[n] for n in number.tolist()]
        for name, column in {**context.side.numbers, RELEASED: context.side.released}.items():
            numbers[name] = np.append(column, np.float32(np.nan))[rows].astype(np.float32)
    if context.sound is not None:
        heard = context.sound.among(song_ids)
        if "artist" not in texts and any(heard.artists):
            texts["artist"] = [artist or None for artist in heard.artists]
        for name, codes in heard.kinds.items():
            texts.setdefault(name, [str(c) if c >= 0 else None for c in codes.tolist()])
        is_known = heard.values.any(axis=1, keepdims=True)
        sound = np.where(is_known, heard.values, np.nan).astype(np.float64)
    return texts, numbers, sound


def _shared(texts: list[str | None]) -> tuple[str, ...]:
    """Return the values that at least `MIN_SONGS` songs have, sorted."""
    values, counts = np.unique([t for t in texts if t is not None], return_counts=True)
    return tuple(values[counts >= MIN_SONGS].tolist())


def _codes(texts: list[str | None], values: tuple[str, ...]) -> Int64Array:
    number = {value: place + 1 for place, value in enumerate(values)}
    return np.array([0 if t is None else number.get(t, 0) for t in texts], np.int64)
