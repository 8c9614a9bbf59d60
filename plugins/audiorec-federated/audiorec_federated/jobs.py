"""Implementation of a party's commands: align and train, from its plan.

::

    plan ──align──▶ aligned.parquet ──train──▶ model/, a channel: songs, or users, of this side
                                               music: model.users.parquet, vectors of the aligned
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from audiorec.errors import InputError, LostPeerError, PeerError, SpecMismatchError
from audiorec.files.own_files import RunFolder
from audiorec.learning.bundle import check_target
from audiorec.listening.profiles import read_profiles
from audiorec.recall.contract.channel import Trained
from audiorec.store.embeddings import write_embeddings
from audiorec.types import FloatArray, LineProgress, StageProgress
from audiorec_federated.alignment import (
    CPU_S,
    Alignment,
    AlignMusic,
    Hear,
    Normalised,
    align_partner,
    bucket_pool,
    buckets_for,
    read_alignment,
    write_alignment,
)
from audiorec_federated.channel import ByProfile, Mmoe, Towers, TwoTower
from audiorec_federated.exchange import Shared, VectorsHost, finish
from audiorec_federated.keys import fingerprint_of, read_certificate, read_keys
from audiorec_federated.ledger import NO_FILES, note_ids, note_vectors
from audiorec_federated.link import (
    Caller,
    FlightTransport,
    Host,
    PartyRun,
    keep_trying,
    listening,
)
from audiorec_federated.one_way import OneWay, fit_users
from audiorec_federated.plan import PartyPlan, music_data
from audiorec_federated.recipe import OneWayRecipe, TwoTowerRecipe
from audiorec_federated.users import UserModel, weights_of

if TYPE_CHECKING:
    from audiorec.learning.fit import Fitted
    from audiorec_federated.halves import UserHalf

TOWERS: Mapping[str, type[Towers]] = {"two-tower": TwoTower, "mmoe": Mmoe}
Say = Callable[[str], None]
JUDGED_ON = (
    "all plays of {share:.0%} of the aligned users, who were not learnt from, by their vectors "
    "alone, full rank"
)
BYTES_AN_ID = 35 + 2 * 35  # the music side's ids, and the partner's ids there and back


def alignment_plan(plan: PartyPlan, ids: Normalised) -> dict[str, Any]:
    """Return what an alignment would send and cost, for people to agree to before it runs."""
    return {
        "role": plan.role,
        "ids": len(ids),
        "merged": ids.merged,
        "buckets": buckets_for(len(ids)),
        "megabytes": round(len(ids) * BYTES_AN_ID / 1e6, 1),
        "cpu_s": round(len(ids) * CPU_S, 1),
        "jobs": plan.jobs,
    }


def align(
    plan: PartyPlan,
    ids: Normalised,
    *,
    progress: StageProgress | None = None,
    say: Say | None = None,
    stop: Event | None = None,
) -> Alignment | None:
    """Align with the other party and write the alignment; None if stopped.

    Raises
    ------
    InputError
        If this side has fewer ids than ``least_users``.
    LostPeerError
        If the other party is unreachable for longer than ``wait_s``.
    PeerError
        If it violates the protocol, tries more ids than the budget allows, or leaves and comes back
        after it has begun, or if too few users are common.
    """
    how = PartyRun(wait_s=plan.wait_s, say=say, stop=stop)
    least = plan.parsed_budget().least_users
    if len(ids) < least:
        raise InputError(f"{len(ids):,} ids; {too_few(least)}")
    hear = one_alignment(plan, how)

    def told(what: str, done: int, total: int) -> None:
        if how.stopped:
            raise LostPeerError("this side was asked to stop")
        if progress is not None:
            progress(what, done, total)

    with bucket_pool(plan.jobs) as submit:
        if plan.role == "music":
            host = AlignMusic(ids, submit, progress=told, hear=hear)
            result = host.found if _served(plan, host, how) else None
        else:

            def talk(caller: Caller) -> Alignment:
                caller.hello("align")
                return align_partner(caller, ids, submit, progress=told, hear=hear)

            result = keep_trying(lambda: _caller(plan), talk, how)
    if result is not None:
        if len(result) < least:
            raise PeerError(f"{len(result):,} common users; {too_few(least)}; nothing is written")
        write_alignment(plan.alignment, result)
    return result


def one_alignment(plan: PartyPlan, how: PartyRun) -> Hear:
    """Return what hears how many ids the other side tries, once in a run, and may refuse.

    A side that left after it had seen answers, and began again, could try other ids each time:
    what it has committed to is checked at the end of an alignment alone.
    """
    budget, peer = plan.parsed_budget(), _peer(plan)
    heard: list[int] = []

    def hear(theirs: int, commitment: str) -> None:
        if heard:
            raise PeerError(
                "the connection was lost within the alignment, and a run allows one: both sides "
                "run federated align again"
            )
        heard.append(theirs)
        how.note(f"the other side tries {theirs:,} ids")
        reason = note_ids(plan.ledger_path, budget, peer, theirs, commitment)
        if theirs < budget.least_users:
            reason = f"{theirs:,} ids; {too_few(budget.least_users)}"
        if reason:
            raise PeerError(f"the other party was refused: {reason}")

    return hear


def too_few(least: int) -> str:
    """Return the reason of a refusal."""
    return f"this side takes {least:,} or more (least_users)"


def train(
    plan: PartyPlan,
    *,
    tell: LineProgress | None = None,
    say: Say | None = None,
    stop: Event | None = None,
) -> dict[str, Any] | None:
    """Train this party's side and write its model; None if stopped.

    Raises
    ------
    InputError
        If a file that this party needs is not named in the plan or cannot be read, or fewer than
        ``least_users`` are aligned.
    LostPeerError, PeerError, SpecMismatchError
        If the other party is lost, violates the protocol, or has other settings.
    StoreError
        If another run is writing the model.
    """
    check_target(plan.out)
    alignment = read_alignment(plan.alignment)
    if len(alignment.ids) != 1:
        raise SpecMismatchError(
            f"{plan.alignment}: aligned with {len(alignment.ids)} parties; align again with one: "
            "audiorec federated align"
        )
    least = plan.parsed_budget().least_users
    if len(alignment) < least:
        raise InputError(f"{plan.alignment}: has {len(alignment):,} users; {too_few(least)}")
    recipe = plan.settings()
    run: Any = {"tell": tell, "say": say, "stop": stop}
    how = PartyRun(defence=plan.parsed_defence(), wait_s=plan.wait_s, **run)
    shared: Any = Shared(recipe=recipe, users=len(alignment), alignment=alignment.ids[0])
    if isinstance(recipe, TwoTowerRecipe):
        from audiorec.learning.machine import import_torch

        import_torch("federated training")
    with _run_folder(plan) as folder:
        side = _partner if plan.role == "partner" else _music
        done = side(plan, alignment, shared, how, folder.path)
        if done is not None:
            folder.clear()
    return None if done is None else {**done, "users": len(alignment)}


def _partner(
    plan: PartyPlan, alignment: Alignment, shared: Shared[Any], how: PartyRun, work: Path
) -> dict[str, Any] | None:
    """Fit or train the model of users, send the vectors of the aligned ones, write a channel."""
    people, keys = read_profiles(plan.needs("profiles")), read_keys(plan.keys)
    recipe, space = shared.recipe, token_hex(8)
    written: dict[str, Any] = {}
    sent: dict[str, FloatArray] = {}

    def conclude(caller: Caller, model: UserModel, trained: Trained) -> None:
        digest = model.digest()
        noise_key = keys.seed("vectors", digest)
        users = replace(model, defence=how.defence, noise_key=noise_key)
        channel = channel_of(plan).of_partner(users, space=space)
        channel.trained = trained
        if digest not in sent:  # the same bytes sent again tell nothing more
            sent[digest] = users.embed(people.for_users(alignment.user_ids))
            note_vectors(plan.ledger_path, _peer(plan), int(sent[digest].any(axis=1).sum()))
        finish(caller, sent[digest], space, how, lambda: _saved(plan, channel, written))

    if isinstance(recipe, OneWayRecipe):
        model = fit_users(people, recipe)

        def talk(caller: Caller) -> None:
            shared.greet(caller)
            conclude(caller, model, Trained())

        keep_trying(lambda: _caller(plan), talk, how)
        return written or None
    from audiorec_federated.halves import UserSide
    from audiorec_federated.split import train_partner
    from audiorec_federated.towers import draws_of

    side = UserSide.of(people, alignment.user_ids, recipe)

    def end(caller: Caller, half: "UserHalf", fitted: "Fitted") -> None:
        weights = weights_of(half.model.state_dict())
        trained = Trained(epochs=recipe.max_epochs, steps=fitted.steps, lines=list(fitted.history))
        model = UserModel(recipe=recipe, encoder=side.encoder, weights=weights)
        conclude(caller, model, trained)

    own: Any = {"work": work, "secret": draws_of(keys, shared.run)}
    train_partner(lambda: _caller(plan), side, shared, how, conclude=end, **own)
    return written or None


def _music(
    plan: PartyPlan, alignment: Alignment, shared: Shared[Any], how: PartyRun, work: Path
) -> dict[str, Any] | None:
    """Receive the vectors of the aligned users, fit or train songs, write a channel."""
    recipe, data = shared.recipe, music_data(plan)
    # A model lists what it was trained on, so that `listening forget` can name it.
    data = replace(data, logs=(*data.logs, *alignment.ids))
    if not len(data.plays.of_owners(alignment.user_ids).song):
        how.note("no aligned user has a play: the model will know what is popular, and no more")
    written: dict[str, Any] = {}

    def save(channel: ByProfile, vectors: FloatArray) -> None:
        _saved(plan, channel, written)
        written["vectors"] = _write_users(plan, alignment, vectors, channel)

    if isinstance(recipe, OneWayRecipe):

        def fit(vectors: FloatArray, space: str) -> None:
            _check_table(plan, vectors)
            ids = alignment.user_ids
            save(OneWay.of_vectors(recipe, data, ids, vectors, space=space), vectors)

        return written if _served(plan, VectorsHost(shared, how, fit), how) else None
    from audiorec_federated.halves import ItemSide
    from audiorec_federated.split import ItemHost, reproducible
    from audiorec_federated.towers import draws_of, steps_in

    keys, side = read_keys(plan.keys), ItemSide.of(data, alignment.user_ids)

    def end(vectors: FloatArray, space: str) -> None:
        _check_table(plan, vectors)
        half = host.half
        assert half is not None  # noqa: S101 - trained
        trained = Trained(
            figures=half.figures(vectors[half.judged]),
            epochs=recipe.max_epochs,
            steps=recipe.max_epochs * steps_in(len(half.rows), recipe),
            judged_on=JUDGED_ON.format(share=recipe.valid),
        )
        of_half = TOWERS[plan.model].of_half
        save(of_half(side, half, data, space=space, trained=trained), vectors)

    secret = draws_of(keys, shared.run)
    host = ItemHost(side, shared, how, end, work=work, secret=secret)
    with reproducible():
        return written if _served(plan, host, how) else None


def _check_table(plan: PartyPlan, vectors: FloatArray) -> None:
    """Refuse a table with too few vectors; all that it tells is what the partner has sent."""
    known, least = int(vectors.any(axis=1).sum()), plan.parsed_budget().least_users
    if known < least:
        raise PeerError(f"{known:,} vectors that are not zero; {too_few(least)}")


def channel_of(plan: PartyPlan) -> type[ByProfile]:
    """Return the channel of a plan's model."""
    return TOWERS.get(plan.model, OneWay)


