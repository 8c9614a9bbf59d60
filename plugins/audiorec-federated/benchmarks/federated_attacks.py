"""Attacks on a training of two towers, and audits of a release in one run.

::

    gradients of one step  ──nearest_gradient───▶ which users play the same song
    differences of steps   ──nearest_difference─▶ the same, if noise is reused
    their sums over steps  ──summed_gradients───▶ which users share a song
                           ──activity───────────▶ which users have plays, by length
    a trained model        ──membership─────────▶ whose plays it was trained on
    a released bundle      ──canary_scores──────▶ coins of canaries ──lower_bound──▶ an epsilon

Imported by the benchmarks and the tests. Each attack returns a `Result`: a figure with its interval
over users, and the chance level. One whose undefended interval is not entirely above chance is too
weak to be evidence: its other figures *do not count*. The nearest gradient of one step, which is
known to find nearly everybody, must reach 99 % there.

References
----------
Steinke, Nasr and Jagielski, *Privacy auditing with one (1) training run*, 2023.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiorec.evaluation.classification import Interval
from audiorec.evaluation.ranking import clustered_interval
from audiorec.listening.sequences import Sequences
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, LineProgress, unit
from audiorec_federated.audit import INVERSION, by_auc, inversion
from audiorec_federated.noise import NOTHING, Defence
from audiorec_federated.recipe import TwoTowerRecipe
from audiorec_federated.release import (
    COUNTS,
    inputs_of,
    noised,
    numbers_of,
    scale_of,
)
from audiorec_federated.users import Bag

if TYPE_CHECKING:  # so that audits of a release need no torch
    from audiorec_federated.halves import ItemSide, UserSide
    from audiorec_federated.split import TowersLearner
    from audiorec_federated.towers import JointStep

KEPT = 20  # steps that are attacked one by one: the first ones of each phase, and the last ones
MUST_FIND = 0.99  # success of the nearest gradient, undefended
MOST_EPSILON = 1_000.0
HIDING = 8  # users who play the song of a canary in any case
NEAREST = "same song, by the nearest gradient of one step"
DIFFERENCE = "same song, by the nearest difference of two steps"
SUMMED = "shares a song, by the nearest sum of gradients"
LENGTH = "plays at all, by the length of summed gradients"
MEMBERSHIP = "was learnt from, by the trained model"
ATTACKS = (NEAREST, DIFFERENCE, SUMMED, LENGTH, INVERSION, MEMBERSHIP)
Note = Callable[["JointStep", Int64Array, FloatArray, FloatArray], None]


@dataclass(frozen=True, slots=True)
class Result:
    """Success of an attack and its chance level, in 0..1."""

    found: Interval
    chance: float


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One training step as the partner sees it, with the ground truth."""

    rows: Int64Array  # (B,): aligned rows
    # (B,): song drawn for each row, -1 for rows without a play: hidden from the partner
    played: Int64Array
    gradients: FloatArray  # (B, d)


def nearest_gradient(steps: Sequence[Seen], rng: np.random.Generator) -> Result | None:
    """Find a user with the same song by the nearest gradient of a step; None if no songs repeat.

    Evaluated on rows whose song another row of the step has as well. Chance is a random row.
    """
    hits, owners, chances = [], [], []
    for step in steps:
        has = step.played >= 0
        played, rows = step.played[has], step.rows[has]
        if len(rows) < 2:
            continue
        same = played[:, None] == played[None]
        np.fill_diagonal(same, False)
        judged = same.any(axis=1)
        nearest = _nearest(step.gradients[has])
        hits.append(same[np.arange(len(rows)), nearest][judged])
        owners.append(rows[judged])
        chances.append(same[judged].sum(axis=1) / (len(rows) - 1))
    return _judged(hits, owners, chances, rng)


