"""User-audio as a channel: songs by their sound, in the space of those who listen.

    who played what ──factors──▶ users (U, E)          or a ``users.parquet`` that is given
    sound of songs  ──tower────▶ songs (S, E)          near the users who play them
    history         ──tastes───▶ one user (E,) ──cosine──▶ all songs, new ones included

A bundle holds no users: a history becomes a user by what its songs say of their listeners. A song
of a history that nobody else played speaks by its sound.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any, Self

import numpy as np

from audiorec.errors import InputError, SpecMismatchError, WeightsError
from audiorec.learning.bundle import Bundle
from audiorec.learning.factors import factorise
from audiorec.listening.sequences import Sequences
from audiorec.recall.audio.data import Anchors, Material, make_material
from audiorec.recall.audio.held_out import Split, SplitPart, artist_groups, assign_parts
from audiorec.recall.audio.model import EMBEDDING, Embedder, TowerSpec
from audiorec.recall.audio.nearest import sound_of
from audiorec.recall.audio.recipe import MAX_SEGMENTS, MetricRecipe
from audiorec.recall.contract.channel import Tensors
from audiorec.recall.contract.data import Queries, RecallData, Sound
from audiorec.recall.contract.space import SharedSpace
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.segments import SongSegments
from audiorec.types import BoolArray, FloatArray, Int64Array, LineProgress, Pairs

TOWER = "tower."  # of names in a bundle
EVIDENCE_FROM = 50  # newest songs of a history, among which evidence is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAudioRecipe:
    """How users and songs come into one space.

    Attributes
    ----------
    users : str
        A ``users.parquet`` with the owners of the sequences; empty: factors of who played what.
    embedding : int
        Numbers in an embedding, where users are not given.
    hidden : int
        Units of the tower's small network; 0 for the linear part alone.
    valid : float
        Part of the artists that is not learnt from, and says when to stop.
    max_epochs, patience : int
        0 epochs: the closed-form map alone.
    batch_size : int
        Pairs in a step.
    seed : int
        Of everything that is drawn.
    """

    users: str = ""
    embedding: int = EMBEDDING
    hidden: int = 64
    valid: float = 0.1
    max_epochs: int = 40
    patience: int = 5
    batch_size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        self.training()
        Split(valid=self.valid)
        TowerSpec(inputs=(), width=1, embedding=self.embedding, hidden=self.hidden)

    def training(self) -> MetricRecipe:
        """Return what the trainer is told."""
        names = ("max_epochs", "patience", "batch_size", "seed")
        return MetricRecipe(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Audible:
    """The songs of a catalogue that can be heard."""

    rows: Int64Array  # (n,): in the catalogue
    songs: SongSegments
    inputs: tuple[str, ...]
    extractor_id: str  # empty for vectors


class UserAudio(SharedSpace):
    """Songs whose sound lies near those who listen as the user does, new ones included."""

    name = "user-audio"
    Recipe = UserAudioRecipe

    def __init__(self, recipe: UserAudioRecipe | None = None) -> None:
        self.recipe = recipe or UserAudioRecipe()

    def _fit(
        self,
        data: RecallData,
        *,
        work: Path | None,
        progress: LineProgress | None,
        stop: Event | None,
    ) -> None:
        from audiorec.learning.torch_use import import_torch

        import_torch("training user-audio")
        heard = _heard(sound_of(data, self.name))
        material, users, space = _material(data, heard, self.recipe)
        found = _train(material, heard, self.recipe, work, progress, stop)
        if found is None:  # stopped: there is nothing to answer with
            self.song_ids = ()
            return
        self.spec, self.tower = found
        self.extractor_id, self.space = heard.extractor_id, space
        self.songs = np.zeros((len(data.song_ids), users.shape[1]), np.float32)
        self.songs[heard.rows] = self.embed(heard.songs)
        self.tastes = _tastes(data, users, self.songs)

    def embed(self, songs: SongSegments) -> FloatArray:
        """Return the embeddings of any songs, (n, E) float32 of length 1, by their segments."""
        return Embedder(self.spec, self.tower).embed(songs)

    def embed_users(self, queries: Queries) -> FloatArray:
        """Embed histories: the mean of what its songs say of their listeners; see `SharedSpace`."""
        histories = queries.histories.among(self.song_ids)
        n_songs = max(1, len(self.song_ids))
        owner, song = np.divmod(np.unique(histories.owner * n_songs + histories.song), n_songs)
        sums = np.zeros((len(histories), self.tastes.shape[1]))
        np.add.at(sums, owner, self.tastes[song].astype(np.float64))
        return _unit(sums.astype(np.float32))

    def song_embeddings(self) -> FloatArray:
        """Return the embeddings of the catalogue; see `SharedSpace`."""
        return self.songs

    def embed_sound(self, sound: Sound) -> FloatArray:
        """Place any songs; see `SharedSpace`. Features must be of the training's extractor."""
        heard = _heard(sound)
        if heard.extractor_id != self.extractor_id:
            learnt, given = map(_sound_in_words, (self.extractor_id, heard.extractor_id))
            raise SpecMismatchError(f"{self.name}: learnt from {learnt}, given are {given}")
        self.refuse_sound(self.spec.width, heard.songs.values.shape[1])
        found = np.zeros((len(sound.song_ids), self.spec.embedding), np.float32)
        if len(heard.rows):
            found[heard.rows] = self.embed(heard.songs)
        return found

    def _similarities(self, queries: Queries) -> FloatArray:
        users = self.embed_users(queries)
        found = (users @ self.songs.T).astype(np.float32)
        found[~_known(users)] = -np.inf
        found[:, ~_known(self.songs)] = -np.inf
        return found

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the song of the newest that sounds most like each, to the users' ears."""
        found = np.full(song.shape, -1, np.int64)
        histories = histories.newest(EVIDENCE_FROM)
        histories = histories.keep(_known(self.songs)[histories.song])
        for row in np.flatnonzero(histories.lengths).tolist():
            own, there = histories[row], song[row] >= 0
            near = self.songs[song[row, there]] @ self.songs[own].T
            found[row, there] = own[near.argmax(axis=1)]
        return found

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors = {f"{TOWER}{name}": array for name, array in self.tower.items()}
        recipe = {name: value for name, value in asdict(self.recipe).items() if name != "users"}
        made = {"extractor_id": self.extractor_id, "space": self.space}
        config = {"recipe": recipe, "tower": asdict(self.spec), **made}
        return {**tensors, "songs": self.songs, "tastes": self.tastes}, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        config, tensors = bundle.config, bundle.tensors
        try:
            channel = cls(UserAudioRecipe(**config["recipe"]))
            channel.spec = TowerSpec.from_dict(config["tower"])
            channel.extractor_id, channel.space = map(
                str, (config["extractor_id"], config["space"])
            )
            channel.songs, channel.tastes = tensors["songs"], tensors["tastes"]
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise WeightsError(f"not a sound user-audio model: {error!r}") from error
        channel.tower = {
            name.removeprefix(TOWER): a for name, a in tensors.items() if name.startswith(TOWER)
        }
        Embedder(channel.spec, channel.tower)
        return channel


