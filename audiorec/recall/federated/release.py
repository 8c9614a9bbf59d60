"""The other direction: songs are released once, with noise that bounds what plays tell.

    music: vectors, plays ──moments, Gaussian noise──▶ songs (S, d), prior (S,): a bundle
    partner: bundle ──`complete`──▶ a channel that answers to profiles by itself

One number is promised, and nowhere else: with or without all plays of one user, any outcome is as
likely up to a factor of exp(epsilon), but for a probability of delta. Public, and not covered: the
catalogue, who is aligned, and the vectors, all of which the partner has already.

What is noised is the matrix of moments, plays (S, n) times inputs (n, 1 + d): a constant and some
numbers of each vector. A user's plays count with length 1 at most, and so do the numbers, so that
one user changes the matrix by `SENSITIVITY` at most. All else, from the Gram matrix of the aligned
vectors to the ridge regression, is computed from public numbers. The settings are constants, set on
other pairs of domains (docs/benchmarks/federated.md).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import InputError, SpecMismatchError
from audiorec.learning.bundle import check_target
from audiorec.listening.sequences import Sequences
from audiorec.recall.federated.alignment import read_alignment
from audiorec.recall.federated.jobs import users_path
from audiorec.recall.federated.keys import fingerprint_of, read_certificate
from audiorec.recall.federated.ledger import noise_for, note_release
from audiorec.recall.federated.noise import normals
from audiorec.recall.federated.one_way import (
    OneWay,
    Release,
    rows_of,
    solved,
    who_plays,
    with_constant,
)
from audiorec.recall.federated.plan import PartyPlan, music_data
from audiorec.recall.federated.recipe import OneWayRecipe
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import Float64Array, FloatArray, lengths_of

# Chosen on phone <- electronic and electronic <- phone of DisenCDR, and the same for all data.
NUMBERS = 8  # of each vector: those of the largest singular values
CONSTANT = 1.0  # beside numbers of length 1
REGULARISATION = 2000.0  # times the squared noise
SENSITIVITY = (1 + CONSTANT**2) ** 0.5 * (1 + 1e-6)  # with room for rounding


def release(plan: PartyPlan, epsilon: float, out: Path) -> dict[str, Any]:
    """Write songs and prior as a bundle for the partner, with noise; enter it in the ledger.

    Parameters
    ----------
    plan : PartyPlan
        Of the music side, after training.
    epsilon : float
        Of this release alone, at the delta of the plan's budget.
    out : Path
        Folder of the bundle.

    Returns
    -------
    about : dict
        ``epsilon`` and ``delta``, ``total_epsilon`` of all releases so far, ``songs``, ``users``.

    Raises
    ------
    InputError
        If the budget does not allow it, or catalogue and members are not named: those of the log
        would depend on the plays.
    StoreError
        If the vectors of the training or the ledger cannot be read.
    """
    recipe = _one_way(plan, "music")
    check_target(out)
    data, alignment = music_data(plan), read_alignment(plan.alignment)
    catalogue = data.context.song_ids
    if not catalogue or plan.ids is None:
        raise InputError(
            "a release needs a catalogue and members that do not depend on plays: name ids, and "
            "one of side, songs and vectors, in [federated]"
        )
    table = EmbeddingTable.open(users_path(plan.out), kind="users")
    users = [user for user in alignment.user_ids if user]  # but those who were forgotten
    vectors = rows_of(users, table.ids, table.embeddings)
    plays = data.sequences.among(catalogue).of_owners(users)
    budget = plan.parsed_budget()
    noise = noise_for(epsilon, budget.delta)
    peer = fingerprint_of(read_certificate(plan.peer))
    total = note_release(plan.ledger, budget, peer, len(catalogue), noise)
    made = Release(epsilon=epsilon, delta=budget.delta, noise=noise)
    channel = released(vectors, plays, made, recipe, space=table.metadata.space)
    model_id = channel.save(out)
    counts = {"songs": len(catalogue), "users": len(users)}
    spent = {"total_epsilon": total, "budget": budget.epsilon}
    about = {"epsilon": epsilon, "delta": made.delta, **spent, **counts}
    return {"model_id": model_id, **about, "out": str(out)}


def released(
    vectors: FloatArray,
    plays: Sequences,
    made: Release,
    recipe: OneWayRecipe,
    *,
    space: str = "",
    noises: Float64Array | None = None,
) -> OneWay:
    """Return a channel whose songs are learnt from noised moments.

    Vectors (n, d) and plays are of all aligned users, the catalogue is `Sequences.song_ids`.
    `noises` (S, 1 + d) are standard normal numbers, for tests; by default fresh ones.
    """
    scale = scale_of(vectors)
    inputs = inputs_of(vectors, scale)
    moments = weighted(plays).T @ inputs
    drawn = normals(moments.shape) if noises is None else noises
    gram, ridge = inputs.T @ inputs, REGULARISATION * made.noise**2
    channel = OneWay(replace(recipe, dimension=inputs.shape[1] - 1, regularisation=ridge))
    noised = moments + made.noise * SENSITIVITY * drawn
    channel.songs, prior = solved(gram, noised, ridge)
    channel.prior = (CONSTANT * prior).astype(np.float32)
    channel.song_ids, channel.space, channel.users = plays.song_ids, space, None
    channel.is_cold = np.zeros(len(plays.song_ids), np.bool_)  # who was played is not told
    channel.release = replace(made, scale=tuple(scale.tolist()))
    return channel


def scale_of(vectors: FloatArray) -> Float64Array:
    """Return factors of the numbers that are used: they bring them nearer to one mean square."""
    squares = np.mean(vectors[:, :NUMBERS].astype(np.float64) ** 2, axis=0)
    found: Float64Array = np.where(squares > 0, squares, 1) ** -0.25
    return found


def inputs_of(vectors: FloatArray, scale: Float64Array) -> Float64Array:
    """Return a constant and the numbers that are used, times factors, of length 1: (n, 1 + d)."""
    few = vectors[:, : len(scale)] * scale
    found = with_constant(few / lengths_of(few))
    found[:, 0] = CONSTANT
    return found


def weighted(plays: Sequences) -> Any:
    """Return who plays what, sparse (n, S), each user's row of length 1 or 0."""
    from scipy.sparse import diags_array

    found = who_plays(plays)
    counts = np.diff(found.indptr)
    return diags_array(1 / np.sqrt(np.maximum(1, counts))) @ found


