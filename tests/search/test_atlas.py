"""`audiorec.search.atlas`: the columns of the map, and where songs lie; PCA by hand."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from good_store import IDS, METADATA, change, scores_of, write_good_store
from needs import needs

from audiorec.errors import InputError, MissingExtraError, StoreError
from audiorec.library.library import Library
from audiorec.search import atlas as module
from audiorec.search.atlas import atlas_table, project, write_atlas


@pytest.fixture
def path(tmp_path):
    return write_good_store(tmp_path)


def test_columns(path, tmp_path):
    out = tmp_path / "atlas.parquet"
    assert write_atlas(Library.open(path), out) == 4
    table = pq.read_table(out)
    assert table.column_names == [
        *("song_id", "x", "y", "title", "artist", "album", "version", "genre"),
        *("duration_s", "audio"),
    ]
    rows = table.to_pylist()
    assert [row["song_id"] for row in rows] == list(IDS)
    assert [row["title"] for row in rows] == ["Eins", "two.flac", "three.mp3", "été.mp3"]
    assert rows[3]["audio"] == "/music/b/été.mp3"
    for row in rows:
        means = scores_of(row["song_id"]).mean(axis=0)
        assert row["version"] == ("vocal", "other")[means[:2].argmax()]
        assert row["genre"] == ("rock", "jazz", "hip-hop")[means[2:].argmax()]
    assert len({row["genre"] for row in rows}) > 1
    assert (str(table.schema.field("x").type), str(table.schema.field("y").type)) == (
        "float",
        "float",
    )
    assert table.schema.metadata is None


def test_other_tools_open_it(path, tmp_path):
    out = tmp_path / "atlas.parquet"
    write_atlas(Library.open(path), out)
    duckdb, polars = needs("duckdb"), needs("polars")
    assert len(duckdb.read_parquet(str(out)).project("x, y").distinct().fetchall()) == 4
    assert polars.read_parquet(out)["audio"].null_count() == 0


def test_songs_that_sound_the_same_lie_at_one_place(path):
    first = Library.open(path).vector(IDS[0])
    change(path, "vector", 2, first.tolist())
    table = atlas_table(Library.open(path))
    places = np.stack([table.column("x").to_numpy(), table.column("y").to_numpy()], axis=1)
    np.testing.assert_allclose(places[0], places[2], atol=1e-6)
    assert np.linalg.norm(places[0] - places[1]) > 0.1


def test_heads_of_ones_own(tmp_path):
    classes = ("mood/calm", "mood/wild", "genre/rock", "genre/jazz", "genre/x")
    path = write_good_store(tmp_path / "a", metadata=replace(METADATA, classes=classes))
    assert set(atlas_table(Library.open(path)).column("mood").to_pylist()) <= {"calm", "wild"}
    classes = ("audio/calm", "audio/wild", "genre/rock", "genre/jazz", "genre/x")
    path = write_good_store(tmp_path / "b", metadata=replace(METADATA, classes=classes))
    with pytest.raises(InputError, match="head 'audio' has the name of another column"):
        atlas_table(Library.open(path))


def test_refusals(path, tmp_path):
    store = Library.open(path)
    with pytest.raises(InputError, match="is the store itself"):
        write_atlas(store, path)
    with pytest.raises(InputError, match="its folder does not exist"):
        write_atlas(store, tmp_path / "gone" / "atlas.parquet")
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(StoreError, match="has no songs to place on a map"):
        write_atlas(Library.open(path), tmp_path / "atlas.parquet")
    assert not (tmp_path / "atlas.parquet").exists()


@pytest.fixture
def units():
    rng = np.random.default_rng(3)
    kinds = rng.normal(size=(3, 12))
    points = kinds[rng.integers(0, 3, 90)] + 0.1 * rng.normal(size=(90, 12))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def test_pca_by_hand():
    # Along (3, 4)/5 lie -10, 0, 5, 5; across it lie 1, -1, 0, 0.
    along, across = np.float32([3, 4]) / 5, np.float32([-4, 3]) / 5
    points = np.outer([-10, 0, 5, 5], along) + np.outer([1, -1, 0, 0], across)
    found = project((points + np.array([7, -2])).astype(np.float32))
    np.testing.assert_allclose(found[:, 0], [-10, 0, 5, 5], atol=0.3)  # 4/5 > 0: not flipped
    assert found[:, 0].std() > 5 * found[:, 1].std()
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)


def test_pca_is_scipys(units):
    centred = units - units.mean(axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ axes[:2].T
    found = project(units)
    for axis in range(2):
        sign = np.sign(found[:, axis] @ expected[:, axis])
        np.testing.assert_allclose(found[:, axis], sign * expected[:, axis], atol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_each_axis_points_to_where_its_most_important_column_grows(seed):
    points = np.random.default_rng(seed).normal(size=(30, 5)).astype(np.float32)
    loadings = (points - points.mean(axis=0)).T @ project(points)  # (5, 2)
    assert (loadings[np.abs(loadings).argmax(axis=0), [0, 1]] > 0).all()


def test_pca_does_not_flip_with_order_or_blocks(units, monkeypatch):
    found = project(units)
    order = np.random.default_rng(0).permutation(len(units))
    np.testing.assert_allclose(project(units[order]), found[order], atol=1e-5)
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    np.testing.assert_allclose(project(units), found, atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (2, 4), (3, 1), (2, 0)])
def test_few_points(shape):
    found = project(np.ones(shape, np.float32))
    assert found.shape == (shape[0], 2)
    assert np.isfinite(found).all()


def test_tsne_keeps_kinds_together(units):
    needs("sklearn")
    units = units[:40]
    found = project(units, "tsne")
    np.testing.assert_array_equal(project(units, "tsne"), found)
    near = np.linalg.norm(units[:, None] - units[None], axis=2) < 0.6
    apart = np.linalg.norm(found[:, None] - found[None], axis=2)
    assert apart[near].mean() < 0.5 * apart[~near].mean()
    assert project(units[:3], "tsne").shape == (3, 2)


def test_umap_is_asked_with_the_seed(units, monkeypatch):
    needs("threadpoolctl")
    asked = {}

    class UMAP:
        def __init__(self, **options):
            asked.update(options)

        def fit_transform(self, points):
            return points[:, :2] + 5

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    found = project(units[:9], "umap", seed=4)
    assert asked == {"n_components": 2, "n_neighbors": 8, "random_state": 4}
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "name", "extra"), [("tsne", "sklearn.manifold", "sklearn"), ("umap", "umap", "map")]
)
def test_a_library_that_is_missing(units, monkeypatch, kind, name, extra):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf'projection {kind} .*needs the extra "{extra}"'):
        project(units, kind)
    with pytest.raises(InputError, match="unknown projection 'isomap'; there are: pca, tsne, umap"):
        project(units, "isomap")
