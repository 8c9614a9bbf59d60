"""The other direction: songs are released once, with noise that bounds what plays tell.

    music: vectors, plays ──moments, Gaussian noise──▶ songs (S, d), prior (S,): a bundle
    partner: bundle ──`complete`──▶ a channel that answers to profiles by itself

One number is promised, and nowhere else: with or without all plays of one user, any outcome is as
likely up to a factor of exp(epsilon), but for a probability of delta. Public, and not covered: the
catalogue, who is aligned, and the vectors, all of which the partner has already.

Plays are noised twice. First, how often each song is played: songs that stand out of the noise are
chosen. Then, for these alone, the matrix of moments, plays (C, n) times inputs (n, 1 + d): a
constant and some numbers of each vector, less their mean. In both, a user's plays count with length
1 at most, and so do the inputs; a user spends no length on songs that noise would bury. All else is
computed from the noised and from public numbers: the moments are shrunk by what of them is noise.
The settings are constants, set on other pairs of domains (figures.md).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from audiorec.errors import InputError, SpecMismatchError
from audiorec.learning.bundle import check_target
from audiorec.listening.sequences import Sequences
from audiorec.store.embeddings import EmbeddingTable
from audiorec.types import Float64Array, FloatArray, Int64Array, lengths_of
from audiorec_federated.alignment import read_alignment
from audiorec_federated.jobs import users_path
from audiorec_federated.keys import fingerprint_of, read_certificate
from audiorec_federated.ledger import ADVISED_EPSILON, budget_line, noise_for, note_release
from audiorec_federated.noise import normals
from audiorec_federated.one_way import OneWay, Release, rows_of, who_plays
from audiorec_federated.plan import PartyPlan, music_data
from audiorec_federated.recipe import OneWayRecipe

# Chosen on phone <- electronic and electronic <- phone of DisenCDR, and the same for all data.
NUMBERS = 8  # of each vector: those of the largest singular values
CONSTANT = 0.7  # beside numbers of length 1
COUNTS = 0.25  # share of the counts in what is told, 1 / noise^2
STANDS_OUT = 2.0  # deviations of the noise, above which a song's count is
SAMPLING = 0.3  # variance of a song's moments by who happens to play it, per play and input
SENSITIVITY = 1 + 1e-6  # with room for rounding
Draw = Callable[[tuple[int, int]], Float64Array]


@dataclass(frozen=True, slots=True, eq=False)
class Noised:
    """All that a release tells of plays."""

    counts: Float64Array  # (S,) in deviations of the noise
    chosen: Int64Array  # (C,) songs whose counts stand out
    moments: Float64Array  # (C, 1 + d)
    noise: float  # standard deviation of the noise in the moments


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
    if not plan.parsed_budget().epsilon:
        raise InputError(f"nothing may be released: the budget is 0{_where_to_allow(plan)}")
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
    asked: Any = {"songs": len(catalogue), "noise": noise, "advice": _where_to_allow(plan)}
    total = note_release(plan.ledger_path, budget, peer, **asked)
    made = Release(epsilon=epsilon, delta=budget.delta, noise=noise)
    channel = released(vectors, plays, made, recipe, space=table.metadata.space)
    model_id = channel.save(out)
    counts = {"songs": len(catalogue), "users": len(users)}
    spent = {"total_epsilon": total, "budget": budget.epsilon}
    about = {"epsilon": epsilon, "delta": made.delta, **spent, **counts}
    return {"model_id": model_id, **about, "out": str(out)}


def _where_to_allow(plan: PartyPlan) -> str:
    """Return which key of which file sets the budget, and the line to write there."""
    place = f"`budget` of [federated] in {plan.file or 'the settings'}"
    if plan.parsed_budget().epsilon >= ADVISED_EPSILON:
        return f" ({place}); {ADVISED_EPSILON:g} is the most that releases should promise"
    line = budget_line(plan.budget, ADVISED_EPSILON)
    return f"; {place} sets it: write there, for all releases together, {line}"


def released(
    vectors: FloatArray,
    plays: Sequences,
    made: Release,
    recipe: OneWayRecipe,
    *,
    space: str = "",
    draw: Draw = normals,
) -> OneWay:
    """Return a channel whose songs are learnt from noised counts and moments.

    Vectors (n, d) and plays are of all aligned users, the catalogue is `Sequences.song_ids`. `draw`
    returns standard normal numbers of a shape.
    """
    scale = scale_of(vectors)
    numbers, mean = numbers_of(vectors, scale)
    result = noised(inputs_of(numbers), plays, made.noise, draw=draw)
    channel = OneWay(replace(recipe, dimension=len(mean)))
    channel.songs, channel.prior = songs_of(result, numbers, mean)
    channel.song_ids, channel.space, channel.users = plays.song_ids, space, None
    channel.is_cold = np.zeros(len(plays.song_ids), np.bool_)  # who was played is not told
    channel.release = replace(made, scale=tuple(scale.tolist()))
    return channel


def noised(inputs: Float64Array, plays: Sequences, noise: float, *, draw: Draw = normals) -> Noised:
    """Return noised counts of all songs, and moments of those that stand out."""
    played = who_plays(plays).tocsc()
    first, second = (noise * SENSITIVITY / share**0.5 for share in (COUNTS, 1 - COUNTS))
    counts = weighted(played).sum(axis=0) / first + draw((played.shape[1], 1))[:, 0]
    chosen = np.flatnonzero(counts > STANDS_OUT)
    moments = weighted(played[:, chosen]).T @ inputs
    return Noised(counts, chosen, moments + second * draw(moments.shape), second)


def songs_of(
    found: Noised, numbers: Float64Array, mean: Float64Array
) -> tuple[FloatArray, FloatArray]:
    """Return songs (S, d) and prior (S,): the logarithm of how likely a user plays a song.

    The players of a song are taken for a normal distribution of numbers, moved from that of all
    users; how far is the posterior mean, given how far songs move in general.
    """
    floor, variance = found.noise / CONSTANT, found.noise**2
    plays = np.maximum(found.moments[:, :1] / CONSTANT, floor)
    moments, spread = found.moments[:, 1:], numbers.var(axis=0)
    spread[spread < 1e-9] = np.inf  # of a number that all have alike, nothing is learnt
    by_chance = SAMPLING * plays * spread + variance
    moved = np.maximum(0, (moments**2 - by_chance).sum(axis=0)) / max(1e-9, float((plays**2).sum()))
    shifts = moments * plays * moved / (plays**2 * moved + by_chance)
    songs = np.zeros((len(found.counts), len(mean)))
    songs[found.chosen] = shifts / spread
    prior = np.log(floor) + np.minimum(0, found.counts - STANDS_OUT)
    prior[found.chosen] = np.log(plays[:, 0]) - (songs[found.chosen] * shifts).sum(axis=1) / 2
    prior -= songs @ mean
    return songs.astype(np.float32), prior.astype(np.float32)


def scale_of(vectors: FloatArray) -> Float64Array:
    """Return factors of the numbers that are used: they bring them to one mean square."""
    squares = np.mean(vectors[:, :NUMBERS].astype(np.float64) ** 2, axis=0)
    result: Float64Array = np.where(squares > 0, squares, 1) ** -0.5
    return result


def numbers_of(vectors: FloatArray, scale: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the numbers that are used, times factors, of length 1, less their mean; the mean.

    Unknown users, whose vectors are 0, have the mean.
    """
    known = np.flatnonzero(vectors.any(axis=1))
    few = vectors[:, : len(scale)] * scale
    few = few / lengths_of(few)
    mean = few[known].mean(axis=0)
    numbers = np.zeros_like(few)
    numbers[known] = few[known] - mean
    return numbers, mean


def inputs_of(numbers: Float64Array) -> Float64Array:
    """Return a constant and numbers, together of length 1: (n, 1 + d)."""
    inputs = np.column_stack([np.full(len(numbers), CONSTANT), numbers])
    inputs /= lengths_of(inputs)
    return inputs


def weighted(played: Any) -> Any:
    """Return who plays what, sparse (n, S), each user's row of length 1 or 0."""
    from scipy.sparse import diags_array

    return diags_array(1 / np.sqrt(np.maximum(1, played.sum(axis=1)))) @ played


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
