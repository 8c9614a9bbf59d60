"""Channels of users known by profile: the base of all, and those of two towers.

    profiles ──`UserModel`──▶ (Q, d)      songs, side, sound ──song tower──▶ (S, d)
    user vectors, songs ──largest cosine──▶ songs

Trained centrally, a channel has both sides. In federated training the music side's channel has no
user model: it takes tables of user vectors, which the partner computes (`Towers.of_halves`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack

import numpy as np

from audiorec.errors import InputError, WeightsError
from audiorec.learning.bundle import Bundle
from audiorec.learning.song_features import side_embeddings
from audiorec.listening.profiles import Profiles
from audiorec.recall.contract.channel import FitRun, Tensors, Trained
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.contract.next_song import SideEncoder
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.federated.noise import Defence
from audiorec.recall.federated.recipe import MmoeRecipe, PartyRecipe, TwoTowerRecipe
from audiorec.recall.federated.user_model import (
    PEOPLE,
    THREATS,
    UserModel,
    logits_of,
    recipe_in,
    weights_of,
)
from audiorec.types import FloatArray, Int64Array, unit

if TYPE_CHECKING:
    from audiorec.recall.federated.item_half import ItemHalf
    from audiorec.recall.federated.sides import ItemSide

JUDGED_ON = (
    "all plays of {share:.0%} of the users, by profile alone, full rank; also used to choose the "
    "number of epochs"
)
ELSEWHERE = (
    "the partner has its user tower: give --users VECTORS, which the partner makes by audiorec "
    "federated users"
)

NO_TRAINING = Trained()


class ByProfile(SharedSpace):
    """Channel whose users are embedded by their profiles, here or by another business.

    Attributes
    ----------
    Recipe : type
        A recipe whose fields all have defaults.
    users : UserModel or None
        Embeds profiles; None if the partner has it.
    songs : ndarray, shape (S, d), float32
    prior : ndarray, shape (S,), float32
        Popularity term of a song's similarity.
    """

    people = PEOPLE
    Recipe: ClassVar[type[PartyRecipe]]
    recipe: PartyRecipe
    users: UserModel | None
    songs: FloatArray
    prior: FloatArray

    def __init__(self, recipe: PartyRecipe | None = None) -> None:
        self.recipe = self.Recipe() if recipe is None else recipe

    def profiles_of(self, data: RecallData) -> Profiles:
        """Return the profiles to learn from; raise `InputError` if there are none."""
        people = data.context.profiles
        if people is None or not len(people):
            raise InputError(f"{self.name}: needs a table of user profiles: give --profiles")
        return people

    def embed_users(self, queries: Queries) -> FloatArray:
        """Embed users by their profiles; 0 without one. See `SharedSpace`.

        Raises
        ------
        InputError
            If the partner has the user model.
        """
        if self.users is None:
            raise InputError(f"{self.name}: {ELSEWHERE}")
        if queries.profiles is None:
            return np.zeros((len(queries), self.recipe.dimension), np.float32)
        return self.users.embed(queries.profiles)

    def songs_used(self, queries: Queries) -> Int64Array:
        """Return zeros: the channel does not use plays of the queries. See `SharedSpace`."""
        return np.zeros(len(queries), np.int64)

    def song_embeddings(self) -> FloatArray:
        """Return the vectors of the catalogue; see `SharedSpace`."""
        return self.songs

    def _own_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what every such channel stores: songs, prior, recipe, space and user model."""
        tensors: dict[str, Any] = {"songs": self.songs, "prior": self.prior}
        config: dict[str, Any] = {"recipe": self.recipe.to_json()}
        if self.space:
            config["space"] = self.space
        if self.users is not None:
            own, about = self.users.state()
            tensors, config = {**tensors, **own}, {**config, **about}
        return tensors, config

    def _take_own_state(self, bundle: Bundle) -> None:
        """Undo `_own_state`, but for the recipe."""
        try:
            self.songs, self.prior = (bundle.tensors[n] for n in ("songs", "prior"))
        except KeyError as error:
            raise WeightsError(f"not a valid model of {self.name}: {error!r}") from error
        if self.songs.ndim != 2 or self.songs.shape[1] != self.recipe.dimension:
            raise WeightsError(f"not a valid model of {self.name}: songs {self.songs.shape}")
        if self.prior.shape != self.songs.shape[:1]:
            raise WeightsError(f"not a valid model of {self.name}: prior {self.prior.shape}")
        self.space = str(bundle.config.get("space", ""))
        has_users = "columns" in bundle.config
        self.users = UserModel.of_state(bundle, self.recipe) if has_users else None


