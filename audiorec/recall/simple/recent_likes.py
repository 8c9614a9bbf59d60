"""Songs that suit what a user liked, and the artists they followed, in the last days.

    likes of the last days ──decayed by age──▶ songs that the same people play
                                            └──▶ songs that sound alike, new ones included
    followed artists ──their most played songs──▶ the same

A like happens once, while plays continue: a channel that reads only the last plays would forget
it within the hour. Where no likes are known (a log without them, histories of another system),
the plays of the last days are used instead.

A song's similarity is a sum over the liked songs: the cosine of their listeners, as in
``item-knn``, plus a kernel on their sound, each weighted by the age of the like.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audiorec.learning.bundle import texts_as_arrays, texts_of_arrays
from audiorec.listening.sequences import DAY_S, Sequences
from audiorec.options import check_fields
from audiorec.recall.contract.candidates import ReasonKind
from audiorec.recall.contract.channel import CountingChannel
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.simple.knn import ItemKNN, ItemKNNRecipe, Wanted, cosines
from audiorec.types import Float64Array, FloatArray, Int64Array, normalised_name

PLAYS_A_DAY = 10.0  # plays counted as one day where times are missing
MOST = 50  # newest likes of a user that count
OF_AN_ARTIST = 5  # songs that represent a followed artist


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentLikesRecipe:
    """How fast likes fade, and the weight of sound against listeners.

    Attributes
    ----------
    days : float
        Likes older than this, counted back from the user's newest event, are ignored.
    half_life_days : float
        Days in which a like loses half its weight.
    sound : float
        Weight of the sound relative to the listeners; 0: listeners only.
    width : float
        Width of the sound kernel, in cosine: a song at cosine 1 - width counts 1 / e of one that
        sounds identical.
    neighbours : int
        Neighbours by listeners kept per song.
    """

    days: float = 7.0
    half_life_days: float = 3.0
    sound: float = 0.3
    width: float = 0.05
    neighbours: int = 100

    def __post_init__(self) -> None:
        check_fields(
            self, days=">0", half_life_days=">0", width=">0", sound=">=0", neighbours=">=1"
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Seeds:
    """Liked songs of all queries, L in total, with their weights."""

    owner: Int64Array  # (L,)
    song: Int64Array  # (L,)
    weight: Float64Array  # (L,)

    def by_owner(self) -> Iterator[tuple[int, Int64Array]]:
        """Yield each owner and the rows of its songs."""
        order = np.argsort(self.owner, kind="stable")
        owners, first = np.unique(self.owner[order], return_index=True)
        yield from zip(owners.tolist(), np.split(order, first[1:]), strict=False)


class RecentLikes(CountingChannel[RecentLikesRecipe]):
    """Songs that go with, or sound like, what the user liked in the last days."""

    name = "recent-likes"
    serves = frozenset({"history", "cold_song"})
    horizon = "short"
    reason = ReasonKind.LIKED
    Recipe = RecentLikesRecipe
    ARRAYS = (
        *("starts", "near", "weights", "units"),
        *("artist_starts", "artist_songs", "names", "names_starts"),
    )

    def _count(self, data: RecallData) -> None:
        knn = ItemKNN(ItemKNNRecipe(neighbours=self.recipe.neighbours))
        knn.fit(data)
        self.starts, self.near, self.weights = knn.starts, knn.near, knn.weights
        sound = None if data.sound is None else data.sound.among(data.song_ids)
        none = np.zeros((len(data.song_ids), 0), np.float32)
        self.units = none if sound is None else sound.units
        artists = _artists(data)
        names = sorted(set(artists) - {""})
        number = {name: index for index, name in enumerate(names)}
        artist = np.array([number.get(name, -1) for name in artists], np.int64)
        order = np.lexsort((-data.counts, artist))
        order = order[artist[order] >= 0]
        self.artist_starts = np.searchsorted(artist[order], np.arange(len(names) + 1))
        self.artist_songs = order.astype(np.int32)
        texts = texts_as_arrays("names", names)
        self.names, self.names_starts = texts["names"], texts["names_starts"]

    def _similarities(self, queries: Queries) -> FloatArray:
        seeds = self._seeds(queries)
        similarities = np.zeros((len(queries), len(self.song_ids)), np.float32)
        for owner, own in seeds.by_owner():
            row, weight = similarities[owner], seeds.weight[own].astype(np.float32)
            for song, much in zip(seeds.song[own].tolist(), weight.tolist(), strict=True):
                part = slice(self.starts[song], self.starts[song + 1])
                row[self.near[part]] += np.float32(much) * self.weights[part]
            if self.recipe.sound and self.units.shape[1]:
                row += weight @ self._sounds(seeds.song[own], np.arange(len(self.song_ids)))
        similarities[similarities <= 0] = -np.inf
        return similarities

    def _sounds(self, liked: Int64Array, songs: Int64Array) -> FloatArray:
        """Return how much songs sound like the liked ones, (L, n); 0 for a song and itself."""
        if not self.recipe.sound or not self.units.shape[1]:
            return np.zeros((len(liked), len(songs)), np.float32)
        one, other = self.units[liked], self.units[songs]
        cosine = np.minimum(one @ other.T, 1)
        kernel = np.exp((cosine - 1) / np.float32(self.recipe.width)) * self.recipe.sound
        known = np.outer(one.any(axis=1), other.any(axis=1)) & (liked[:, None] != songs)
        return np.where(known, kernel, 0).astype(np.float32)

    def _told(self, queries: Queries, song: Int64Array) -> Int64Array:
        """Return the liked song that contributes most to each candidate."""
        result = np.full(song.shape, -1, np.int64)
        seeds, table = self._seeds(queries), Wanted(len(self.song_ids))
        for owner, own in seeds.by_owner():
            there = np.flatnonzero(song[owner] >= 0)
            proposed, liked = song[owner, there], seeds.song[own]
            learnt = self.starts, self.near, self.weights
            gives = self._sounds(liked, proposed) + cosines(*learnt, liked, proposed, table)
            gives *= seeds.weight[own, None].astype(np.float32)
            if len(there):
                best = np.where(gives.max(axis=0) > 0, liked[gives.argmax(axis=0)], -1)
                result[owner, there] = best
        return result

    def _seeds(self, queries: Queries) -> _Seeds:
        """Return the songs that count for each query, weighted by age."""
        plays = queries.histories.among(self.song_ids)
        said = queries.likes
        own = (plays if said is None else said.among(self.song_ids)).newest(MOST)
        age = _ages(own, plays)
        recent = age <= self.recipe.days
        weight = np.exp2(-age[recent] / self.recipe.half_life_days)
        owner, song = own.owner[recent], own.song[recent].astype(np.int64)
        if queries.follows is not None:
            followed = self._followed(queries.follows)
            owner = np.append(owner, followed.owner)
            song = np.append(song, followed.song)
            weight = np.append(weight, followed.weight)
        # A song that is both liked and by a followed artist is merged, its weights added.
        key, place = np.unique(owner * max(1, len(self.song_ids)) + song, return_inverse=True)
        return _Seeds(
            key // max(1, len(self.song_ids)),
            key % max(1, len(self.song_ids)),
            np.bincount(place, weight, minlength=len(key)).astype(np.float64),
        )

    def _followed(self, follows: Sequences) -> _Seeds:
        """Return the top songs of followed artists; those of one artist weigh one like in total."""
        known = texts_of_arrays("names", {"names": self.names, "names_starts": self.names_starts})
        follows = follows.among(known)
        owner, song, weight = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
        for row, artist in zip(follows.owner.tolist(), follows.song.tolist(), strict=True):
            first, stop = self.artist_starts[artist], self.artist_starts[artist + 1]
            songs = self.artist_songs[first : min(stop, first + OF_AN_ARTIST)].astype(np.int64)
            owner.append(np.full(len(songs), row))
            song.append(songs)
            weight.append(np.full(len(songs), 1 / len(songs)))
        return _Seeds(np.concatenate(owner), np.concatenate(song), np.concatenate(weight))


def _artists(data: RecallData) -> list[str]:
    """Return the normalised artist of each song, from tags or else side information."""
    side = data.context.side
    named = {} if side is None else side.named("artist")
    artists = [normalised_name(named.get(song)) for song in data.song_ids]
    if data.sound is not None:
        heard = data.sound.among(data.song_ids).artists
        artists = [own or other for own, other in zip(artists, heard, strict=True)]
    return artists


def _ages(said: Sequences, plays: Sequences) -> Float64Array:
    """Return the age of each entry in days, counted from its owner's newest event: (P,)."""
    back = said.starts[1:][said.owner] - 1 - np.arange(len(said.song))
    newest = np.full(len(said), -np.inf)
    for one in (said, plays):
        timed = ~np.isnan(one.time)
        np.maximum.at(newest, one.owner[timed], one.time[timed])
    days = (newest[said.owner] - said.time) / DAY_S
    return np.where(np.isnan(days), back / PLAYS_A_DAY, days)
