"""A little world of two businesses, whose rows can be told in a transcript, and its parties."""

import numpy as np
from direct_transport import Direct, Served

from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import RecallData
from audiorec_federated.exchange import Shared, finish
from audiorec_federated.halves import ItemSide, UserSide
from audiorec_federated.link import Caller, PartyRun
from audiorec_federated.recipe import MmoeRecipe, TwoTowerRecipe
from audiorec_federated.split import ItemHost, reproducible, train_partner

USERS = tuple(f"listener-{n:03}@example.org" for n in range(60))
SMALL = {
    "dimension": 8, "hidden": (12,), "width": 8, "negatives": 16, "batch_size": 16, "passes": 2,
    "max_epochs": 3, "patience": 3, "valid": 0.2, "seed": 3,
}  # fmt: skip
RECIPE = TwoTowerRecipe(**SMALL)
STEPS = 2 * 3  # an epoch: 48 users that are learnt from, in batches of 16, twice


def mmoe(**settings):
    return MmoeRecipe(**SMALL, experts=2, own_negatives=8, **settings)


def people(users=USERS):
    """Profiles: a taste that plays follow, an age, and items of the partner's own."""
    rng = np.random.default_rng(5)
    taste = [f"interest-{n % 3}-of-{u[:12]}"[:10] for n, u in enumerate(users)]
    bought = ["|".join(f"goods-{i}" for i in rng.integers(0, 9, 3)) for _ in users]
    ages = np.round(rng.normal(40, 9, len(users)), 3)
    return Profiles(tuple(users), {"taste": taste, "bought": bought}, {"age": ages})


def plays(users=USERS, seed=0, n_songs=30):
    """Four plays of each user, of a third of the songs by taste; every tenth has none."""
    rng = np.random.default_rng(seed)
    songs = tuple(f"song-{n:02}" for n in range(n_songs))
    listeners = [n for n in range(len(users)) if n % 10]
    owner = np.repeat(np.arange(len(listeners)), 4)
    song = np.concatenate([n % 3 + 3 * rng.integers(0, n_songs // 3, 4) for n in listeners])
    owners = tuple(users[n] for n in listeners)
    return RecallData(Sequences.from_pairs(owner, song, owners, songs))


def shared(recipe=RECIPE, alignment="a"):
    return Shared(recipe=recipe, users=len(USERS), alignment=alignment * 64)


class Music(Served):
    """The music side of a training, in a thread."""

    def __init__(self, work, agreed, *, secret=11, dies=0, acted=False, **how):
        work.mkdir(parents=True, exist_ok=True)
        self.saved = []
        side = ItemSide.of(plays(), USERS)
        run = PartyRun(**{"wait_s": 20, **how})
        save = lambda vectors, space: self.saved.append((vectors, space))  # noqa: E731
        host = ItemHost(side, agreed, run, save, work=work, secret=secret)
        super().__init__(host, run, dies=dies, acted=acted)

    def _run(self):
        with reproducible():
            super()._run()


def partner(music, work, agreed, *, secret=12, observer=None, timeout_s=20, wrap=Direct, **how):
    """Run the partner to its end with what `music` returns; return its half and lines."""
    work.mkdir(parents=True, exist_ok=True)
    lines, kept = [], []
    run = PartyRun(**{"wait_s": 20, "tell": lines.append, **how})

    def conclude(caller, half, _fitted):
        vectors = half.embed(np.arange(len(USERS)))
        finish(caller, vectors, "ab" * 8, run, lambda: kept.append(half))

    train_partner(
        lambda: Caller(wrap(music().desk, observer), timeout_s=timeout_s),
        UserSide.of(people(), USERS, agreed.recipe),
        agreed,
        run,
        work=work,
        secret=secret,
        conclude=conclude,
        every_s=0.0,
    )
    return kept[-1] if kept else None, lines


def weights(half):
    """Return the trained numbers of a half, without its secret."""
    state = half.model.state_dict()
    return {name: tensor.numpy().copy() for name, tensor in state.items() if name != "secret"}


def same(first, second):
    assert set(first) == set(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def trained(folder, *, agreed=None, **options):
    """Train both sides in one process; return the two sets of weights, and the partner's lines."""
    agreed = agreed or shared()
    music = Music(folder / "music", agreed)
    half, lines = partner(lambda: music, folder / "partner", agreed, **options)
    host = music.join()
    return weights(half), weights(host.half), lines
