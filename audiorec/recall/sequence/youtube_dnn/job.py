"""Listening, songs and profiles to a user model, and to one embedding a user.

    interactions, vectors, profiles ──train_user_model──▶ users_model/
    interactions, users_model/      ──embed_users──▶ users.parquet

The one file that joins listening, vectors and the user model.
"""

import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiorec.errors import InputError, SpecMismatchError
from audiorec.files.run_folder import RunFolder
from audiorec.learning.bundle import check_target
from audiorec.learning.torch_use import import_torch
from audiorec.listening.events import Interactions
from audiorec.listening.history import Likes
from audiorec.listening.preferences import to_preferences
from audiorec.listening.profiles import Profiles, no_profiles
from audiorec.listening.rule import Rule
from audiorec.recall.sequence.youtube_dnn.examples import UsersData
from audiorec.recall.sequence.youtube_dnn.model import UserEmbeddings, UsersModel
from audiorec.recall.sequence.youtube_dnn.recipe import UsersRecipe
from audiorec.store.embeddings import EmbeddingTable, write_embeddings
from audiorec.store.store import VectorStore
from audiorec.types import BoolArray, FloatArray, IdMap, LineProgress, Pairs, Preferences


@dataclass(frozen=True, slots=True)
class SongInputs:
    """What is known of songs besides who likes them: vectors, embeddings, both, or nothing."""

    vectors: VectorStore | None = None
    # with both, the numbers of a song are its vector and its embedding, end to end
    songs: EmbeddingTable | None = None

    def __bool__(self) -> bool:
        return self.vectors is not None or self.songs is not None

    def look_up(self, song_ids: Sequence[str]) -> tuple[FloatArray, BoolArray]:
        """Return the numbers of songs, (n, V) float32, and which songs have them, (n,) bool.

        A song counts only if every source has it; the numbers of the others are 0.
        """
        has = np.full(len(song_ids), bool(self))
        parts = [np.zeros((len(song_ids), 0), np.float32)]
        for ids, numbers in self._sources():
            at = IdMap(ids).rows(song_ids)
            found = np.zeros((len(song_ids), numbers.shape[1]), np.float32)
            found[at >= 0] = numbers[at[at >= 0]]
            parts.append(found)
            has &= at >= 0
        joined = np.concatenate(parts, axis=1)
        joined[~has] = 0
        return joined, has

    def identity(self) -> dict[str, str]:
        """Return what made the numbers: kept in a model, and compared when it is used."""
        made = {}
        if self.vectors is not None:
            made["extractor_id"] = self.vectors.metadata.extractor_id
        if self.songs is not None:
            made["songs_model_id"] = self.songs.model_id
        return made

    def _sources(self) -> list[tuple[Sequence[str], FloatArray]]:
        sources: list[tuple[Sequence[str], FloatArray]] = []
        if self.vectors is not None:
            sources.append((self.vectors.ids, self.vectors.vectors))
        if self.songs is not None:
            sources.append((self.songs.ids, self.songs.embeddings))
        return sources


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedUsers:
    """Users with their embeddings."""

    user_ids: tuple[str, ...]  # length U
    users: UserEmbeddings
    likes: int  # liked songs of all users
    unknown: int  # those of them that the model could not use: it knows neither vector nor id


