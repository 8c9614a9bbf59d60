"""The genre scripts: linear heads, the yardstick, the genre head, its folk, the comparison."""

import numpy as np
import pytest
from needs import needs

needs("torchaudio")
import head_folk
import head_genre
import head_gtzan
import head_linear
import head_outside
import head_yardstick
from head_features import Table
from head_gtzan import GTZAN_GENRES, Taggrams

from audiorec.types import Features

BACKBONES = {"msd": "0" * 64}
ROWS = 6  # of a series


def taggrams(artists, seed):
    """Return one series an artist and genre, each genre with a tag of its own."""
    rng = np.random.default_rng(seed)
    genre = np.repeat(np.arange(10), artists * ROWS)
    name = np.array([f"{g}-{i // ROWS}" for i, g in enumerate(genre)])
    tags = rng.uniform(0.0, 0.2, (len(genre), 50))
    tags[np.arange(len(genre)), genre] += 0.7
    return Taggrams(tags=tags, genre=genre, series=name, track=name, artist=name)


def train(columns, targets, groups, **recipe):
    return head_linear.train_linear(
        columns,
        targets,
        groups,
        np.ones(len(columns)),
        task="test",
        classes=("a", "b"),
        inputs=("msd.tags",),
        backbones=BACKBONES,
        recipe=head_linear.LinearRecipe(**recipe),
    )


def two_classes(n=120):
    rng = np.random.default_rng(0)
    columns, label = rng.uniform(0, 1, (n, 50)), np.arange(n) % 2
    columns[:, 0] += label
    return columns, np.eye(2)[label], np.array([f"g{i // 6}" for i in range(n)])


def test_a_linear_head_learns_and_is_the_same_each_time():
    columns, targets, groups = two_classes()
    found = train(columns, targets, groups)
    assert (found.head.scores_of_columns(columns).argmax(1) == targets.argmax(1)).mean() > 0.9
    assert found.head.sha256 == train(columns, targets, groups).head.sha256
    assert found.head.info["training_rows"] == 120
    other = train(columns, targets, groups, seed=1).head
    np.testing.assert_array_equal(found.head.layers[0][0], other.layers[0][0])
    assert found.head.info["recipe_fingerprint"] != other.info["recipe_fingerprint"]


def test_out_of_fold_scores_know_nothing_of_their_group():
    columns, targets, groups = two_classes()
    columns[:, 0] = targets[:, 1]
    alone = groups == "g3"
    columns[alone, 0] = 1 - columns[alone, 0]  # wrong by the rule of all others ...
    columns[alone, 1] = 50 * targets[alone, 1]  # ... and right by one of its own
    found = train(columns, targets, groups, l2=1e-4)
    right = found.out_of_fold.argmax(1) == targets.argmax(1)
    assert not right[alone].any()
    assert right[~alone].all()
    assert (found.head.scores_of_columns(columns).argmax(1) == targets.argmax(1))[alone].all()


def test_the_last_digits_of_the_columns_do_not_decide():
    columns, targets, groups = two_classes()
    columns[:, 1:11] = 0.5  # on another machine they differ in their last digits alone
    noise = np.random.default_rng(1).normal(0, 1e-6, columns.shape)
    for l2 in (0.1, 0.001):
        scores, other = (
            train(x, targets, groups, l2=l2).head.scores_of_columns(columns)
            for x in (columns, columns + noise)
        )
        np.testing.assert_allclose(scores, other, atol=2e-5)


def test_a_column_that_hardly_varies_gets_no_weight():
    columns, targets, groups = two_classes()
    columns[:, 1] = 0.5 + 1e-5 * targets[:, 1]  # right, and as small as rounding
    found = train(columns, targets, groups).head
    weight = found.layers[0][0]
    np.testing.assert_array_equal(weight[1], 0)
    assert (np.abs(weight[2:]) > 0).all()
    assert found.scale[1] == 1


def test_clipping_is_of_standard_deviations():
    x = np.r_[np.zeros(99), 99.0][:, None]
    model = head_linear.fit_softmax_regression(
        x, np.eye(2)[(x[:, 0] > 0).astype(int)], np.ones(100), l2=0.1
    )
    spread = 4.0 * x.std() + x.mean()
    np.testing.assert_allclose(model.scores([[spread]]), model.scores([[1e6]]), rtol=1e-4)
    assert model.scores([[0.5 * spread]])[0, 1] < model.scores([[spread]])[0, 1]


def test_every_way_to_join_segments_finds_planted_genres():
    held = taggrams(2, seed=1)
    scored = head_yardstick.score(taggrams(6, seed=0), held, BACKBONES)
    assert set(scored.ways) == {"mean score", "six statistics", "tags", "all three"}
    assert held.series[scored.first].tolist() == np.unique(held.series).tolist()
    for scores in scored.ways.values():
        assert scores.shape == (20, 10)
        assert (scores.argmax(1) == held.genre[scored.first]).mean() > 0.8  # chance is 0.1
    thirds = [scored.ways[name] for name in ("mean score", "six statistics", "tags")]
    np.testing.assert_allclose(scored.ways["all three"], np.mean(thirds, axis=0))


