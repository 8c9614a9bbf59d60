"""The user model as a channel: plays in their order, new songs by their sound."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from needs import needs

from audiorec.errors import InputError, SpecMismatchError, WeightsError
from audiorec.learning.bundle import read_bundle, write_bundle
from audiorec.listening.history import all_spans, histories
from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.checks import N_NEW, synthetic_listening
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.registry import load_channel
from audiorec.recall.sequence.youtube_dnn.channel import YouTubeDNN
from audiorec.recall.sequence.youtube_dnn.model import YouTubeDNNRecipe, as_likes

QUICK = {
    "dimension": 8,
    "id_width": 8,
    "hidden": (16,),
    "max_epochs": 30,
    "patience": 30,
    "learning_rate": 0.02,
}
SAMPLE = Path(__file__).parents[4] / "fixtures" / "formats" / "youtube_dnn-v1"
EXPECTED = [-0.86899, -0.09222, 0.48615]
PLAYS = Sequences.from_lists([["a", "b", "a"], [], ["b"]])


def recipe(**changes):
    return YouTubeDNNRecipe(**{**QUICK, **changes})


def queries(*lists):
    return Queries(Sequences.from_lists(lists))


def test_older_plays_count_less_by_how_many_came_since():
    likes = as_likes(PLAYS, in_days=False)
    assert likes.song.tolist() == [0, 1, 0, 1]
    past = histories(likes, all_spans(likes, max_history=100), half_life_days=1.0)
    assert past.weight.tolist() == [0.25, 0.5, 1.0, 1.0]  # by hand: a half for each play since
    assert past.lengths.tolist() == [3, 0, 1]


def test_liked_songs_age_in_days_and_weigh():
    day = 86_400.0
    liked = dataclasses.replace(
        PLAYS, time=np.array([1, 3, np.nan, 9]) * day, weight=np.float32([1, 3, 1, 7])
    )
    likes = as_likes(liked, in_days=True)
    assert np.isnan(likes.time).tolist() == [True, True, True, False]  # one lacks a time
    liked = dataclasses.replace(liked, time=np.array([1, 3, 3, 9]) * day)
    likes = as_likes(liked, in_days=True)
    past = histories(likes, all_spans(likes, max_history=100), half_life_days=2.0)
    assert past.weight.tolist() == [0.5, 2.0, 1.0, 3.0]  # log2(1 + w), halved after two days


def with_profiles(data):
    """Half of the users say which kind of music they hear; there are weights and days."""
    plays = data.sequences
    kind = [("a", "b")[user % 2] for user in range(len(plays))]
    age = np.full(len(plays), np.nan)
    people = Profiles(plays.owner_ids, {"kind": kind}, {"age": age})
    weighted = dataclasses.replace(plays, weight=np.ones(len(plays.song), np.float32))
    context = dataclasses.replace(data.context, profiles=people)
    return dataclasses.replace(data, sequences=weighted, context=context)


def test_a_profile_alone_is_answered(tmp_path):
    needs("torch")
    channel = YouTubeDNN(recipe(history_dropout=0.3)).fit(with_profiles(synthetic_listening()))
    channel.save(tmp_path / "model")
    loaded = load_channel(tmp_path / "model")
    assert loaded.in_days
    asked = Sequences.from_lists([[], [], [], ["song-001"]], ["x", "y", "z", "w"])
    people = Profiles(("x", "y"), {"kind": ["a", "b"]}, {})
    found = loaded.recall(Context(profiles=people).queries_of(asked), 10)
    kinds = [np.mean([name < "song-020" for name in found.of(row)]) for row in (0, 1)]
    assert kinds[0] >= 0.7
    assert kinds[1] < 0.2
    queries = Context(profiles=people).queries_of(asked)
    assert loaded.songs_used(queries).tolist() == [0, 0, 0, 1]
    assert loaded.embed_users(queries).any(axis=1).tolist() == [True, True, False, True]


def test_vectors_are_read_as_stored_and_of_one_maker_only():
    needs("torch")
    plain = synthetic_listening()
    sound = plain.context.sound
    # In other units than the values: a model must not read those.
    values = sound.units * np.float32(7) + 3
    sound = dataclasses.replace(sound, values=values, made_by="extractor 1")
    data = RecallData(plain.sequences, plain.new_songs, Context(sound=sound))
    channel = YouTubeDNN(recipe(max_epochs=2)).fit(data)
    np.testing.assert_array_equal(channel.model.song_inputs, values)
    some = tuple(sound.song_ids[:3])
    alone = dataclasses.replace(sound.among(some), units=sound.units[3:6])
    np.testing.assert_allclose(channel.embed_sound(alone), channel.embed_sound(sound)[:3])
    with pytest.raises(SpecMismatchError, match="trained on extractor 1, got model 2"):
        channel.embed_sound(dataclasses.replace(sound, made_by="model 2"))


def test_the_card_says_how_good_it_is_and_how_it_was_made(tmp_path):
    needs("torch")
    channel = YouTubeDNN(recipe(max_epochs=4)).fit(synthetic_listening())
    channel.save(tmp_path / "model")
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert "Measured on the last play of 10% of the users" in card
    assert f"held_out_loss: {channel.trained.figures['held_out_loss']:.3f}" in card
    assert "- dimension: 8\n" in card
    assert "- seed: 0\n" in card
    assert "torch " in card
    loaded = load_channel(tmp_path / "model")
    assert loaded.trained == dataclasses.replace(channel.trained, lines=())
    lines = (tmp_path / "model" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 4 + channel.trained.epochs


def test_the_stored_sample_of_version_1_still_says_the_same():
    channel = load_channel(SAMPLE)
    people = Profiles(("ana",), {"country": ["SE"]}, {"age": np.array([40.0])})
    asked = Sequences.from_lists([["piano/etude.flac", "rock/live.mp3"]], ["ana"])
    found = channel.embed_users(Context(profiles=people).queries_of(asked))
    np.testing.assert_allclose(found[0], EXPECTED, atol=1e-4)


def test_it_tells_two_kinds_of_music_apart():
    needs("torch")
    data = synthetic_listening()
    channel = YouTubeDNN(recipe()).fit(data)
    found = channel.recall(queries(["song-001", "song-003"], ["song-021", "song-023"]), 10)
    kinds = [np.mean([name < "song-020" for name in found.of(row)]) for row in (0, 1)]
    assert kinds[0] >= 0.7
    assert kinds[1] < 0.2


def test_new_songs_lie_where_songs_of_their_sound_lie():
    needs("torch")
    plain = synthetic_listening()
    # New songs sound exactly like the first kind; the kinds have nothing in common.
    ids = plain.song_ids
    first = [name.startswith("song-new") or name < "song-020" for name in ids]
    sound = Sound(
        ids, np.eye(2, dtype=np.float32)[[0 if f else 1 for f in first]], ("",) * len(ids)
    )
    data = RecallData(plain.sequences, plain.new_songs, Context(sound=sound))
    channel = YouTubeDNN(recipe(popularity=0.0)).fit(data)
    found = channel.recall(queries(["song-001"], ["song-021"]), 5, cold=N_NEW)
    near, far = (found.similarity[row][found.cold[row]].mean() for row in (0, 1))
    assert near > far + 1
    assert found.cold.sum() == 2 * N_NEW


def test_new_songs_without_a_vector_are_not_proposed():
    needs("torch")
    plain = synthetic_listening()
    channel = YouTubeDNN(recipe(max_epochs=1)).fit(RecallData(plain.sequences, plain.new_songs))
    assert not channel.recall(queries(["song-001"]), 5, cold=N_NEW).cold.any()
    other = Sound(("elsewhere",), np.ones((1, 3), np.float32), ("",))
    with pytest.raises(InputError, match="youtube-dnn: no song of the log has a vector"):
        YouTubeDNN(recipe()).fit(RecallData(plain.sequences, (), Context(sound=other)))


def test_how_popular_a_song_is_counts_as_much_as_is_said():
    needs("torch")
    data = synthetic_listening()
    plain = YouTubeDNN(recipe(popularity=0.0, max_epochs=3)).fit(data)
    asked = queries(["song-001"])
    cosines = next(plain.blocks(asked))[0] * plain.recipe.temperature
    assert np.abs(cosines[np.isfinite(cosines)]).max() <= 1 + 1e-6
    with_bias = YouTubeDNN(recipe(popularity=1.0, max_epochs=3)).fit(data)
    added = (next(with_bias.blocks(asked)) - next(plain.blocks(asked)))[0]
    np.testing.assert_allclose(added, with_bias.model.song_bias, atol=1e-5)
    # Popularity is part of a similarity, but proposes nothing to whom nothing is known of.
    strangers = Queries(Sequences.from_lists([[], []], ["x", "y"]))
    assert not (with_bias.recall(strangers, 3).song >= 0).any()


def test_a_bundle_that_does_not_fit_together_is_refused(tmp_path):
    needs("torch")
    data = synthetic_listening()
    YouTubeDNN(recipe(max_epochs=1)).fit(data).save(tmp_path / "model")
    assert load_channel(tmp_path / "model").recipe == recipe(max_epochs=1)
    bundle = read_bundle(tmp_path / "model", kind="recall/youtube-dnn")
    tensors = {**bundle.tensors, "song_bias": bundle.tensors["song_bias"][:-1]}
    write_bundle(tmp_path / "bent", tensors=tensors, config=bundle.config, card="bent")
    with pytest.raises(WeightsError, match="not a valid model of youtube-dnn"):
        load_channel(tmp_path / "bent")
