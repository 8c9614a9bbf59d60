"""The user model as a channel: plays in their order, new songs by their sound."""

import numpy as np
import pytest
from needs import needs

from audiorec.errors import InputError, WeightsError
from audiorec.learning.bundle import read_bundle, write_bundle
from audiorec.listening.history import histories, whole
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.checks import N_NEW, made_up_listening
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.registry import load_channel
from audiorec.recall.sequence.youtube_dnn.channel import YoutubeDnn, YoutubeDnnRecipe, in_plays

QUICK = {"dimension": 8, "id_width": 8, "hidden": (16,), "max_epochs": 60, "patience": 60}
PLAYS = Sequences.from_lists([["a", "b", "a"], [], ["b"]])


def recipe(**changes):
    return YoutubeDnnRecipe(**{**QUICK, **changes})


def queries(*lists):
    return Queries(Sequences.from_lists(lists))


def test_older_plays_count_less_by_how_many_came_since():
    likes = in_plays(PLAYS)
    assert likes.song.tolist() == [0, 1, 0, 1]
    past = histories(likes, whole(likes, max_history=100), half_life_days=1.0)
    assert past.weight.tolist() == [0.25, 0.5, 1.0, 1.0]  # by hand: a half for each play since
    assert past.counts.tolist() == [3, 0, 1]


def test_it_tells_two_kinds_of_music_apart():
    needs("torch")
    data = made_up_listening()
    channel = YoutubeDnn(recipe()).fit(data)
    found = channel.recall(queries(["song-001", "song-003"], ["song-021", "song-023"]), 10)
    kinds = [np.mean([name < "song-020" for name in found.of(row)]) for row in (0, 1)]
    assert kinds[0] > 0.8
    assert kinds[1] < 0.2


def test_new_songs_lie_where_songs_of_their_sound_lie():
    needs("torch")
    plain = made_up_listening()
    # New songs sound exactly like the first kind; the kinds have nothing in common.
    ids = plain.song_ids
    first = [name.startswith("song-new") or name < "song-020" for name in ids]
    sound = Sound(
        ids, np.eye(2, dtype=np.float32)[[0 if f else 1 for f in first]], ("",) * len(ids)
    )
    data = RecallData(plain.sequences, plain.new_songs, Context(sound=sound))
    channel = YoutubeDnn(recipe(popularity=0.0)).fit(data)
    found = channel.recall(queries(["song-001"], ["song-021"]), 5, cold=N_NEW)
    near, far = (found.similarity[row][found.cold[row]].mean() for row in (0, 1))
    assert near > far + 1
    assert found.cold.sum() == 2 * N_NEW


def test_new_songs_without_a_vector_are_not_proposed():
    needs("torch")
    plain = made_up_listening()
    channel = YoutubeDnn(recipe(max_epochs=1)).fit(RecallData(plain.sequences, plain.new_songs))
    assert not channel.recall(queries(["song-001"]), 5, cold=N_NEW).cold.any()
    other = Sound(("elsewhere",), np.ones((1, 3), np.float32), ("",))
    with pytest.raises(InputError, match="youtube-dnn: no song has a vector"):
        YoutubeDnn(recipe()).fit(RecallData(plain.sequences, (), Context(sound=other)))


def test_how_popular_a_song_is_counts_as_much_as_is_said():
    needs("torch")
    data = made_up_listening()
    plain = YoutubeDnn(recipe(popularity=0.0, max_epochs=3)).fit(data)
    asked = queries(["song-001"])
    cosines = next(plain.blocks(asked))[0] * plain.recipe.temperature
    assert np.abs(cosines[np.isfinite(cosines)]).max() <= 1 + 1e-6
    with_bias = YoutubeDnn(recipe(popularity=1.0, max_epochs=3)).fit(data)
    added = (next(with_bias.blocks(asked)) - next(plain.blocks(asked)))[0]
    np.testing.assert_allclose(added, with_bias.model.song_bias, atol=1e-5)


def test_a_training_that_is_stopped_leaves_nothing_and_goes_on(tmp_path):
    needs("torch")
    from threading import Event

    data, stop = made_up_listening(), Event()

    def after_two(line):
        if line["epoch"] == 2:
            stop.set()

    stopped = YoutubeDnn(recipe()).fit(data, work=tmp_path, progress=after_two, stop=stop)
    with pytest.raises(InputError, match="not fitted"):
        stopped.recall(queries(["song-001"]), 3)
    resumed = YoutubeDnn(recipe()).fit(data, work=tmp_path)
    whole_run = YoutubeDnn(recipe()).fit(data)
    found, expected = (next(c.blocks(Queries(data.sequences))) for c in (resumed, whole_run))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_bundle_that_does_not_fit_together_is_refused(tmp_path):
    needs("torch")
    data = made_up_listening()
    YoutubeDnn(recipe(max_epochs=1)).fit(data).save(tmp_path / "model")
    assert load_channel(tmp_path / "model").recipe == recipe(max_epochs=1)
    bundle = read_bundle(tmp_path / "model", kind="recall/youtube-dnn")
    tensors = {**bundle.tensors, "song_bias": bundle.tensors["song_bias"][:-1]}
    write_bundle(tmp_path / "bent", tensors=tensors, config=bundle.config, card="bent")
    with pytest.raises(WeightsError, match="youtube-dnn: not a sound users model"):
        load_channel(tmp_path / "bent")
