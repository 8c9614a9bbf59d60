"""Two parties train what one would: bit for bit, whoever dies meanwhile."""

import re
import time
from threading import Event

import numpy as np
import pytest
from needs import needs

needs("torch")

from direct_transport import Direct, Dying, DyingDesk, KilledError
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
from audiorec.recall.federated.learner import CentralTraining
from audiorec.recall.federated.link import Desk
from audiorec.recall.federated.noise import Defence
from audiorec.recall.federated.sides import ItemSide, UserSide
from audiorec.recall.federated.user_model import space_of

SECRET = 7


def central(recipe, seeds=(0,), **options):
    """Train all towers in one process; return the weights of both halves, and the lines."""
    user = UserSide.of(people(), USERS, recipe)
    items = [ItemSide.of(plays(seed=seed), USERS) for seed in seeds]
    done = CentralTraining(recipe, secret=SECRET, **options).run(user, items)
    found = [weights(half) for half in (done.learner.user, *done.learner.items)]
    return found, done.history


def figures(lines, *names):
    return [[line[name] for name in names] for line in lines if line["phase"] == "choose"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Both sides' weights where nobody died."""
    return trained(tmp_path_factory.mktemp("good"), secret=12)


@pytest.mark.parametrize("recipe", [RECIPE, mmoe()], ids=["two-tower", "mmoe"])
def test_split_training_equals_central_training_bit_for_bit(recipe, tmp_path):
    agreed = shared(recipe)
    music = Music(tmp_path / "m", agreed, secret=SECRET)
    half, lines, _ = partner([lambda: music.desk], tmp_path / "p", agreed, secret=SECRET)
    music.join()
    (users, songs), history = central(recipe)
    same(users, weights(half))
    same(songs, weights(music.half))
    names = ("epoch", "ndcg", "hit_rate@10")
    assert figures(lines, *names) == figures(music.lines, *names) == figures(history, *names)
    assert music.space == space_of(music.space, 0)


def test_three_businesses_equal_central_training(tmp_path):
    agreed = shared(mmoe(item_weights=(1.0, 0.5)))
    sides = [Music(tmp_path / f"m{n}", agreed, seed=n, number=n, secret=SECRET) for n in range(2)]
    desks = [lambda side=side: side.desk for side in sides]
    half, lines, _ = partner(desks, tmp_path / "p", agreed, secret=SECRET)
    found, history = central(agreed.recipe, seeds=(0, 1))
    for side, expected in zip(sides, found[1:], strict=True):
        same(expected, weights(side.join().half))
    same(found[0], weights(half))
    assert figures(lines, "ndcg", "ndcg_1") == figures(history, "ndcg", "ndcg_1")
    # One space a business: vectors for one are not compared with the songs of another.
    assert len({side.space for side in sides}) == 2


def test_noise_changes_what_is_learnt(tmp_path, undisturbed):
    agreed = shared()
    music = Music(tmp_path / "m", agreed, defence=Defence(clip=1.0, noise=3.0))
    half, _, _ = partner([lambda: music.desk], tmp_path / "p", agreed)
    music.join()
    found = weights(half)["tower.head"]
    assert np.isfinite(found).all()
    assert not np.array_equal(found, undisturbed[0]["tower.head"])


# Hello is the first message; an epoch is six steps, vectors that judge, and a verdict.
@pytest.mark.parametrize(("after", "heard"), [(5, True), (8, True), (22, False), (30, True)])
def test_a_partner_that_dies_resumes_to_the_same_weights(after, heard, tmp_path, undisturbed):
    agreed = shared()
    music = Music(tmp_path / "m", agreed)
    Dying.left, Dying.heard = after, heard
    with pytest.raises(KilledError):
        partner([lambda: music.desk], tmp_path / "p", agreed, wrap=Dying)
    notes = []
    half, _, _ = partner([lambda: music.desk], tmp_path / "p", agreed, say=notes.append)
    music.join()
    # It does not begin anew: the item side, a checkpoint ahead, still has the one before.
    place = re.fullmatch(r"training resumes from epoch (\d)( on everything)?, step (\d)", notes[0])
    assert place
    assert after != 5 or place.groups() == ("1", None, "2")
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(music.half))


