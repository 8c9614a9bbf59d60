"""Training data and queries of channels.

sequences, side information, vectors ──▶ `RecallData` ──Channel.fit──▶
histories of some users              ──▶ `Queries`    ──Channel.recall──▶ `Candidates`
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from audiorec.errors import InputError, ShapeError
from audiorec.listening.profiles import Profiles
from audiorec.listening.reading import Liked
from audiorec.listening.sequences import By, Sequences
from audiorec.listening.side import SongSide, Triples, entities_of_type
from audiorec.search.filters import mean_scores
from audiorec.search.searchable import SearchableStore
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.features import FeatureFile
from audiorec.store.store import VectorStore
from audiorec.types import (
    BoolArray,
    FloatArray,
    IdMap,
    Int64Array,
    normalised_name,
    rows_or_zeros,
    unit,
)


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Songs as unit vectors in one space, with their artists.

    Attributes
    ----------
    song_ids : tuple of str, length n
    units : ndarray, shape (n, W), float32
        Of length 1, or 0 where nothing is known; for comparing songs within this table.
    artists : tuple of str, length n
        Plain names (`audiorec.types.normalised_name`); empty where unknown.
    kinds : mapping of str to ndarray, shape (n,), int64
        The number of each song's class, by name of the head.
    features : FeatureFile, optional
        Features of the same songs by segment, for channels that learn from segments.
    values : ndarray, shape (n, V), float32
        The stored numbers of each song, 0 where nothing is known; models learn from these, since
        they do not depend on the other songs of the table. By default the units.
    made_by : str
        The extractor or model that made the values; a model refuses values of another one. Empty:
        unknown.
    store : VectorStore, optional
        Has the paths of the songs, for channels that read audio.
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
            raise ShapeError("units, values, artists and kinds must have one entry per song")

    @classmethod
    def of_store(cls, store: SearchableStore) -> "Sound":
        """Build from a store, with units in the space of ``audiorec similar``."""
        space = store.space("vector")
        artists = tuple(normalised_name(name) for name in store.column("artist").to_pylist())
        made = f"extractor {store.metadata.extractor_id}"
        values = np.asarray(store.vectors, np.float32)
        known = _classes(store)
        return cls(store.ids, space.matrix, artists, known, None, values, made, store)

    @classmethod
    def of_embeddings(cls, table: EmbeddingTable) -> "Sound":
        """Build from an ``embeddings.parquet`` of any model."""
        values = np.asarray(table.embeddings, np.float32)
        nobody = ("",) * len(values)
        made = f"model {table.model_id}"
        return cls(tuple(table.ids), unit(values), nobody, values=values, made_by=made)

    @classmethod
    def of_features(cls, file: FeatureFile, store: VectorStore | None = None) -> "Sound":
        """Build from a features file; the units are the standardised means of each song.

        Artists come from `store`.
        """
        means = file.means().astype(np.float64)
        spread = means.std(axis=0)
        units = unit((means - means.mean(axis=0)) / np.where(spread > 0, spread, 1))
        names: dict[str, str] = {}
        if store is not None:
            artists = store.column("artist").to_pylist()
            names = {i: normalised_name(name) for i, name in zip(store.ids, artists, strict=True)}
        ids = tuple(file.ids)
        known = tuple(names.get(name, "") for name in ids)
        made = f"features of extractor {file.extractor_id}"
        values = means.astype(np.float32)
        return cls(ids, units, known, {}, file, values, made, store)

    def with_artists(self, side: SongSide | None) -> "Sound":
        """Return a copy with artists from side information, if no artist is known."""
        if side is None or "artist" not in side.categories or any(self.artists):
            return self
        named = side.named("artist")
        artists = tuple(normalised_name(named.get(song)) for song in self.song_ids)
        return replace(self, artists=artists)

    def among(self, song_ids: tuple[str, ...]) -> "Sound":
        """Return the sound of the given songs, in order; zeros and no artist where unknown."""
        rows = IdMap(self.song_ids).rows(song_ids)
        units, values = (rows_or_zeros(a, rows) for a in (self.units, self.values))
        artists = (*self.artists, "")
        kinds = {name: np.append(codes, -1)[rows] for name, codes in self.kinds.items()}
        known = tuple(artists[row] for row in rows.tolist())
        made = (self.features, values, self.made_by, self.store)
        return Sound(song_ids, units, known, kinds, *made)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Context:
    """Information beside the play log; each part is optional.

    Attributes
    ----------
    sound : Sound, optional
        Vectors, features or embeddings of songs.
    side : SongSide, optional
        Side information of songs: artist, album, genre, language, categories and numbers.
    triples : Triples, optional
        Facts about songs, artists and other entities.
    profiles : Profiles, optional
        Profiles of users.
    favourites : Sequences, optional
        Songs that users marked as liked, with times; a like affects only later plays of its user.
    """

    sound: Sound | None = None
    side: SongSide | None = None
    triples: Triples | None = None
    profiles: Profiles | None = None
    favourites: Sequences | None = None

    @property
    def song_ids(self) -> tuple[str, ...]:
        """Sorted ids of all songs in `sound`, `side` or `triples`; any may be proposed."""
        sources = [s.song_ids for s in (self.sound, self.side) if s is not None]
        if self.triples is not None:
            sources.append(entities_of_type("song", self.triples))
        return tuple(sorted({song for ids in sources for song in ids}))

    def queries_of(
        self,
        histories: Sequences,
        follows: Sequences | None = None,
        likes: Sequences | None = None,
    ) -> "Queries":
        """Return queries from histories, with the profiles and likes of their users."""
        people = self.profiles
        known = None if people is None else people.for_users(histories.owner_ids)
        if likes is None and self.favourites is not None:
            likes = self.favourites.of_owners(histories.owner_ids)
        return Queries(histories, follows, known, likes=likes)


@dataclass(frozen=True, eq=False)
class RecallData:
    """Training data of a channel.

    Attributes
    ----------
    sequences : Sequences
        Finished plays of U users (or sessions, or lists), the oldest owner first if known:
        channels that weight by recency use this order where there are no times.
    new_songs : tuple of str
        Songs without a play that may be proposed as well.
    context : Context
    logs : tuple of str
        Fingerprints of the logs that the sequences come from; stored in the model, so that
        `audiorec.listening.forget` can name the models to retrain.
    disliked, heard : Sequences, optional
        If the sequences hold liked songs (`audiorec.listening.reading`): the songs that the same
        users dislike, and all songs that they played.
    simulated : bool
        Whether the log declares itself as simulated.
    by : {"user", "session", "list"}
        What each sequence is; stored in the model.
    """

    sequences: Sequences
    new_songs: tuple[str, ...] = ()
    context: Context = Context()
    logs: tuple[str, ...] = ()
    disliked: Sequences | None = None
    heard: Sequences | None = None
    simulated: bool = False
    by: By = "user"

    @classmethod
    def of_likes(
        cls,
        found: Liked,
        context: Context = Context(),
        *,
        logs: tuple[str, ...] = (),
        simulated: bool = False,
    ) -> "RecallData":
        """Build from liked songs, keeping disliked and heard songs beside them."""
        songs, liked = context.song_ids, found.liked
        return cls(liked, songs, context, logs, found.disliked, found.heard, simulated)

    @property
    def sound(self) -> Sound | None:
        """`Context.sound`."""
        return self.context.sound

    @cached_property
    def song_ids(self) -> tuple[str, ...]:
        """The catalogue of length S, sorted: played songs and new songs."""
        return tuple(sorted({*self.sequences.song_ids, *self.new_songs}))

    @cached_property
    def plays(self) -> Sequences:
        """The sequences, with songs numbered by `song_ids`."""
        return self.sequences.among(self.song_ids)

    @cached_property
    def counts(self) -> Int64Array:
        """Plays of each song: shape (S,), int64."""
        return np.bincount(self.plays.song, minlength=len(self.song_ids)).astype(np.int64)

    @property
    def is_cold(self) -> BoolArray:
        """Which songs were never played: shape (S,), bool."""
        return self.counts == 0

    @property
    def newest_play(self) -> float:
        """Time of the newest play, in seconds; NaN if no time is known."""
        return float(np.fmax.reduce(self.plays.time, initial=np.nan))

    def require_plays(self, channel: str) -> None:
        """Raise `InputError` if the data holds no play."""
        if not len(self.plays.song):
            raise InputError(f"{channel}: the log has no finished play to learn from")


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """Q users to recommend songs to."""

    histories: Sequences
    # artists that each user follows: `song_ids` holds their plain names
    follows: Sequences | None = None
    profiles: Profiles | None = None  # of the Q users, in their order
    # (Q, E): precomputed embeddings in the channel's space, used instead of the histories
    embedded: FloatArray | None = None
    # songs that each user marked as liked (`audiorec.listening.reading`), with times; None: unknown
    likes: Sequences | None = None

    def __len__(self) -> int:
        return len(self.histories)

    @property
    def user_ids(self) -> tuple[str, ...]:
        """User ids, length Q."""
        return self.histories.owner_ids

    def take(self, rows: Int64Array) -> "Queries":
        """Return the queries at the given rows."""
        follows = None if self.follows is None else self.follows.take(rows)
        profiles = self.profiles
        if profiles is not None:
            profiles = profiles.for_users([profiles.user_ids[row] for row in rows.tolist()])
        embedded = None if self.embedded is None else self.embedded[rows]
        likes = None if self.likes is None else self.likes.take(rows)
        return Queries(self.histories.take(rows), follows, profiles, embedded, likes)


def _classes(store: SearchableStore) -> dict[str, Int64Array]:
    """Return, by head, the class with the highest mean score of each song."""
    if "mean" not in store.metadata.statistics:
        return {}
    scores = mean_scores(store)
    heads = np.array([name.partition("/")[0] for name in store.metadata.classes])
    return {
        str(head): scores[:, heads == head].argmax(axis=1).astype(np.int64)
        for head in dict.fromkeys(heads.tolist())
    }


def mask_of(song_ids: tuple[str, ...], wanted: tuple[str, ...]) -> BoolArray:
    """Return a mask of the wanted songs, (S,) bool; unknown ids are ignored."""
    mask = np.zeros(len(song_ids), np.bool_)
    rows = IdMap(song_ids).rows(wanted)
    mask[rows[rows >= 0]] = True
    return mask
