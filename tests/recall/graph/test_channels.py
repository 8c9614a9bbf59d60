"""The three channels of the graph: the contract, resume, cold songs by facts, and why."""

import math
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from needs import needs

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.checks import synthetic_listening
from audiorec.recall.contract.data import Context, Queries, RecallData
from audiorec.recall.contract.training import train_channel
from audiorec.recall.graph.facts import triples_from_rows
from audiorec.recall.graph.material import (
    EGESRecipe,
    GraphSAGERecipe,
    Song2vecRecipe,
    held_out,
    material_of,
)
from audiorec.recall.graph.song_vectors import SongVectors, hidden_recall, prior_columns, scaled
from audiorec.recall.registry import channel_class, load_channel

SMALL = {"dimension": 8, "drawn": 32, "places": 128, "block": 16}
RECIPES = {
    "song2vec": Song2vecRecipe(**SMALL, facts=32, max_epochs=4),
    "eges": EGESRecipe(**SMALL, slots=3, max_epochs=4),
    "graphsage": GraphSAGERecipe(**SMALL, near=3, far=2, table=6, max_epochs=4),
}
KINDS = pytest.mark.parametrize("name", RECIPES)


def channel(name, **changes):
    return channel_class(name)(replace(RECIPES[name], **changes))


def with_facts(data):
    """Songs below 20 are by one artist and the others by another; new ones are by the first."""
    heads = [f"song:{song}" for song in data.song_ids]
    tails = [
        "artist:one" if s.startswith("song-new") or s < "song-020" else "artist:two"
        for s in data.song_ids
    ]
    facts = triples_from_rows(heads, ["by"] * len(heads), tails)
    return RecallData(data.sequences, data.new_songs, Context(triples=facts))


def queries(*lists):
    return Queries(Sequences.from_lists(lists))


@KINDS
def test_it_tells_two_kinds_of_music_apart_and_places_new_songs_by_their_facts(name):
    needs("torch")
    data = with_facts(synthetic_listening())
    made = channel(name, max_epochs=20, choose=False, learning_rate=0.05).fit(data)
    asked = queries(["song-001", "song-003"], ["song-021", "song-023"])
    found = made.recall(asked, 10)
    kinds = [np.mean([song < "song-020" for song in found.of(row)]) for row in (0, 1)]
    assert kinds[0] > 0.8
    assert kinds[1] < 0.2
    new = made.recall(asked, 1, cold=6)
    near, far = (new.similarity[row][new.cold[row]].mean() for row in (0, 1))
    assert near > far
    assert new.cold.sum() == 12


