"""Hyper-parameters of user-audio, as one flat recipe."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from audiorec.errors import InputError
from audiorec.learning.negatives import NegativeRule
from audiorec.recall.audio.closed_form import Ridge
from audiorec.recall.audio.held_out import Split
from audiorec.recall.audio.model import EMBEDDING, Pooling, TowerSpec
from audiorec.tagger.weights import GONE, MSD

Loss = Literal["softmax", "hinge"]
Start = Literal["ridge", "random"]
PairsFrom = Literal["users", "sessions", "playlists"]
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
    learn_users : bool
        Train the factors along with the tower.
    pairs : {"users", "sessions", "playlists"}
        What a song is placed near: users who play it; songs at most five places away in a session
        (sequences are cut at pauses of half an hour); or songs of the same sequence.
    embedding : int
        Width of an embedding, unless users are given.
    hidden : int
        Units of the tower's hidden layer; 0: linear part only.
    pooling : {"attention", "mean"}
        How segments are combined into a song.
    inputs : tuple of str
        Columns of the features; empty: all.
    end_to_end : bool
        Also train the backbone, on the audio of a store's songs.
    max_segments : int
        Segments per song kept in memory in training; longer songs are thinned evenly.
    segments : int
        Segments sampled from these each time a song is used in training; 0: all.
    loss : {"softmax", "hinge"}
        Loss of one liked song against its negatives.
    margin, temperature : float
        Margin of the hinge, temperature of the softmax.
    negatives : int
        Negatives per liked song: disliked songs first, then unheard ones.
    popularity : float
        Unheard songs are drawn by their likes to this power: 0 uniformly, 1 in proportion.
    semi_hard : bool
        Draw four times as many negatives, and keep those just less similar than the liked song.
    start : {"ridge", "random"}
        Initial weights of the tower's linear part: the closed-form map, or random.
    ridge_users, ridge_songs : float
        Regularisation of that map on each side.
    balance : float
        Pairs are drawn in proportion to their artist's number of pairs to the power ``-balance``.
    valid : float
        Share of artists held out to choose the number of epochs; the model then trains on them too.
    test, new_songs : float
        Share of artists, and of the other artists' songs, that are never trained on:
        `audiorec recall unheard` evaluates a model on them.
    split_seed : int
        Seed of that choice of artists and songs.
    max_epochs, patience : int
        Training stops after `max_epochs`, or `patience` epochs without improvement; 0 epochs: the
        closed-form map alone.
    batch_size, pairs_per_epoch : int
        Pairs of a user and a liked song per step, and at most per epoch.
    learning_rate, backbone_learning_rate, weight_decay : float
        Settings of AdamW; the backbone has its own rate.
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
    learn_users: bool = False
    pairs: PairsFrom = "users"
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
    semi_hard: bool = False
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
        known: dict[str, tuple[str, ...]]
        known = {"loss": ("softmax", "hinge"), "start": ("ridge", "random")}
        known |= {"pairs": ("users", "sessions", "playlists")}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise InputError(f"{name} is {' or '.join(values)}; got {getattr(self, name)!r}")
        for name in ("batch_size", "pairs_per_epoch", "patience", "max_segments", "jobs"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("max_epochs", "segments", "ridge_users", "ridge_songs", "learning_rate"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not (self.temperature > 0 and self.clip > 0 and 0 <= self.margin <= 2):
            raise InputError("temperature and clip must be above 0, and margin lie in 0..2")
        if self.users and (self.learn_users or self.pairs != "users"):
            raise InputError("given users are fixed: learn_users must be off, and pairs be users")
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
        return NegativeRule(
            count=self.negatives, popularity_exponent=self.popularity, semi_hard=self.semi_hard
        )

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
        """Undo `to_dict`; raise `ValueError` for a model of a network that is not shipped."""
        fields = dict(fields)
        # Until 0.1 there was a choice of two.
        if (backbone := fields.pop("backbone", MSD.name)) != MSD.name:
            raise ValueError(GONE.get(backbone, f"unknown backbone {backbone!r}"))
        return cls(**{**fields, "inputs": tuple(fields["inputs"])})
