"""Base class of channels that predict the next play: everything but the network.

    `Context` of a training ──SideEncoder.fit──▶ `SideEncoder` ──encode──▶ `SongFeatures`
    plays, context ──train_next_song──▶ a network ──as numpy──▶ queries of a history
    queries (Q, K, d), songs (S, d) ──largest cosine──▶ similarities

A subclass provides a recipe, a torch network for training, and the same forward pass in numpy for
inference. The embedding of a song without a play comes from its side information and sound.
"""

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, Unpack

import numpy as np

from audiorec.errors import InputError, WeightsError
from audiorec.learning.bundle import Bundle, texts_as_arrays, texts_of_arrays
from audiorec.learning.next_plays import (
    Favourites,
    NextPlays,
    NextSongRecipe,
    PlayBatch,
    SongFeatures,
    histories,
    no_features,
    side_embeddings,
)
from audiorec.listening.profiles import Encoder, no_profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.channel import FitRun, Tensors, Trained, nearest_played
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.contract.warm import JUDGED_ON_NEW, Start
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, unit

if TYPE_CHECKING:
    from audiorec.learning.next_model import NextSongModel

MIN_SONGS = 2  # songs that must share a value; rarer values count as unknown
MAX_DEVIATION = 5.0  # standard deviations
RELEASED = "released"
Texts = Mapping[str, list[str | None]]  # one value per song, by category


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SideEncoder:
    """Vocabulary and scaling with which side information and sound are encoded.

    Categories come from the side information; artists and head classes that it lacks come from the
    sound. Values of a single song carry no more information than its id and count as unknown.
    Numbers and sound are standardised over the songs that were played.

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

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each category, including that of unknown values."""
        return tuple(len(values) + 1 for values in self.categories.values())

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

    def grown(self, context: Context, song_ids: tuple[str, ...], played: BoolArray) -> Self:
        """Return the encoder of a training that goes on: new values of categories are added.

        Codes, scales and columns stay, since the weights were learnt with them. Raises `InputError`
        if the context lacks a category, or only one of the two has sound.
        """
        fresh = type(self).fit(context, song_ids, played)
        has_sound = context.sound is not None
        if has_sound != bool(self.sound_width):
            said = ("without", "with") if has_sound else ("with", "without")
            raise InputError(
                f"the model to go on from was trained {said[0]} sound, and this is {said[1]}: give "
                "the same `vectors`, or train without `start`"
            )
        there = _columns(context, song_ids[:1])[0]
        lost = [name for name in self.categories if name not in there]
        if lost:
            raise InputError(
                f"the model to go on from knows the {', '.join(lost)} of songs: give the same "
                "`side`, or train without `start`"
            )
        categories = {
            name: tuple(dict.fromkeys((*values, *fresh.categories.get(name, ()))))
            for name, values in self.categories.items()
        }
        return replace(self, categories=categories)

    def encode(self, context: Context, song_ids: tuple[str, ...]) -> SongFeatures:
        """Return the features of any songs; values unseen in training are encoded as unknown.

        Raises `InputError` if the sound has another width or `made_by` than in training.
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
            sizes=self.sizes,
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
            state = cls(
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
        if state.mean.shape != state.scale.shape or state.sound_width < 0:
            raise WeightsError("invalid song facts: numbers of columns disagree")
        return state

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
        side = context.side.among(song_ids)
        texts = {name: category.texts() for name, category in side.categories.items()}
        numbers = {**side.numbers, RELEASED: side.released}
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
    number = {value: index + 1 for index, value in enumerate(values)}
    return np.array([0 if t is None else number.get(t, 0) for t in texts], np.int64)


ROWS = 1_024  # histories per batch
EVIDENCE_FROM = 50  # newest songs of a history that may become evidence
NET = "net."  # prefix of the network's tensors in a bundle
JUDGED_ON = "the newest part of the listening, by full rank; it chose the number of epochs"
R = TypeVar("R", bound=NextSongRecipe)


class NextSong(SharedSpace, Generic[R]):
    """A channel whose network reads plays in order.

    Attributes
    ----------
    Recipe : type
        A `NextSongRecipe` with a default for every field.
    weights : mapping of str to ndarray
        Weights of the network without its song tables.
    songs, proposed : ndarray, shape (S, d), float32
        Input embeddings of songs; output embeddings, of length 1 (0: never proposed).
    """

    serves = frozenset({"history", "cold_song"})
    goes_on = together = needs_torch = True
    Recipe: ClassVar[type]
    weights: Mapping[str, Any]
    songs: FloatArray
    proposed: FloatArray
    side: Mapping[str, Any]

    def __init__(self, recipe: R | None = None) -> None:
        self.recipe: R = self.Recipe() if recipe is None else recipe

    @abstractmethod
    def _network(self, features: SongFeatures, plays: NextPlays) -> "NextSongModel":
        """Build the untrained torch network."""

    @abstractmethod
    def _queries(self, batch: PlayBatch) -> FloatArray:
        """Compute the query vectors after each history in numpy, from `weights` and `songs`.

        Shape (B, d) or (B, K, d), of any length; a missing interest is 0. Every history has at
        least one play, and every song in it has an embedding.
        """

    def _fit(self, data: RecallData, *, start: Start | None = None, **run: Unpack[FitRun]) -> None:
        from audiorec.learning.next_song import arrays_of, train_next_song
        from audiorec.learning.processes import join_processes

        played = ~self.is_cold
        self.facts = self._facts(data, start)
        features = self.facts.encode(data.context, data.song_ids)
        plays = self._plays_learnt(data, start)

        def network() -> "NextSongModel":
            made = self._network(features, plays)
            if start is not None:
                made.take(_first_state(start, arrays_of(made), features))
            return made

        with join_processes() as processes:
            trained = train_next_song(
                network,
                plays,
                self.recipe if start is None else start.recipe(self.recipe),
                data=_digest(features, "" if start is None else start.digest),
                warm=start is not None,
                is_new=None if start is None else start.is_new,
                **run,
                processes=processes,
            )
        if not trained.finished:  # stopped: the channel stays unfitted
            self.song_ids = ()
            return
        judged_on = JUDGED_ON if start is None else JUDGED_ON_NEW
        self.trained = Trained.of(trained, judged_on=judged_on)
        state = arrays_of(trained.learner.model)
        self._take(state, features, played)

    def _facts(self, data: RecallData, start: Start | None) -> SideEncoder:
        played = ~data.is_cold
        if start is None:
            return SideEncoder.fit(data.context, data.song_ids, played)
        if not self.recipe.shared_table:
            raise InputError(f"{self.name}: has no warm start with shared_table = false")
        return start.channel.facts.grown(data.context, data.song_ids, played)

    def _plays_learnt(self, data: RecallData, start: Start | None = None) -> NextPlays:
        profiles = data.context.profiles
        known = no_profiles(()) if profiles is None else profiles
        owners = known.for_users(data.plays.owner_ids)
        self.encoder = Encoder.fit(owners) if start is None else start.channel.encoder
        plays = self._next_plays(data.plays, self.encoder.encode(owners))
        return _with_favourites(plays, data.plays, data.context.favourites)

    def _next_plays(self, plays: Sequences, profile: FloatArray) -> NextPlays:
        return _next_plays(plays, profile)

    def _take(self, state: Mapping[str, Any], features: SongFeatures, played: BoolArray) -> None:
        """Set the inference arrays from the state of a trained network."""
        tables = {}
        for name in ("table", "output"):
            own = {
                n.removeprefix(f"{name}."): a for n, a in state.items() if n.startswith(f"{name}.")
            }
            if own:
                side = side_embeddings(features, own)
                ids = np.where(played[:, None], own["ids"], 0).astype(np.float32)
                tables[name] = ids + side if side.shape[1] else ids
                if name == "output" or self.recipe.shared_table:
                    self.side = {n: own[n] for n in ("values", "project.weight") if n in own}
        self.songs = tables["table"]
        self.proposed = unit(tables.get("output", self.songs))
        self.weights = {n: a for n, a in state.items() if not n.startswith(("table.", "output."))}

    def embed_users(self, queries: Queries) -> FloatArray:
        """Embed histories; with several interests, use the first. See `SharedSpace`."""
        return self.interests(queries)[:, 0]

    def interests(self, queries: Queries) -> FloatArray:
        """Return the interests of each history, (Q, K, d) of length 1; 0 where there is none."""
        result = np.zeros((len(queries), 1, self.songs.shape[1]), np.float32)
        for rows, batch in self.batches(queries):
            part = self._queries(batch)
            part = part[:, None] if part.ndim == 2 else part
            if part.shape[1] > result.shape[1]:
                result = np.zeros((len(result), *part.shape[1:]), np.float32)
            result[rows] = unit(part)
        return result

    def batches(self, queries: Queries) -> Iterator[tuple[Int64Array, PlayBatch]]:
        """Yield batches of non-empty histories of similar length, with their query rows."""
        histories_of = queries.histories.among(self.song_ids)
        histories_of = histories_of.keep(np.asarray(self.songs[histories_of.song].any(axis=1)))
        known = queries.profiles or no_profiles(queries.user_ids)
        plays = self._next_plays(histories_of, self.encoder.encode(known))
        plays = _with_favourites(plays, histories_of, queries.likes)
        asked = np.flatnonzero(plays.lengths)
        asked = asked[np.argsort(plays.lengths[asked], kind="stable")]  # less padding per batch
        for first in range(0, len(asked), ROWS):
            rows = asked[first : first + ROWS]
            yield rows, histories(plays, rows, plays.starts[rows + 1], self.recipe.longest)

    def song_embeddings(self) -> FloatArray:
        """Return the embeddings of the catalogue, of length 1; see `SharedSpace`."""
        return self.proposed

    def embed_sound(self, sound: Sound) -> FloatArray:
        """Embed songs by sound, artist and classes; see `SharedSpace`."""
        self.refuse_sound(self.facts.sound_width, sound.values.shape[1])
        features = self.facts.encode(Context(sound=sound), sound.song_ids)
        result = unit(side_embeddings(features, self.side))
        return np.where(sound.values.any(axis=1, keepdims=True), result, 0).astype(np.float32)

    def _similarities(self, queries: Queries) -> FloatArray:
        interests = self.interests(queries)
        similarities = self.similarities(interests[:, 0])
        for number in range(1, interests.shape[1]):
            np.maximum(similarities, self.similarities(interests[:, number]), out=similarities)
        return similarities

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return, for each song, the most similar of the newest songs of the history."""
        newest = histories.newest(EVIDENCE_FROM)
        newest = newest.keep(np.asarray(self.proposed[newest.song].any(axis=1)))
        return nearest_played(newest, song, self.proposed)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors, facts = self.facts.state()
        tensors |= {f"{NET}{name}": array for name, array in self.weights.items()}
        tensors |= {f"side.{name}": array for name, array in self.side.items()}
        tensors["songs"] = self.songs
        if not self.recipe.shared_table:
            tensors["proposed"] = self.proposed
        config = {
            "recipe": json.loads(json.dumps(asdict(self.recipe))),
            "facts": facts,
            "profiles": self.encoder.to_json(),
        }
        return tensors, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        config, tensors = bundle.config, bundle.tensors
        channel = cls(cls.Recipe(**config["recipe"]))
        channel.facts = SideEncoder.of_state(tensors, config["facts"])
        channel.encoder = Encoder.from_json(config["profiles"])
        channel.songs = tensors["songs"]
        channel.proposed = tensors.get("proposed", unit(tensors["songs"]))
        channel.weights = _below(tensors, NET)
        channel.side = _below(tensors, "side.")
        return channel