def music(corpora, tags):
    n = len(corpora)
    features = Features(tags, *(np.zeros((n, 1), np.float32) for _ in range(3)))
    names = np.array([f"{name}/folder/piece" for name in corpora])
    return Table(
        msd=features,
        label=np.ones(n, np.int64),
        corpus=np.array(corpora),
        group=names,
        track=names,
        voiced=np.full(n, np.nan, np.float32),
    )


def test_a_row_is_folk_by_as_much_as_the_tag_says():
    gtzan = taggrams(1, seed=0)
    folk = head_genre.backbone_weights("msd").tags.index("folk")
    gtzan.tags[:, folk] = 0.0
    gtzan.tags[[0, 1], folk] = 0.25, 0.9
    tags = np.zeros((3, 50), np.float32)
    tags[1:, folk] = 0.5
    table = music(["singularity-music", "drascula-music", "naev-music"], tags)
    outside = head_outside.pieces([table])
    rows = head_genre.genre_rows(gtzan, gtzan, outside, table)
    eight = 8 * ROWS  # without disco and reggae; the row that is neither is not learnt from
    assert len(rows.tags) == 2 * eight + 2
    np.testing.assert_allclose(rows.targets.sum(1), 1)
    assert rows.targets[[0, 1, 2], head_genre.FOLK].tolist() == [0.25, 0.6, 0.0]
    assert rows.targets[0, head_genre.GENRES.index("blues")] == 0.75
    assert rows.targets[2 * eight, head_genre.ELECTRONIC] == 1
    assert rows.targets[2 * eight + 1].argmax() == head_genre.FOLK
    assert rows.as_found.sum() == eight  # copies are learnt from, and not judged
    assert rows.as_found[:eight].all()


def test_a_piece_of_another_maker_is_what_its_maker_says():
    names = ["wesnoth-1.18-music", "waivops_loops", "waivops_loops", "naev-music"]
    table = music(names, np.zeros((4, 50), np.float32))
    table.track[:] = ["w/battle", "l/120bpm_hse_drm_1", "l/110bpm_hh_trp_id", "n/automat"]
    found, genre = head_outside.pieces([table])
    assert dict(zip(found.track.tolist(), genre.tolist(), strict=True)) == {
        "w/battle": "classical", "l/120bpm_hse_drm_1": "electronic", "l/110bpm_hh_trp_id": "hiphop",
    }  # fmt: skip
    assert head_outside.is_loop(found.corpus).tolist() == [False, True, True]


def test_disco_and_reggae_are_none_of_the_ten():
    found = head_genre.ten_of_gtzan(np.arange(10))
    outside = {name for name, ten in zip(GTZAN_GENRES, found, strict=True) if ten < 0}
    assert outside == {"disco", "reggae"}
    assert head_genre.GENRES[found[GTZAN_GENRES.index("rock")]] == "rock"


def test_folk_is_judged_on_the_artists_named():
    artist = np.repeat(["neilyoung", "anidifranco", "queen", "dio"], 2)
    track = np.repeat(["t0", "t1", "t2", "t3"], 2)
    folk = np.repeat([0.6, 0.3, 0.4, 0.1], 2)
    scores = np.stack([folk, np.full(8, 0.35), np.full(8, 0.32)], axis=1)
    found = head_folk.judge_folk(scores, track, artist, folk=0)
    assert found["tracks"] == [2, 4]
    assert found["auc"][0] == 0.75
    assert found["auc_by_artist"] == {"anidifranco": [1, 0.5], "neilyoung": [1, 1.0]}
    assert found["first"] == [0.5, 0.5]
    assert found["first_two"] == [0.5, 0.5]


@pytest.mark.parametrize("positive", [[True, False, True, False], [False, True, False, True]])
def test_the_area_under_a_curve_of_equals_is_a_half(positive):
    assert head_folk.area_under_curve(np.ones(4), np.array(positive)) == 0.5


def test_an_artist_is_one_however_written(tmp_path):
    (tmp_path / "gtzan").mkdir()
    lines = (
        "rock.00001.wav ::: Earth, Wind & Fire ::: a",
        "rock.00002.wav ::: earth wind and fire",
    )
    (tmp_path / "gtzan" / "artists_titles.txt").write_text("\n".join(lines))
    found = head_gtzan.artists_of(tmp_path, np.array(["rock.00001", "rock.00002", "rock.00003"]))
    assert found[0] == found[1]
    assert found[2] == "rock.00003"
