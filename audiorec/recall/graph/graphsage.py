"""GraphSAGE: a song's vector is aggregated from itself and its neighbours, two steps deep.

    h_1 = s(W_1 [h_0 ; mean of h_0 of neighbours])     z = W_2 [h_1 ; mean of h_1 of neighbours]

A song's neighbours are the songs that it shares lists with and the entities of its facts; an
entity's neighbours are its songs. Each step samples a few of them. Songs near each other on a
random walk over lists are trained to have similar vectors, dissimilar to those of sampled songs. A
song without a list gets its vector from the entities of its facts and their songs.

Source: Hamilton, Ying, Leskovec, *Inductive representation learning on large graphs*, 2017.
"""

from functools import partial
from typing import Any

import numpy as np

from audiorec.listening.sequences import Sequences
from audiorec.recall.graph.channel import GraphChannel
from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.recipe import GraphSAGERecipe
from audiorec.recall.graph.song_vectors import SongVectors
from audiorec.recall.graph.walks import list_walks


class GraphSAGE(GraphChannel[GraphSAGERecipe]):
    """Songs near those of the history, by their neighbours in the graph (GraphSAGE)."""

    name = "graphsage"
    Recipe = GraphSAGERecipe

    def _train(
        self, material: GraphMaterial, **options: Any
    ) -> tuple[SongVectors, list[Any]] | None:
        from audiorec.recall.graph.learner import train_pairs
        from audiorec.recall.graph.sage_model import SageModel

        make, recipe = partial(SageModel, recipe=self.recipe), self.recipe

        def walked(of: GraphMaterial, rng: np.random.Generator) -> Sequences:
            return list_walks(of.plays, rng, walks=recipe.walks, length=recipe.walk_length)

        return train_pairs(
            material, recipe, make, purpose="training graphsage", walks=walked, **options
        )
