"""What each business starts from, and the half of the model that it trains.

::

    plays, songs, aligned ids ──ItemSide.of──▶ it ──half──▶ `ItemHalf`   song tower
    profiles,     aligned ids ──UserSide.of──▶ it ──half──▶ `UserHalf`   user tower

    UserHalf   vectors(step) ──(B, d)──▶   gradient(step, vectors)   ItemHalf
               learn(step, ·) ◀──(B, d)──
               validation()  ──(V, d)──▶   figures(vectors)

A step is a batch of aligned rows that both draw (`audiorec.recall.federated.draws`). Of an mmoe
there is an item half for each business with items, told apart by `number`, and the user half sends
each a vector of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.fit import Line
from audiorec.learning.processes import ALONE, Processes
from audiorec.learning.refit import Phase
from audiorec.learning.song_features import SongFeatures
from audiorec.listening.profiles import Profiles
from audiorec.recall.contract.data import RecallData
from audiorec.recall.contract.song_facts import SideEncoder
from audiorec.recall.federated.draws import JointStep, split_rows
from audiorec.recall.federated.item_half import ItemHalf, ItemPlays
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.user_features import UserEncoder, UserFeatures
from audiorec.recall.federated.user_half import UserHalf
from audiorec.types import FloatArray, Int64Array


class AnyItemHalf(Protocol):
    """What a link needs of the half that has items."""

    loss: float

    def gradient(self, step: JointStep, vectors: FloatArray) -> FloatArray:
        """Learn from vectors (B, d) float32; return gradients (B, d) float32 as they may leave."""

    def figures(self, vectors: FloatArray) -> Line:
        """Judge by the vectors (V, d) of the rows that judge."""

    def state_dict(self) -> dict[str, Any]:
        """Return weights, moments and the secret."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""


class AnyUserHalf(Protocol):
    """What a link needs of the half that knows users."""

    def vectors(self, step: JointStep) -> tuple[FloatArray, ...]:
        """Return what leaves for each business with items: (B, d) float32."""

    def learn(self, step: JointStep, gradients: Sequence[FloatArray]) -> None:
        """Learn from what came back, one (B, d) for each business with items."""

    def validation(self) -> tuple[FloatArray, ...]:
        """Return the vectors of the rows that judge: (V, d) float32 for each business."""

    def figures(self) -> Line:
        """Return what the user side itself says of an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return weights, moments and the secret."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Undo `state_dict`."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemSide:
    """Songs and plays, with users by aligned row.

    Attributes
    ----------
    song_ids : tuple of str, length S
    facts : SideEncoder
        How what is known of songs becomes numbers.
    features : SongFeatures
    plays : ItemPlays
        Of n aligned rows.
    given : ndarray, shape (S, W), float32, optional
        How songs sound, of length 1 or 0: their vectors, where the recipe takes those.
    outside : ndarray, shape (S,), int64
        Plays of songs by users who are not aligned.
    """

    song_ids: tuple[str, ...]
    facts: SideEncoder
    features: SongFeatures
    plays: ItemPlays
    given: FloatArray | None = None
    outside: Int64Array | None = None

    @classmethod
    def of(cls, data: RecallData, aligned: Sequence[str]) -> "ItemSide":
        """Take the plays of aligned users, in their order; one may have none.

        Raises
        ------
        InputError
            If none of them has a play.
        """
        plays = data.plays
        row = {user: number for number, user in enumerate(plays.owner_ids)}
        rows = [row.get(user, -1) for user in aligned]
        counts = np.array([plays.lengths[r] if r >= 0 else 0 for r in rows], np.int64)
        if not counts.any():
            raise InputError("no user that both sides know has a play")
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        lists = [plays[r].astype(np.int64) for r in rows if r >= 0]
        own = ItemPlays(starts, np.concatenate(lists), len(data.song_ids))
        facts = SideEncoder.fit(data.context, data.song_ids, ~data.is_cold)
        features = facts.encode(data.context, data.song_ids)
        sound = data.sound
        given = None if sound is None else sound.among(data.song_ids).units
        inside = np.bincount(own.song, minlength=own.n_songs)
        return cls(data.song_ids, facts, features, own, given, data.counts - inside)

    def half(
        self,
        recipe: TwoTowerRecipe,
        phase: Phase,
        *,
        defence: Defence = NOTHING,
        secret: int | None = None,
        number: int = 0,
        processes: Processes = ALONE,
    ) -> ItemHalf:
        """Return the half as it is at the start of a phase; see `ItemHalf`."""
        rows = split_rows(len(self.plays), recipe, hold_out=phase == "choose")
        return ItemHalf(
            self.features,
            self.plays,
            recipe,
            rows,
            defence=defence,
            secret=secret,
            number=number,
            given=self.given,
            outside=self.outside,
            processes=processes,
        )


@dataclass(frozen=True, slots=True, eq=False)
class UserSide:
    """What is known of users, by aligned row.

    Attributes
    ----------
    encoder : UserEncoder
        How that becomes numbers.
    features : UserFeatures
        Of n aligned rows.
    """

    encoder: UserEncoder
    features: UserFeatures

    @classmethod
    def of(cls, people: Profiles, aligned: Sequence[str], recipe: TwoTowerRecipe) -> "UserSide":
        """Take what is known of aligned users, in their order."""
        known = people.for_users(aligned)
        encoder = UserEncoder.fit(known, min_users=recipe.min_users, max_values=recipe.max_values)
        return cls(encoder, encoder.encode(known))

    def half(
        self,
        recipe: TwoTowerRecipe,
        phase: Phase,
        *,
        defence: Defence = NOTHING,
        secret: int | None = None,
        processes: Processes = ALONE,
    ) -> UserHalf:
        """Return the half as it is at the start of a phase; see `UserHalf`."""
        rows = split_rows(len(self.features), recipe, hold_out=phase == "choose")
        return UserHalf(
            self.features, recipe, rows, defence=defence, secret=secret, processes=processes
        )