def _saved(plan: PartyPlan, channel: ByProfile, written: dict[str, Any]) -> None:
    """Write a party's model, and note its figures."""
    written.update(model_id=channel.save(plan.out), space=channel.space)
    if channel.trained:
        written["figures"] = dict(channel.trained.figures)
    if channel.trained.steps:
        written.update(epochs=channel.trained.epochs, steps=channel.trained.steps)
    if channel.song_ids:
        written["songs"] = len(channel.song_ids)


def _write_users(
    plan: PartyPlan, alignment: Alignment, vectors: FloatArray, channel: ByProfile
) -> int:
    """Write the vectors that arrived beside the music side's model; return how many."""
    is_kept = vectors.any(axis=1) & np.array([bool(user) for user in alignment.user_ids], np.bool_)
    known = np.flatnonzero(is_kept)
    ids = [alignment.user_ids[place] for place in known.tolist()]
    made: Any = {"model_id": channel.model_id, "space": channel.space}
    write_embeddings(users_path(plan.out), ids, vectors[known], kind="users", **made)
    return len(ids)


def users_path(out: Path) -> Path:
    """Return the file of the received vectors: ``model`` → ``model.users.parquet``."""
    return out.with_name(f"{out.name}.users.parquet")


def _peer(plan: PartyPlan) -> str:
    return fingerprint_of(read_certificate(plan.peer))


def _caller(plan: PartyPlan) -> Caller:
    """Return a caller of the music side without a session."""
    transport = FlightTransport(plan.address, read_keys(plan.keys), read_certificate(plan.peer))
    return Caller(transport, timeout_s=plan.timeout_s)


def _served(plan: PartyPlan, host: Host, how: PartyRun) -> bool:
    """Serve the partner until all is done; return whether it is, or this side was stopped."""
    keys, peer = read_keys(plan.keys), read_certificate(plan.peer)
    try:
        with listening(plan.address, keys, peer, how) as desk:
            desk.serve(host, how)
    except LostPeerError:
        if not how.stopped:
            raise
    return host.is_done


@contextmanager
def _run_folder(plan: PartyPlan) -> Iterator[RunFolder]:
    """Hold the folder of an unfinished training; it is removed if nothing is left in it."""
    files = NO_FILES
    if plan.model != "one-way":
        from audiorec_federated.split import RUN_FILES

        files = RUN_FILES
    folder = RunFolder(plan.out, files)
    try:
        yield folder
    finally:
        folder.release(remove=not folder.names())
