"""EGES: a song's vector is the weighted mean of its own embedding and those of its facts.

    H_v = sum over j of e^(a_v^j) W_v^j / sum over j of e^(a_v^j)       j = 0: own, 1 ...: facts

Each song has its own weight a_v^j for each of its facts. The training sentences are random walks
over co-occurring songs, with a window of five; contexts Z have a separate table. A song without a
list is represented by the mean of its facts.

Source: Wang et al., *Billion-scale commodity embedding for e-commerce recommendation in Alibaba*,
2018.
"""

from functools import partial
from typing import Any

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.recall.graph.channel import GraphChannel
from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.recipe import EGESRecipe
from audiorec.recall.graph.song_vectors import SongVectors
from audiorec.recall.graph.walks import list_walks


class EGES(GraphChannel[EGESRecipe]):
    """Songs near those of the history, by random walks over lists and weighted facts (EGES)."""

    name = "eges"
    Recipe = EGESRecipe

    def _train(
        self, material: GraphMaterial, **options: Any
    ) -> tuple[SongVectors, list[Any]] | None:
        from audiorec.recall.graph.eges_model import EGESModel
        from audiorec.recall.graph.learner import train_pairs

        make, recipe = partial(EGESModel, recipe=self.recipe), self.recipe

        def walked(of: GraphMaterial, rng: np.random.Generator) -> Sequences:
            return list_walks(of.plays, rng, walks=recipe.walks, length=recipe.walk_length)

        return train_pairs(material, recipe, make, purpose="training eges", walks=walked, **options)
