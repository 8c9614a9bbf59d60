"""The exchange of a one-way model: the partner sends one table of vectors, once.

    send_vectors:    hello ──▶ table, part by part ──▶ finish
    receive_vectors: wait  ──▶ all parts, lengths bounded ──▶ fit at home ──▶ finish

    exchange_once: either of them, from a party's plan

A lost connection begins the transfer again, with the same bytes: nothing more is told by that. No
number depends on a play, and none goes back.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from audiorec.errors import LostPeerError, ProtocolError
from audiorec.files.own_files import RunFolder
from audiorec.listening.profiles import read_profiles
from audiorec.recall.federated.alignment import Alignment
from audiorec.recall.federated.flight import callers_of, listening
from audiorec.recall.federated.keys import fingerprint_of, read_certificate
from audiorec.recall.federated.ledger import NO_FILES, note_vectors
from audiorec.recall.federated.link import Caller, Desk
from audiorec.recall.federated.one_way import OneWay, fit_users
from audiorec.recall.federated.plan import PartyPlan, music_data
from audiorec.recall.federated.protocol import Message, MessageKind, pack, parts_of
from audiorec.recall.federated.recipe import OneWayRecipe
from audiorec.recall.federated.serving import defended
from audiorec.recall.federated.session import (
    Lost,
    PartyRun,
    Shared,
    check_hello,
    finish,
    finished,
)
from audiorec.store.embeddings import write_embeddings
from audiorec.types import FloatArray

Fitted = TypeVar("Fitted")
ROUNDING = 1e-6


def send_vectors(
    connect: Callable[[], Sequence[Caller]],
    vectors: FloatArray,
    shared: Shared[OneWayRecipe],
    alignments: Sequence[str],
    how: PartyRun,
    save: Callable[[str], None],
) -> bool:
    """Send every item side the vectors of the aligned users, (n, d) float32, in their order.

    Parameters
    ----------
    connect : callable
        Returns callers without a session, one per item side.
    vectors : ndarray, shape (n, d), float32
    shared : Shared
    alignments : sequence of str
        Id of the alignment with each item side.
    how : PartyRun
    save : callable
        Called with the id of the vector space once the item sides have written their models.

    Returns
    -------
    is_done : bool
        False if stopped.

    Raises
    ------
    LostPeerError
        If an item side is unreachable for longer than `PartyRun.wait_s`.
    PeerError
        If an item side violates the protocol or has other settings.
    """
    lost = Lost(how)
    while True:
        callers: list[Caller] = []
        try:
            callers += connect()
            for caller, alignment in zip(callers, alignments, strict=True):
                about: Any = {"fingerprint": shared.fingerprint, "settings": shared.settings}
                caller.hello("train", alignment=alignment, **about)
            lost.found()
            if not all(_sent(caller, vectors, how) for caller in callers):
                return False
            finish(callers, save)
            return True
        except LostPeerError as error:
            if lost.again(error)["ends"]:
                return False
        finally:
            for caller in callers:
                caller.close()


def _sent(caller: Caller, vectors: FloatArray, how: PartyRun) -> bool:
    """Send one item side the table, part by part; False if stopped meanwhile."""
    dtype, total = how.defence.rounding, len(vectors)
    for part in parts_of(*vectors.shape):
        if how.stopped:
            caller.ask(MessageKind.PAUSE, expect=MessageKind.NOTED)
            return False
        shape, payload = pack(vectors[part], dtype)
        fields = {**shape, "first": part.start, "total": total, "dtype": dtype}
        caller.ask(MessageKind.TABLE, fields, payload, expect=MessageKind.NOTED)
    how.note(f"{total:,} vectors sent")
    return True


def receive_vectors(
    desk: Desk,
    shared: Shared[OneWayRecipe],
    alignment: str,
    how: PartyRun,
    fit: Callable[[FloatArray], Fitted],
    save: Callable[[Fitted, str], str],
) -> bool:
    """Receive the vectors of the aligned users, fit to them, and write the model.

    Parameters
    ----------
    desk : Desk
    shared : Shared
    alignment : str
        Id of the alignment.
    how : PartyRun
    fit : callable
        Called with the vectors, (n, d) float32 of length 1 at most; once, also if the same vectors
        arrive again after an interruption.
    save : callable
        Called with the result of `fit` and the id of the vector space; returns what is answered.

    Returns
    -------
    is_done : bool
        False if stopped.

    Raises
    ------
    LostPeerError
        If the partner is unreachable for longer than `PartyRun.wait_s`.
    PeerError, SpecMismatchError
        If the partner violates the protocol, or has other settings.
    """
    last: tuple[FloatArray, Fitted] | None = None
    while True:
        try:
            hello = desk.accept(how.wait_s)
        except LostPeerError:
            if how.stopped:
                return False
            raise
        check_hello(desk, hello, shared, alignment)
        try:
            desk.welcome(hello)
            how.note("receiving vectors")
            vectors = _received(desk, shared)
            if vectors is None:
                return False
            if last is None or not np.array_equal(last[0], vectors):
                last = vectors, fit(vectors)
            model = last[1]
            finished(desk, lambda space, model=model: save(model, space))  # type: ignore[misc]
            return True
        except LostPeerError as error:
            if how.stopped:
                return False
            how.note(f"{error}; waiting for it to reconnect")


def _received(desk: Desk, shared: Shared[OneWayRecipe]) -> FloatArray | None:
    """Return all parts of the table, rows shortened to length 1; None if the partner stops."""
    total, width = shared.users, shared.recipe.dimension
    found = np.zeros((total, width), np.float32)
    for part in parts_of(total, width):
        rows = part.stop - part.start
        expect = {"first": part.start, "total": total, "width": width, "rows": rows}
        message = desk.receive(MessageKind.TABLE, MessageKind.PAUSE, expect=expect)
        if message.kind == MessageKind.PAUSE:
            desk.reply(MessageKind.NOTED)
            return None
        found[part] = _array(desk, message)
        desk.reply(MessageKind.NOTED)
    return shortened(found)


def shortened(vectors: FloatArray) -> FloatArray:
    """Return vectors of length 1 at most, but for rounding: no row weighs more than it should."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    found = vectors / np.where(lengths > 1 + ROUNDING, lengths, 1)
    return np.asarray(found, np.float32)


