"""A partner that keeps all it receives: differences of messages tell it nothing more."""

import numpy as np
import pytest
from needs import needs

needs("torch")

import federated_curious as bench
from direct_transport import Direct, Served

from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import RecallData
from audiorec.recall.federated.exchange import Shared, finish
from audiorec.recall.federated.halves import ItemSide, UserSide
from audiorec.recall.federated.link import Caller, PartyRun
from audiorec.recall.federated.noise import Defence
from audiorec.recall.federated.protocol import MessageKind, decode
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.split import ItemHost, train_partner
from audiorec.recall.federated.towers import split_rows, steps_of

# Far enough out that chance does not get there in a thousand runs of this test.
DEVIATIONS = 4
RECIPE = TwoTowerRecipe(max_epochs=2, passes=10, min_users=1)


def kept(folder, world):
    """Train over messages; return the gradients that the partner kept, with their rows."""
    plays, profiles, mute = world
    ids = tuple(sorted({*plays, *mute}))
    people = Profiles(ids, {"interests": [profiles[user]["interests"] for user in ids]}, {})
    data = RecallData(Sequences.from_lists([plays.get(user, []) for user in ids], ids))
    shared = Shared(recipe=RECIPE, users=len(ids), alignment="a" * 64)
    found, asked = {}, []

    def keep(content):
        message = decode(content)
        if message.kind == MessageKind.GRADIENTS:
            place = (message["epoch"], message["step"])
            rows, _ = split_rows(len(ids), RECIPE, "choose")
            step = next(steps_of(rows, RECIPE, *place))
            found[place] = (step.rows, message.array().astype(np.float64))

    sides = [folder / name for name in ("music", "partner")]
    for side in sides:
        side.mkdir()
    how = PartyRun(defence=Defence(), wait_s=60)
    save = lambda *saved: asked.append(saved)  # noqa: E731
    host = ItemHost(ItemSide.of(data, ids), shared, how, save, work=sides[0], secret=1)
    music = Served(host, how)
    train_partner(
        lambda: Caller(Direct(music.desk, keep), timeout_s=60),
        UserSide.of(people, ids, RECIPE),
        shared,
        how,
        work=sides[1],
        secret=2,
        conclude=lambda caller, half, _: finish(
            caller, half.embed(np.arange(len(ids))), "ab" * 8, how, lambda: None
        ),
    )
    music.join()
    assert len(asked) == 1
    return found, ids


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    world = bench.made_up(320, silent=0.5)
    steps, ids = kept(tmp_path_factory.mktemp("curious"), world)
    return bench.attack(steps, bench.truth(world, ids))


def within_chance(figures, chance):
    """Whether an interval, widened from 95 % to `DEVIATIONS`, holds what chance gives."""
    value, low, high = figures[:3]
    reach = (high - low) / 2 / 1.96 * DEVIATIONS
    return value - reach <= chance <= value + reach


def test_differences_of_messages_find_nobody_and_sums_of_gradients_find_who_plays(found):
    print(found)
    assert found["silent_by_difference"][3] > 500
    assert found["same_song_by_difference"][3] > 1_000
    assert within_chance(found["silent_by_difference"], 0.5)
    assert within_chance(found["same_song_gain"], 0.0)
    assert found["shortest_difference"] > 1  # nothing cancels
    assert found["plays_by_summed_length"][0] > 0.8  # is not hidden: the page says so


def test_the_same_attacks_find_everybody_if_noise_is_reused():
    """As it would be with noise seeded by the number of the step."""
    rng = np.random.default_rng(0)
    songs = np.array([-1] * 40 + list(range(5)) * 12)
    ids = tuple(f"user-{n}" for n in range(100))
    plays = {u: [f"song-{s}"] for u, s in zip(ids, songs, strict=True) if s >= 0}
    towards = np.vstack([np.eye(5, 16), np.zeros((1, 16))])
    steps = {}
    for number in range(30):
        noise = rng.normal(size=(100, 16))
        for epoch in (1, 2):
            rows = rng.permutation(100)
            steps[epoch, number] = (rows, towards[songs[rows]] + noise)
    found = bench.attack(steps, bench.truth((plays,), ids))
    assert found["silent_by_difference"][0] == 1.0
    assert found["same_song_gain"][1] > 0.3
    assert found["shortest_difference"] == 0
