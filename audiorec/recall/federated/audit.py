"""Privacy audit: run known attacks against a configuration and report their success.

    both sides' data, recipe, defence ──audit──▶ trained twice, undefended and as configured
        ──attacks on the data exchanged in both phases──▶ `LeakTable`, with chance levels

An attack whose undefended interval is not entirely above chance is too weak to be evidence: its
other figures *do not count*. The nearest gradient of one step, which is known to find nearly
everybody, must reach 99 % there.

A party that has only its own data audits what it sends: gradients with a `GradientWitness` that
records them during training (`leaks_of_gradients`), vectors by `leaks_of_vectors`.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.evaluation.classification import Interval
from audiorec.learning.fit import Phase
from audiorec.recall.federated.attacks import (
    Result,
    Seen,
    activity,
    inversion,
    membership,
    nearest_difference,
    nearest_gradient,
    silent_difference,
    summed_gradients,
)
from audiorec.recall.federated.item_half import ItemPlays
from audiorec.recall.federated.learner import CentralLearner, CentralTraining
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.shared_draws import JointStep
from audiorec.recall.federated.sides import ItemSide, UserSide
from audiorec.types import FloatArray, Int64Array, LineProgress

KEPT = 20  # steps that are attacked one by one: the first ones of each phase, and the last ones
MUST_FIND = 0.99  # success of the nearest gradient, undefended
NEAREST = "same song, by the nearest gradient of one step"
SUMMED = "shares a song, by the nearest sum of gradients"
DIFFERENCE = "same song, by the nearest difference of two steps"
ACTIVITY = "plays at all, by the length of one gradient"
LENGTH = "plays at all, by the length of summed gradients"
SILENT = "plays nothing, by the difference of two steps"
INVERSION = "what is known of users, from their vectors"
MEMBERSHIP = "was learnt from, by the trained model"
AGAINST = {
    NEAREST: "partner",
    SUMMED: "partner",
    DIFFERENCE: "partner",
    ACTIVITY: "partner",
    LENGTH: "partner",
    SILENT: "partner",
    INVERSION: "music",
    MEMBERSHIP: "anybody with the model and plays",
}  # who could try
Found = dict[str, Result | None]


@dataclass(frozen=True, slots=True)
class Leak:
    """Success of one attack, undefended and defended.

    Attributes
    ----------
    attack : str
    chance : float
    undefended, defended : Interval
        The same attack without a defence, and with the configured one.
    """

    attack: str
    chance: float
    undefended: Interval
    defended: Interval

    @property
    def counts(self) -> bool:
        """Whether the attack succeeds without a defence, so that its defended figure counts."""
        strong = self.attack != NEAREST or self.undefended.value >= MUST_FIND
        return self.undefended.low > self.chance and strong

    @property
    def by(self) -> str:
        """Party that could run the attack."""
        return AGAINST[self.attack]


@dataclass(frozen=True, slots=True)
class LeakTable:
    """All attacks on one configuration."""

    leaks: tuple[Leak, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain JSON values."""
        return [
            {
                "attack": leak.attack,
                "by": leak.by,
                "chance": round(leak.chance, 6),
                "undefended": _plain(leak.undefended),
                "defended": _plain(leak.defended),
                "counts": leak.counts,
            }
            for leak in self.leaks
        ]

    def rows(self) -> list[tuple[str, ...]]:
        """Return texts for a table: attack, by, chance, undefended, defended."""
        return [
            (
                leak.attack,
                leak.by,
                f"{leak.chance:.4f}",
                str(leak.undefended),
                str(leak.defended) if leak.counts else "does not count",
            )
            for leak in self.leaks
        ]


class GradientWitness:
    """Recorder of an item half's gradients, before and after the defence.

    Assign its `note` to `ItemHalf.witness`.
    """

    def __init__(self, n_rows: int, dimension: int) -> None:
        self._sums = np.zeros((2, n_rows, dimension), np.float64)
        self._stood = np.zeros(n_rows, np.bool_)
        self._first: dict[tuple[int, int], list[tuple[Seen, Seen]]] = {}
        self._last: deque[tuple[Seen, Seen]] = deque(maxlen=KEPT)

    def note(self, step: JointStep, played: Int64Array, raw: FloatArray, sent: FloatArray) -> None:
        """Record one step."""
        for sums, gradients in zip(self._sums, (raw, sent), strict=True):
            sums[step.rows] += gradients  # a step has each row once
        self._stood[step.rows] = True
        both = (Seen(step.rows, played, raw.copy()), Seen(step.rows, played, sent.copy()))
        place = (step.epoch, step.number)  # comes again in the second phase
        if place in self._first or len(self._first) < KEPT:
            self._first.setdefault(place, [])[1:] = [both]
        else:
            self._last.append(both)

    def steps(self, *, sent: bool) -> list[Seen]:
        """Return the recorded steps, with raw gradients or with those that were sent."""
        first = [one for kept in self._first.values() for one in kept]
        return [one[sent] for one in (*first, *self._last)]

    def pairs(self, *, sent: bool) -> list[tuple[Seen, Seen]]:
        """Return pairs of steps that have the same place in the two phases."""
        twice = [kept for kept in self._first.values() if len(kept) == 2]
        found = [(first[sent], second[sent]) for first, second in twice]
        return [pair for pair in found if not np.array_equal(pair[0].rows, pair[1].rows)]

    def sums(self, *, sent: bool) -> FloatArray:
        """Return the sum of each row's gradients: (n, d)."""
        found: FloatArray = self._sums[int(sent)].astype(np.float32)
        return found

    @property
    def rows(self) -> Int64Array:
        """Aligned rows that occurred in at least one step, sorted."""
        return np.flatnonzero(self._stood).astype(np.int64)