@KINDS
def test_a_training_that_is_stopped_goes_on_to_the_same_weights(name, tmp_path):
    needs("torch")
    data, stop = with_facts(synthetic_listening()), Event()

    def after_two(line):
        if line["epoch"] == 2:
            stop.set()

    out = tmp_path / "model"
    stopped = train_channel(channel(name), data, out, progress=after_two, stop=stop)
    assert stopped is None
    assert not out.exists()
    train_channel(channel(name), data, out)
    whole = channel(name).fit(data)
    resumed = load_channel(out)
    for one, other in zip(
        resumed.blocks(Queries(data.sequences)), whole.blocks(Queries(data.sequences)), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert not (tmp_path / "model.run").exists()


def test_without_gamma_facts_change_nothing_and_place_nobody():
    needs("torch")
    plain = synthetic_listening()
    bare = RecallData(plain.sequences, plain.new_songs)
    with_graph = channel("song2vec", gamma=0.0, max_epochs=2).fit(with_facts(plain))
    assert not with_graph.recall(queries(["song-001"]), 3, cold=6).cold.any()
    without = channel("song2vec", max_epochs=2).fit(bare)
    assert not without.recall(queries(["song-001"]), 3, cold=6).cold.any()


def test_a_bundle_names_no_list_and_no_user():
    needs("torch")
    data = synthetic_listening()
    owner = data.sequences.owner_ids[0]
    facts = triples_from_rows(
        ["song:song-001", "song:song-001", f"user:{owner}"],
        ["liked_by", "by", "follows"],
        [f"user:{owner}", "artist:one", "artist:one"],
    )
    context = Context(triples=facts)
    made = channel("song2vec", max_epochs=1).fit(RecallData(data.sequences, (), context))
    tensors, config = made._state()
    content = b"".join(np.asarray(t).tobytes() for t in tensors.values()) + str(config).encode()
    assert owner.encode() not in content


def test_facts_of_other_songs_are_refused_and_lists_of_one_song():
    needs("torch")
    data = synthetic_listening()
    facts = triples_from_rows(["song:elsewhere"], ["by"], ["artist:x"])
    with pytest.raises(InputError, match="no triple is about a song of the log"):
        channel("song2vec").fit(RecallData(data.sequences, (), Context(triples=facts)))
    with pytest.raises(InputError, match="no list has two songs"):
        channel("song2vec").fit(RecallData(Sequences.from_lists([["a"], ["b"]])))


def test_songs_of_facts_may_be_proposed():
    facts = triples_from_rows(["song:a", "song:b"], ["by", "by"], ["artist:x", "artist:x"])
    assert Context(triples=facts).song_ids == ("a", "b")


def test_what_is_held_out_is_hidden_in_near_copies_too():
    songs = [f"s{n:02}" for n in range(20)]
    plays = Sequences.from_lists([songs, songs[1:], [f"t{n}" for n in range(9)], ["s00", "t0"]])
    seen = 0
    for seed in range(8):
        hidden, judged = held_out(plays, np.random.default_rng(seed))
        secret = {u: set(plays.song[hidden & (plays.owner == u)].tolist()) for u in range(4)}
        assert all(secret[u] for u in judged.tolist())
        if 0 in judged:
            seen += 1
            assert secret[0] - {plays.song_ids.index("s00")} <= secret[1]
        assert (plays.keep(~hidden).lengths[judged] > 0).all()
    assert seen


def test_a_small_catalogue_where_all_lists_are_alike_leaves_something_to_learn():
    songs = [f"s{n:02}" for n in range(12)]
    plays = Sequences.from_lists([songs[n % 3 :] for n in range(40)])
    hidden, judged = held_out(plays, np.random.default_rng(0))
    assert set(plays.owner[hidden].tolist()) == set(judged.tolist())
    assert (np.bincount(plays.song[~hidden], minlength=12) > 0).all()
    needs("torch")
    trained = channel("song2vec")
    trained.fit(RecallData(plays))
    assert trained.trained.figures["held_out_recall"] > 0
    assert trained.trained.steps > 0


def test_facts_that_come_without_triples():
    data = synthetic_listening()  # its sound names artists
    found = material_of(data, neighbours=2)
    assert found.facts.relations == ("by", "sounds_like")
    assert len(found.entities) == math.ceil(len(data.song_ids) / 4)
    assert material_of(RecallData(data.sequences), neighbours=2).facts.relations == ()


def test_places_by_hand():
    ahead = np.array([[1, 0], [0, 2], [0, 0]], np.float32)
    behind = np.array([[1, 0], [0, 1], [5, 5]], np.float32)
    has = np.array([True, True, False])
    places = SongVectors(ahead=ahead, behind=behind, parts=(2,), has_place=has)
    known = Sequences.from_lists([["a", "b"], [], ["c"]]).among(("a", "b", "c"))
    found = places.similarities(known)
    np.testing.assert_allclose(found[0, :2], np.array([1, 2]) / np.sqrt(5), rtol=1e-6)
    assert np.isneginf(found[0, 2])
    assert np.isneginf(found[1:]).all()
    level = scaled(places, known, has, (2.0,))
    assert level.behind is behind  # no second table
    users = level.users(known)
    assert float((users[:2] @ level.behind[:2].T).std()) == pytest.approx(2.0, rel=1e-5)
    wanted = Sequences.from_lists([["b"], ["a"], []]).among(("a", "b", "c"))
    shown = Sequences.from_lists([["a"], [], []]).among(("a", "b", "c"))
    assert hidden_recall(places, shown, wanted, has) == 0.5  # the second has no history


def test_the_prior_is_a_share_of_the_logarithm_of_entries():
    counts, has = np.array([0, 1, 8]), np.array([True, True, True])
    one, often = prior_columns(counts, has, 0.5)
    np.testing.assert_allclose(often[:, 0], [0, 0, 0.5 * np.log(8)], rtol=1e-6)
    rows = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    places = SongVectors(
        ahead=np.concatenate([rows, one], axis=1),
        behind=np.concatenate([rows, often], axis=1),
        parts=(2, 1),
        has_place=has,
    )
    # However long a history is, the prior counts once.
    known = Sequences.from_lists([["b"], ["a", "b", "c"]]).among(("a", "b", "c"))
    found = places.similarities(known)
    np.testing.assert_allclose(found[0], [0, 1, 1 + 0.5 * np.log(8)], rtol=1e-6)
    assert float(found[1, 2] - found[1, 1]) == pytest.approx(0.5 * np.log(8), rel=1e-5)
    level = scaled(places, known, has, (2.0,))
    np.testing.assert_array_equal(level.behind[:, 2], often[:, 0])


@pytest.mark.parametrize("name", ["song2vec", "eges", "graphsage"])
def test_without_the_prior_only_songs_that_lie_near_count(name):
    needs("torch")
    data = with_facts(synthetic_listening())
    asked = queries(["song-001", "song-021"])
    plain, usual = (
        channel(name, max_epochs=1, choose=False, prior=prior).fit(data) for prior in (0.0, 0.5)
    )
    entries = np.bincount(data.sequences.song, minlength=len(data.song_ids))
    gap = next(iter(usual.blocks(asked))) - next(iter(plain.blocks(asked)))
    warm = entries > 0
    np.testing.assert_allclose(gap[0, warm], 0.5 * np.log(entries[warm]), atol=1e-5)


def test_of_a_history_only_the_newest_entries_count_if_asked():
    needs("torch")
    data = with_facts(synthetic_listening())
    long, short = queries(["song-001", "song-021", "song-023"]), queries(["song-021", "song-023"])
    whole = channel("song2vec", max_epochs=2).fit(data)
    recent = channel("song2vec", max_epochs=2, recent=2).fit(data)
    asked = [
        made.song_embeddings() @ made.embed_users(q)[0]
        for made, q in ((recent, long), (recent, short), (whole, short), (whole, long))
    ]
    np.testing.assert_array_equal(asked[0], asked[1])
    np.testing.assert_array_equal(asked[0], asked[2])
    assert not np.allclose(asked[0], asked[3])


def test_a_recipe_that_cannot_be_is_refused():
    for kind, wrong in (
        (Song2vecRecipe, {"gamma": -1.0}),
        (Song2vecRecipe, {"dimension": 0}),
        (Song2vecRecipe, {"learning_rate": 0.0}),
        (Song2vecRecipe, {"max_epochs": -1}),
        (EGESRecipe, {"recent": 0}),
        (EGESRecipe, {"walk_length": 1}),
        (GraphSAGERecipe, {"sharpness": 0.0}),
    ):
        with pytest.raises(InputError):
            kind(**wrong)
