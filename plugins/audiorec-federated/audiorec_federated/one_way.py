"""Channel ``one-way``: one vector per user, computed without plays, and a regression to them.

    profiles ──fit_users──▶ `UserModel`: (n, d) of length 1, by a truncated SVD
    vectors, plays ──`OneWay.of_vectors`──▶ songs (S, d) and prior (S,), by ridge regression

Two businesses need one message for it: the partner fits its side alone and sends the vectors of the
shared users once, the music side fits at home, and nothing goes back. Similarities are
``users @ songs + prior``, the expected play of a song; of a release, its logarithm.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from audiorec.errors import InputError, WeightsError
from audiorec.learning.bundle import Bundle
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import Tensors, Trained
from audiorec.recall.contract.data import RecallData, Sound
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array
from audiorec_federated.channel import ByProfile
from audiorec_federated.recipe import OneWayRecipe
from audiorec_federated.users import (
    Bag,
    UserEncoder,
    UserFeatures,
    UserModel,
    figures_of,
    ranks_of,
)

PRIOR_SHARE = 1e-3  # regularisation of the prior, as a share of that of the vectors
MOST_JUDGED = 1_000  # users whose plays are ranked for the figures
THREATS = (
    "Threat model: two parties that do not collude. The user side sends one vector of each shared "
    "user, once, and gets nothing back: it learns which users both know. The item side learns the "
    "vectors, which tell much about the users' features; no guarantee covers them. "
    "What an attack finds in them: audiorec federated audit."
)
JUDGED_ON = "all plays of {n:,} users whose plays were held out, by their vectors alone, full rank"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a release of songs promises about the plays of one user."""

    epsilon: float
    delta: float
    noise: float  # standard deviation of the Gaussian noise, as a multiple of the sensitivity
    scale: Sequence[float] = ()  # factors of the numbers of a vector, from public vectors alone

    def words(self) -> str:
        """Return the promise as a sentence.

        Examples
        --------
        >>> Release(epsilon=8.0, delta=1e-5, noise=0.6).words()[:57]
        'Released with epsilon 8 and delta 1e-05: with or without '
        """
        return (
            f"Released with epsilon {self.epsilon:g} and delta {self.delta:g}: with or without all "
            "plays of one user, any outcome is as likely up to a factor of exp(epsilon), but for a "
            "probability of delta. Other releases of the same plays add to it. The catalogue, who "
            "is aligned, and the vectors of users are not covered."
        )


class OneWay(ByProfile):
    """Songs that users with similar profiles play, by one vector per user (SVD and ridge).

    Attributes
    ----------
    release : Release or None
        What the songs promise, if they were released with noise.
    """

    name = "one-way"
    serves = frozenset({"profile"})
    hears = "nothing"
    Recipe = OneWayRecipe
    threats = THREATS
    recipe: OneWayRecipe
    release: Release | None = None

    def _fit(self, data: RecallData, **_: Any) -> None:
        people = self.profiles_of(data)
        self.users = fit_users(people, self.recipe)
        vectors = self.users.embed(people.for_users(data.plays.owner_ids))
        if not _players(vectors, data.plays).any():
            raise InputError("no user known to both sides has a play")
        self._learn(data, vectors)

    @classmethod
    def of_vectors(
        cls,
        recipe: OneWayRecipe,
        data: RecallData,
        user_ids: Sequence[str],
        vectors: FloatArray,
        *,
        space: str = "",
    ) -> Self:
        """Return the music side's channel, learnt from the vectors that the partner sent.

        It is made whoever plays what: an error would tell the partner, who waits for an answer.

        Parameters
        ----------
        recipe : OneWayRecipe
        data : RecallData
            Plays of all users of the music side; those without a vector count for the prior.
        user_ids : sequence of str, length n
        vectors : ndarray, shape (n, d), float32
        space : str
            Id of the embedding space, the same on both sides.
        """
        channel = cls._without_users(recipe, data, space)
        channel._learn(data, rows_of(data.plays.owner_ids, user_ids, vectors))
        return channel

    def _learn(self, data: RecallData, vectors: FloatArray) -> None:
        """Set songs, prior and figures from a vector per owner of the plays, 0 for none."""
        plays, recipe = data.plays, self.recipe
        known = np.flatnonzero(_players(vectors, plays))
        self.songs, self.prior = fit_songs(vectors, plays, recipe)
        drawn = np.random.default_rng(recipe.seed).permutation(known)
        held = drawn[: min(MOST_JUDGED, round(recipe.valid * len(known)))]
        if len(held):
            self.trained = _judged(vectors, plays, recipe, np.sort(held))

    def similarities(self, users: FloatArray) -> FloatArray:
        """Return expected plays; see `SharedSpace`."""
        result = (users @ self.songs.T + self.prior).astype(np.float32, copy=False)
        result[~users.any(axis=1)] = -np.inf
        return result

    def embed_sound(self, sound: Sound) -> FloatArray:  # noqa: ARG002
        """Raise `InputError`: the channel learns nothing of sound."""
        raise InputError(f"{self.name}: learns songs by their plays, so it embeds none by sound")

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors, config = super()._state()
        if self.release is not None:
            config["release"] = asdict(self.release)
        return tensors, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        channel = super()._from_state(bundle)
        if "release" in bundle.config:
            try:
                about = dict(bundle.config["release"])
                scale = tuple(map(float, about.pop("scale", ())))
                channel.release = Release(scale=scale, **about)
            except (TypeError, ValueError) as error:
                raise WeightsError(f"not a valid release: {error}") from error
            if len(scale) != channel.recipe.dimension or not np.isfinite(scale).all():
                raise WeightsError("not a valid release: it needs a factor of each number")
        return channel

    def _threats(self) -> str:
        return super()._threats() if self.release is None else self.release.words()