@pytest.mark.parametrize(("after", "answered"), [(4, True), (8, True), (22, False), (30, True)])
def test_an_item_side_that_dies_resumes_to_the_same_weights(after, answered, tmp_path, undisturbed):
    agreed = shared()
    now = [Music(tmp_path / "m", agreed, desk=DyingDesk(after, answered=answered))]

    def desk():
        """Start it again, as an operator would, once it is dead."""
        if not now[0].thread.is_alive():
            assert isinstance(now[0].error, KilledError)
            now[0] = Music(tmp_path / "m", agreed)
        return now[0].desk

    notes = []
    half, _, _ = partner([desk], tmp_path / "p", agreed, say=notes.append)
    now[0].join()
    begun = [note for note in notes if note.startswith("training ")]
    assert begun[0] == "training starts"
    assert len(begun) == 2
    assert begun[1].startswith("training resumes from epoch")
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(now[0].half))


def test_both_die_again_and_again_at_random(tmp_path, undisturbed):
    rng = np.random.default_rng(0)
    agreed = shared()
    now = [None]

    def desk():
        if now[0] is None or not now[0].thread.is_alive():
            after = int(rng.integers(3, 25))
            now[0] = Music(
                tmp_path / "m", agreed, desk=DyingDesk(after, answered=bool(rng.integers(2)))
            )
        return now[0].desk

    deaths = 0
    while True:
        Dying.left, Dying.heard = int(rng.integers(4, 30)), bool(rng.integers(2))
        try:
            half, _, _ = partner([desk], tmp_path / "p", agreed, wrap=Dying)
            break
        except KilledError:
            deaths += 1
    assert deaths > 1
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(now[0].half))


def test_a_pause_leaves_both_at_the_same_step(tmp_path, undisturbed):
    agreed = shared(every=100)
    music = Music(tmp_path / "m", agreed)
    stop = Event()
    heard = []

    def hears(data):
        heard.append(data)
        if len(heard) > 2 * (STEPS + 5):  # in the second epoch, at no checkpoint's step
            stop.set()

    half, _, fitted = partner(
        [lambda: music.desk], tmp_path / "p", agreed, stop=stop, observer=hears
    )
    assert half is None
    assert not fitted.finished
    assert not music.join().fitted.finished
    again = Music(tmp_path / "m", agreed)
    notes = []
    half, _, _ = partner([lambda: again.desk], tmp_path / "p", agreed, say=notes.append)
    again.join()
    assert notes == ["training resumes from epoch 2, step 3"]
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(again.half))


def test_checkpoints_of_another_alignment_are_not_resumed(tmp_path):
    agreed = shared()
    music = Music(tmp_path / "m", agreed)
    Dying.left, Dying.heard = 8, True
    with pytest.raises(KilledError):
        partner([lambda: music.desk], tmp_path / "p", agreed, wrap=Dying)
    music.desk.close()
    music.thread.join(20)
    # Both align again: as many users, in another order. The same row is now somebody else.
    music = Music(tmp_path / "m", agreed, alignment="b")
    notes = []
    partner([lambda: music.desk], tmp_path / "p", agreed, alignment="b", say=notes.append)
    music.join()
    assert notes == ["training starts"]


class Gradients:
    """What an item side sent, by phase, epoch and step, and how it looked before the defence."""

    def __init__(self):
        self.sent, self.raw = [], []

    def __call__(self, _step, _played, raw, sent):
        self.raw.append(raw.copy())
        self.sent.append(sent.copy())


