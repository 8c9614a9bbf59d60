"""Evaluate a model on artists and songs that it never heard, beside baselines.

    model, who likes what, sound  ──judge_unheard──▶  `Evaluation`: a comparison per panel

There are two panels: *artists* that training never met, and *new songs* of artists that it did.
The parts are those recorded in the model, so they cannot be mixed up.

All methods are judged on the same users: those with an embedding, a liked song in the training
part (without one there is no centroid), and a liked song in the panel. Without a table of users,
the model embeds each user from the liked songs of the training part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, SpecMismatchError
from audiorec.evaluation.ranking import (
    Comparison,
    Method,
    artist_likes,
    centroids,
    compare,
    fit_projection,
)
from audiorec.recall.audio.data import make_panel, verdict_pairs
from audiorec.recall.audio.held_out import Split, SplitPart, parts_of_known, song_groups
from audiorec.recall.contract.data import Queries, RecallData
from audiorec.recall.contract.space import SharedSpace
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import BoolArray, FloatArray, IdMap, Int64Array, Pairs, rows_or_zeros, unit

PANELS = {"artists": SplitPart.TEST, "new_songs": SplitPart.NEW_SONG}
COMPONENTS = 40  # of the PCA baseline: the width of an embedding
NEAREST = 50  # users whose likes are averaged to a centroid, including the user
TOP_K = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """Figures of a model and its baselines."""

    # ``artists`` and ``new_songs``, if anybody can be judged on them
    panels: Mapping[str, Comparison]
    simulated: bool  # whether the log is simulated

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        panels = {name: result.to_dict() for name, result in self.panels.items()}
        return {"panels": panels, "simulated": self.simulated}


def judge_unheard(
    channel: SharedSpace,
    data: RecallData,
    *,
    users: EmbeddingTable | None = None,
    k: int = TOP_K,
    all_songs: bool = False,
    seed: int = 0,
) -> Evaluation:
    """Evaluate a model beside baselines.

    Parameters
    ----------
    channel : SharedSpace
        As trained: a `UserAudio` knows which artists and songs it held out.
    data : RecallData
        Who likes what, and the sound and the artists of the songs.
    users : EmbeddingTable, optional
        Users in the model's space. Their histories must not contain the judged songs; see
        `audiorec.recall.audio.held_out`.
    k : int
        Length of the lists.
    all_songs : bool
        Set if the model heard none of these songs: half of the artists are judged, the others
        provide the users' known songs.
    seed : int
        Seed of the bootstrap, the random baseline and the shuffle.

    Raises
    ------
    InputError
        If training held nothing out, there is no sound, or nobody can be judged.
    SpecMismatchError
        If sound or users come from another extractor or space.
    """
    split: Split | None = getattr(channel, "split", None)
    if all_songs:
        split = Split(valid=0.0, test=0.5, seed=0 if split is None else split.seed + 1)
    if split is None or not (split.test or split.new_songs):
        raise InputError(
            "the model was trained on all artists: train one with `settings` test=0.2 to evaluate "
            "it, or use `split=all-artists` if it heard none of these songs"
        )
    work = _Work(channel, data, split, seed, users=users)
    panels: dict[str, Comparison] = {}
    for number, (name, part) in enumerate(PANELS.items()):
        chosen = np.flatnonzero((work.parts == part) & work.has_song)
        rng = np.random.default_rng([seed, number])
        result = work.panel(chosen, k=k, rng=rng) if len(chosen) and len(work.known) else None
        if result is not None:
            panels[name] = result
    if not panels:
        raise InputError(
            "nobody can be judged: too few users have an embedding, a liked song in the training "
            "part and a liked held-out song"
        )
    return Evaluation(panels=panels, simulated=data.simulated)


class _Work:
    """Songs, users and their pairs as index arrays."""

    def __init__(
        self,
        channel: SharedSpace,
        data: RecallData,
        split: Split,
        seed: int,
        *,
        users: EmbeddingTable | None,
    ) -> None:
        self.name, self.seed = channel.name, seed
        ids = data.song_ids
        if data.sound is None:
            raise InputError("unheard songs are represented by their sound: give `vectors`")
        self.sound = data.sound.among(ids)
        self.groups = song_groups(ids, data.context)
        self.pairs = verdict_pairs(data)
        embedded = channel.embed_sound(data.sound)
        self.songs = rows_or_zeros(embedded, IdMap(data.sound.song_ids).rows(ids))
        self.has_song = np.asarray(self.songs.any(axis=1), np.bool_)
        self.parts = parts_of_known(ids, self.groups, split, self.has_song)
        learnt = (self.parts == SplitPart.TRAIN) | (self.parts == SplitPart.VALID)
        self.known = np.flatnonzero(learnt & self.has_song)
        liked = self.pairs["liked"]
        self.history = liked.take(np.isin(liked.song, self.known))
        owners = data.plays.owner_ids
        if users is None:
            plays = data.plays
            plays = plays.keep(np.isin(plays.song, np.flatnonzero(learnt)))
            self.users = unit(channel.embed_users(Queries(plays)))
        else:
            _check_space(channel, users)
            self.users = unit(rows_or_zeros(users.embeddings, users.row_numbers(list(owners))))
        self.has_user = np.asarray(self.users.any(axis=1), np.bool_)

    def panel(self, songs: Int64Array, *, k: int, rng: np.random.Generator) -> Comparison | None:
        """Compare all methods on some songs; None if too few users can be judged."""
        likes_known = np.zeros(len(self.users), np.bool_)
        likes_known[self.history.user] = True
        panel = make_panel(self.pairs, len(self.users), songs, users=likes_known & self.has_user)
        if panel is None:
            return None
        return compare(panel, self.methods(songs, panel.likes), k=k, rng=rng)

    def methods(self, songs: Int64Array, likes: Int64Array) -> dict[str, Method]:
        """Return the methods to compare, the model first."""
        users, embedded, history = self.users, self.songs[songs], self.history
        methods: dict[str, Method] = {
            self.name: lambda who: users[who] @ embedded.T,
            "shuffled audio": lambda who: _shuffled(users[who] @ embedded.T, who, self.seed),
            "random": lambda who: _random(who, len(songs), self.seed),
            "popularity in hindsight": lambda who: np.tile(likes.astype(float), (len(who), 1)),
        }
        numbers = np.unique(np.asarray(self.groups), return_inverse=True)[1]
        of_artist = artist_likes(numbers, history, numbers[songs])
        if of_artist.any():
            methods["popularity of the artist"] = lambda who: np.tile(of_artist, (len(who), 1))
        what = "mean features" if self.sound.features is not None else "vector"
        spaces: dict[str, tuple[FloatArray, int | None]] = {
            f"centroid, {what}": (self.sound.values, None),
            f"centroid, PCA-{COMPONENTS}": (self.sound.values, COMPONENTS),
        }
        store = self.sound.store
        if self.sound.features is not None and store is not None:
            rows = IdMap(store.id_array).rows(self.sound.song_ids)
            name = f"centroid, {store.metadata.dimension}-d vector"
            spaces[name] = (rows_or_zeros(store.vectors, rows), None)
        for name, (features, components) in spaces.items():
            units = fit_projection(features[self.known], components=components)(features)
            tastes = centroids(units, history, len(users))
            methods[name] = _by(tastes, units[songs])
        units = fit_projection(self.sound.values[self.known])(self.sound.values)
        nearest = _Neighbours(users, self.has_user, history, units)
        methods[f"centroid over the {NEAREST} nearest users"] = _by_neighbours(nearest, songs)
        return methods


class _Neighbours:
    """A baseline with the same data as the model: centroids over a user and the nearest users.

    It uses the users' space, the likes of the training part, and the sound.
    """

    def __init__(
        self, users: FloatArray, has_user: BoolArray, history: Pairs, units: FloatArray
    ) -> None:
        from scipy.sparse import csr_array

        self.users, self.units = users, units
        self.others = np.flatnonzero(has_user)
        ones = np.ones(len(history), np.float64)
        shape = (len(users), len(units))
        likes = csr_array((ones, (history.user, history.song)), shape=shape)
        self.sums = likes @ units.astype(np.float64)  # (U, W)

    def tastes(self, who: Int64Array) -> FloatArray:
        """Return the centroids of some users, (q, W), of length 1."""
        near = self.users[who] @ self.users[self.others].T
        most = min(NEAREST, near.shape[1])
        nearest = np.argpartition(-near, most - 1, axis=1)[:, :most]
        return unit(self.sums[self.others[nearest]].sum(axis=1))


def _by(tastes: FloatArray, songs: FloatArray) -> Method:
    return lambda who: tastes[who] @ songs.T


def _by_neighbours(found: _Neighbours, songs: Int64Array) -> Method:
    return lambda who: found.tastes(who) @ found.units[songs].T


def _random(who: Int64Array, n_songs: int, seed: int) -> npt.NDArray[np.floating]:
    return np.stack([np.random.default_rng([seed, 1, int(u)]).random(n_songs) for u in who])


def _shuffled(
    similarities: npt.NDArray[np.floating], who: Int64Array, seed: int
) -> npt.NDArray[np.floating]:
    """Shuffle the songs of each user, with a different permutation per user."""
    rngs = [np.random.default_rng([seed, 2, int(user)]) for user in who]
    return np.stack([rng.permutation(row) for rng, row in zip(rngs, similarities, strict=True)])


def _check_space(channel: SharedSpace, users: EmbeddingTable) -> None:
    """Raise `SpecMismatchError` if users are from a space that is not the model's."""
    theirs = {users.model_id, users.metadata.space} - {""}
    if not ({channel.model_id, channel.space} - {""}) & theirs:
        raise SpecMismatchError(
            f"{users.path}: users of {', '.join(sorted(theirs))}, the model was trained "
            f"in the space of {channel.space or channel.model_id}"
        )
