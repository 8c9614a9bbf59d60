"""Two or three parties in one process, on a little world whose rows can be told in a transcript."""

import threading

import numpy as np
from direct_transport import Direct

from audiorec.listening.profiles import Profiles
from audiorec.listening.sequences import Sequences
from audiorec.recall.contract.data import RecallData
from audiorec.recall.federated.link import Caller, Desk
from audiorec.recall.federated.party import PartyWork
from audiorec.recall.federated.recipe import MmoeRecipe, TwoTowerRecipe
from audiorec.recall.federated.session import Shared
from audiorec.recall.federated.sides import ItemSide, UserSide
from audiorec.recall.federated.train_parties import train_music, train_partner

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


def shared(recipe=RECIPE, every=2):
    return Shared(recipe=recipe, users=len(USERS), checkpoint_steps=every)


class Music:
    """An item side that runs in a thread until it has finished or failed."""

    def __init__(
        self, work, agreed, *, seed=0, number=0, secret=11, alignment="a", desk=None, **how
    ):
        self.side = ItemSide.of(plays(seed=seed), USERS)
        self.desk = desk or Desk(timeout_s=20)
        self.fitted = self.half = self.error = None
        self.lines = []
        work.mkdir(parents=True, exist_ok=True)
        how.setdefault("wait_s", 20)
        self.how = PartyWork(work=work, seed=lambda _: secret, tell=self.lines.append, **how)
        self.alignment = alignment * 64
        self.thread = threading.Thread(target=self._run, args=(agreed, number), daemon=True)
        self.thread.start()

    def _run(self, agreed, number):
        try:
            self.fitted = train_music(
                self.desk, self.side, agreed, self.alignment, self.how, self._save, number=number
            )
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        finally:
            self.desk.close()

    def _save(self, half, _fitted, space):
        self.half, self.space = half, space
        return "0123456789abcdef"

    def join(self):
        self.thread.join(60)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return self


def partner(
    desks,
    work,
    agreed,
    *,
    secret=12,
    alignment="a",
    observer=None,
    timeout_s=20,
    wrap=Direct,
    **how,
):
    """Run the partner to its end; return its half and lines."""
    work.mkdir(parents=True, exist_ok=True)
    lines, kept = [], {}
    side = UserSide.of(people(), USERS, agreed.recipe)

    def connect():
        return [Caller(wrap(find(), observer), timeout_s=timeout_s) for find in desks]

    def save(half, _fitted, space):
        kept.update(half=half, space=space)

    options = {"wait_s": 20, "seed": lambda _: secret, **how}
    how = PartyWork(work=work, tell=lines.append, **options)
    fitted = train_partner(connect, side, agreed, [alignment * 64] * len(desks), how, save)
    return kept.get("half"), lines, fitted


def weights(half):
    """Return the trained numbers of a half, without its secret."""
    state = half.model.state_dict()
    return {name: tensor.numpy().copy() for name, tensor in state.items() if name != "secret"}


def same(first, second):
    assert set(first) == set(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def trained(folder, *, agreed=None, **options):
    """Train both sides in one process; return the two sets of weights."""
    agreed = agreed or shared()
    music = Music(folder / "music", agreed)
    half, lines, _ = partner([lambda: music.desk], folder / "partner", agreed, **options)
    music.join()
    return weights(half), weights(music.half), lines, music.lines
