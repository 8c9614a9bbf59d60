"""`audiorec.recall.cold_start.song_units`: vectors of length 1 from both kinds of file."""

import numpy as np
import pytest

from audiorec.errors import InputError
from audiorec.recall.cold_start.song_units import embedding_units, vector_units
from audiorec.search.library import Library
from audiorec.store.embeddings import EmbeddingTable, write_embeddings


def test_a_store_gives_what_similar_compares():
    store = Library.open("fixtures/formats/vecs-v1.parquet")
    for by in ("vector", "mean"):
        units = vector_units(store, by=by)
        np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, atol=1e-6)
        first = store.similar(store.ids[0], k=4, by=by)
        for neighbour in first:
            product = units[0] @ units[store.row_number(neighbour.song_id)]
            assert product == pytest.approx(neighbour.similarity, abs=1e-5)


def test_embeddings_are_brought_to_length_one(tmp_path):
    path = tmp_path / "e.parquet"
    embeddings = np.array([[3.0, 4.0], [0.0, -2.0]], np.float32)
    write_embeddings(path, ["a", "b"], embeddings, kind="songs", model_id="m")
    units = embedding_units(EmbeddingTable.open(path, kind="songs"))
    np.testing.assert_allclose(units, [[0.6, 0.8], [0.0, -1.0]], atol=1e-6)
    write_embeddings(path, ["a", "b"], embeddings * [[1], [0]], kind="songs", model_id="m")
    with pytest.raises(InputError, match="'b' has length 0"):
        embedding_units(EmbeddingTable.open(path, kind="songs"))
