"""mmoe: experts that several tasks share, mixed by a gate for each; songs are the first task.

The second is the partner's own: which of its items a user meets. It makes the experts learn from
more than plays; its labels and items are no part of a bundle.
"""

from audiorec.recall.federated.channel import Towers
from audiorec.recall.federated.recipe import MmoeRecipe


class Mmoe(Towers):
    """Songs near the vector that gated experts make of a user's profile, interests and tags."""

    name = "mmoe"
    Recipe = MmoeRecipe