def summed_gradients(
    sums: FloatArray, plays: Bag, rows: Int64Array, rng: np.random.Generator
) -> Result | None:
    """Find a user who shares a song by the nearest sum of gradients over a training run.

    Parameters
    ----------
    sums : ndarray, shape (n, d)
        Of each aligned row; their mean is subtracted.
    plays : Bag
    rows : ndarray, shape (m,), int64
        Training rows; those with a play are evaluated. Chance is a random user.
    """
    from scipy.sparse import csr_array

    own = plays.take(rows)
    has = own.lengths > 0
    if has.sum() < 2:
        return None
    matrix = csr_array(
        (np.ones(len(own.code), np.int32), own.code, own.starts), shape=(len(rows), plays.size)
    )[has]
    shares = (matrix @ matrix.T).tocsr()
    kept = sums[rows[has]]
    nearest = _nearest(kept - kept.mean(axis=0))
    number = np.arange(len(nearest))
    hit = np.asarray(shares[number, nearest]).ravel() > 0
    chance = (np.diff(shares.indptr) - 1) / (len(number) - 1)  # its own place is in every row
    return _judged([hit], [rows[has]], [chance], rng)


def activity(
    gradients: FloatArray, plays: Bag, rows: Int64Array, rng: np.random.Generator
) -> Result | None:
    """Distinguish users with plays from users without by the norm of their gradients: the AUC.

    `gradients` (m, d), or sums of gradients, are of `rows` (m,). None if all rows have plays, or
    none has.
    """
    has = plays.take(rows).lengths > 0
    return _of_auc(by_auc(np.linalg.norm(gradients, axis=1)[:, None], has[:, None], rng))


def nearest_difference(
    pairs: Sequence[tuple[Seen, Seen]], rng: np.random.Generator
) -> Result | None:
    """Find a user with the same song as `nearest_gradient` does, by differences of two steps.

    The second step's gradients are subtracted from the first's, row by row as they were sent:
    noise that both messages share cancels.
    """
    return nearest_gradient([_difference(*pair) for pair in pairs], rng)


def membership(
    vectors: FloatArray,
    songs: FloatArray,
    plays: Bag,
    learnt: Int64Array,
    others: Int64Array,
    rng: np.random.Generator,
) -> Result | None:
    """Distinguish training users from others by the similarity of their songs: the AUC.

    The attacker has the model, the users' vectors and their plays. `vectors` (n, d) are of all
    aligned rows, `songs` (S, d) of length 1, 0 for songs that were not learnt.
    """
    there = np.asarray(songs.any(axis=1), np.bool_)
    rows = np.concatenate([learnt, others])
    own = plays.take(rows)
    own = own.keep(there[own.code])
    has = own.lengths > 0
    owner = own.owner
    near = np.einsum("pd,pd->p", vectors[rows][owner], songs[own.code])
    sums = np.bincount(owner, near, minlength=len(rows)) / np.maximum(own.lengths, 1)
    score = sums - vectors[rows] @ songs[there].mean(axis=0)
    is_learnt = np.arange(len(rows)) < len(learnt)
    return _of_auc(by_auc(score[has, None], is_learnt[has, None], rng))


def _difference(first: Seen, second: Seen) -> Seen:
    """Return the first step with the second one's gradients subtracted, as far as both reach."""
    n = min(len(first.rows), len(second.rows))
    gradients = first.gradients[:n] - second.gradients[:n]
    return Seen(first.rows[:n], first.played[:n], gradients)


def _nearest(rows: FloatArray) -> Int64Array:
    """Return the row of the largest cosine with each row, excluding itself: (n,), int64."""
    units = unit(rows)
    near = units @ units.T
    np.fill_diagonal(near, -np.inf)
    found: Int64Array = near.argmax(axis=1).astype(np.int64)
    return found


def _judged(
    hits: list[BoolArray],
    owners: list[Int64Array],
    chances: list[Float64Array],
    rng: np.random.Generator,
) -> Result | None:
    if not sum(map(len, hits)):
        return None
    hit = np.concatenate(hits).astype(np.float64)
    found = clustered_interval(hit, np.concatenate(owners), rng)
    return Result(found, float(np.concatenate(chances).mean()))


def _of_auc(found: Interval | None) -> Result | None:
    return None if found is None else Result(found, 0.5)


Found = dict[str, Result | None]


@dataclass(frozen=True, slots=True)
class Leak:
    """Success of one attack, undefended and defended."""

    attack: str
    chance: float
    undefended: Interval
    defended: Interval  # the same attack, with the configured defence

    @property
    def counts(self) -> bool:
        """Whether the attack succeeds without a defence, so that its defended figure counts."""
        strong = self.attack != NEAREST or self.undefended.value >= MUST_FIND
        return self.undefended.low > self.chance and strong


