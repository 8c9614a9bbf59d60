"""Channel ``two-tower``: one network for user profiles, one for songs, in one space (DSSM)."""

from audiorec.recall.federated.channel import Towers
from audiorec.recall.federated.recipe import TwoTowerRecipe


class TwoTower(Towers):
    """Songs nearest to a user vector computed from profile, interests and tags."""

    name = "two-tower"
    Recipe = TwoTowerRecipe
