"""What channels learn from, and what they are asked.

sequences, side information, vectors ──▶ `RecallData` ──Channel.fit──▶
histories of some users              ──▶ `Queries`    ──Channel.recall──▶ `Candidates`
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.listening.liked import Liked
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.listening.side import SongSide
from audiorec.listening.triples import Triples, named
from audiorec.search.filters import mean_scores
from audiorec.search.searchable import SearchableStore
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.features import FeatureFile
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, FloatArray, IdMap, Int64Array, plain_name


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Songs as unit vectors in one space, and whose they are.

    Attributes
    ----------
    song_ids : tuple of str, length n
    units : ndarray, shape (n, W), float32
        Of length 1, or 0 where nothing is known: to compare songs of this table with each other.
    artists : tuple of str, length n
        Plain names (`audiorec.types.plain_name`); empty where unknown.
    kinds : mapping of str to ndarray, shape (n,), int64
        What else is known of them, as numbers by name: the class of each head of a store.
    features : FeatureFile, optional
        The same songs segment by segment, for channels that learn from more than one vector.
    values : ndarray, shape (n, V), float32
        The numbers of each song as they were stored, 0 where nothing is known: for models, which
        must read other tables alike. By default the units.
    made_by : str
        What made the values; a model refuses those of another maker. Empty: unknown.
    store : VectorStore, optional
        Where the songs' files are named, for channels that listen to them.
    """

    song_ids: tuple[str, ...]
    units: FloatArray
    artists: tuple[str, ...]
    kinds: Mapping[str, Int64Array] = field(default_factory=dict)
    features: FeatureFile | None = None
    values: FloatArray = field(default=None)  # type: ignore[arg-type]
    made_by: str = ""
    store: VectorStore | None = None

    def __post_init__(self) -> None:
        if self.values is None:
            object.__setattr__(self, "values", self.units)
        lengths = {len(self.units), len(self.values), len(self.artists)}
        lengths |= set(map(len, self.kinds.values()))
        if lengths != {len(self.song_ids)}:
            raise ShapeError("a unit, an artist and one number of each kind for each song expected")

    @classmethod
    def of_store(cls, store: SearchableStore) -> "Sound":
        """Take the songs of a store, as `similar` compares their vectors."""
        space = store.space("vector", use_index=False)
        artists = tuple(plain_name(name) for name in store.column("artist").to_pylist())
        made = f"extractor {store.metadata.extractor_id}"
        values = np.asarray(store.vectors, np.float32)
        known = _classes(store)
        return cls(store.ids, space.matrix, artists, known, None, values, made, store)

    @classmethod
    def of_embeddings(cls, table: EmbeddingTable) -> "Sound":
        """Take the songs of an ``embeddings.parquet``, whatever made it."""
        values = np.asarray(table.embeddings, np.float32)
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        units = (values / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        nobody = ("",) * len(values)
        made = f"model {table.model_id}"
        return cls(tuple(table.ids), units, nobody, values=values, made_by=made)

    @classmethod
    def of_features(cls, file: FeatureFile, store: VectorStore | None = None) -> "Sound":
        """Take the songs of a features file: a unit is of a song's standardised means.

        `store` has the artists.
        """
        means = file.means().astype(np.float64)
        spread = means.std(axis=0)
        units = (means - means.mean(axis=0)) / np.where(spread > 0, spread, 1)
        lengths = np.linalg.norm(units, axis=1, keepdims=True)
        units = (units / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        names: dict[str, str] = {}
        if store is not None:
            artists = store.column("artist").to_pylist()
            names = {i: plain_name(name) for i, name in zip(store.ids, artists, strict=True)}
        ids = tuple(file.ids)
        known = tuple(names.get(name, "") for name in ids)
        made = f"features of extractor {file.extractor_id}"
        values = means.astype(np.float32)
        return cls(ids, units, known, {}, file, values, made, store)

    def with_artists(self, side: SongSide | None) -> "Sound":
        """Return the same with artists by side information, where none are known."""
        if side is None or "artist" not in side.categories or any(self.artists):
            return self
        named = dict(zip(side.song_ids, side.categories["artist"].texts(), strict=True))
        artists = tuple(plain_name(named.get(song)) for song in self.song_ids)
        return replace(self, artists=artists)

    def among(self, song_ids: tuple[str, ...]) -> "Sound":
        """Return the sound of other songs, in their order; zeros and no artist where unknown."""
        rows = IdMap(self.song_ids).rows(song_ids)
        units, values = (_and_a_row_of_zeros(a)[rows] for a in (self.units, self.values))
        artists = (*self.artists, "")
        kinds = {name: np.append(codes, -1)[rows] for name, codes in self.kinds.items()}
        known = tuple(artists[row] for row in rows.tolist())
        made = (self.features, values, self.made_by, self.store)
        return Sound(song_ids, units, known, kinds, *made)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Context:
    """What is known beside the listening; each part may be missing.

    Attributes
    ----------
    sound : Sound, optional
        How songs sound.
    side : SongSide, optional
        What else is known of songs: artist, album, genre, language, categories and numbers.
    triples : Triples, optional
        Facts about songs, artists and whatever else.
    profiles : Profiles, optional
        What is known of users.
    favourites : Sequences, optional
        What users have said to like, and when: each counts for what its user plays later.
    """

    sound: Sound | None = None
    side: SongSide | None = None
    triples: Triples | None = None
    profiles: Profiles | None = None
    favourites: Sequences | None = None

    @property
    def song_ids(self) -> tuple[str, ...]:
        """Songs that sound, side information or facts know, sorted: each may be proposed."""
        sources = [s.song_ids for s in (self.sound, self.side) if s is not None]
        if self.triples is not None:
            sources.append(named("song", self.triples))
        return tuple(sorted({song for ids in sources for song in ids}))

    def asked(
        self,
        histories: Sequences,
        follows: Sequences | None = None,
        likes: Sequences | None = None,
    ) -> "Queries":
        """Return the queries of some histories, with what is known of their owners."""
        people = self.profiles
        known = None if people is None else people.for_users(histories.owner_ids)
        if likes is None and self.favourites is not None:
            likes = self.favourites.of_owners(histories.owner_ids)
        return Queries(histories, follows, known, likes=likes)


@dataclass(frozen=True, eq=False)
class RecallData:
    """What a channel may learn from.

    Attributes
    ----------
    sequences : Sequences
        Finished plays of U users (or sessions, or lists), the oldest owner first where that is
        known: channels that prefer what is recent go by it where there are no times.
    new_songs : tuple of str
        Songs without a play that may be proposed as well.
    context : Context
    logs : tuple of str
        Fingerprints of the logs that the sequences come from: a model keeps them, so that
        `audiorec.listening.forget` can name the models to train again.
    disliked, heard : Sequences, optional
        Where the sequences are of liked songs (`audiorec.listening.liked`): what the same users
        dislike, and everything that they met.
    simulated : bool
        The log says of itself that it is made up.
    """

    sequences: Sequences
    new_songs: tuple[str, ...] = ()
    context: Context = Context()
    logs: tuple[str, ...] = ()
    disliked: Sequences | None = None
    heard: Sequences | None = None
    simulated: bool = False

    @classmethod
    def of_likes(
        cls,
        found: Liked,
        context: Context = Context(),
        *,
        logs: tuple[str, ...] = (),
        simulated: bool = False,
    ) -> "RecallData":
        """Learn from liked songs, with what is disliked and was met beside them."""
        sides = {"disliked": found.disliked, "heard": found.heard}
        return cls(found.liked, context.song_ids, context, logs, **sides, simulated=simulated)

    @property
    def sound(self) -> Sound | None:
        """How songs sound, where that is known."""
        return self.context.sound

    @cached_property
    def song_ids(self) -> tuple[str, ...]:
        """The catalogue, sorted: songs that were played, and new ones. Length S."""
        return tuple(sorted({*self.sequences.song_ids, *self.new_songs}))

    @cached_property
    def plays(self) -> Sequences:
        """The sequences, in numbers of `song_ids`."""
        return self.sequences.among(self.song_ids)

    @cached_property
    def counts(self) -> Int64Array:
        """Plays of each song: shape (S,), int64."""
        return np.bincount(self.plays.song, minlength=len(self.song_ids)).astype(np.int64)

    @property
    def is_cold(self) -> BoolArray:
        """Which songs were never played: shape (S,), bool."""
        cold: BoolArray = self.counts == 0
        return cold

    def require_plays(self, channel: str) -> None:
        """Refuse data without a play, on which nothing can be learnt."""
        if not len(self.plays.song):
            raise InputError(f"{channel}: there is no finished play to learn from")


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """Q users who are to get songs."""

    histories: Sequences
    # artists that each user follows, by plain name: `song_ids` of these are names
    follows: Sequences | None = None
    profiles: Profiles | None = None  # of the Q users, in their order
    # (Q, E): made before, in the space of the channel; asked for in place of the histories
    embedded: FloatArray | None = None
    # songs that each said to like (`audiorec.listening.likes`), with times; None: not known
    likes: Sequences | None = None

    def __len__(self) -> int:
        return len(self.histories)

    @property
    def user_ids(self) -> tuple[str, ...]:
        """Length Q."""
        return self.histories.owner_ids

    def take(self, rows: Int64Array) -> "Queries":
        """Return some of the queries."""
        follows = None if self.follows is None else self.follows.take(rows)
        profiles = self.profiles
        if profiles is not None:
            profiles = profiles.for_users([profiles.user_ids[row] for row in rows.tolist()])
        embedded = None if self.embedded is None else self.embedded[rows]
        likes = None if self.likes is None else self.likes.take(rows)
        return Queries(self.histories.take(rows), follows, profiles, embedded, likes)


def _and_a_row_of_zeros(rows: FloatArray) -> FloatArray:
    return np.append(rows, np.zeros((1, rows.shape[1]), np.float32), axis=0)


def _classes(store: SearchableStore) -> dict[str, Int64Array]:
    """Return the number of each song's class by head, the one with the highest mean score."""
    if "mean" not in store.metadata.statistics:
        return {}
    scores = mean_scores(store)
    heads = np.array([name.partition("/")[0] for name in store.metadata.classes])
    return {
        str(head): scores[:, heads == head].argmax(axis=1).astype(np.int64)
        for head in dict.fromkeys(heads.tolist())
    }


def mask_of(song_ids: tuple[str, ...], wanted: tuple[str, ...]) -> BoolArray:
    """Return which songs are wanted, (S,) bool; ids that are not there are passed over."""
    mask = np.zeros(len(song_ids), np.bool_)
    rows = IdMap(song_ids).rows(wanted)
    mask[rows[rows >= 0]] = True
    return mask
