"""The recipe of user-audio, and what needs no torch: the shape of a tower and its first weights.

    songs' features ──Embedder──▶ unit embeddings (S, E)
    pairs (user, item) ──factorise──▶ users' unit embeddings to begin with
    users, likes, features ──fit_map──▶ the linear map that a tower begins as

On small catalogues no model trained by gradient steps beats this map (docs/decisions/0014), so
training starts from it and continues only while held-out artists improve.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError, WeightsError
from audiorec.learning.negatives import NegativeRule
from audiorec.options import check_fields
from audiorec.recall.audio.held_out import Split
from audiorec.store.features import SongSegments
from audiorec.types import Float64Array, FloatArray, Int64Array, Pairs

Pooling = Literal["mean", "attention"]
EMBEDDING = 40  # numbers in an embedding
MIN_SCALE = 1e-3  # features that hardly vary are not amplified
# A segment's weight is softly limited to e^-8..e^8, so that no exponential overflows.
WEIGHT_LIMIT = 8.0
SONGS_AT_ONCE = 256
Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerSpec:
    """Shape of a tower; values out of range raise an `InputError`."""

    inputs: tuple[str, ...]  # columns of a segment's row, for example ``msd_penultimate``
    width: int  # width of a row: D
    embedding: int = EMBEDDING  # E
    hidden: int = 64  # units of the hidden layer; 0: linear part only
    pooling: Pooling = "attention"
    attention: int = 32  # units of the attention layer
    dropout: float = 0.3  # of hidden units, in training
    input_dropout: float = 0.0  # of features, in training

    def __post_init__(self) -> None:
        check_fields(self, width=">=1", embedding=">=1", attention=">=1", hidden=">=0")
        check_fields(self, pooling=get_args(Pooling), dropout="[0, 1)", input_dropout="[0, 1)")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TowerSpec":
        """Undo ``asdict``."""
        return cls(**{**content, "inputs": tuple(content["inputs"])})


class Embedder:
    """The forward pass of a tower, given weights named as the parameters and buffers of `Tower`.

    Raises `WeightsError` if a tensor is missing, or its shape does not match `spec`.

    The arithmetic is that of `audiorec.recall.audio.trainer.Tower`, in numpy; the two agree to
    1e-5.
    """

    def __init__(self, spec: TowerSpec, tensors: Tensors) -> None:
        self.spec = spec
        for name, shape in expected_shapes(spec).items():
            got = tensors[name].shape if name in tensors else "none"
            if got != shape:
                raise WeightsError(f"tensor {name!r} must have shape {shape}, got {got}")
        self._tensors = tensors

    def embed(self, songs: SongSegments) -> FloatArray:
        """Return the songs' embeddings, (S, E) float32, of unit length.

        Raises `ShapeError` if rows do not have ``spec.width`` columns.
        """
        if songs.values.shape[1:] != (self.spec.width,):
            raise ShapeError(
                f"a segment must have shape ({self.spec.width},), got {songs.values.shape[1:]}"
            )
        embeddings = np.empty((len(songs), self.spec.embedding), np.float32)
        for first in range(0, len(songs), SONGS_AT_ONCE):
            offsets = songs.offsets[first : first + SONGS_AT_ONCE + 1]
            rows = songs.values[offsets[0] : offsets[-1]].astype(np.float32)
            embeddings[first : first + SONGS_AT_ONCE] = self._block(rows, offsets - offsets[0])
        return embeddings

    def _block(self, rows: FloatArray, offsets: Int64Array) -> FloatArray:
        t = self._tensors
        x = (rows - t["mean"]) / t["scale"]
        mapped = x @ t["linear.weight"].T + t["linear.bias"]
        if self.spec.hidden:
            hidden = np.maximum(x @ t["hidden.weight"].T + t["hidden.bias"], 0)
            mapped = mapped + hidden @ t["output.weight"].T + t["output.bias"]
        weight = np.ones((len(x), 1), np.float32)
        if self.spec.pooling == "attention":
            heard = np.tanh(x @ t["attention.weight"].T + t["attention.bias"])
            logits = heard @ t["importance.weight"].T + t["importance.bias"]
            weight = np.exp(WEIGHT_LIMIT * np.tanh(logits / WEIGHT_LIMIT))
        sums = np.add.reduceat(mapped * weight, offsets[:-1], axis=0)
        pooled = sums / np.add.reduceat(weight, offsets[:-1], axis=0)
        lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
        return pooled / np.maximum(lengths, 1e-9)


def expected_shapes(spec: TowerSpec) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a tower."""
    d, e, h, a = spec.width, spec.embedding, spec.hidden, spec.attention
    shapes: dict[str, tuple[int, ...]] = {
        "mean": (d,),
        "scale": (d,),
        "linear.weight": (e, d),
        "linear.bias": (e,),
    }
    if h:
        shapes |= {"hidden.weight": (h, d), "hidden.bias": (h,)}
        shapes |= {"output.weight": (e, h), "output.bias": (e,)}
    if spec.pooling == "attention":
        shapes |= {"attention.weight": (a, d), "attention.bias": (a,)}
        shapes |= {"importance.weight": (1, a), "importance.bias": (1,)}
    return shapes


