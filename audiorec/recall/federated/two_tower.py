"""two-tower: what is known of users in one network, songs in another, in one space (DSSM)."""

from audiorec.recall.federated.channel import Towers
from audiorec.recall.federated.recipe import TwoTowerRecipe


class TwoTower(Towers):
    """Songs near the vector that a network makes of a user's profile, interests and tags."""

    name = "two-tower"
    Recipe = TwoTowerRecipe