def complete(plan: PartyPlan, bundle: Path, out: Path) -> dict[str, Any]:
    """Join a received release and the partner's user model to a channel for profiles.

    Raises
    ------
    InputError
        If the bundle is no release, or this is not the partner.
    SpecMismatchError
        If it was made for another user model.
    """
    _one_way(plan, "partner")
    check_target(out)
    channel, partner = OneWay.load(bundle), OneWay.load(plan.out)
    if channel.release is None or partner.users is None:
        raise InputError(f"{bundle}: not a release; the music side makes one: federated release")
    if channel.space != partner.space:
        raise SpecMismatchError(
            f"{bundle}: was made for the space {channel.space}, this side's model has "
            f"{partner.space}; ask for a new release"
        )
    channel.users = partner.users.cut(channel.recipe, channel.release.scale)
    model_id = channel.save(out)
    return {"model_id": model_id, "songs": len(channel.song_ids), "out": str(out)}


def _one_way(plan: PartyPlan, role: str) -> OneWayRecipe:
    recipe = plan.settings()
    if not isinstance(recipe, OneWayRecipe):
        raise InputError(f"{plan.model} cannot be released: only one-way has a bound")
    if plan.role != role:
        doing = "releases" if role == "music" else "completes a release"
        raise InputError(f"only the {role} side {doing}; this plan is of the {plan.role}")
    return recipe
