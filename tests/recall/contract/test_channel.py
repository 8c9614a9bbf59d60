"""`audiorec.recall.contract.channel`: the best songs against a sort; channels that travel."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiorec.recall.contract.channel import DEPTH, top_songs
from audiorec.recall.contract.checks import synthetic_listening
from audiorec.recall.contract.data import Queries
from audiorec.recall.registry import channel_class
from audiorec.runs import blocks

COUNTED = ("als", *"popular replay rules vs-knn item-knn ease recent-likes".split())
COUNTED += ("nearest-audio", "nearest-artist")


def by_sorting(similar, mask, k):
    """Return the same, row by row, of a sort of everything."""
    songs = np.flatnonzero(mask)
    k = min(k, len(songs))
    found = np.full((len(similar), k), -1)
    best = np.full((len(similar), k), np.nan, np.float32)
    for row, line in enumerate(similar[:, songs]):
        order = [at for at in np.lexsort((songs, -line)) if line[at] > -np.inf][:k]
        found[row, : len(order)], best[row, : len(order)] = songs[order], line[order]
    return found, best


@pytest.mark.parametrize("n", [1, 300, DEPTH * 40, DEPTH * 130 + 77])
@pytest.mark.parametrize("kind", ["all different", "many equals", "mostly nothing", "ends"])
def test_the_best_are_those_of_a_sort(n, kind):
    rng = np.random.default_rng(n)
    similar = rng.standard_normal((4, n)).astype(np.float32)
    if kind == "many equals":
        similar = np.round(similar)
    if kind == "mostly nothing":
        similar[rng.random(similar.shape) < 0.995] = -np.inf
        similar[1] = -np.inf
    if kind == "ends":  # the best stand in the last columns, in no whole strand, or in one
        similar[0, -50:] += 50
        similar[1, :: max(1, n // DEPTH)] += 50
        similar[2] = 0
    for mask in (np.ones(n, np.bool_), rng.random(n) < 0.7):
        for k in (1, 9, 30):
            found, expected = top_songs(similar, mask, k), by_sorting(similar, mask, k)
            assert np.array_equal(found[0], expected[0])
            assert np.array_equal(found[1], expected[1], equal_nan=True)


@pytest.mark.parametrize("name", [*COUNTED, "external"])
def test_a_channel_answers_the_same_where_it_has_travelled(name, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "MIN_BYTES", 64)
    monkeypatch.setattr(blocks, "MIN_TEXTS", 4)
    data = synthetic_listening()
    if name == "external":
        users = data.sequences.owner_ids[: len(data.song_ids)]
        rows = {"user_id": users, "song_id": data.song_ids[: len(users)]}
        pq.write_table(pa.table(rows), tmp_path / "theirs.parquet")
        name = f"external:{tmp_path / 'theirs.parquet'}"
    channel = channel_class(name)().fit(data)
    away = blocks.MappedWriter(channel).write(tmp_path / "shared.bin").load()
    assert away.name == name
    found, same = (c.recall(Queries(data.sequences), 9, cold=2) for c in (channel, away))
    assert np.array_equal(found.song, same.song)
    assert np.array_equal(found.similarity, same.similarity, equal_nan=True)
    assert np.array_equal(found.evidence, same.evidence)
