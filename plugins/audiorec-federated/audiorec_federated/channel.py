"""Channels of users known by profile: the base of all, and those of two towers.

    profiles ──`UserModel`──▶ (Q, d)      songs, side, sound ──song tower──▶ (S, d)
    user vectors, songs ──largest cosine──▶ songs

Trained in one process, a channel has both sides. After federated training each party has a channel
with its own: the music side takes tables of user vectors, which the partner's channel computes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np

from audiorec.errors import InputError, WeightsError
from audiorec.learning.bundle import Bundle
from audiorec.learning.next_plays import side_embeddings
from audiorec.listening.profiles import Profiles
from audiorec.recall.contract.channel import Tensors, Trained
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.contract.next_song import SideEncoder
from audiorec.recall.contract.space import SharedSpace
from audiorec.types import FloatArray, Int64Array, unit
from audiorec_federated.noise import Defence
from audiorec_federated.recipe import MmoeRecipe, PartyRecipe, TwoTowerRecipe
from audiorec_federated.users import UserModel, logits_of, recipe_in, weights_of

if TYPE_CHECKING:
    from audiorec_federated.halves import ItemHalf, ItemSide

PEOPLE = "Weights, and attribute values shared by several users: no user ids and no rows of users."
JUDGED_ON = (
    "all plays of {share:.0%} of the users, by profile alone, full rank; also used to choose the "
    "number of epochs"
)
ELSEWHERE = (
    "the partner has the model of users: give `users` VECTORS, which the partner makes by "
    "audiorec recall users"
)
THERE = "the music side has the songs; this is the partner's model, for recall users"
ALONE = (
    "Both sides were trained in one process, which had songs, plays and user profiles. For two "
    "businesses that keep these apart: audiorec federated train."
)
THREATS = (
    "Threat model: two honest-but-curious parties that do not collude. The user side learns which "
    "users both know, and a gradient of each in every pass, whose sum tells who plays at all; the "
    "item side learns the user vectors, and what those reveal about the users' features. Noise on "
    "the gradients weakens known attacks but does not guarantee privacy, and no epsilon is "
    "claimed. A party that violates the protocol can learn more."
)


class ByProfile(SharedSpace):
    """Channel whose users are embedded by their profiles, here or by another business.

    Attributes
    ----------
    Recipe : type
        A recipe whose fields all have defaults.
    threats : str
        Threat model of two parties, for the model card.
    users : UserModel or None
        Embeds profiles; None if the partner has it.
    songs : ndarray, shape (S, d), float32
        Empty if the music side has them.
    prior : ndarray, shape (S,), float32
        Popularity term of a song's similarity.
    """

    people = PEOPLE
    Recipe: ClassVar[type[PartyRecipe]]
    threats: ClassVar[str]
    recipe: PartyRecipe
    users: UserModel | None = None
    songs: FloatArray
    prior: FloatArray

    def __init__(self, recipe: PartyRecipe | None = None) -> None:
        self.recipe = self.Recipe() if recipe is None else recipe

    @classmethod
    def of_partner(cls, users: UserModel, *, space: str) -> Self:
        """Return the partner's channel after federated training: users without songs."""
        channel = cls(users.recipe)
        channel.users, channel.space = users, space
        channel.songs = np.zeros((0, users.recipe.dimension), np.float32)
        channel.prior, channel.is_cold = np.zeros(0, np.float32), np.zeros(0, np.bool_)
        return channel

    @classmethod
    def _without_users(cls, recipe: PartyRecipe, data: RecallData, space: str) -> Self:
        """Return a channel without users that lists what it was trained on."""
        channel = cls(recipe)
        channel.song_ids, channel.is_cold = data.song_ids, data.is_cold
        channel.logs, channel.by, channel.space = data.logs, data.by, space
        return channel

    def profiles_of(self, data: RecallData) -> Profiles:
        """Return the profiles to learn from; raise `InputError` if there are none."""
        people = data.context.profiles
        if people is None or not len(people):
            raise InputError(f"{self.name}: needs a table of user profiles: give `profiles`")
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

    def _require_fitted(self) -> None:
        if self.users is None:
            super()._require_fitted()

    def _answers(self, queries: Queries) -> FloatArray:
        if not self.song_ids:
            raise InputError(f"{self.name}: {THERE}")
        return super()._answers(queries)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors: dict[str, Any] = {"songs": self.songs, "prior": self.prior}
        config: dict[str, Any] = {"recipe": self.recipe.to_json()}
        if self.space:
            config["space"] = self.space
        if self.users is not None:
            own, about = self.users.state()
            tensors, config = {**tensors, **own}, {**config, **about}
        return tensors, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        channel = cls(recipe_in(bundle, cls.name))
        try:
            channel.songs, channel.prior = (bundle.tensors[n] for n in ("songs", "prior"))
        except KeyError as error:
            raise WeightsError(f"not a valid model of {cls.name}: {error!r}") from error
        if channel.songs.ndim != 2 or channel.songs.shape[1] != channel.recipe.dimension:
            raise WeightsError(f"not a valid model of {cls.name}: songs {channel.songs.shape}")
        if channel.prior.shape != channel.songs.shape[:1]:
            raise WeightsError(f"not a valid model of {cls.name}: prior {channel.prior.shape}")
        channel.space = str(bundle.config.get("space", ""))
        if "columns" in bundle.config:
            channel.users = UserModel.of_state(bundle, channel.recipe)
        return channel

    def _threats(self) -> str:
        return self.threats if self.space else ALONE

    def _card(self) -> str:
        return f"{super()._card()}\n## Threats\n\n{self._threats()}\n"


