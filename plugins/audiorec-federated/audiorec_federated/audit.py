"""What a partner's vectors reveal: an attack on the numbers that it would send.

    partner's plan ──audit_vectors──▶ profile attributes, guessed from raw and from sent vectors

An attack whose undefended interval is not entirely above chance is too weak to be evidence: its
other figure *does not count*. Attacks on trainings of two towers are in
``benchmarks/federated_attacks.py``.
"""

from dataclasses import astuple
from typing import Any

import numpy as np

from audiorec.errors import InputError
from audiorec.evaluation.classification import Interval
from audiorec.listening.profiles import read_profiles
from audiorec.types import BoolArray, Float64Array, FloatArray
from audiorec_federated.alignment import read_alignment
from audiorec_federated.jobs import channel_of
from audiorec_federated.plan import PartyPlan
from audiorec_federated.users import UserFeatures

SAMPLES = 200  # bootstrap samples over users
MOST_FACTS = 20  # attribute values that are guessed
RIDGE = 1e-2  # penalty of the linear probe, relative to the mean eigenvalue
AT_LEAST = 20  # users with an attribute value, and users without it
INVERSION = "what is known of users, from their vectors"


def audit_vectors(plan: PartyPlan) -> dict[str, Any]:
    """Attack the vectors that a partner's model computes for its aligned users.

    Returns
    -------
    found : dict
        ``leaks``, one row per attack: success in 0..1 with its interval, and chance.

    Raises
    ------
    InputError
        If the plan is that of the music side, which sends no vectors.
    """
    users = channel_of(plan).load(plan.out).users if plan.role == "partner" else None
    if users is None:
        raise InputError("the music side sends no vectors: give the partner's settings")
    ids = [user for user in read_alignment(plan.alignment).user_ids if user]
    people = read_profiles(plan.needs("profiles")).for_users(ids)
    both = (users.plain().embed(people), users.embed(people))
    return {"leaks": leaks_of(*both, users.encoder.encode(people))}


def leaks_of(vectors: FloatArray, sent: FloatArray, features: UserFeatures) -> list[dict[str, Any]]:
    """Attack user vectors (n, d), raw and as sent; no row if there is nothing to guess."""
    raw, own = (inversion(v, features, np.random.default_rng(0)) for v in (vectors, sent))
    if raw is None or own is None:
        return []
    leak = {"attack": INVERSION, "by": "music", "chance": 0.5, "counts": raw.low > 0.5}
    figures = {"undefended": raw, "defended": own}
    shown = {n: [round(float(v), 6) for v in astuple(one)] for n, one in figures.items()}
    return [{**leak, **shown}]


def inversion(
    vectors: FloatArray, features: UserFeatures, rng: np.random.Generator
) -> Interval | None:
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
    return by_auc(x[asked] @ probe, truth[asked][:, frequent], rng)


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


def by_auc(score: Float64Array, truth: BoolArray, rng: np.random.Generator) -> Interval | None:
    """Return the mean AUC over columns (m, F), with a bootstrap over rows; None if undefined."""

    def mean(rows: Any) -> float:
        columns = zip(score[rows].T, truth[rows].T, strict=True)
        return float(np.mean([auc(s, t) for s, t in columns]))

    whole = mean(np.arange(len(score)))
    if np.isnan(whole):
        return None
    n = len(score)
    drawn = [mean(rng.integers(0, n, n)) for _ in range(SAMPLES)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(whole, float(low), float(high))


def _facts(features: UserFeatures) -> BoolArray:
    """Return attributes of users as flags, the most frequent first: (n, F), bool."""
    columns = [np.zeros((len(features), 0), np.bool_)]
    for bag in features.bags.values():
        top = np.argsort(-np.bincount(bag.code, minlength=bag.size), kind="stable")[:MOST_FACTS]
        owner = bag.owner
        own = np.zeros((len(bag), len(top)), np.bool_)
        for index, value in enumerate(top.tolist()):
            own[owner[bag.code == value], index] = True
        columns.append(own)
    numbers = features.dense[:, ::2]
    columns.append(numbers > np.median(numbers, axis=0))
    return np.concatenate(columns, axis=1)
