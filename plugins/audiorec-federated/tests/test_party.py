"""Two parties train what one would: bit for bit, whoever dies meanwhile."""

import os
import time
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from needs import needs

needs("torch")

import federated_attacks as attacks
from direct_transport import Direct, Dying, KilledError
from two_parties import (
    RECIPE,
    STEPS,
    USERS,
    Music,
    mmoe,
    partner,
    people,
    plays,
    same,
    shared,
    trained,
    weights,
)

from audiorec.errors import LostPeerError, PeerError, RefusedError, SpecMismatchError
from audiorec_federated.halves import ItemHalf, ItemSide, UserHalf, UserSide
from audiorec_federated.noise import Defence
from audiorec_federated.split import TowersLearner, train_once

SECRET = 7


@pytest.fixture(autouse=True)
def unsynced(monkeypatch):
    """Do not wait for the disk: a party dies here, not the machine."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Both sides' weights where nobody died, the partner's lines, and the number of messages."""
    heard = []
    found = trained(tmp_path_factory.mktemp("good"), observer=heard.append)
    return *found, len(heard) // 2


@pytest.mark.parametrize("recipe", [RECIPE, mmoe()], ids=["two-tower", "mmoe"])
def test_split_training_equals_training_in_one_process_bit_for_bit(recipe, tmp_path):
    agreed = shared(recipe)
    music = Music(tmp_path / "m", agreed, secret=SECRET)
    half, lines = partner(lambda: music, tmp_path / "p", agreed, secret=SECRET)
    host = music.join()
    user = UserHalf(UserSide.of(people(), USERS, recipe), recipe, "choose", secret=SECRET)
    item = ItemHalf(ItemSide.of(plays(), USERS), recipe, "choose", secret=SECRET)
    done = train_once(TowersLearner(user, item))
    same(weights(user), weights(half))
    same(weights(item), weights(host.half))
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[-1]["steps"] == done.steps == 3 * STEPS
    assert not any("ndcg" in line for line in lines)  # the partner hears nothing of plays
    ((vectors, space),) = music.saved
    np.testing.assert_array_equal(vectors, half.embed(np.arange(len(USERS))))
    assert space == "ab" * 8


@pytest.mark.parametrize("recipe", [RECIPE, mmoe()], ids=["two-tower", "mmoe"])
def test_both_sides_tell_how_far_they_are_and_nothing_of_the_other(recipe, tmp_path):
    agreed, heard = shared(recipe), []
    music = Music(tmp_path / "m", agreed, tell=heard.append)
    _, lines = partner(lambda: music, tmp_path / "p", agreed)
    music.join()
    joint = [{name: line[name] for name in ("epoch", "epochs", "steps")} for line in lines]
    assert joint == [{"epoch": n, "epochs": 3, "steps": n * STEPS} for n in (1, 2, 3)]
    assert [
        {**one, "seconds": line["seconds"]} for one, line in zip(joint, heard, strict=True)
    ] == heard
    assert all(line["seconds"] > 0 for line in (*lines, *heard))
    own = {name for line in lines for name in line} - {*joint[0], "seconds"}
    assert all(name.startswith(("gate_entropy", "own_")) for name in own)


def test_noise_changes_what_is_learnt(tmp_path, undisturbed):
    agreed = shared()
    music = Music(tmp_path / "m", agreed, defence=Defence())
    half, _ = partner(lambda: music, tmp_path / "p", agreed)
    music.join()
    found = weights(half)["tower.head"]
    assert np.isfinite(found).all()
    assert not np.array_equal(found, undisturbed[0]["tower.head"])


# An epoch: begin, six steps and as many checkpoints, a checkpoint. The last four messages are
# begin, vectors and twice finish.
DEATHS = [(6, True), (7, False), (16, True), (31, False), (40, True), (-3, True), (-1, False)]


@pytest.mark.parametrize(("after", "heard"), DEATHS)
def test_a_partner_that_dies_resumes_to_the_same_weights(after, heard, tmp_path, undisturbed):
    agreed, notes = shared(), []
    music = Music(tmp_path / "m", agreed, say=notes.append)
    Dying.left, Dying.heard = after % undisturbed[3], heard
    with pytest.raises(KilledError):
        partner(lambda: music, tmp_path / "p", agreed, wrap=Dying)
    half, _ = partner(lambda: music, tmp_path / "p", agreed)
    host = music.join()
    assert notes[0] == "training starts"
    assert notes[1:] == [] or notes[1].startswith("training resumes from epoch")
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(host.half))


