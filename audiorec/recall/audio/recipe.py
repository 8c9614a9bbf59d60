"""Everything but the data that decides what user-audio becomes: one flat recipe."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from audiorec.errors import InputError
from audiorec.learning.negatives import NegativeRule
from audiorec.recall.audio.closed_form import Ridge
from audiorec.recall.audio.held_out import Split
from audiorec.recall.audio.model import EMBEDDING, Pooling, TowerSpec
from audiorec.tagger.weights import BackboneName

Loss = Literal["softmax", "hinge"]
Start = Literal["ridge", "random"]
PairsFrom = Literal["users", "sessions", "playlists"]
MAX_SEGMENTS = 30  # of a song that are kept in memory
# Where it was trained and from which table of users: no part of what was learnt.
NOT_KEPT = ("users", "device", "jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAudioRecipe:
    """How users and songs come into one space.

    Attributes
    ----------
    users : str
        A ``users.parquet`` with the owners of the sequences: songs are placed among them. Empty:
        users are factors of who played what.
    learn_users : bool
        Let the factors move in training, along with the tower.
    pairs : {"users", "sessions", "playlists"}
        What a song is placed near: who plays it; songs at most five places away in a session
        (sequences are cut at pauses of half an hour); or songs of the same sequence.
    embedding : int
        Numbers in an embedding, where users are not given.
    hidden : int
        Units of the tower's small network; 0 for the linear part alone.
    pooling : {"attention", "mean"}
        How segments become a song.
    inputs : tuple of str
        Columns of the features; empty for all.
    end_to_end : bool
        Train the backbone as well, from the audio of the songs of a store.
    backbone : {"msd", "mtt"}
        Which one.
    max_segments : int
        Segments of a song that training keeps in memory; longer songs are thinned evenly.
    segments : int
        Of these, how many are drawn each time a song is heard in training; 0 for all.
    loss : {"softmax", "hinge"}
        Of one liked song against the negatives.
    margin, temperature : float
        Of the hinge, and of the softmax.
    negatives : int
        Songs that stand against each liked one: disliked ones first, then unheard ones.
    popularity : float
        Unheard songs are drawn by their likes to this power: 0 all alike, 1 as popular as liked.
    semi_hard : bool
        Of four times as many, keep those just less similar than the liked song.
    start : {"ridge", "random"}
        Where the tower's linear part begins: the closed-form map, or weights from chance.
    ridge_users, ridge_songs : float
        How strongly that map is held back on each side.
    balance : float
        Pairs are drawn by their artist's number of pairs to the power ``-balance``.
    valid : float
        Share of the artists that choose the number of epochs; then the model learns from them too.
    test, new_songs : float
        Share of the artists, and of the other artists' songs, that are never learnt from:
        `audiorec recall unheard` judges a model on them.
    split_seed : int
        Which artists and songs those are.
    max_epochs, patience : int
        0 epochs: the closed-form map alone.
    batch_size, pairs_per_epoch : int
        Pairs of a user and a liked song; at most so many an epoch.
    learning_rate, backbone_learning_rate, weight_decay : float
        Of AdamW; a backbone has a rate of its own.
    clip : float
        Longest gradient of a step.
    device : str
        ``cpu`` or ``cuda``.
    jobs : int
        Processes that decode songs, with `end_to_end`.
    seed : int
        Of everything that is drawn.

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    users: str = ""
    learn_users: bool = False
    pairs: PairsFrom = "users"
    embedding: int = EMBEDDING
    hidden: int = 64
    pooling: Pooling = "attention"
    inputs: tuple[str, ...] = ()
    end_to_end: bool = False
    backbone: BackboneName = "msd"
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
        known |= {"pairs": ("users", "sessions", "playlists"), "backbone": ("msd", "mtt")}
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
            raise InputError("users that are given do not move, and pairs are theirs")
        if self.inputs and self.end_to_end:
            raise InputError("inputs are columns of features; end to end there are none")
        TowerSpec(inputs=(), width=1, embedding=self.embedding, hidden=self.hidden)
        _ = (self.split, self.negative_rule)

    @property
    def split(self) -> Split:
        """Which artists and songs are held out."""
        return Split(
            valid=self.valid, test=self.test, new_songs=self.new_songs, seed=self.split_seed
        )

    @property
    def negative_rule(self) -> NegativeRule:
        """What stands against a liked song."""
        return NegativeRule(
            count=self.negatives, popularity_exponent=self.popularity, semi_hard=self.semi_hard
        )

    @property
    def ridge(self) -> Ridge:
        """How the closed-form map is held back."""
        return Ridge(users=self.ridge_users, songs=self.ridge_songs)

    def kept(self) -> dict[str, Any]:
        """Return the fields that a bundle keeps, as plain JSON values."""
        fields = {name: value for name, value in asdict(self).items() if name not in NOT_KEPT}
        return {**fields, "inputs": list(self.inputs)}

    @classmethod
    def from_kept(cls, fields: dict[str, Any]) -> "UserAudioRecipe":
        """Undo `kept`."""
        return cls(**{**fields, "inputs": tuple(fields["inputs"])})