def fit_users(people: Profiles, recipe: OneWayRecipe) -> UserModel:
    """Fit the projection of profiles, which needs no plays.

    Values are weighted by the logarithm of how rare they are, numbers are standardised, and each
    user has length 1. The vectors are the first `dimension` left singular vectors times the squares
    of their singular values, brought to length 1: what many users share counts more.

    Raises
    ------
    InputError
        If the profiles have nothing that several users share.
    """
    encoder = UserEncoder.fit(people, min_users=recipe.min_users, max_values=recipe.max_values)
    features = encoder.encode(people)
    rows, scales = _weighted(features)
    if not rows.shape[1] or not rows.nnz:
        raise InputError("the table of users has no column to learn from")
    basis = _singular_vectors(rows, recipe)
    weights, first = {}, 0
    for number, bag in enumerate(features.bags.values()):
        part = slice(first, first + bag.size)
        weights[f"values.{number}"] = (scales[part, None] * basis[part]).astype(np.float32)
        first += bag.size
    weights["numbers"] = basis[first:].astype(np.float32)
    return UserModel(recipe=recipe, encoder=encoder, weights=weights)


def _weighted(features: UserFeatures) -> tuple[Any, Float64Array]:
    """Return users as rows of length 1, sparse (n, P), and the scale of each column (P,)."""
    from scipy.sparse import csr_array, diags_array, hstack

    n = len(features)
    columns, scales = [], []
    for bag in features.bags.values():
        matrix = csr_array((np.ones(len(bag.code)), bag.code, bag.starts), shape=(n, bag.size))
        columns.append(matrix)
        scales.append(np.log(n / np.maximum(1, np.bincount(bag.code, minlength=bag.size))))
    numbers = features.dense[:, ::2].astype(np.float64)
    columns.append(csr_array(numbers))
    scales.append(np.ones(numbers.shape[1]))
    scale = np.concatenate(scales)
    whole = hstack(columns, format="csr") @ diags_array(scale)
    lengths = np.sqrt(whole.multiply(whole).sum(axis=1))
    return diags_array(1 / np.where(lengths > 0, lengths, 1)) @ whole, scale


def _singular_vectors(rows: Any, recipe: OneWayRecipe) -> Float64Array:
    """Return the first right singular vectors times their values, (P, d); 0 beyond the rank."""
    from scipy.sparse.linalg import svds

    least = min(rows.shape)
    if recipe.dimension < least:
        start = np.random.default_rng(recipe.seed).standard_normal(least)  # the same each time
        _, values, result = svds(rows, k=recipe.dimension, v0=start, return_singular_vectors="vh")
    else:
        _, values, result = np.linalg.svd(rows.toarray(), full_matrices=False)
    order = np.argsort(-values)
    basis = np.zeros((rows.shape[1], recipe.dimension))
    basis[:, : len(result)] = (values[:, None] * result)[order].T
    return basis


def fit_songs(
    vectors: FloatArray, plays: Sequences, recipe: OneWayRecipe
) -> tuple[FloatArray, FloatArray]:
    """Fit songs to who plays them: ridge regression of each song's plays on the users' vectors.

    Vectors (U, d) are of the owners of `plays`, 0 for unknown ones, who count for the prior.
    Returns songs (S, d) and prior (S,), float32.
    """
    listening = plays.lengths > 0
    inputs = np.column_stack([listening, vectors * listening[:, None]]).astype(np.float64)
    ridge = np.full(inputs.shape[1], recipe.regularisation)
    ridge[0] *= PRIOR_SHARE
    moments = who_plays(plays).T @ inputs
    songs = np.linalg.solve(inputs.T @ inputs + np.diag(ridge), moments.T).T.astype(np.float32)
    return np.ascontiguousarray(songs[:, 1:]), np.ascontiguousarray(songs[:, 0])


def who_plays(plays: Sequences) -> Any:
    """Return a sparse matrix (U, S) with 1 for each song that a user plays."""
    from scipy.sparse import csr_array

    shape = (len(plays), len(plays.song_ids))
    # Copies, since duplicates are summed in place.
    parts = (np.ones(len(plays.song)), plays.song.copy(), plays.starts.copy())
    result = csr_array(parts, shape=shape)
    result.sum_duplicates()
    result.data[:] = 1
    return result


def _players(vectors: FloatArray, plays: Sequences) -> BoolArray:
    """Return which owners of plays have a play and a vector, (U,)."""
    result: BoolArray = vectors.any(axis=1) & (plays.lengths > 0)
    return result


def rows_of(owners: Sequence[str], user_ids: Sequence[str], vectors: FloatArray) -> FloatArray:
    """Return the vectors of owners, in their order; 0 for those without one."""
    row = {user: index for index, user in enumerate(user_ids) if user}
    places = np.array([row.get(owner, -1) for owner in owners], np.int64)
    rows = np.zeros((len(owners), vectors.shape[1]), np.float32)
    rows[places >= 0] = vectors[places[places >= 0]]
    return rows


def _judged(
    vectors: FloatArray, plays: Sequences, recipe: OneWayRecipe, held: Int64Array
) -> Trained:
    """Return the figures of held-out users, by songs learnt from the others."""
    rest = np.setdiff1d(np.arange(len(plays)), held)
    others, own = plays.take(rest), plays.take(held)
    songs, prior = fit_songs(vectors[rest], others, recipe)
    learnt = np.bincount(others.song, minlength=len(plays.song_ids)) > 0
    similar = vectors[held] @ songs.T + prior
    ranks = ranks_of(similar, Bag(own.starts, own.song.astype(np.int64), len(learnt)), learnt)
    return replace(Trained(), figures=figures_of(ranks), judged_on=JUDGED_ON.format(n=len(held)))