@pytest.mark.parametrize(("after", "acted"), [*DEATHS[:-1], (-2, False)])
def test_a_music_side_that_dies_resumes_to_the_same_weights(after, acted, tmp_path, undisturbed):
    agreed, notes = shared(), []
    now = [Music(tmp_path / "m", agreed, dies=after % undisturbed[3] - 1, acted=acted)]

    def music():
        """Start it again, as an operator would, once it is dead."""
        if not now[0].thread.is_alive() and len(now) == 1:
            assert isinstance(now[0].error, KilledError)
            now.insert(0, Music(tmp_path / "m", agreed, say=notes.append))
        return now[0]

    half, _ = partner(music, tmp_path / "p", agreed)
    host = now[0].join()
    assert len(notes) == 1
    assert notes[0].startswith("training resumes from epoch")
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(host.half))


def test_both_die_again_and_again_at_random(tmp_path, undisturbed):
    rng = np.random.default_rng(0)
    agreed, now, deaths = shared(), [None], 0

    def music():
        if now[0] is None or not now[0].thread.is_alive():
            dies = int(rng.integers(3, 40))
            now[0] = Music(tmp_path / "m", agreed, dies=dies, acted=bool(rng.integers(2)))
        return now[0]

    while True:
        Dying.left, Dying.heard = int(rng.integers(4, 50)), bool(rng.integers(2))
        try:
            half, _ = partner(music, tmp_path / "p", agreed, wrap=Dying)
            break
        except KilledError:
            deaths += 1
    assert deaths > 1
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(now[0].host.half))


def test_a_partner_that_is_stopped_goes_on_where_it_was(tmp_path, undisturbed):
    agreed, stop, heard, notes = shared(), Event(), [], []
    music = Music(tmp_path / "m", agreed, say=notes.append)

    def hears(data):
        heard.append(data)
        if len(heard) > 4 * (STEPS + 2):  # in the second epoch
            stop.set()

    half, _ = partner(lambda: music, tmp_path / "p", agreed, stop=stop, observer=hears)
    assert half is None
    half, _ = partner(lambda: music, tmp_path / "p", agreed)
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(music.join().half))
    assert notes == ["training starts"]  # it stood at the same step


def test_a_music_side_that_is_stopped_ends(tmp_path):
    stop = Event()
    music = Music(tmp_path / "m", shared(), stop=stop)
    stop.set()
    with pytest.raises(LostPeerError, match="asked to stop"):
        music.join()


def test_checkpoints_of_another_alignment_are_not_resumed(tmp_path):
    """Both align again: as many users, in another order. The same row is now somebody else."""
    music = Music(tmp_path / "m", shared(), dies=30)
    with pytest.raises(LostPeerError):
        partner(lambda: music, tmp_path / "p", shared(), wait_s=0.1)
    notes = []
    music = Music(tmp_path / "m", shared(alignment="b"), say=notes.append)
    partner(lambda: music, tmp_path / "p", shared(alignment="b"))
    music.join()
    assert notes == ["training starts"]


def test_a_lost_checkpoint_of_the_music_side_is_said(tmp_path):
    music = Music(tmp_path / "m", shared(), dies=30)
    with pytest.raises(LostPeerError):
        partner(lambda: music, tmp_path / "p", shared(), wait_s=0.1)
    music = Music(tmp_path / "elsewhere", shared())
    with pytest.raises(
        RefusedError, match=r"no checkpoint of epoch \d, step \d; remove model\.run"
    ):
        partner(lambda: music, tmp_path / "p", shared())


class Gradients:
    """What a music side sent, and how it looked before the defence."""

    def __init__(self):
        self.sent, self.raw = [], []

    def __call__(self, _step, _played, raw, sent):
        self.raw.append(raw.copy())
        self.sent.append(sent.copy())


