"""New songs lie where their vector and their artist's songs say."""

import dataclasses

import numpy as np
import pytest
from needs import needs

from audiorec.errors import ShapeError, WeightsError
from audiorec.learning.bundle import read_bundle, write_bundle
from audiorec.listening.side import Category, SongSide
from audiorec.recall.contract.checks import synthetic_listening
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
from audiorec.recall.registry import load_channel
from audiorec.recall.sequence.youtube_dnn.channel import SHRINK, SoundMap, YouTubeDNN, artists_among
from audiorec.recall.sequence.youtube_dnn.model import YouTubeDNNRecipe

QUICK = YouTubeDNNRecipe(
    dimension=8, hidden=(16,), max_epochs=30, patience=30, learning_rate=0.02, popularity=0.0
)
SAME_SOUND = np.zeros((4, 1), np.float32)
ALL = np.ones(4, np.bool_)


def side_of(song_ids, artists):
    values = tuple(sorted({a for a in artists if a}))
    number = np.array([values.index(a) if a else -1 for a in artists], np.int32)
    none = np.zeros(len(song_ids), np.bool_)
    category = Category(number, values, none)
    nan = np.full(len(song_ids), np.nan, np.float32)
    return SongSide(song_ids=song_ids, categories={"artist": category}, released=nan)


def test_an_artist_is_the_mean_of_what_sound_does_not_say_shrunk_by_how_few_songs_there_are():
    embeddings = np.float32([[1, 0], [1, 0], [0, 1], [0, 0]])
    learnt = np.array([True, True, True, False])
    found = SoundMap.fit(embeddings, SAME_SOUND, ALL, ("a", "a", "b", "c"), learnt)
    assert found.artists == ("a", "b")  # nothing was learnt of c
    mean = embeddings[:3].mean(axis=0)
    np.testing.assert_allclose(found.by_sound[1], mean, rtol=0.1)  # a little ridge
    by_hand = [2 * (embeddings[0] - mean) / (2 + SHRINK), (embeddings[2] - mean) / (1 + SHRINK)]
    np.testing.assert_allclose(found.by_artist, by_hand, atol=0.02)


def test_songs_without_a_vector_lie_by_their_artist_and_without_either_nowhere():
    embeddings = np.float32([[1, 0], [1, 0], [0, 1], [0, 1]])
    placing = SoundMap.fit(embeddings, SAME_SOUND, ALL, ("a", "a", "b", "b"), ALL)
    has_vector = np.array([False, True, False, False])
    found = placing.place(SAME_SOUND, has_vector, ("a", "unheard", "unheard", ""))
    assert found.any(axis=1).tolist() == [True, True, False, False]
    assert found[0] @ [1, -1] > 0.3  # nearer to the songs of a
    np.testing.assert_allclose(np.linalg.norm(found[:2], axis=1), 1, atol=1e-6)


def test_artists_come_from_side_information_before_sound():
    ids = ("x", "y")
    sound = Sound(ids, np.ones((2, 1), np.float32), ("by sound", ""))
    assert artists_among(Context(sound=sound), ("y", "x", "z")) == ("", "by sound", "")
    side = side_of(ids, ("Björk", None))
    assert artists_among(Context(sound=sound, side=side), ("x", "y", "z")) == ("björk", "", "")
    assert artists_among(Context(), ids) == ("", "")


def of_two_artists(*, sound):
    """Each kind is of one artist, new songs are of either in turn; all songs sound alike."""
    plain = synthetic_listening()
    ids = plain.song_ids
    turn = {name: number % 2 for number, name in enumerate(plain.new_songs)}
    artists = tuple(("one", "two")[turn.get(name, int(name >= "song-020"))] for name in ids)
    alike = Sound(ids, np.ones((len(ids), 2), np.float32), artists)
    context = Context(sound=alike) if sound else Context(side=side_of(ids, artists))
    return RecallData(plain.sequences, plain.new_songs, context)


@pytest.mark.parametrize("sound", [True, False])
def test_new_songs_are_found_by_those_who_hear_their_artist(tmp_path, sound):
    needs("torch")
    data = of_two_artists(sound=sound)
    channel = YouTubeDNN(QUICK).fit(data)
    asked = Queries(data.sequences.from_lists([["song-001"], ["song-021"]]))
    similar = np.concatenate(list(channel.blocks(asked)))
    first, second = (similar[:, np.isin(data.song_ids, data.new_songs[n::2])] for n in (0, 1))
    assert first[0].min() > second[0].max() + 1
    assert second[1].min() > first[1].max() + 1
    channel.save(tmp_path / "model")
    loaded = load_channel(tmp_path / "model")
    np.testing.assert_array_equal(loaded.song_embeddings(), channel.song_embeddings())
    assert loaded.placing.artists == ("one", "two")
    if sound:
        heard = loaded.embed_sound(data.sound)
        new = data.is_cold
        np.testing.assert_allclose(heard[new], channel.song_embeddings()[new], atol=1e-6)
        nobody = dataclasses.replace(data.sound, artists=("",) * len(data.song_ids))
        assert np.abs(loaded.embed_sound(nobody)[new] - heard[new]).max() > 0.1


def test_a_model_from_before_artists_were_known_is_read(tmp_path):
    needs("torch")
    data = of_two_artists(sound=True)
    YouTubeDNN(dataclasses.replace(QUICK, max_epochs=1)).fit(data).save(tmp_path / "model")
    bundle = read_bundle(tmp_path / "model", kind="recall/youtube-dnn")
    new = ("by_artist", "artists", "artists_starts")
    tensors = {name: array for name, array in bundle.tensors.items() if name not in new}
    write_bundle(tmp_path / "old", tensors=tensors, config=bundle.config, card="old")
    assert load_channel(tmp_path / "old").placing.artists == ()
    tensors = {**bundle.tensors, "by_artist": bundle.tensors["by_artist"][1:]}
    write_bundle(tmp_path / "bent", tensors=tensors, config=bundle.config, card="bent")
    with pytest.raises(WeightsError, match="not a valid model of youtube-dnn"):
        load_channel(tmp_path / "bent")


def test_artists_and_their_parts_must_fit():
    with pytest.raises(ShapeError, match="2 artists of width 3 expected"):
        SoundMap(
            by_sound=np.zeros((1, 3), np.float32),
            artists=("a", "b"),
            by_artist=np.zeros((1, 3), np.float32),
        )
