"""Find songs that sound like those just played, and songs of artists that sound like theirs.

    last songs of the history ──their units, decayed──▶ one direction ──cosine──▶ all songs
    their artists ──each one's unit, decayed──▶ sum of exp((cosine - 1) / width)──▶ all artists

Nothing is trained: a new song can be recommended as soon as it has a vector. Both channels answer
what suits the moment, not what a user likes overall.
"""

from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.bundle import texts_as_arrays, texts_of_arrays
from audiorec.listening.sequences import Sequences
from audiorec.options import check_fields
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.channel import CountingChannel, nearest_played
from audiorec.recall.contract.data import Queries, RecallData, Sound
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, unit

BLOCK_ARTISTS = 256  # artists per block
TIE = 1e-3  # in similarity: ranks the songs of one artist by their plays


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestRecipe:
    """How much of the history counts.

    Attributes
    ----------
    history : int
        Number of newest songs that count.
    fade : float
        Weight of a song relative to the one after it; 0: only the last song counts.
    """

    history: int = 5
    fade: float = 0.7

    def __post_init__(self) -> None:
        check_fields(self, history=">=1", fade="[0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestArtistRecipe(NearestRecipe):
    """How much of the history counts, and how similar artists must be.

    Attributes
    ----------
    width : float
        Width of the kernel, in cosine: an artist at cosine 1 - width counts 1 / e of an identical
        one. Artists are compared one by one, since the mean of many would be near none of them.
    """

    width: float = 0.05

    def __post_init__(self) -> None:
        super(NearestArtistRecipe, self).__post_init__()
        check_fields(self, width=">0")


class NearestAudio(CountingChannel[NearestRecipe]):
    """Songs that sound like those just played, new ones included."""

    name = "nearest-audio"
    serves = frozenset({"history", "cold_song"})
    horizon = "short"
    reason = ReasonKind.SOUND
    Recipe = NearestRecipe
    ARRAYS = ("units",)

    def _count(self, data: RecallData) -> None:
        self.units = sound_of(data, self.name).units

    def _similarities(self, queries: Queries) -> FloatArray:
        taste = decayed_means(queries.histories, self.units, self.recipe)
        result = (taste @ self.units.T).astype(np.float32)
        return _only(result, _known(taste), _known(self.units))

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the recent song that sounds most like each candidate."""
        return nearest_played(histories.newest(self.recipe.history), song, self.units)


class NearestArtist(CountingChannel[NearestArtistRecipe]):
    """Songs of artists that sound like those just played or followed."""

    name = "nearest-artist"
    serves = frozenset({"history", "cold_song"})
    horizon = "short"
    reason = ReasonKind.ARTIST
    Recipe = NearestArtistRecipe
    ARRAYS = ("artist", "units", "plays", "names", "names_starts")

    def _count(self, data: RecallData) -> None:
        sound = sound_of(data, self.name)
        names = sorted({name for name in sound.artists if name})
        if not names:
            raise InputError("nearest-artist: no song has an artist")
        number = {name: index for index, name in enumerate(names)}
        self.artist = np.array([number.get(name, -1) for name in sound.artists], np.int32)
        sums = np.zeros((len(names), sound.units.shape[1]))
        known = self.artist >= 0
        np.add.at(sums, self.artist[known], sound.units[known].astype(np.float64))
        self.units = unit(sums)
        share = data.counts / max(1, data.counts.max())
        self.plays = share.astype(np.float32)
        texts = texts_as_arrays("names", names)
        self.names, self.names_starts = texts["names"], texts["names_starts"]

    def _similarities(self, queries: Queries) -> FloatArray:
        histories = queries.histories
        plays = histories.keep(self.artist[histories.song] >= 0).newest(self.recipe.history)
        owner, artist = plays.owner, self.artist[plays.song].astype(np.int64)
        weight = np.power(self.recipe.fade, _back(plays))
        if queries.follows is not None:
            names = {"names": self.names, "names_starts": self.names_starts}
            followed = queries.follows.among(texts_of_arrays("names", names))
            owner = np.append(owner, followed.owner)
            artist = np.append(artist, followed.song)
            weight = np.append(weight, np.ones(len(followed.song)))
        liked = np.zeros((len(histories), len(self.song_ids)), np.float32)
        has_taste = np.zeros(len(histories), np.bool_)
        for row in np.unique(owner).tolist():
            own, place = np.unique(artist[owner == row], return_inverse=True)
            share = np.bincount(place, weight[owner == row])
            has_taste[row] = share.sum() > 0
            by_artist = self._alike(own, share / max(share.sum(), 1e-12))
            liked[row] = by_artist[np.maximum(self.artist, 0)]
        liked += np.float32(TIE) * self.plays
        return _only(liked, has_taste, self.artist >= 0)

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the recent song whose artist is most similar to each candidate's."""
        evidence = np.full(song.shape, -1, np.int64)
        histories = histories.keep(self.artist[histories.song] >= 0).newest(self.recipe.history)
        for row in np.flatnonzero(histories.lengths).tolist():
            own, there = histories[row][::-1], song[row] >= 0  # newest first, which wins ties
            near = self.units[self.artist[song[row, there]]] @ self.units[self.artist[own]].T
            near += self.artist[song[row, there]][:, None] == self.artist[own]
            evidence[row, there] = own[near.argmax(axis=1)]
        return evidence

    def _alike(self, artists: Int64Array, share: Float64Array) -> FloatArray:
        """Return the similarity of all artists (A,) to some, weighted by `share`."""
        result = np.zeros(len(self.units), np.float32)
        for first in range(0, len(artists), BLOCK_ARTISTS):
            part = slice(first, first + BLOCK_ARTISTS)
            cosine = self.units[artists[part]] @ self.units.T
            near = np.exp((np.minimum(cosine, 1) - 1) / np.float32(self.recipe.width))
            result += share[part].astype(np.float32) @ near
        return result


def sound_of(data: RecallData, channel: str) -> Sound:
    """Return the sound of the catalogue; raises `InputError` if there is none."""
    sound = None if data.sound is None else data.sound.among(data.song_ids)
    if sound is None or not sound.units.any():
        raise InputError(
            f"{channel}: no song of the log has a vector: give `vectors` with the store of them"
        )
    return sound


def decayed_means(histories: Sequences, units: FloatArray, recipe: NearestRecipe) -> FloatArray:
    """Return the decayed mean of the last songs of each history, (q, W), of length 1 or 0."""
    histories = histories.newest(recipe.history)
    weight = np.power(recipe.fade, _back(histories))
    sums = np.zeros((len(histories), units.shape[1]))
    np.add.at(sums, histories.owner, units[histories.song] * weight[:, None])
    return unit(sums.astype(np.float32))


def _back(histories: Sequences) -> Float64Array:
    """Return the number of later plays of the same owner for each play, (P,)."""
    back = np.repeat(histories.starts[1:], histories.lengths) - 1 - np.arange(len(histories.song))
    return back.astype(np.float64)


def _known(units: FloatArray) -> BoolArray:
    return np.asarray(units.any(axis=1), np.bool_)


def _only(found: FloatArray, queries: BoolArray, songs: BoolArray) -> FloatArray:
    """Set queries without a direction, and songs without a vector, to -inf."""
    found[~queries] = -np.inf
    found[:, ~songs] = -np.inf
    return found
