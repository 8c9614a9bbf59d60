"""Input data of each party, and the half of the model that it trains.

::

    plays, songs, aligned ids ──ItemSide.of──▶ `ItemSide` ──half──▶ `ItemHalf`   song tower
    profiles,     aligned ids ──UserSide.of──▶ `UserSide` ──half──▶ `UserHalf`   user tower

    UserHalf   vectors(step) ──(B, d)──▶   gradient(step, vectors)   ItemHalf
               learn(step, ·) ◀──(B, d)──
               validation()  ──(V, d)──▶   figures(vectors)

A step is a batch of aligned rows that both sides draw alike
(`audiorec.recall.federated.shared_draws`). An mmoe has one item half per business with items,
identified by `number`; the user half sends each a separate vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.errors import InputError
from audiorec.learning.fit import Phase
from audiorec.learning.processes import ALONE, Processes
from audiorec.learning.song_features import SongFeatures
from audiorec.listening.profiles import Profiles
from audiorec.recall.contract.data import RecallData
from audiorec.recall.contract.next_song import SideEncoder
from audiorec.recall.federated.item_half import ItemHalf, ItemPlays
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.recipe import PartyRecipe, TwoTowerRecipe
from audiorec.recall.federated.shared_draws import split_rows
from audiorec.recall.federated.user_features import UserEncoder, UserFeatures
from audiorec.recall.federated.user_half import UserHalf
from audiorec.types import FloatArray, Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class ItemSide:
    """Songs and plays, with users numbered by aligned row.

    Attributes
    ----------
    song_ids : tuple of str, length S
    facts : SideEncoder
        Encoder of the songs' side information.
    features : SongFeatures
    plays : ItemPlays
        Plays of n aligned rows.
    given : ndarray, shape (S, W), float32, optional
        Audio units of the songs, of length 1 or 0: the song vectors if the recipe says ``given``.
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
        """Build the side from the plays of aligned users, in their order.

        Raises
        ------
        InputError
            If no aligned user has a play.
        """
        plays = data.plays
        row = {user: number for number, user in enumerate(plays.owner_ids)}
        rows = [row.get(user, -1) for user in aligned]
        counts = np.array([plays.lengths[r] if r >= 0 else 0 for r in rows], np.int64)
        if not counts.any():
            raise InputError("no user known to both sides has a play")
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
        """Return an untrained half for a phase; see `ItemHalf`."""
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
    """Profile features of users, numbered by aligned row.

    Attributes
    ----------
    encoder : UserEncoder
        Encoder of the profiles.
    features : UserFeatures
        Features of n aligned rows.
    """

    encoder: UserEncoder
    features: UserFeatures

    @classmethod
    def of(cls, people: Profiles, aligned: Sequence[str], recipe: PartyRecipe) -> "UserSide":
        """Build the side from the profiles of aligned users, in their order."""
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
        """Return an untrained half for a phase; see `UserHalf`."""
        rows = split_rows(len(self.features), recipe, hold_out=phase == "choose")
        return UserHalf(
            self.features, recipe, rows, defence=defence, secret=secret, processes=processes
        )
