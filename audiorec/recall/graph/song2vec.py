"""Song2vec with a knowledge graph: songs are near songs that share their lists or their facts.

    L = L_s + gamma L_r      skip-gram on the lists, and TransE on the facts; gamma 0: no graph

A song without a list is placed by its facts; it is ranked apart and marked as cold.
"""

from functools import partial
from typing import Any

from audiorec.recall.graph.channel import GraphChannel
from audiorec.recall.graph.material import GraphMaterial
from audiorec.recall.graph.recipe import Song2vecRecipe
from audiorec.recall.graph.song_vectors import SongVectors


class Song2vec(GraphChannel[Song2vecRecipe]):
    """Songs near those of the history, by the lists they share and by artist, genre and sound."""

    name = "song2vec"
    Recipe = Song2vecRecipe

    def _train(
        self, material: GraphMaterial, **options: Any
    ) -> tuple[SongVectors, list[Any]] | None:
        from audiorec.recall.graph.learner import train_pairs
        from audiorec.recall.graph.tables import NUMBER_BYTES, table_folder
        from audiorec.recall.graph.vectors import Song2vecModel

        # Two tables in training, and a result that is twice as wide.
        n_bytes = (2 * material.n_entities + 4 * material.n_songs) * self.recipe.dimension
        room = table_folder(n_bytes * NUMBER_BYTES, self.recipe.tables, options.get("work"))
        make = partial(Song2vecModel, recipe=self.recipe, room=room)
        options |= {"purpose": "training song2vec", "keep_state": room is None}
        return train_pairs(material, self.recipe, make, **options)