class Towers(ByProfile):
    """Channel with a user tower and a song tower; songs have length 1, or 0 without information.

    Attributes
    ----------
    defence : Defence or None
        Defence of the gradients, after federated training.
    """

    serves = frozenset({"profile", "cold_song"})
    threats = THREATS
    needs_torch = True
    light = False  # the user tower is computed by torch
    recipe: TwoTowerRecipe
    defence: Defence | None = None
    facts: SideEncoder | None = None
    side: Mapping[str, Any]

    def _fit(self, data: RecallData, **run: Any) -> None:
        people = self.profiles_of(data)
        from audiorec_federated.halves import ItemSide, UserSide
        from audiorec_federated.split import train_here

        known = set(people.user_ids)
        both = [user for user in data.sequences.owner_ids if user in known]
        items, users = ItemSide.of(data, both), UserSide.of(people, both, self.recipe)
        done = train_here(users, items, self.recipe, secret=self.recipe.seed, **run)
        if not done.finished:  # stopped: there is no model
            self.song_ids = ()
            return
        judged_on = JUDGED_ON.format(share=self.recipe.valid)
        self.trained = Trained.of(done, judged_on=judged_on)
        self._take_songs(items, cast("ItemHalf", done.learner.item))
        weights = weights_of(done.learner.user.model.state_dict())
        self.users = UserModel(recipe=self.recipe, encoder=users.encoder, weights=weights)

    @classmethod
    def of_half(
        cls, items: "ItemSide", half: "ItemHalf", data: RecallData, *, space: str, trained: Trained
    ) -> Self:
        """Return the music side's channel after federated training, with the trained half.

        `items` was built from `data`; `space` is the id of the embedding space on both sides.
        """
        channel = cls._without_users(half.recipe, data, space)
        channel.trained, channel.defence = trained, half.defence
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
        result = logits_of(users, self.songs, self.recipe, self.prior)
        result[~users.any(axis=1)] = -np.inf
        result[:, ~self.songs.any(axis=1)] = -np.inf
        return result

    def embed_sound(self, sound: Sound) -> FloatArray:
        """Embed songs by sound, artist and other side information; see `SharedSpace`."""
        if self.facts is None:
            raise InputError(f"{self.name}: {THERE}")
        self.refuse_sound(self.facts.sound_width, sound.values.shape[1])
        features = self.facts.encode(Context(sound=sound), sound.song_ids)
        result = unit(side_embeddings(features, self.side))
        return np.where(sound.values.any(axis=1, keepdims=True), result, 0).astype(np.float32)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors, config = super()._state()
        if self.facts is not None:
            own, config["facts"] = self.facts.state()
            side = {f"side.{name}": array for name, array in self.side.items()}
            tensors = {**tensors, **own, **side}
        if self.defence is not None:
            config["defence"] = self.defence.to_json()
        return tensors, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        channel = super()._from_state(bundle)
        try:
            if len(channel.songs):
                channel.facts = SideEncoder.of_state(bundle.tensors, bundle.config["facts"])
                channel.made_by = channel.facts.made_by
        except (KeyError, TypeError) as error:
            raise WeightsError(f"not a valid model of {cls.name}: {error!r}") from error
        side = {n: a for n, a in bundle.tensors.items() if n.startswith("side.")}
        channel.side = {n.removeprefix("side."): a for n, a in side.items()}
        channel.defence = _defence_in(bundle)
        return channel

    def _threats(self) -> str:
        told = super()._threats()
        if self.defence is None:
            return told
        settings = ", ".join(f"{name} {value}" for name, value in self.defence.to_json().items())
        return f"{told}\n\nDefence: {settings}."


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


def _defence_in(bundle: Bundle) -> Defence | None:
    result = bundle.config.get("defence")
    try:
        return None if result is None else Defence(**result)
    except (TypeError, InputError) as error:
        raise WeightsError(f"not a valid defence: {error}") from error