def training_data(
    log: Interactions,
    *,
    inputs: SongInputs = SongInputs(),
    profiles: Profiles | None = None,
    rule: Rule | None = None,
) -> UsersData:
    """Bring listening, songs and profiles together.

    Parameters
    ----------
    log : Interactions
    inputs : SongInputs
        Nothing means that songs are known by their ids alone.
    profiles : Profiles, optional
    rule : Rule, optional
        What makes a song liked.

    Raises
    ------
    InputError
        If nobody likes anything, or no liked song has a vector.
    """
    preferences = to_preferences(log, rule)
    liked = preferences.liked
    if not len(liked):
        raise InputError("no user likes a song by the rule; see audiorec listening check")
    songs, number = np.unique(liked.song, return_inverse=True)
    song_ids = tuple(preferences.song_ids[i] for i in songs)
    numbers, has = inputs.look_up(song_ids)
    if inputs and not has.any():
        raise InputError(
            "no liked song has a vector: interactions and vectors need the same ids; "
            "audiorec listening check LOG --vectors STORE compares them"
        )
    pairs = Pairs(liked.user, number.astype(np.int32), liked.weight, liked.time)
    known = profiles or no_profiles(preferences.user_ids)
    return UsersData(
        likes=Likes.from_pairs(pairs, len(preferences.user_ids)),
        song_ids=song_ids,
        vectors=numbers,
        has_vector=has,
        profiles=known.for_users(preferences.user_ids),
        info={
            **inputs.identity(),
            "songs_with_vector": int(has.sum()),
            "simulated": log.simulated,
        },
    )


def train_user_model(
    data: UsersData,
    out: Path,
    *,
    recipe: UsersRecipe | None = None,
    progress: LineProgress | None = None,
    stop: threading.Event | None = None,
) -> UsersModel | None:
    """Train a user model and write its folder; an interrupted run resumes.

    Parameters
    ----------
    data : UsersData
    out : Path
        The state of the training is in ``<out>.run/`` until it is done.
    recipe : UsersRecipe, optional
    progress : callable, optional
        Called with the metrics of each epoch.
    stop : threading.Event, optional
        Once set, training ends; the same call resumes it.

    Returns
    -------
    model : UsersModel or None
        As read back from the folder; None if it was stopped.

    Raises
    ------
    InputError
        If `out` is something else than a model, or the data is too small.
    MissingExtraError
        If torch cannot be imported.
    StoreError
        If another run is writing `out`.
    """
    check_target(out)
    import_torch("training a user model")
    from audiorec.recall.sequence.youtube_dnn.trainer import (
        CHECKPOINT_FILE,
        METRICS_FILE,
        train_users,
    )

    folder = RunFolder(out, f"{re.escape(CHECKPOINT_FILE)}|{re.escape(METRICS_FILE)}")
    try:
        trained = train_users(
            data, recipe or UsersRecipe(), work=folder.path, progress=progress, stop=stop
        )
        if trained is None:
            return None
        model, metrics = trained
        lines = "".join(json.dumps(line) + "\n" for line in metrics)
        model.save(out, card=model_card(model), files={METRICS_FILE: lines})
        folder.clear()
    finally:
        # Stays only where there is a state to go on from.
        folder.release(remove=not (folder.path / CHECKPOINT_FILE).exists())
    return UsersModel.load(out)


def embed_users(
    model: UsersModel,
    log: Interactions | None,
    *,
    inputs: SongInputs = SongInputs(),
    profiles: Profiles | None = None,
    rule: Rule | None = None,
) -> EmbeddedUsers:
    """Embed all users of a log and of a table of profiles.

    Parameters
    ----------
    model : UsersModel
    log : Interactions, optional
    inputs : SongInputs
        Of the kind that the model was trained on; by default the songs of its training.
    profiles : Profiles, optional
    rule : Rule, optional

    Raises
    ------
    InputError
        If there is no user at all.
    SpecMismatchError
        If the vectors were made by another extractor or model than those of the training.
    """
    given = inputs.identity()
    data = _data_info(model).items()
    trained = {k: v for k, v in data if k in ("extractor_id", "songs_model_id")}
    if inputs and given != trained:
        raise SpecMismatchError(
            f"the model was trained on {_in_words(trained)}, given are {_in_words(given)}: without "
            "--vectors and --songs, the songs of its training are known"
        )
    preferences = to_preferences(log, rule) if log is not None else None
    users_known = (source.user_ids for source in (log, profiles) if source is not None)
    names = sorted({name for ids in users_known for name in ids})
    if not names:
        raise InputError("no user: neither the interactions nor the profiles name one")
    likes, song_ids = _likes_of(preferences, names)
    vectors, has = inputs.look_up(song_ids) if inputs else (None, None)
    catalogue = model.catalogue(song_ids, vectors, has)
    known = profiles or no_profiles(names)
    users = model.embed(likes, catalogue, known.for_users(names))
    usable = catalogue.has_input | ((catalogue.known >= 0) & bool(model.id_embeddings.shape[1]))
    return EmbeddedUsers(
        user_ids=tuple(names),
        users=users,
        likes=len(likes.song),
        unknown=int((~usable[likes.song]).sum()),
    )