def repeated(tmp_path, monkeypatch, defence, times):
    """Let a partner come back `times` times and never get to a checkpoint; return what it got."""
    agreed, seen = shared(), Gradients()
    music = Music(tmp_path / "m", agreed, defence=defence)
    fresh = music.host._fresh

    def watched():
        half = fresh()
        attacks.watched(half, seen)
        return half

    monkeypatch.setattr(music.host, "_fresh", watched)
    for _ in range(times):
        Dying.left, Dying.heard = 3, True
        with pytest.raises(KilledError):
            partner(lambda: music, tmp_path / "p", agreed, wrap=Dying)
    return agreed, music, seen


def test_a_step_that_is_repeated_has_other_noise_and_only_so_often(tmp_path, monkeypatch):
    """Each answer to one step has other noise, so many of them have hardly any in their mean."""
    agreed, music, seen = repeated(tmp_path, monkeypatch, Defence(), 3)
    assert all(np.array_equal(raw, seen.raw[0]) for raw in seen.raw)
    noise = [sent - seen.sent[0] for sent in seen.sent[1:]]
    assert min(np.linalg.norm(one, axis=1).min() for one in noise) > 0.5
    with pytest.raises(RefusedError, match="epoch 1, step 0 was answered 3 times"):
        partner(lambda: music, tmp_path / "p", agreed)
    with pytest.raises(PeerError, match="the connection breaks too often"):
        music.join()


def test_without_noise_a_step_may_be_repeated_as_often_as_it_takes(tmp_path, monkeypatch):
    agreed, music, _ = repeated(tmp_path, monkeypatch, Defence(noise=0.0), 4)
    assert partner(lambda: music, tmp_path / "p", agreed)[0] is not None
    music.join()


def test_other_settings_are_refused_on_both_sides_by_name(tmp_path):
    music = Music(tmp_path / "m", shared())
    other = shared(replace(RECIPE, batch_size=32, negatives=8))
    with pytest.raises(RefusedError, match="batch_size is 32 there, 16 here; negatives"):
        partner(lambda: music, tmp_path / "p", other)
    with pytest.raises(SpecMismatchError, match="batch_size is 32 there, 16 here"):
        music.join()


def test_a_party_that_stays_away_is_given_up(tmp_path):
    music = Music(tmp_path / "m", shared(), wait_s=0.2)
    with pytest.raises(LostPeerError, match=r"has sent nothing for 0\.2 s"):
        music.join()
    with pytest.raises(LostPeerError, match="was stopped, or has finished"):
        partner(lambda: music, tmp_path / "p", shared(), wait_s=0.2)


def test_a_slow_music_side_is_lost_and_found_again(tmp_path, undisturbed):
    agreed, notes = shared(), []
    music = Music(tmp_path / "m", agreed)
    plain, left = music.host.answer, [7]

    def slow(message):
        left[0] -= 1
        if left[0] == 0:
            time.sleep(1.0)
        return plain(message)

    music.host.answer = slow
    half, _ = partner(lambda: music, tmp_path / "p", agreed, timeout_s=0.4, say=notes.append)
    assert "gave no answer within" in notes[0]
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(music.join().half))


def test_messages_out_of_turn_are_refused_and_change_nothing(tmp_path, undisturbed):
    from audiorec_federated.protocol import Message, MessageKind, decode, encode

    agreed, refused = shared(), []

    class Meddling(Direct):
        """Before every question, asks for what has no place there, with the same number."""

        def ask(self, data, timeout_s):
            about = decode(data)
            if about.kind in (MessageKind.VECTORS, MessageKind.SAVE, MessageKind.TABLE):
                wrong = {"epoch": 3, "step": 1}
                own = {"kind": MessageKind.SAVE, "session": about.session}
                first = encode(Message(number=about.number, fields=wrong, **own))
                refused.append(decode(self.desk.answer(first, timeout_s))["reason"])
                again = decode(data)
                data = encode(replace(again, number=about.number + 1))
                answer = decode(super().ask(data, timeout_s))
                shift[0] += 1
                return encode(replace(answer, number=about.number))
            return super().ask(data, timeout_s)

    shift = [0]
    music = Music(tmp_path / "m", agreed)
    with pytest.raises(Exception, match=r"too high|replay"):
        partner(lambda: music, tmp_path / "p", agreed, wrap=Meddling, wait_s=0.1)
    assert refused[0].startswith("training is at epoch 1, step 0")
    half, _ = partner(lambda: music, tmp_path / "p", agreed)
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(music.join().half))