def _array(desk: Desk, message: Message) -> FloatArray:
    """Return the numbers of a message; refuse it if they are not finite."""
    try:
        return message.array()
    except ProtocolError as error:
        desk.refuse(str(error))
        raise


def exchange_once(
    plan: PartyPlan, alignment: Alignment, recipe: OneWayRecipe, how: PartyRun
) -> dict[str, Any] | None:
    """Run this party's side of a one-way model and write its model; None if stopped."""
    shared = Shared(recipe=recipe, users=len(alignment), checkpoint_steps=plan.checkpoint_steps)
    run = _partner if plan.role == "partner" else _music
    folder = RunFolder(plan.out, NO_FILES)  # one run at a time
    try:
        return run(plan, alignment, shared, how)
    finally:
        folder.release(remove=True)


def _partner(
    plan: PartyPlan, alignment: Alignment, shared: Shared[OneWayRecipe], how: PartyRun
) -> dict[str, Any] | None:
    people = read_profiles(plan.needs("profiles"))
    model = fit_users(people, shared.recipe)
    known = people.for_users(alignment.user_ids)
    vectors = defended(plan, model, known, model.embed(known))
    written: dict[str, Any] = {}

    def save(space: str) -> None:
        written.update(model_id=replace(model, space=space).save(plan.out), space=space)

    for peer in plan.peers:
        sent = int(vectors.any(axis=1).sum())
        note_vectors(plan.ledger, fingerprint_of(read_certificate(Path(peer))), sent)
    connect = partial(callers_of, plan)
    if not send_vectors(connect, vectors, shared, alignment.ids, how, save):
        return None
    return {**written, "users": len(alignment), "vectors": int(vectors.any(axis=1).sum())}


def _music(
    plan: PartyPlan, alignment: Alignment, shared: Shared[OneWayRecipe], how: PartyRun
) -> dict[str, Any] | None:
    data = music_data(plan)
    # A model lists what it was trained on, so that `listening forget` can name the model.
    data = replace(data, logs=(*data.logs, *alignment.ids))
    written: dict[str, Any] = {}

    def fit(vectors: FloatArray) -> tuple[OneWay, FloatArray]:
        return OneWay.of_vectors(shared.recipe, data, alignment.user_ids, vectors), vectors

    def save(fitted: tuple[OneWay, FloatArray], space: str) -> str:
        channel, vectors = fitted
        channel.space = space
        model_id = channel.save(plan.out)
        is_kept = vectors.any(axis=1) & np.array([bool(user) for user in alignment.user_ids])
        known = np.flatnonzero(is_kept)
        ids = [alignment.user_ids[place] for place in known.tolist()]
        write_embeddings(
            users_path(plan.out), ids, vectors[known], kind="users", model_id=model_id, space=space
        )
        written.update(model_id=model_id, space=space, vectors=len(ids))
        written.update(songs=len(data.song_ids), figures=dict(channel.trained.figures))
        return space  # the answer to the partner: an id of the model would depend on plays

    with listening(plan, how.say, how.stop) as desk:
        if not receive_vectors(desk, shared, alignment.ids[0], how, fit, save):
            return None
    return {**written, "users": len(alignment)}


def users_path(out: Path) -> Path:
    """Return the file of the received vectors: ``model`` → ``model.users.parquet``."""
    return out.with_name(f"{out.name}.users.parquet")