def _next_plays(plays: Sequences, profile: FloatArray) -> NextPlays:
    return NextPlays(
        starts=plays.starts,
        song=plays.song.astype(np.int64),
        time=plays.time,
        n_songs=len(plays.song_ids),
        profile=profile,
    )


def _with_favourites(plays: NextPlays, of: Sequences, liked: Sequences | None) -> NextPlays:
    """Add the liked songs of the users that are in the catalogue."""
    if liked is None:
        return plays
    own = liked.of_owners(of.owner_ids).among(of.song_ids)
    result = Favourites(starts=own.starts, song=own.song.astype(np.int64), time=own.time)
    return replace(plays, favourites=result)


def _below(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {n.removeprefix(prefix): a for n, a in tensors.items() if n.startswith(prefix)}


def _first_state(
    start: Start, fresh: Mapping[str, FloatArray], features: SongFeatures
) -> dict[str, FloatArray]:
    """Return the arrays with which a network begins where a trained channel ended.

    Songs that it has learnt keep their embeddings, even if their side information has changed; new
    ones are placed by their side information, or by the `fresh` numbers of a new network.
    """
    older: NextSong[Any] = start.channel
    state: dict[str, FloatArray] = dict(older.weights)
    ids, known = fresh["table.ids"], features.known[:, None]
    placed: FloatArray = np.zeros_like(ids)
    if "values" in older.side:
        values, first, place = fresh["table.values"].copy(), 0, 0
        for size, was in zip(features.sizes, older.facts.sizes, strict=True):
            values[place : place + was] = older.side["values"][first : first + was]
            first, place = first + was, place + size
        state["table.values"] = values
    if "project.weight" in older.side:
        state["table.project.weight"] = older.side["project.weight"]
        below = {n.removeprefix("table."): a for n, a in state.items() if n.startswith("table.")}
        placed = side_embeddings(features, below)
    learnt = start.rows(older.songs) - placed
    state["table.ids"] = np.where(start.learnt[:, None], learnt, np.where(known, 0, ids))
    return state


def _digest(features: SongFeatures, start: str = "") -> str:
    import hashlib

    digest = hashlib.sha256(f"{features.sizes}{start}".encode())
    digest.update(features.codes.tobytes())
    digest.update(features.dense.tobytes())
    return digest.hexdigest()[:16]
