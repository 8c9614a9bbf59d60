import numpy as np
import pytest

from audiorec.errors import InputError
from audiorec.listening.sequences import Sequences
from audiorec.recall.audio.nearest import (
    NearestArtist,
    NearestArtistRecipe,
    NearestAudio,
    NearestRecipe,
)
from audiorec.recall.contract.data import Context, Queries, RecallData, Sound

ANGLES = {"a": 0, "b": 10, "c": 80, "d": 90, "new": 5, "silent": None}
ARTISTS = {"a": "ayla", "b": "ayla", "c": "bo", "d": "cleo", "new": "bo", "silent": ""}


def sound():
    units = [
        (0.0, 0.0) if angle is None else (np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle)))
        for angle in ANGLES.values()
    ]
    return Sound(tuple(ANGLES), np.float32(units), tuple(ARTISTS.values()))


def fitted(channel, *lists):
    return channel.fit(
        RecallData(Sequences.from_lists(lists), tuple(ANGLES), Context(sound=sound()))
    )


PLAYS = (["a", "b", "d"], ["c", "d", "silent"])


def test_what_sounds_like_the_last_songs_comes_first():
    channel = fitted(NearestAudio(NearestRecipe(fade=0)), *PLAYS)
    found = channel.recall(Queries(Sequences.from_lists([["d", "a"], []])), 9, cold=2)
    assert found.of(0) == ["a", "b", "c", "d", "new"]  # nothing is known of how silence sounds
    assert found.similarity[0, 1] == pytest.approx(np.cos(np.deg2rad(10)))
    assert found.cold[0].tolist().count(True) == 1
    assert [found.song_ids[e] for e in found.evidence[0, :2]] == ["a", "a"]
    assert found.of(1) == []


def test_songs_further_back_fade():
    channel = fitted(NearestAudio(NearestRecipe(fade=0.5)), *PLAYS)
    taste = np.array([0.5 * 0 + 1, 0.5 * 1 + 0])  # d one place back, a just now
    found = channel.recall(Queries(Sequences.from_lists([["d", "a"]])), 4)
    by_song = dict(zip(found.of(0), found.similarity[0], strict=False))
    expected = taste @ [np.cos(np.deg2rad(80)), np.sin(np.deg2rad(80))] / np.linalg.norm(taste)
    assert by_song["c"] == pytest.approx(expected, abs=1e-6)


def test_artists_are_near_by_their_songs_and_their_songs_by_plays():
    channel = fitted(NearestArtist(), *PLAYS, ["b", "b"])
    found = channel.recall(Queries(Sequences.from_lists([["a"]])), 9, cold=1)
    # Ayla herself first, her more played song before the other; then Bo at 42.5 degrees.
    assert found.of(0) == ["b", "a", "c", "d", "new"]


def test_who_is_followed_counts_like_who_was_played():
    channel = fitted(NearestArtist(), *PLAYS)
    nobody = Sequences.from_lists([[]], ["u"])
    follows = Sequences.from_lists([["cleo"]], ["u"])
    assert channel.recall(Queries(nobody, follows), 1).of(0) == ["d"]
    assert channel.recall(Queries(nobody), 1).of(0) == []


def test_what_has_no_sound_is_refused():
    plays = Sequences.from_lists(PLAYS)
    with pytest.raises(InputError, match="nearest-audio: no song of the log has a vector"):
        NearestAudio().fit(RecallData(plays))
    anonymous = Sound(tuple(ANGLES), sound().units, ("",) * len(ANGLES))
    with pytest.raises(InputError, match="nearest-artist: no song has an artist"):
        NearestArtist().fit(RecallData(plays, (), Context(sound=anonymous)))
    with pytest.raises(InputError, match="history must be at least 1"):
        NearestRecipe(history=0)


def test_two_artists_of_a_history_stand_before_who_lies_between_them():
    # At 0 and 90 degrees; the mean of both is at 45, where a third one is.
    ids, artists = ("a", "a2", "b", "b2", "between"), ("x", "x", "y", "y", "z")
    degrees = np.deg2rad([0, 0, 90, 90, 45])
    units = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32)
    context = Context(sound=Sound(ids, units, artists))
    channel = NearestArtist(NearestArtistRecipe(fade=0.5, width=0.1))
    channel.fit(RecallData(Sequences.from_lists([list(ids)]), (), context))
    heard = Sequences.from_lists([["b", "a"]])
    found = channel.recall(Queries(heard), 9, exclude=heard)
    assert found.of(0) == ["a2", "b2", "between"]
    # Shares 2 / 3 and 1 / 3, kernel exp((cosine - 1) / 0.1); the tie by plays is 0.001.
    far, half = np.exp(-10.0), np.exp((np.cos(np.pi / 4) - 1) / 0.1)
    expected = [2 / 3 + far / 3, 1 / 3 + 2 * far / 3, half]
    assert found.similarity[0, :3] == pytest.approx(np.array(expected) + 0.001, abs=1e-5)


def test_a_width_of_nothing_is_refused():
    with pytest.raises(InputError, match="width must be above 0, got 0"):
        NearestArtistRecipe(width=0)
    with pytest.raises(InputError, match="history must be at least 1"):
        NearestArtistRecipe(history=0)