# Singular values are squared, which gives more weight to directions shared by many users. Chosen
# in docs/decisions/0014.
POWER = 2.0


def factorise(
    pairs: Pairs,
    n_users: int,
    n_items: int,
    *,
    dimension: int,
    min_users: int = 1,
    power: float = POWER,
    seed: int = 0,
) -> FloatArray:
    """Return an embedding per user, (n_users, dimension) float32.

        pairs ──weigh rare items up──▶ sparse (U, S) ──▶ left vectors · σ² ──▶ unit rows

    The simplest user model: no audio, no order, no profile. It is a truncated singular value
    decomposition. Rows are zeros for a user without a pair. Weights of pairs are ignored, and
    repeats count once. `seed` draws the start vector of the iteration; it affects only the last
    digits.

    Parameters
    ----------
    dimension : int
        Numbers in an embedding; padded with zeros if there are fewer users or items.
    min_users : int
        Items of fewer users are left out; at least one must remain.
    power : float
        Exponent of the singular values.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import svds

    counted = np.unique(
        np.stack([pairs.user.astype(np.int64), pairs.song.astype(np.int64)]), axis=1
    )
    listeners = np.bincount(counted[1], minlength=n_items)
    kept = listeners[counted[1]] >= max(1, min_users)
    user, item = counted[:, kept]
    if not len(item):
        raise InputError(f"no item has {min_users} users or more")
    rarity = np.log(max(2, n_users) / np.minimum(listeners[item], n_users)) + 1e-6
    columns, column = np.unique(item, return_inverse=True)
    matrix = coo_matrix((rarity, (user, column)), (n_users, len(columns))).tocsc()
    most = min(dimension, min(matrix.shape) - 1)
    embedded = np.zeros((n_users, dimension))
    if most >= 1:
        start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
        left, values, _ = svds(matrix, k=most, v0=start)
        order = np.argsort(-values)
        embedded[:, :most] = left[:, order] * values[order] ** power
    else:  # one user or one item: no decomposition
        embedded[:, 0] = np.asarray(matrix.sum(1)).ravel()
    lengths = np.linalg.norm(embedded, axis=1, keepdims=True)
    good = lengths > 1e-12 * max(1.0, float(lengths.max(initial=0)))
    return np.where(good, embedded / np.where(good, lengths, 1), 0).astype(np.float32)


# The longer of two sums has more listeners, not better ones: a sum of n users is divided by n to
# this power.
BALANCE = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridge:
    """Regularisation of the map, as multiples of the mean eigenvalue of each side."""

    users: float = 1.0
    songs: float = 8.0
    balance: float = BALANCE


def fit_map(
    users: FloatArray,
    liked: Pairs,
    features: FloatArray,
    groups: Int64Array,
    ridge: Ridge = Ridge(),
) -> FloatArray:
    """Fit the linear map, (E, D) float32.

        likes (U, G) ≈ users (U, E) · weights (E, D) · artists' mean features (D, G)

    solved in one step, with a ridge on both sides. There is one row per artist, not per song, so
    that an artist with thirty songs carries no more weight than one with three. The map is scaled
    so that embeddings of the training songs have a mean length of 1.

    `features` (S, D) are the standardised means of the songs, `groups` (S,) their artists. Only
    songs in `liked` are used.
    """
    artists, artist_of = np.unique(groups[liked.song], return_inverse=True)
    pairs = np.unique(
        np.stack([liked.user.astype(np.int64), artist_of.astype(np.int64)], 1), axis=0
    )
    listeners = np.bincount(pairs[:, 1], minlength=len(artists))
    sums = np.zeros((len(artists), users.shape[1]))
    np.add.at(sums, pairs[:, 1], users[pairs[:, 0]].astype(np.float64))
    target = sums / (listeners**ridge.balance)[:, None]
    songs = np.unique(liked.song)
    place = np.searchsorted(artists, groups[songs])
    totals = np.zeros((len(artists), features.shape[1]))
    np.add.at(totals, place, features[songs].astype(np.float64))
    audio = totals / np.bincount(place, minlength=len(artists))[:, None]
    own = users[np.unique(liked.user)].astype(np.float64)
    left = _damped(own.T @ own, ridge.users)
    right = _damped(audio.T @ audio, ridge.songs)
    weights = np.linalg.solve(left, target.T @ audio)
    weights = np.linalg.solve(right, weights.T).T
    lengths = np.linalg.norm(features[songs] @ weights.T, axis=1)
    return (weights / max(float(lengths.mean()), 1e-12)).astype(np.float32)


def _damped(gram: Float64Array, ridge: float) -> Float64Array:
    mean = max(np.trace(gram) / len(gram), 1e-12)
    return gram + ridge * mean * np.eye(len(gram))


Loss = Literal["softmax", "hinge"]
Start = Literal["ridge", "random"]
MAX_SEGMENTS = 30  # per song, kept in memory
# Where and with which table of users it was trained: not part of the model.
NOT_KEPT = ("users", "device", "jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAudioRecipe:
    """Settings that decide how users and songs are embedded in one space.

    Attributes
    ----------
    users : str
        A ``users.parquet`` with the owners of the sequences, near which songs are placed. Empty:
        users are factors of the matrix of plays.
    embedding : int
        Width of an embedding, unless users are given.
    hidden : int
        Units of the tower's hidden layer; 0: linear part only.
    pooling : {"attention", "mean"}
        How segments are combined into a song.
    inputs : tuple of str
        Columns of the features; empty: all. Without features ``embedding`` or ``vector`` of the
        store; empty: the embedding, where it is.
    end_to_end : bool
        Also train the backbone, on the audio of a store's songs.
    max_segments : int
        Segments per song kept in memory in training; longer songs are thinned evenly.
    segments : int
        Segments sampled from these each time a song is used in training; 0: all.
    loss : {"softmax", "hinge"}
        Loss of one liked song against its negatives.
    margin : float
        Margin of the hinge.
    temperature : float
        Temperature of the softmax.
    negatives : int
        Negatives per liked song: disliked songs first, then unheard ones.
    popularity : float
        Unheard songs are drawn by their likes to this power: 0 uniformly, 1 in proportion.
    start : {"ridge", "random"}
        Initial weights of the tower's linear part: the closed-form map, or random.
    ridge_users : float
        Regularisation of that map on the side of the users.
    ridge_songs : float
        Regularisation of that map on the side of the songs.
    balance : float
        Pairs are drawn in proportion to their artist's number of pairs to the power ``-balance``.
    valid : float
        Share of artists held out to choose the number of epochs; the model then trains on them too.
    test : float
        Share of artists that are never trained on: `audiorec recall evaluate --split artists`
        evaluates a model on them.
    new_songs : float
        Share of the other artists' songs that are never trained on.
    split_seed : int
        Seed of that choice of artists and songs.
    max_epochs : int
        Maximum number of epochs; 0: the closed-form map alone.
    patience : int
        Epochs without improvement before training stops.
    batch_size : int
        Pairs of a user and a liked song per step.
    pairs_per_epoch : int
        Pairs per epoch, at most.
    learning_rate : float
        Learning rate of AdamW.
    backbone_learning_rate : float
        Learning rate of the backbone.
    weight_decay : float
        Weight decay of AdamW.
    clip : float
        Maximum gradient norm of a step.
    device : str
        ``cpu`` or ``cuda``.
    jobs : int
        Processes that decode songs, with `end_to_end`.
    seed : int
        Seed of all random numbers.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    users: str = ""
    embedding: int = EMBEDDING
    hidden: int = 64
    pooling: Pooling = "attention"
    inputs: tuple[str, ...] = ()
    end_to_end: bool = False
    max_segments: int = MAX_SEGMENTS
    segments: int = 8
    loss: Loss = "softmax"
    margin: float = 0.2
    temperature: float = 0.2
    negatives: int = 20
    popularity: float = 0.5
    start: Start = "ridge"
    ridge_users: float = 1.0
    ridge_songs: float = 8.0
    balance: float = 0.75
    valid: float = 0.1
    test: float = 0.0
    new_songs: float = 0.0
    split_seed: int = 0
    max_epochs: int = 40
    patience: int = 5
    batch_size: int = 128
    pairs_per_epoch: int = 50_000
    learning_rate: float = 5e-4
    backbone_learning_rate: float = 3e-5
    weight_decay: float = 1e-2
    clip: float = 5.0
    device: str = "cpu"
    jobs: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, loss=get_args(Loss), start=get_args(Start))
        least = ("batch_size", "pairs_per_epoch", "patience", "max_segments", "jobs")
        check_fields(self, **dict.fromkeys(least, ">=1"), temperature=">0", clip=">0")
        least = ("max_epochs", "segments", "ridge_users", "ridge_songs", "learning_rate")
        check_fields(self, **dict.fromkeys(least, ">=0"), margin="[0, 2]")
        if self.inputs and self.end_to_end:
            raise InputError("inputs are columns of features, which end_to_end does not use")
        TowerSpec(inputs=(), width=1, embedding=self.embedding, hidden=self.hidden)
        _ = (self.split, self.negative_rule)

    @property
    def split(self) -> Split:
        """The artists and songs that are held out."""
        return Split(
            valid=self.valid, test=self.test, new_songs=self.new_songs, seed=self.split_seed
        )

    @property
    def negative_rule(self) -> NegativeRule:
        """How negatives are drawn."""
        return NegativeRule(count=self.negatives, popularity_exponent=self.popularity)

    @property
    def ridge(self) -> Ridge:
        """The regularisation of the closed-form map."""
        return Ridge(users=self.ridge_users, songs=self.ridge_songs)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that a bundle stores, as plain JSON values."""
        fields = {name: value for name, value in asdict(self).items() if name not in NOT_KEPT}
        return {**fields, "inputs": list(self.inputs)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "UserAudioRecipe":
        """Undo `to_dict`."""
        return cls(**{**fields, "inputs": tuple(fields["inputs"])})