def test_a_step_that_is_repeated_has_other_noise_and_only_so_often(tmp_path):
    """Each answer to one step has other noise, so many of them have hardly any in their mean."""
    agreed, seen = shared(every=100), Gradients()
    music = Music(tmp_path / "m", agreed, defence=Defence(), witness=seen)
    for _ in range(3):  # it always comes back, and never gets to a checkpoint
        Dying.left, Dying.heard = 2, True
        with pytest.raises(KilledError):
            partner([lambda: music.desk], tmp_path / "p", agreed, wrap=Dying)
    assert all(np.array_equal(raw, seen.raw[0]) for raw in seen.raw)
    noise = [sent - seen.sent[0] for sent in seen.sent[1:]]
    assert min(np.linalg.norm(one, axis=1).min() for one in noise) > 0.5
    with pytest.raises(RefusedError, match="step 0 of epoch 1 was answered 3 times"):
        partner([lambda: music.desk], tmp_path / "p", agreed)
    music.thread.join(20)
    assert isinstance(music.error, PeerError)
    assert "set a smaller checkpoint_steps" in str(music.error)


def test_without_noise_a_step_may_be_repeated_as_often_as_it_takes(tmp_path):
    agreed = shared(every=100)
    music = Music(tmp_path / "m", agreed, defence=Defence(noise=0.0))
    for _ in range(4):
        Dying.left, Dying.heard = 2, True
        with pytest.raises(KilledError):
            partner([lambda: music.desk], tmp_path / "p", agreed, wrap=Dying)
    assert partner([lambda: music.desk], tmp_path / "p", agreed)[0] is not None
    music.join()


def test_other_settings_are_refused_on_both_sides_by_name(tmp_path):
    from dataclasses import replace

    music = Music(tmp_path / "m", shared())
    other = shared(replace(RECIPE, batch_size=32, negatives=8))
    with pytest.raises(Exception, match="batch_size is 32 there, 16 here; negatives") as caught:
        partner([lambda: music.desk], tmp_path / "p", other)
    assert type(caught.value).__name__ == "RefusedError"
    music.thread.join(10)
    assert isinstance(music.error, SpecMismatchError)
    assert "batch_size is 32 there, 16 here" in str(music.error)


def test_a_party_that_stays_away_is_given_up(tmp_path):
    music = Music(tmp_path / "m", shared(), wait_s=0.2)
    music.thread.join(10)
    assert isinstance(music.error, LostPeerError)
    with pytest.raises(LostPeerError, match="was stopped, or has finished"):
        partner([lambda: music.desk], tmp_path / "p", shared(), wait_s=0.2)


class Slow(Desk):
    """A desk whose party takes its time over the seventh question, once."""

    left = 7

    def receive(self, *kinds, **options):
        message = super().receive(*kinds, **options)
        Slow.left -= 1
        if Slow.left == 0:
            time.sleep(1.0)
        return message


def test_a_slow_item_side_is_lost_and_found_again(tmp_path, undisturbed):
    agreed = shared()
    music = Music(tmp_path / "m", agreed, desk=Slow(timeout_s=20))
    notes = []
    half, _, _ = partner(
        [lambda: music.desk], tmp_path / "p", agreed, timeout_s=0.4, say=notes.append
    )
    music.join()
    assert "gave no answer within" in notes[1]
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(music.half))


class SlowCaller(Direct):
    """A transport whose caller takes its time before its seventh message, once."""

    left = 7

    def ask(self, data, timeout_s):
        SlowCaller.left -= 1
        if SlowCaller.left == 0:
            time.sleep(1.0)
        return super().ask(data, timeout_s)


def test_a_slow_partner_is_lost_and_found_again(tmp_path, undisturbed):
    agreed = shared()
    music = Music(tmp_path / "m", agreed, desk=Desk(timeout_s=0.4))
    notes = []
    half, _, _ = partner(
        [lambda: music.desk], tmp_path / "p", agreed, wrap=SlowCaller, say=notes.append
    )
    music.join()
    assert "has closed this session: send hello first; retrying" in notes[1]
    assert notes[2].startswith("training resumes from epoch 1")
    same(undisturbed[0], weights(half))
    same(undisturbed[1], weights(music.half))