def _sound_in_words(extractor_id: str) -> str:
    return f"features of extractor {extractor_id}" if extractor_id else "vectors of a store"


def _heard(sound: Sound) -> _Audible:
    """Return the segments of the songs that have some: of features, else one vector a song."""
    if sound.features is None:
        rows = np.flatnonzero(sound.units.any(axis=1))
        ids = tuple(sound.song_ids[row] for row in rows.tolist())
        songs = SongSegments(ids, sound.units[rows], np.arange(len(rows) + 1))
        return _Audible(rows=rows, songs=songs, inputs=("vector",), extractor_id="")
    file = sound.features
    row_of = {name: row for row, name in enumerate(sound.song_ids)}
    chosen = np.array([n for n, name in enumerate(file.ids) if name in row_of], np.int64)
    songs = file.read(chosen, max_segments=MAX_SEGMENTS)
    rows = np.array([row_of[name] for name in songs.song_ids], np.int64)
    return _Audible(rows=rows, songs=songs, inputs=file.inputs, extractor_id=file.extractor_id)


def _material(
    data: RecallData, heard: _Audible, recipe: UserAudioRecipe
) -> tuple[Material, FloatArray, str]:
    """Return what the tower learns from, the users (U, E), and the space that they come from."""
    sound = data.sound
    assert sound is not None  # noqa: S101 - `sound_of` refused it
    artists = sound.among(heard.songs.song_ids).artists
    groups = artist_groups(heard.songs.song_ids, artists)
    parts = assign_parts(heard.songs.song_ids, groups, Split(valid=recipe.valid, seed=recipe.seed))
    pairs = _pairs(data.plays)
    judged_on = np.zeros(len(data.song_ids), np.bool_)
    judged_on[heard.rows[parts == SplitPart.VALID]] = True
    users, space = _users(data, pairs.take(~judged_on[pairs.song]), recipe)
    place = np.full(len(data.song_ids), -1, np.int32)
    place[heard.rows] = np.arange(len(heard.rows))
    usable = (place[pairs.song] >= 0) & _known(users)[pairs.user]
    liked = pairs.take(usable)
    liked = replace(liked, song=place[liked.song])
    sides = {"liked": liked, "disliked": liked.take(np.zeros(0, np.int64)), "heard": liked}
    anchors = Anchors(ids=data.plays.owner_ids, embeddings=users, space=space)
    material = make_material(
        anchors, sides, heard.songs, groups, parts, dimension=users.shape[1], seed=recipe.seed
    )
    return material, users, space


