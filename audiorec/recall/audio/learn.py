"""Train a tower from listening and sound, and the users in whose space it places songs.

    `RecallData`, recipe, `SongInputs` ──train_on_listening──▶ `TowerTraining`; None if stopped

There are two trainings, see `audiorec.learning.fit`: the first holds out some artists to choose
the number of epochs, the second trains on these artists too. Artists and songs of the recipe's
`test` and `new_songs` are in neither: neither their sound nor their plays.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch

from audiorec.errors import InputError
from audiorec.learning.fit import Phase, log_epochs
from audiorec.recall.audio.data import (
    Anchors,
    Material,
    TrainingData,
    make_material,
    renumbered,
    verdict_pairs,
)
from audiorec.recall.audio.held_out import Parts, SplitPart, parts_of_known, song_groups
from audiorec.recall.audio.inputs import SongInputs
from audiorec.recall.audio.model import MIN_SCALE, TowerSpec, UserAudioRecipe, factorise, fit_map
from audiorec.recall.audio.trainer import (
    AudioTower,
    EndToEndTower,
    Tower,
    TowerInputs,
    TrainedTower,
    song_means,
    train_twice,
)
from audiorec.recall.contract.data import RecallData
from audiorec.recall.contract.warm import Start
from audiorec.spec import fingerprint
from audiorec.store.embeddings import EmbeddingTable
from audiorec.tagger.backbone_torch import HIDDEN, load_network
from audiorec.tagger.weights import MSD, weights_path
from audiorec.types import BoolArray, FloatArray, Int64Array, LineProgress, Pairs, unit

METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TowerTraining:
    """Result of a training."""

    tower: AudioTower
    users: FloatArray  # (U, E): of the sequences' owners, of length 1, or 0 if unknown
    space: str  # the model that made the users; empty if made here
    kept: Pairs  # likes of training songs, in rows of the catalogue
    counts: Mapping[str, int]
    figures: Mapping[str, Any]  # AUC by user on the panel's artists, None without one


def train_on_listening(
    data: RecallData,
    hearing: SongInputs,
    recipe: UserAudioRecipe,
    *,
    start: Start | None = None,
    work: Path | None = None,
    progress: LineProgress | None = None,
    stop: Event | None = None,
) -> TowerTraining | None:
    """Train a tower; `hearing` has the songs of the catalogue, in its order.

    A training can go on from the tower of `start`, which has learnt from the held-out artists as
    well: nothing is judged, and its number of epochs decides for how many it is trained.

    Raises `InputError` if there is nothing to train on, or users, songs and log do not match.
    """
    if start is not None:
        best = int(start.channel.figures["best_epoch"])
        recipe = start.recipe(replace(recipe, max_epochs=best))
    course = _Course(data, hearing, recipe, start)
    first = course.material("choose" if start is None else "refit")
    identity = {
        "data": first.fingerprint,
        "plays": course.digest,
        "recipe": recipe.to_dict(),
        "tower": MSD.sha256 if recipe.end_to_end else "",
    }
    identity |= {} if start is None else {"start": start.digest}
    tell = progress if work is None else log_epochs(work / METRICS_FILE, progress)
    given: dict[str, Any] = {"fingerprint": fingerprint(identity), "tell": tell, "stop": stop}
    trained = train_twice(
        lambda phase: course.lesson(first if phase == "choose" else course.material(phase)),
        recipe,
        choose=start is None and first.panel is not None,
        goes_on=start is not None,
        work=work,
        **given,
    )
    return course.learnt(trained) if trained.finished else None


class _Course:
    """The songs in memory, and their likes, for both trainings."""

    def __init__(
        self,
        data: RecallData,
        hearing: SongInputs,
        recipe: UserAudioRecipe,
        start: Start | None,
    ) -> None:
        self.data, self.recipe, self.inputs = data, recipe, hearing.inputs
        self.start = start
        ids = data.song_ids
        self.groups = song_groups(ids, data.context)
        self.parts = parts_of_known(ids, self.groups, recipe.split, hearing.known)
        self.sides = verdict_pairs(data)
        parts = self.parts
        wanted = hearing.known & ((parts == SplitPart.TRAIN) | (parts == SplitPart.VALID))
        if recipe.end_to_end:  # do not decode songs that nobody heard
            wanted &= np.bincount(self.sides["heard"].song, minlength=len(ids)) > 0
        if not wanted.any():
            raise InputError(
                "user-audio: no song is left to train on: all belong to held-out artists"
            )
        rows, self.songs = hearing.load(np.flatnonzero(wanted), recipe.max_segments)
        self.rows: Int64Array = rows
        self.table = _table_of(data, recipe) if recipe.users else None
        self.judged = (0, 0)  # users and songs of the panel

    @property
    def digest(self) -> str:
        """Hash of all plays."""
        digest = hashlib.sha256("\0".join(self.data.song_ids).encode("utf-8", "surrogatepass"))
        for pairs in self.sides.values():
            digest.update(pairs.user.tobytes() + pairs.song.tobytes())
        return digest.hexdigest()[:16]

    def material(self, phase: Phase) -> Material:
        """Return the training data of a phase, and its panel."""
        parts = self.parts
        if phase == "refit":
            parts = np.where(parts == SplitPart.VALID, SplitPart.TRAIN, parts).astype(np.int8)
        place = np.full(len(self.data.song_ids), -1, np.int64)
        place[self.rows] = np.arange(len(self.rows))
        anchors = self.users(parts)
        known = np.asarray(anchors.embeddings.any(axis=1), np.bool_)
        pairs = {n: renumbered(p, song=place) for n, p in self.sides.items()}
        pairs = {n: p.take(known[p.user]) for n, p in pairs.items()}
        groups = tuple(self.groups[row] for row in self.rows.tolist())
        result = make_material(
            anchors,
            pairs,
            self.songs,
            groups,
            parts[self.rows],
            seed=self.recipe.split_seed,
        )
        if phase == "choose":
            people = 0 if result.panel is None else len(result.panel.users)
            self.judged = (people, len(result.panel_songs))
        self.anchors, self.counts = anchors, _counts(result)  # finally those of the last phase
        return result

    def users(self, parts: Parts) -> Anchors:
        """Return the owners of the sequences, with given or factorised embeddings.

        Factors are computed without held-out songs, which would leak the answer.
        """
        ids = self.data.plays.owner_ids
        space = "" if self.table is None else self.table[1]
        if self.start is not None and self.start.channel.space != space:
            own = "the log's users"
            raise InputError(
                "user-audio: the model to go on from is in the space of "
                f"{self.start.channel.space or own}, and this is that of {space or own}: give "
                "`users` of the same model, or train without `start`"
            )
        if self.table is not None:
            return Anchors(ids=ids, embeddings=self.table[0], space=space)
        pairs = self.sides["liked"]
        pairs = pairs.take(parts[pairs.song] == SplitPart.TRAIN)
        if not len(pairs):
            raise InputError("user-audio: no play is left to train on")
        sizes, recipe = (len(ids), len(self.data.song_ids)), self.recipe
        result = factorise(pairs, *sizes, dimension=recipe.embedding, seed=recipe.seed)
        if self.start is not None:
            result = turned(result, pairs, self.start)
        return Anchors(ids=ids, embeddings=result)

    def lesson(self, material: Material) -> TowerInputs:
        """Build an untrained tower and initialise it from the data."""
        recipe, data = self.recipe, material.data
        judge = material.judge if material.panel is not None else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            network = load_network(weights_path(MSD.name)) if recipe.end_to_end else None
            spec = TowerSpec(
                inputs=self.inputs,
                width=HIDDEN if recipe.end_to_end else self.songs.values.shape[1],
                embedding=data.anchors.shape[1],
                hidden=recipe.hidden,
                pooling=recipe.pooling,
            )
            plain, tower = Tower(spec), None
            if network is not None:
                tower = EndToEndTower(network, plain)
        if self.start is not None:
            made = plain if tower is None else tower
            _take(made, self.start.channel)
            return TowerInputs(made, data)
        if tower is None:
            initialise(plain, data.songs.means(), data, recipe)
            return TowerInputs(plain, data, judge)
        values, offsets = data.songs.values, data.songs.offsets
        means = song_means(tower, values, offsets, device=recipe.device).numpy()
        initialise(tower, means, data, recipe)
        return TowerInputs(tower, data, judge)

    def learnt(self, trained: TrainedTower) -> TowerTraining:
        """Return the result of the training."""
        users = self.anchors.embeddings
        liked = self.sides["liked"]
        usable = (self.parts == SplitPart.TRAIN) | (self.parts == SplitPart.VALID)
        lines = {line["epoch"]: line for line in trained.history if line.get("phase") != "refit"}
        chosen = lines.get(trained.best_epoch, {})
        figures: dict[str, Any] = {
            "auc": chosen.get("auc"),
            "auc_at_start": lines.get(0, {}).get("auc"),
            "best_epoch": trained.best_epoch,
            "epochs": max(lines, default=trained.best_epoch),
            "users": self.judged[0],
            "songs": self.judged[1],
        }
        if self.start is not None:  # nothing was judged
            figures = dict(self.start.channel.figures)
        nobody = int((~users.any(axis=1)).sum())
        return TowerTraining(
            tower=trained.tower,
            users=users,
            space=self.anchors.space,
            kept=liked.take(usable[liked.song]),
            counts={**self.counts, "users_without_embedding": nobody},
            figures=figures,
        )


def initialise(
    tower: AudioTower, means: FloatArray, data: TrainingData, recipe: UserAudioRecipe
) -> None:
    """Set a tower's standardisation and, where there are users, its closed-form map.

    `means` (S, D) are of all songs; only training songs are used.
    """
    known = means[data.pool].astype(np.float64)
    mean, scale = known.mean(0), np.maximum(known.std(0), MIN_SCALE)
    weights = None
    if recipe.start == "ridge":
        standard = ((means - mean) / scale).astype(np.float32)
        result = fit_map(unit(data.anchors), data.liked, standard, data.groups, recipe.ridge)
        weights = torch.from_numpy(result)
    first, second = (torch.from_numpy(a.astype(np.float32)) for a in (mean, scale))
    tower.start_from(first, second, weights)


def turned(users: FloatArray, pairs: Pairs, start: Start) -> FloatArray:
    """Return factors of users (U, E), turned into the space of the channel to go on from.

    The factors of every day have other axes. The rotation brings the tastes of the songs that both
    know as near as possible to each other (Procrustes).
    """
    today = tastes(pairs, users, np.zeros((len(start.row), users.shape[1]), np.float32))
    both = start.learnt & today.any(axis=1)
    older = start.rows(start.channel.tastes)[both]
    left, _, right = np.linalg.svd(today[both].T.astype(np.float64) @ older)
    return (users @ (left @ right)).astype(np.float32)


def tastes(pairs: Pairs, users: FloatArray, songs: FloatArray) -> FloatArray:
    """Return each song's taste, (S, E): the mean embedding of its listeners.

    Tastes of rare songs are longer; songs without listeners use their sound embedding.
    """
    known = np.asarray(users.any(axis=1), np.bool_)
    pairs = pairs.take(known[pairs.user])
    n_songs, n_users = len(songs), len(users)
    sums = np.zeros((n_songs, users.shape[1]))
    np.add.at(sums, pairs.song, users[pairs.user].astype(np.float64))
    listeners = np.bincount(pairs.song, minlength=n_songs)
    rarity = np.log((n_users + 1) / np.maximum(listeners, 1))
    result = sums / np.maximum(listeners, 1)[:, None] * rarity[:, None]
    heard: BoolArray = listeners > 0
    typical = float(np.median(np.linalg.norm(result[heard], axis=1))) if heard.any() else 1.0
    return np.where(heard[:, None], result, songs * typical).astype(np.float32)


def _take(tower: AudioTower, older: Any) -> None:
    """Take over the weights of a trained channel; raise `InputError` if they do not fit."""
    if older.spec != tower.spec:
        raise InputError(
            f"user-audio: the model to go on from reads {older.spec.width} numbers of "
            f"{', '.join(older.spec.inputs) or 'audio'}, and this is {tower.spec.width} of "
            f"{', '.join(tower.spec.inputs) or 'audio'}: give the same `vectors`, or "
            "train without `start`"
        )
    tower.load_state_dict({n: torch.from_numpy(np.array(a)) for n, a in older.tower.items()})


def _table_of(data: RecallData, recipe: UserAudioRecipe) -> tuple[FloatArray, str]:
    """Return the given embedding of each owner, zeros if missing, and the name of their space."""
    table = EmbeddingTable.open(recipe.users, kind="users")
    owners = data.plays.owner_ids
    rows = table.row_numbers(list(owners))
    if not (rows >= 0).any():
        raise InputError(f"{table.path}: holds none of the log's users, such as {owners[0]!r}")
    result = np.where((rows >= 0)[:, None], table.embeddings[rows], 0).astype(np.float32)
    return unit(result), table.metadata.space or table.model_id


def _counts(material: Material) -> dict[str, int]:
    data = material.data
    learnt = np.unique(data.liked.song)
    return {
        "pairs": len(data.liked),
        "disliked_pairs": len(data.disliked),
        "anchors": len(np.unique(data.liked.user)),
        "songs": len(learnt),
        "artists": len(np.unique(data.groups[learnt])),
    }