def write_users(path: Path, found: EmbeddedUsers, model: UsersModel) -> None:
    """Write ``users.parquet``: user_id, embedding, history, profile_only."""
    write_embeddings(
        path,
        found.user_ids,
        found.users.embeddings,
        kind="users",
        model_id=model.model_id,
        columns={
            "history": pa.array(found.users.history.astype(np.int32)),
            "profile_only": pa.array(found.users.profile_only),
        },
    )


def write_song_side(path: Path, model: UsersModel) -> None:
    """Write the song side of a user model as ``embeddings.parquet``: its warm songs.

    No audio model can place a song that people already like better than this, so it is the
    upper bound that one is compared with.
    """
    write_embeddings(
        path,
        model.song_ids,
        model.song_embeddings,
        kind="songs",
        model_id=model.model_id,
        columns={"bias": pa.array(model.song_bias)},
    )


def model_card(model: UsersModel) -> str:
    """Return the model card of a freshly trained model, in Markdown."""
    data, figures = _data_info(model), model.info["figures"]
    recall = {k: v for k, v in figures.items() if "recall" in k}
    lines = "\n".join(f"- {name.replace('_', ' ')}: {value:.4f}" for name, value in recall.items())
    simulated = "**Trained on simulated listening: it knows nothing of people.**\n\n"
    caution = simulated if data.get("simulated") else ""
    return f"""# User model

{caution}Embeds a user in {model.dimension} numbers from liked songs and a profile.

- trained on {data["likes"]} likes by {data["users"]} users of {data["songs"]} songs, \
{data["songs_with_vector"]} of them with a vector
- songs are read as: {_in_words(data)}{" and ids" if model.id_embeddings.shape[1] else ""}
- demographics: {", ".join(data["demographics"]) or "none"}
- half-life {model.half_life_days or "none"} days, newest {model.max_history} songs
- seed {model.info["seed"]}, data {data["fingerprint"]}

Held out by {model.info["recipe"]["hold_out"]}: {figures["held_out_likes"]} likes, best epoch \
{figures["epoch"]} of {figures["epochs"]}.

- held-out loss: {figures["held_out_loss"]:.4f}
{lines}

These figures chose the epoch, so they are slightly too good; judge the model on likes of its
own. It holds the ids of the songs it was trained on, and no id of a user.
"""


def _data_info(model: UsersModel) -> Mapping[str, Any]:
    info: Mapping[str, Any] = model.info.get("data", {})
    return info


def _in_words(made: Mapping[str, Any]) -> str:
    words = []
    if "extractor_id" in made:
        words.append(f"vectors of extractor {made['extractor_id']}")
    if "songs_model_id" in made:
        words.append(f"embeddings of model {made['songs_model_id']}")
    return " with ".join(words) or "no vectors"


def _likes_of(
    preferences: Preferences | None, user_ids: Sequence[str]
) -> tuple[Likes, tuple[str, ...]]:
    """Return the likes of these users, and the songs that their numbers stand for."""
    if preferences is None:
        none = np.empty(0, np.int32)
        nothing = Pairs(none, none, none.astype(np.float32), none.astype(np.float64))
        return Likes.from_pairs(nothing, len(user_ids)), ()
    at = IdMap(user_ids).rows(preferences.user_ids).astype(np.int32)
    liked = preferences.liked
    pairs = Pairs(at[liked.user], liked.song, liked.weight, liked.time)
    return Likes.from_pairs(pairs, len(user_ids)), preferences.song_ids