class GradientWitness:
    """Recorder of an item half's gradients, before and after the defence.

    Give its `note` to `watched`.
    """

    def __init__(self, n_rows: int, dimension: int) -> None:
        self._sums = np.zeros((2, n_rows, dimension), np.float64)
        self._stood = np.zeros(n_rows, np.bool_)
        self._first: dict[tuple[int, int], list[tuple[Seen, Seen]]] = {}
        self._last: deque[tuple[Seen, Seen]] = deque(maxlen=KEPT)

    def note(
        self, step: "JointStep", played: Int64Array, raw: FloatArray, sent: FloatArray
    ) -> None:
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


def audit(
    users: "UserSide",
    items: "ItemSide",
    recipe: TwoTowerRecipe,
    defence: Defence,
    *,
    secret: int = 0,
    progress: LineProgress | None = None,
) -> tuple[Leak, ...]:
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


def leaks_of_gradients(witness: GradientWitness, plays: Bag, seed: int = 0) -> tuple[Leak, ...]:
    """Attack the gradients of a training run, raw and as sent."""
    raw, sent = (_of_gradients(witness, plays, seed, sent=side) for side in (False, True))
    return _table(raw, sent)


def train_with_witness(
    users: "UserSide",
    items: "ItemSide",
    recipe: TwoTowerRecipe,
    defence: Defence,
    *,
    secret: int = 0,
    progress: LineProgress | None = None,
) -> "tuple[TowersLearner, GradientWitness]":
    """Train in both phases with one witness; return the first phase's learner.

    It has not seen the validation rows.
    """
    from audiorec_federated.split import train_here

    witness = GradientWitness(len(items.plays), recipe.dimension)
    learners: list[TowersLearner] = []

    def watch(learner: "TowersLearner", _phase: str) -> None:
        watched(learner.item, witness.note)
        learners.append(learner)

    train_here(users, items, recipe, defence=defence, secret=secret, watch=watch, progress=progress)
    return learners[0], witness


def run_attacks(trained: "TowersLearner", witness: GradientWitness, *, seed: int = 0) -> Found:
    """Return the result of each attack on the data sent in training; None if not applicable."""
    half: Any = trained.item
    user = trained.user
    found = _of_gradients(witness, half.plays, seed, sent=True)
    vectors = user.embed(np.arange(len(half.plays)))
    found[INVERSION] = _of_auc(inversion(vectors, user.features, np.random.default_rng(seed)))
    songs = np.where(half.learnt[:, None], half.song_vectors(), 0).astype(np.float32)
    rng = np.random.default_rng(seed)
    found[MEMBERSHIP] = membership(vectors, songs, half.plays, user.rows, user.judged, rng)
    return found


def _of_gradients(witness: GradientWitness, plays: Bag, seed: int, *, sent: bool) -> Found:
    rng = np.random.default_rng(seed)
    sums = witness.sums(sent=sent)
    return {
        NEAREST: nearest_gradient(witness.steps(sent=sent), rng),
        DIFFERENCE: nearest_difference(witness.pairs(sent=sent), rng),
        SUMMED: summed_gradients(sums, plays, witness.rows, rng),
        LENGTH: activity(sums[witness.rows], plays, witness.rows, rng),
    }


def _table(undefended: Found, defended: Found) -> tuple[Leak, ...]:
    leaks = []
    for attack, base in undefended.items():
        other = defended[attack]
        if base is not None and other is not None:
            leaks.append(Leak(attack, base.chance, base.found, other.found))
    return tuple(leaks)


def watched(half: Any, note: Note) -> None:
    """Call `note` in each step of an `ItemHalf`: the step, the song drawn of each row, gradients.

    The songs are -1 where a row has none; the gradients (B, d) are those before the defence, and
    those that are sent.
    """
    gradient, guard = half.gradient, half.defence
    kept: list[FloatArray] = []

    def gradients(raw: FloatArray) -> FloatArray:
        sent: FloatArray = guard.gradients(raw)
        kept[:] = raw, sent
        return sent

    def seen(step: "JointStep", vectors: FloatArray) -> FloatArray:
        found: FloatArray = gradient(step, vectors)
        note(step, half._drawn(step)[0], *kept)
        return found

    half.defence, half.gradient = SimpleNamespace(gradients=gradients), seen


