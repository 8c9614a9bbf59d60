"""Privacy audit: run known attacks against a configuration and report their success.

::

    gradients of one step  ──nearest_gradient───▶ which users play the same song
    differences of steps   ──nearest_difference─▶ the same, if noise is reused
    their sums over steps  ──summed_gradients───▶ which users share a song
                           ──activity───────────▶ which users have plays, by length
    user vectors           ──inversion──────────▶ profile attributes
    a trained model        ──membership─────────▶ whose plays it was trained on

    both plans, on one machine ──audit_both──▶ every attack, undefended and as configured
    partner's plan ──audit_vectors──▶ what its vectors reveal about its users

Each attack returns a `Result`: a figure with its interval over users, and the chance level. One
whose undefended interval is not entirely above chance is too weak to be evidence: its other figures
*do not count*. The nearest gradient of one step, which is known to find nearly everybody, must
reach 99 % there.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiorec.errors import InputError, SpecMismatchError
from audiorec.evaluation.classification import Interval
from audiorec.evaluation.full_rank import clustered_interval
from audiorec.listening.profiles import read_profiles
from audiorec.recall.federated.alignment import read_alignment
from audiorec.recall.federated.jobs import channel_of
from audiorec.recall.federated.noise import NOTHING, Defence
from audiorec.recall.federated.plan import PartyPlan, music_data
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.recall.federated.users import Bag, UserFeatures
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array, LineProgress, unit

if TYPE_CHECKING:
    from audiorec.learning.fit import Phase
    from audiorec.recall.federated.halves import ItemSide, UserSide
    from audiorec.recall.federated.split import TowersLearner
    from audiorec.recall.federated.towers import JointStep

SAMPLES = 200  # bootstrap samples over users
MOST_FACTS = 20  # attribute values that are guessed
RIDGE = 1e-2  # penalty of the linear probe, relative to the mean eigenvalue
AT_LEAST = 20  # users with an attribute value, and users without it
KEPT = 20  # steps that are attacked one by one: the first ones of each phase, and the last ones
MUST_FIND = 0.99  # success of the nearest gradient, undefended
NEAREST = "same song, by the nearest gradient of one step"
DIFFERENCE = "same song, by the nearest difference of two steps"
SUMMED = "shares a song, by the nearest sum of gradients"
LENGTH = "plays at all, by the length of summed gradients"
INVERSION = "what is known of users, from their vectors"
MEMBERSHIP = "was learnt from, by the trained model"
AGAINST = {
    NEAREST: "partner",
    DIFFERENCE: "partner",
    SUMMED: "partner",
    LENGTH: "partner",
    INVERSION: "music",
    MEMBERSHIP: "anybody with the model and plays",
}  # who could try


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
    return _by_auc(np.linalg.norm(gradients, axis=1)[:, None], has[:, None], rng)


def nearest_difference(
    pairs: Sequence[tuple[Seen, Seen]], rng: np.random.Generator
) -> Result | None:
    """Find a user with the same song as `nearest_gradient` does, by differences of two steps.

    The second step's gradients are subtracted from the first's, row by row as they were sent:
    noise that both messages share cancels.
    """
    return nearest_gradient([_difference(*pair) for pair in pairs], rng)


def inversion(
    vectors: FloatArray, features: UserFeatures, rng: np.random.Generator
) -> Result | None:
    """Predict profile attributes from user vectors by a linear probe: the mean AUC.

    The music side is assumed to know the features of half of the users. Predicted for the other
    half: the most frequent values of each column, and whether each number is above its median.
    None if no value is frequent enough.
    """
    truth = _facts(features)
    order = rng.permutation(len(vectors))
    known, asked = order[: len(order) // 2], order[len(order) // 2 :]
    frequent = [
        n
        for n in range(truth.shape[1])
        if all(AT_LEAST <= truth[side, n].sum() <= len(side) - AT_LEAST for side in (known, asked))
    ][:MOST_FACTS]
    if not frequent:
        return None
    x = np.concatenate([vectors, np.ones((len(vectors), 1), np.float32)], axis=1).astype(np.float64)
    gram = x[known].T @ x[known]
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    probe = np.linalg.solve(gram, x[known].T @ truth[known][:, frequent].astype(np.float64))
    return _by_auc(x[asked] @ probe, truth[asked][:, frequent], rng)


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
    return _by_auc(score[has, None], is_learnt[has, None], rng)


def auc(score: Float64Array, truth: BoolArray) -> float:
    """Return the probability that a positive scores above a negative; NaN if either is missing.

    Examples
    --------
    >>> auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    high, low = score[truth], np.sort(score[~truth])
    if not len(high) or not len(low):
        return float("nan")
    below = np.searchsorted(low, high, side="left") + np.searchsorted(low, high, side="right")
    return float(below.mean() / (2 * len(low)))


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