def leaks_of_gradients(witness: GradientWitness, plays: ItemPlays, seed: int = 0) -> LeakTable:
    """Attack the gradients of a training run, raw and as sent."""
    raw, sent = (_of_gradients(witness, plays, seed, sent=side) for side in (False, True))
    return _table(raw, sent)


def leaks_of_vectors(
    vectors: FloatArray, sent: FloatArray, users: UserSide, seed: int = 0
) -> LeakTable:
    """Attack user vectors (n, d), raw and as sent."""
    both = [
        {INVERSION: inversion(v, users.features, np.random.default_rng(seed))}
        for v in (vectors, sent)
    ]
    return _table(both[0], both[1])


def audit(
    users: UserSide,
    items: ItemSide,
    recipe: TwoTowerRecipe,
    defence: Defence,
    *,
    secret: int = 0,
    progress: LineProgress | None = None,
) -> LeakTable:
    """Train with both sides' data, undefended and as configured, and attack the exchanged data.

    Parameters
    ----------
    users, items : UserSide, ItemSide
        Of the same aligned rows.
    recipe : TwoTowerRecipe
    defence : Defence
        Defence of both sides.
    secret : int
        Secret of both sides.
    progress : callable, optional
        Called with the metrics of each epoch of both runs.
    """
    found = []
    for guard in (NOTHING, defence):
        trained, witness = train_with_witness(
            users, items, recipe, guard, secret=secret, progress=progress
        )
        found.append(run_attacks(trained, witness, seed=recipe.seed))
    return _table(*found)


def train_with_witness(
    users: UserSide,
    items: ItemSide,
    recipe: TwoTowerRecipe,
    defence: Defence,
    *,
    secret: int = 0,
    progress: LineProgress | None = None,
) -> tuple[CentralLearner, GradientWitness]:
    """Train in both phases with one witness; return the first phase's learner.

    It has not seen the validation rows.
    """
    witness = GradientWitness(len(items.plays), recipe.dimension)
    learners: list[CentralLearner] = []

    def watch(central: CentralLearner, _phase: Phase) -> None:
        central.items[0].witness = witness.note
        learners.append(central)

    CentralTraining(recipe, defence, secret, watch).run(users, [items], progress=progress)
    return learners[0], witness


def run_attacks(trained: CentralLearner, witness: GradientWitness, *, seed: int = 0) -> Found:
    """Return the result of each attack on the data sent in training; None if not applicable."""
    half, user = trained.items[0], trained.user
    found = _of_gradients(witness, half.plays, seed, sent=True)
    vectors = user.embed(np.arange(len(half.plays)))[0]
    found[INVERSION] = inversion(vectors, user.features, np.random.default_rng(seed))
    songs = np.where(half.learnt[:, None], half.song_vectors(), 0).astype(np.float32)
    rng = np.random.default_rng(seed)
    found[MEMBERSHIP] = membership(vectors, songs, half.plays, user.learnt, user.judged, rng)
    return found


def _of_gradients(witness: GradientWitness, plays: ItemPlays, seed: int, *, sent: bool) -> Found:
    rng = np.random.default_rng(seed)
    steps = witness.steps(sent=sent)
    gradients = np.concatenate([step.gradients for step in steps])
    rows, one = np.unique(np.concatenate([step.rows for step in steps]), return_index=True)
    sums, pairs = witness.sums(sent=sent), witness.pairs(sent=sent)
    return {
        NEAREST: nearest_gradient(steps, rng),
        SUMMED: summed_gradients(sums, plays, witness.rows, rng),
        DIFFERENCE: nearest_difference(pairs, rng),
        ACTIVITY: activity(gradients[one], plays, rows, rng),
        LENGTH: activity(sums[witness.rows], plays, witness.rows, rng),
        SILENT: silent_difference(pairs, rng),
    }


def _table(undefended: Found, defended: Found) -> LeakTable:
    leaks = []
    for attack, base in undefended.items():
        other = defended[attack]
        if base is not None and other is not None:
            leaks.append(Leak(attack, base.chance, base.found, other.found))
    return LeakTable(tuple(leaks))


def _plain(found: Interval) -> list[float]:
    return [round(float(v), 6) for v in (found.value, found.low, found.high)]
