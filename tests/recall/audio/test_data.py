"""`audiorec.recall.audio.data`: who learns from what, and who is judged on what."""

import numpy as np
import pytest
from little_worlds import pairs, songs_of

from audiorec.errors import InputError
from audiorec.recall.audio.data import Anchors, make_material, make_panel
from audiorec.recall.audio.held_out import SplitPart

SONGS = songs_of(np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32))
GROUPS = tuple(f"song {i}" for i in range(6))
PARTS = np.array([0, 0, 1, 1, 0, 1], np.int8)  # songs 2, 3 and 5 say when to stop
USERS = np.eye(8, 3, dtype=np.float32) + 0.1


def sides(liked, disliked=((), ()), heard=None):
    both = pairs(*heard) if heard else pairs(*np.concatenate([liked, disliked], 1).astype(int))
    return {"liked": pairs(*liked), "disliked": pairs(*disliked), "heard": both}


def assembled(given, anchors=None):
    anchors = anchors or Anchors(ids=tuple("abcdefgh"), embeddings=USERS, space="s")
    return make_material(anchors, given, SONGS, GROUPS, PARTS, seed=0)


LIKED = ([0, 1, 2, 3, 4, 5, 0, 1], [2, 3, 5, 2, 3, 5, 0, 4])


def test_only_songs_to_learn_from_are_learnt_from():
    found = assembled(sides(LIKED))
    assert found.data.liked.song.tolist() == [0, 4]
    assert found.data.pool.tolist() == [0, 1, 4]
    assert not np.isin(found.data.heard.song, [2, 3, 5]).any()
    assert PARTS[found.panel_songs].tolist() == [SplitPart.VALID] * 3


def test_the_panel_worked_by_hand():
    heard = ([0, 0, 1, 2, 3, 4, 5, 6], [2, 3, 3, 5, 2, 3, 5, 2])
    given = sides(([0, 1, 2, 3, 4, 5], [2, 3, 5, 2, 3, 5]), ([1], [2]), heard)
    given["heard"] = pairs(*np.concatenate([heard, [[1], [2]]], 1))
    panel = make_panel(given, 8, np.array([2, 3, 5]))
    assert panel.users.tolist() == [0, 1, 2, 3, 4, 5]
    assert panel.liked[0].tolist() == [True, False, False]
    # user 0 heard song 3 and says neither: it does not count
    assert panel.candidates[0].tolist() == [True, False, True]
    # user 1 heard song 2 and dislikes it: it stands against the liked one
    assert panel.candidates[1].tolist() == [True, True, True]
    assert panel.likes.tolist() == [2, 2, 2]


def test_too_few_users_make_no_panel():
    assert make_panel(sides(([0, 1], [2, 3])), 8, np.array([2, 3, 5])) is None
    assert make_panel(sides(LIKED), 8, np.zeros(0, int)) is None


def test_a_drawn_panel_is_the_same_each_time():
    given = sides(LIKED)
    drawn = [make_panel(given, 8, np.array([2, 3, 5]), seed=1, most=5).users for _ in range(2)]
    assert drawn[0].tolist() == drawn[1].tolist()
    assert len(drawn[0]) == 5


def test_the_judge_is_the_mean_auc():
    found = assembled(sides(LIKED))
    anchors, songs = np.eye(8, 3), np.zeros((6, 3))
    songs[2], songs[3], songs[5] = np.eye(3)
    # users 0, 1, 2 are songs 2, 3, 5 themselves: 1 each; the others have only ties: 0.5
    assert found.judge(anchors, songs) == pytest.approx(0.75)


def test_the_fingerprint_changes_with_anything_that_counts():
    base = assembled(sides(LIKED)).fingerprint
    assert assembled(sides(LIKED)).fingerprint == base
    others = [
        assembled(sides(LIKED, ([7], [1]))),
        assembled(sides((LIKED[0], [2, 3, 5, 2, 3, 5, 1, 4]))),
        assembled(sides(LIKED), Anchors(ids=tuple("abcdefgh"), embeddings=USERS + 0.01)),
    ]
    assert len({base, *(o.fingerprint for o in others)}) == 4


def test_refuses_nothing_to_learn_from():
    with pytest.raises(InputError, match="no user likes a song of the training part"):
        assembled(sides(([0, 1], [2, 3])))