def _users(data: RecallData, pairs: Pairs, recipe: UserAudioRecipe) -> tuple[FloatArray, str]:
    """Return an embedding of each owner, zeros where there is none, and who made it.

    Factors do not see the songs that say when to stop: they would tell the answer.
    """
    owners = data.plays.owner_ids
    if not recipe.users:
        if not len(pairs):
            raise InputError("user-audio: no play is left to learn from")
        sizes = (len(owners), len(data.song_ids))
        return factorise(pairs, *sizes, dimension=recipe.embedding, seed=recipe.seed), ""
    table = EmbeddingTable.open(recipe.users, kind="users")
    rows = table.row_numbers(list(owners))
    if not (rows >= 0).any():
        raise InputError(f"{table.path}: holds none of the log's users, as {owners[0]!r}")
    found = np.where((rows >= 0)[:, None], table.embeddings[rows], 0).astype(np.float32)
    return _unit(found), table.metadata.space or table.model_id


def _train(
    material: Material,
    heard: _Audible,
    recipe: UserAudioRecipe,
    work: Path | None,
    progress: LineProgress | None,
    stop: Event | None,
) -> tuple[TowerSpec, Mapping[str, Any]] | None:
    """Return the form of the tower and its weights, or None if it was stopped."""
    import torch

    from audiorec.recall.audio.inputs import start
    from audiorec.recall.audio.tower import Tower
    from audiorec.recall.audio.trainer import train_tower

    anchors = material.data.anchors
    assert anchors is not None  # noqa: S101 - users are made before
    spec = TowerSpec(
        inputs=heard.inputs,
        width=heard.songs.values.shape[1],
        embedding=anchors.shape[1],
        hidden=recipe.hidden,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        tower = Tower(spec)
    training = recipe.training()
    start(tower, material.data.songs.means(), material.data, training)
    trained = train_tower(
        tower,
        material.data,
        training,
        judge=material.judge if material.panel is not None else None,
        checkpoint=None if work is None else work / "training.safetensors",
        fingerprint=f"{material.fingerprint} {recipe}",
        progress=progress,
        stop=stop,
    )
    if not trained.finished:
        return None
    return spec, {name: tensor.numpy() for name, tensor in trained.tower.state_dict().items()}


def _tastes(data: RecallData, users: FloatArray, songs: FloatArray) -> FloatArray:
    """Return what each song says of who plays it, (S, E): the mean of its listeners.

    Rare songs say more; a song without listeners says what its sound says.
    """
    pairs = _pairs(data.plays)
    pairs = pairs.take(_known(users)[pairs.user])
    n_songs, n_users = len(data.song_ids), len(users)
    sums = np.zeros((n_songs, users.shape[1]))
    np.add.at(sums, pairs.song, users[pairs.user].astype(np.float64))
    listeners = np.bincount(pairs.song, minlength=n_songs)
    rarity = np.log((n_users + 1) / np.maximum(listeners, 1))
    found = sums / np.maximum(listeners, 1)[:, None] * rarity[:, None]
    known: BoolArray = listeners > 0
    typical = float(np.median(np.linalg.norm(found[known], axis=1))) if known.any() else 1.0
    return np.where(known[:, None], found, songs * typical).astype(np.float32)


def _pairs(plays: Sequences) -> Pairs:
    """Return who played what, each pair once."""
    n_songs = max(1, len(plays.song_ids))
    key, times = np.unique(plays.owner * n_songs + plays.song, return_counts=True)
    user, song = np.divmod(key, n_songs)
    never = np.full(len(key), np.nan)
    return Pairs(user.astype(np.int32), song.astype(np.int32), times.astype(np.float32), never)


def _known(rows: FloatArray) -> BoolArray:
    return np.asarray(rows.any(axis=1), np.bool_)


def _unit(rows: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