class Towers(ByProfile):
    """Channel with a user tower and a song tower; songs have length 1, or 0 without information.

    Attributes
    ----------
    defence : Defence or None
        Defence of the gradients, after federated training.
    """

    serves = frozenset({"profile", "cold_song"})
    recipe: TwoTowerRecipe
    defence: Defence | None = None
    facts: SideEncoder
    side: Mapping[str, Any]

    def _fit(self, data: RecallData, **run: Unpack[FitRun]) -> None:
        people = self.profiles_of(data)
        from audiorec.learning.machine import import_torch

        import_torch(f"training {self.name}")
        from audiorec.recall.federated.learner import CentralTraining
        from audiorec.recall.federated.sides import ItemSide, UserSide

        known = set(people.user_ids)
        both = [user for user in data.sequences.owner_ids if user in known]
        items, users = ItemSide.of(data, both), UserSide.of(people, both, self.recipe)
        done = CentralTraining(self.recipe, secret=self.recipe.seed).run(
            users,
            [items],
            data=_digest(
                items, users.features.dense, *(b.code for b in users.features.bags.values())
            ),
            **run,
        )
        if not done.finished:  # stopped: there is no model
            self.song_ids = ()
            return
        judged_on = JUDGED_ON.format(share=self.recipe.valid)
        self.trained = Trained.of(done, judged_on=judged_on)
        self._take_songs(items, done.learner.items[0])
        self.users = UserModel(
            recipe=self.recipe,
            encoder=users.encoder,
            weights=weights_of(done.learner.user.model.state_dict()),
        )

    @classmethod
    def of_halves(
        cls,
        recipe: TwoTowerRecipe,
        items: "ItemSide",
        half: "ItemHalf",
        data: RecallData,
        *,
        space: str,
        trained: Trained = NO_TRAINING,
    ) -> Self:
        """Return the music side's channel after federated training.

        Parameters
        ----------
        recipe : TwoTowerRecipe
        items : ItemSide
        half : ItemHalf
            The trained half.
        data : RecallData
            The data that `items` was built from.
        space : str
            Id of the embedding space, the same on both sides.
        trained : Trained
        """
        channel = cls(recipe)
        channel.song_ids, channel.is_cold = data.song_ids, data.is_cold
        channel.logs, channel.trained, channel.space = data.logs, trained, space
        channel.users, channel.defence = None, half.defence
        channel._take_songs(items, half)
        return channel

    def _take_songs(self, items: "ItemSide", half: "ItemHalf") -> None:
        self.facts = items.facts
        self.made_by = items.facts.made_by
        self.songs, self.prior = half.song_vectors(), half.prior
        kept = {n: np.asarray(t) for n, t in half.table.state_dict().items()}
        self.side = {n: kept[n] for n in ("values", "project.weight") if n in kept}

    def similarities(self, users: FloatArray) -> FloatArray:
        """Return logits, including the popularity term; see `SharedSpace`."""
        found = logits_of(users, self.songs, self.recipe, self.prior)
        found[~users.any(axis=1)] = -np.inf
        found[:, ~self.songs.any(axis=1)] = -np.inf
        return found

    def embed_sound(self, sound: Sound) -> FloatArray:
        """Embed songs by sound, artist and other side information; see `SharedSpace`."""
        if self.recipe.songs == "given":
            self.refuse_sound(self.recipe.dimension, sound.units.shape[1])
            return sound.units
        self.refuse_sound(self.facts.sound_width, sound.values.shape[1])
        features = self.facts.encode(Context(sound=sound), sound.song_ids)
        found = unit(side_embeddings(features, self.side))
        return np.where(sound.values.any(axis=1, keepdims=True), found, 0).astype(np.float32)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors, facts = self.facts.state()
        tensors |= {f"side.{name}": array for name, array in self.side.items()}
        own, config = self._own_state()
        config["facts"] = facts
        if self.defence is not None:
            config["defence"] = self.defence.to_json()
        return {**tensors, **own}, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        channel = cls(recipe_in(bundle, cls.name))
        channel._take_own_state(bundle)
        try:
            channel.facts = SideEncoder.of_state(bundle.tensors, bundle.config["facts"])
        except (KeyError, TypeError) as error:
            raise WeightsError(f"not a valid model of {cls.name}: {error!r}") from error
        channel.made_by = channel.facts.made_by
        side = {n: a for n, a in bundle.tensors.items() if n.startswith("side.")}
        channel.side = {n.removeprefix("side."): a for n, a in side.items()}
        channel.defence = _defence_in(bundle)
        return channel

    def _card(self) -> str:
        told = ALONE if self.defence is None else f"{THREATS}\n\n{self.defence.words()}"
        return f"{super()._card()}\n## Threats\n\n{told}\n"


class TwoTower(Towers):
    """Songs nearest to a user vector computed from profile, interests and tags."""

    name = "two-tower"
    Recipe = TwoTowerRecipe


class Mmoe(Towers):
    """Songs nearest to a user vector computed from the profile by gated experts.

    The last task is the partner's own: which of its items a user interacts with. It trains the
    experts on more than plays; its labels and items are not stored in a bundle.
    """

    name = "mmoe"
    Recipe = MmoeRecipe


ALONE = (
    "Both towers were trained in one process, which had songs, plays and user profiles. For two "
    "businesses that keep these apart, see docs/federated.md."
)


def _defence_in(bundle: Bundle) -> Defence | None:
    found = bundle.config.get("defence")
    try:
        return None if found is None else Defence(**found)
    except (TypeError, InputError) as error:
        raise WeightsError(f"not a valid defence: {error}") from error


def _digest(items: "ItemSide", *users: Any) -> str:
    """Return a digest of the training data; checkpoints of other data are not resumed."""
    import hashlib

    found = hashlib.sha256()
    features = items.features
    arrays = (items.plays.starts, items.plays.song, features.codes, features.dense, *users)
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
