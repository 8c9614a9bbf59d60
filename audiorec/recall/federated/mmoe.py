"""Channel ``mmoe``: shared experts, mixed by one gate per task; song retrieval is the first task.

The second task is the partner's own: which of its items a user interacts with. It trains the
experts on more than plays; its labels and items are not stored in a bundle.
"""

from audiorec.recall.federated.channel import Towers
from audiorec.recall.federated.recipe import MmoeRecipe


class Mmoe(Towers):
    """Songs nearest to a user vector computed from the profile by gated experts."""

    name = "mmoe"
    Recipe = MmoeRecipe