def _by_auc(
    score: Float64Array,
    truth: BoolArray,
    rng: np.random.Generator,
    owners: Int64Array | None = None,
) -> Result | None:
    """Return the mean AUC over columns (m, F), and its bootstrap over the rows' owners (m,)."""

    def mean(rows: Int64Array) -> float:
        columns = zip(score[rows].T, truth[rows].T, strict=True)
        return float(np.mean([auc(s, t) for s, t in columns]))

    whole = mean(np.arange(len(score)))
    if np.isnan(whole):
        return None
    mine = np.arange(len(score)) if owners is None else np.unique(owners, return_inverse=True)[1]
    order, n = np.argsort(mine, kind="stable"), int(mine.max()) + 1
    own = np.split(order, np.flatnonzero(np.diff(mine[order])) + 1)
    drawn = [mean(np.concatenate([own[i] for i in rng.integers(0, n, n)])) for _ in range(SAMPLES)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Result(Interval(whole, float(low), float(high)), 0.5)


def _facts(features: UserFeatures) -> BoolArray:
    """Return attributes of users as flags, the most frequent first: (n, F), bool."""
    columns = [np.zeros((len(features), 0), np.bool_)]
    for bag in features.bags.values():
        top = np.argsort(-np.bincount(bag.code, minlength=bag.size), kind="stable")[:MOST_FACTS]
        owner = bag.owner
        own = np.zeros((len(bag), len(top)), np.bool_)
        for place, value in enumerate(top.tolist()):
            own[owner[bag.code == value], place] = True
        columns.append(own)
    numbers = features.dense[:, ::2]
    columns.append(numbers > np.median(numbers, axis=0))
    return np.concatenate(columns, axis=1)


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


@dataclass(frozen=True, slots=True)
class LeakTable:
    """All attacks on one configuration."""

    leaks: tuple[Leak, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain JSON values."""
        return [
            {
                "attack": leak.attack,
                "by": AGAINST[leak.attack],
                "chance": round(leak.chance, 6),
                "undefended": _plain(leak.undefended),
                "defended": _plain(leak.defended),
                "counts": leak.counts,
            }
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


def audit_both(
    music: PartyPlan, partner: PartyPlan, *, tell: LineProgress | None = None
) -> dict[str, Any]:
    """Attack a configuration with the data of both sides: a rehearsal before real training.

    Returns
    -------
    found : dict
        ``leaks``, one row per attack.

    Raises
    ------
    InputError
        If the plans are not those of the music side and the partner.
    SpecMismatchError
        If their recipes or alignments differ.
    """
    if (music.role, partner.role) != ("music", "partner"):
        raise InputError("an audit of both sides needs the settings of music and of the partner")
    recipe, theirs = music.settings(), partner.settings()
    if recipe != theirs:
        raise SpecMismatchError("the recipes of the two sides differ")
    if not isinstance(recipe, TwoTowerRecipe):
        return audit_vectors(partner)  # nothing else crosses
    from audiorec.learning.machine import import_torch

    import_torch("an audit of two towers")
    from audiorec.recall.federated.halves import ItemSide, UserSide

    ours, others = read_alignment(music.alignment), read_alignment(partner.alignment)
    if ours.ids != others.ids:
        raise SpecMismatchError(
            "the two sides have different alignments; align again: audiorec federated align"
        )
    users = UserSide.of(read_profiles(partner.needs("profiles")), others.user_ids, recipe)
    items = ItemSide.of(music_data(music), ours.user_ids)
    guard = partner.parsed_defence()
    defence = replace(
        music.parsed_defence(), rounding=guard.rounding, vector_noise=guard.vector_noise
    )
    return {"leaks": audit(users, items, recipe, defence, progress=tell).to_json()}


def audit_vectors(plan: PartyPlan) -> dict[str, Any]:
    """Attack the vectors that a partner's model computes for its aligned users."""
    users = channel_of(plan).load(plan.out).users
    if users is None:
        raise InputError(
            "the music side sends no vectors; give the partner's settings as well: --config twice"
        )
    ids = [user for user in read_alignment(plan.alignment).user_ids if user]
    people = read_profiles(plan.needs("profiles")).for_users(ids)
    both = (users.plain().embed(people), users.embed(people))
    return {"leaks": leaks_of_vectors(*both, users.encoder.encode(people)).to_json()}


def leaks_of_vectors(
    vectors: FloatArray, sent: FloatArray, features: UserFeatures, seed: int = 0
) -> LeakTable:
    """Attack user vectors (n, d), raw and as sent."""
    both = [
        {INVERSION: inversion(v, features, np.random.default_rng(seed))} for v in (vectors, sent)
    ]
    return _table(both[0], both[1])


def leaks_of_gradients(witness: GradientWitness, plays: Bag, seed: int = 0) -> LeakTable:
    """Attack the gradients of a training run, raw and as sent."""
    raw, sent = (_of_gradients(witness, plays, seed, sent=side) for side in (False, True))
    return _table(raw, sent)


def audit(
    users: "UserSide",
    items: "ItemSide",
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
    from audiorec.recall.federated.split import train_here

    witness = GradientWitness(len(items.plays), recipe.dimension)
    learners: list[TowersLearner] = []

    def watch(learner: "TowersLearner", _phase: "Phase") -> None:
        learner.item.witness = witness.note  # type: ignore[attr-defined]
        learners.append(learner)

    train_here(users, items, recipe, defence=defence, secret=secret, watch=watch, progress=progress)
    return learners[0], witness


def run_attacks(trained: "TowersLearner", witness: GradientWitness, *, seed: int = 0) -> Found:
    """Return the result of each attack on the data sent in training; None if not applicable."""
    half: Any = trained.item
    user = trained.user
    found = _of_gradients(witness, half.plays, seed, sent=True)
    vectors = user.embed(np.arange(len(half.plays)))
    found[INVERSION] = inversion(vectors, user.features, np.random.default_rng(seed))
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


def _table(undefended: Found, defended: Found) -> LeakTable:
    leaks = []
    for attack, base in undefended.items():
        other = defended[attack]
        if base is not None and other is not None:
            leaks.append(Leak(attack, base.chance, base.found, other.found))
    return LeakTable(tuple(leaks))


def _plain(found: Interval) -> list[float]:
    return [round(float(v), 6) for v in (found.value, found.low, found.high)]