def audited(
    vectors: FloatArray,
    plays: Sequences,
    noise: float,
    *,
    members: int = 2_000,
    guesses: int = 200,
    seed: int = 7,
) -> tuple[int, int]:
    """Return how many coins of canaries are guessed, and rightly, from what a release tells.

    Each canary has a song of its own, which it plays if its coin says so, and `HIDING` users
    certainly, whom the auditor knows: so the song stands out, and moments tell of it as well.
    """
    rng = np.random.default_rng(seed)
    coins = rng.random(members) < 0.5
    own = rng.standard_normal((members * (1 + HIDING), vectors.shape[1])).astype(np.float32)
    songs = (*plays.song_ids, *(f"~canary-{n:04d}" for n in range(members)))
    lists = [[plays.song_ids[song] for song in plays[row]] for row in range(len(plays))]
    theirs = [[f"~canary-{n:04d}"] for n in range(members)]
    lists += [one if coin else [] for one, coin in zip(theirs, coins, strict=True)]
    lists += theirs * HIDING
    ids = [f"{n:06d}" for n in range(len(lists))]
    everybody = np.concatenate([vectors, own])
    inputs = inputs_of(numbers_of(everybody, scale_of(everybody))[0])
    found = noised(inputs, Sequences.from_lists(lists, ids).among(songs), noise)
    # The log likelihood of a play, but for a factor and what is the same without one.
    hidden = inputs[-members * HIDING :].reshape(HIDING, members, -1).sum(axis=0)
    own_inputs = inputs[len(vectors) : len(vectors) + members]
    first = found.noise * ((1 - COUNTS) / COUNTS) ** 0.5
    scores = (found.counts[-members:] * first - HIDING - 0.5) / first**2
    canary = found.chosen - len(plays.song_ids)
    canary, moments = canary[canary >= 0], found.moments[canary >= 0]
    told = ((moments - hidden[canary]) * own_inputs[canary]).sum(axis=1)
    scores[canary] += (told - 0.5) / found.noise**2
    sure = np.argsort(-np.abs(scores), kind="stable")[:guesses]
    return len(sure), int(((scores > 0) == coins)[sure].sum())


def lower_bound(
    members: int, guesses: int, correct: int, delta: float, *, error: float = 0.05
) -> float:
    """Return an epsilon that a mechanism does not keep, by an audit in one run; 0 if none is shown.

    Each of `members` canaries was in the data by a fair coin of its own. The auditor guesses some
    of the coins from the release, and is right more often than any (epsilon, delta)-private
    mechanism would allow, but for a probability of `error`.

    Parameters
    ----------
    members : int
        Canaries, guessed or not.
    guesses, correct : int
    delta : float
    error : float
        Probability that the bound is too high.

    Examples
    --------
    >>> lower_bound(1000, 200, 100, 1e-5)
    0.0
    >>> 2 < lower_bound(1000, 200, 195, 1e-5) < 4
    True
    """

    def surplus(epsilon: float) -> float:
        return error - _chance(members, guesses, correct, epsilon, delta)

    if surplus(0.0) <= 0:
        return 0.0
    if surplus(MOST_EPSILON) > 0:
        return MOST_EPSILON
    from scipy.optimize import brentq

    return float(brentq(surplus, 0.0, MOST_EPSILON, xtol=1e-6))


def _chance(members: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Return how likely so many right guesses are at most, for a private mechanism."""
    from scipy.stats import binom

    right = 1 / (1 + np.exp(-epsilon))
    likely = binom.pmf(np.arange(correct + 1), guesses, right)[::-1]  # correct, correct - 1, ...
    tails = np.cumsum(likely[1:]) / np.arange(1, correct + 1) if correct else np.zeros(1)
    beyond = float(binom.sf(correct - 1, guesses, right))
    return min(1.0, beyond + 2 * members * delta * float(tails.max()))
