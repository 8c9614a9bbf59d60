"""`audiorec.recall.audio.judge`: the baseline that knows as much, worked by hand; refusals."""

import numpy as np
import pytest
from little_worlds import pairs
from needs import needs

from audiorec.errors import InputError
from audiorec.recall.audio import judge
from audiorec.recall.audio.channel import UserAudio
from audiorec.recall.audio.judge import judge_unheard
from audiorec.recall.audio.model import UserAudioRecipe
from audiorec.recall.contract.checks import synthetic_listening
from audiorec.recall.contract.data import RecallData


def test_the_centre_of_the_nearest_users_worked_by_hand(monkeypatch):
    monkeypatch.setattr(judge, "NEAREST", 2)
    users = np.float32([[1, 0], [0.8, 0.6], [0, 1], [0, 0], [-1, 0]])
    units = np.float32([[1, 0], [0, 1], [-1, 0]])
    # user 0 likes song 0 and user 1 song 1; user 2 songs 1 and 2; user 3 is not known as a user
    history = pairs([0, 1, 2, 2, 3, 4], [0, 1, 1, 2, 2, 2])
    found = judge._Neighbours(users, users.any(axis=1), history, units)
    tastes = found.tastes(np.array([0, 2]))
    # 0 and 1: (1, 0) + (0, 1); 2 and 1: (0, 1) + (-1, 0) + (0, 1)
    expected = np.array([[1, 1], [-1, 2]]) / np.sqrt([[2], [5]])
    np.testing.assert_allclose(tastes, expected, atol=1e-6)


def test_what_cannot_be_judged_is_refused():
    needs("torch")
    data = synthetic_listening()
    channel = UserAudio(UserAudioRecipe(embedding=8, max_epochs=0)).fit(data)
    with pytest.raises(InputError, match="trained on all artists"):
        judge_unheard(channel, data)
    channel = UserAudio(UserAudioRecipe(embedding=8, max_epochs=0, test=0.3)).fit(data)
    with pytest.raises(InputError, match="by their sound: give `vectors`"):
        judge_unheard(channel, RecallData(data.sequences))


def test_a_user_is_what_the_model_makes_of_the_songs_that_it_learnt_from():
    needs("torch")
    data = synthetic_listening()
    channel = UserAudio(UserAudioRecipe(embedding=8, max_epochs=0, test=0.3)).fit(data)
    found = judge_unheard(channel, data).panels["artists"]
    assert next(iter(found.rows)) == "user-audio"
    # Who hears one of two kinds of music is told apart by it.
    assert found.rows["user-audio"].means["auc"].value > 0.7
    assert 0.4 < found.rows["random"].means["auc"].value < 0.6
