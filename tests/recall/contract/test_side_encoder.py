"""`audiorec.recall.contract.next_song`: side information and sound as numbers, by hand."""

import numpy as np
import pytest

from audiorec.errors import InputError, WeightsError
from audiorec.listening.side import Category, SongSide
from audiorec.recall.contract.data import Context, Sound
from audiorec.recall.contract.next_song import SideEncoder

SONGS = ("a", "b", "c", "d")


def made_side(songs=SONGS):
    genre = Category(np.array([0, 0, 1, -1], np.int32), ("rock", "tango"), np.zeros(4, np.bool_))
    tempo = np.array([100, 140, np.nan, 120], np.float32)
    nothing = np.full(4, np.nan, np.float32)
    return SongSide(
        song_ids=songs, categories={"genre": genre}, numbers={"tempo": tempo}, released=nothing
    )


def made_sound(made_by="ears"):
    values = np.array([[1, 0], [3, 0], [0, 0]], np.float32)
    return Sound(("a", "b", "c"), values, ("x", "x", "y"), values=values, made_by=made_by)


EVERY = np.ones(4, np.bool_)


def test_values_by_hand():
    context = Context(side=made_side())
    facts = SideEncoder.fit(context, SONGS, EVERY)
    assert facts.categories == {"genre": ("rock",)}  # one song alone is a tango
    assert facts.numbers == ("tempo",)  # nobody knows when songs came out
    found = facts.encode(context, ("d", "a", "unknown", "c"))
    assert found.codes.tolist() == [[0], [1], [0], [0]]
    assert found.sizes == (2,)
    # Mean 120, deviation of (100, 140, 120) is sqrt(800 / 3); half a one says that it is known.
    z = -20 / np.sqrt(800 / 3)
    expected = [[0, 0.5], [z, 0.5], [0, 0], [0, 0]]
    np.testing.assert_allclose(found.dense, expected, atol=1e-6)
    assert found.known.tolist() == [True, True, False, False]


def test_scales_are_those_of_songs_that_were_played():
    context = Context(side=made_side())
    facts = SideEncoder.fit(context, SONGS, np.array([True, False, False, True]))
    assert facts.mean.tolist() == [110]
    assert facts.categories == {}


def test_artists_of_the_sound_stand_in_where_the_side_has_none():
    context = Context(side=made_side(), sound=made_sound())
    facts = SideEncoder.fit(context, SONGS, EVERY)
    assert facts.categories == {"genre": ("rock",), "artist": ("x",)}
    assert facts.sound_width == 2
    found = facts.encode(context, SONGS)
    # Tempo, two numbers of sound (2 and 1 are mean and deviation of the first), two flags.
    np.testing.assert_allclose(found.dense[:2, 1], [-1, 1])
    assert found.dense[:, 4].tolist() == [0.5, 0.5, 0, 0]
    by_sound = facts.encode(Context(sound=made_sound()), ("b",))
    assert by_sound.codes.tolist() == [[0, 1]]
    np.testing.assert_allclose(by_sound.dense[0, 1], 1)


def test_nothing_known_is_no_feature():
    facts = SideEncoder.fit(Context(), SONGS, EVERY)
    assert facts.encode(Context(side=made_side()), SONGS).width == 0


def test_state_there_and_back():
    context = Context(side=made_side(), sound=made_sound())
    facts = SideEncoder.fit(context, SONGS, EVERY)
    again = SideEncoder.of_state(*facts.state())
    one, other = (f.encode(context, SONGS) for f in (facts, again))
    assert np.array_equal(one.dense, other.dense)
    assert np.array_equal(one.codes, other.codes)
    tensors, config = facts.state()
    with pytest.raises(WeightsError, match="invalid song facts: "):
        SideEncoder.of_state({}, config)
    with pytest.raises(WeightsError, match="numbers of columns disagree"):
        SideEncoder.of_state({**tensors, "facts.scale": np.ones(9)}, config)


def test_sound_of_another_maker_is_refused():
    facts = SideEncoder.fit(Context(sound=made_sound()), SONGS, EVERY)
    with pytest.raises(InputError, match="trained on sound of ears, got a nose"):
        facts.encode(Context(sound=made_sound("a nose")), SONGS)
    wide = Sound(("a",), np.ones((1, 3), np.float32), ("",), made_by="ears")
    with pytest.raises(InputError, match="trained on 2 numbers of sound per song, got 3"):
        facts.encode(Context(sound=wide), SONGS)
