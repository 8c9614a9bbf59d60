"""User vectors after training: as a table, as an ONNX tower, or served to the music side.

::

    partner: profiles ──user_table──▶ vectors.parquet       a file to hand over
    partner: profiles ──serve_users──▶ Flight ──▶ fetch_users: music side ──▶ vectors.parquet

Either file is an ordinary table of users for the music side: ``recall candidates MODEL --users``.
Requests contain only row numbers of the alignment, no user ids.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from audiorec.errors import InputError, LostPeerError, ProtocolError, SpecMismatchError
from audiorec.files.atomic import replaced, write_errors
from audiorec.learning.bundle import read_bundle, read_kind
from audiorec.listening.profiles import Profiles, read_profiles
from audiorec.recall.federated.alignment import read_alignment
from audiorec.recall.federated.flight import FlightDesk, FlightTransport
from audiorec.recall.federated.keys import fingerprint_of, read_certificate, read_keys
from audiorec.recall.federated.link import Caller, Desk
from audiorec.recall.federated.onnx_tower import OnnxTower, tower_bytes
from audiorec.recall.federated.plan import PartyPlan
from audiorec.recall.federated.protocol import MessageKind, pack
from audiorec.recall.federated.user_features import UserFeatures
from audiorec.recall.federated.user_model import UserModel, space_of
from audiorec.store.embeddings import write_embeddings
from audiorec.types import FloatArray

Say = Callable[[str], None]
ROWS = 8_192  # rows of one request
FOREVER_S = 10 * 365 * 86_400.0


def user_table(
    plan: PartyPlan, out: Path, *, item: int = 0, everybody: bool = False
) -> dict[str, Any]:
    """Write the vectors of the partner's users as an ordinary table of users.

    Parameters
    ----------
    plan : PartyPlan
        Plan of the partner.
    out : Path
    item : int
        Number of the item side, from 0.
    everybody : bool
        Include all users of the profiles; by default only the aligned ones.

    Raises
    ------
    InputError
        If no user has features, or this is an item side's plan.
    """
    model, people = _of_partner(plan)
    if not everybody:
        aligned = [user for user in read_alignment(plan.alignment).user_ids if user]
        people = people.for_users(aligned)
    vectors = defended(plan, model, people, model.embed(people, item), item)
    made = {"model_id": model.model_id, "space": space_of(model.space, item)}
    return _written(out, people.user_ids, vectors, made)


def write_tower(plan: PartyPlan, out: Path) -> dict[str, Any]:
    """Write the user tower as one ONNX file."""
    model, _ = _of_partner(plan)
    content = tower_bytes(model)
    with write_errors(out), replaced(out) as temporary:
        temporary.write_bytes(content)
    return {"model_id": model.model_id, "bytes": len(content), "out": str(out)}


def serve_users(
    plan: PartyPlan,
    address: str,
    *,
    item: int = 0,
    say: Say | None = None,
    stop: Event | None = None,
) -> int:
    """Serve user vectors to an item side until stopped; return the number of vectors sent.

    Parameters
    ----------
    plan : PartyPlan
        Plan of the partner.
    address : str
        ``host:port`` to listen on.
    item : int
        Number of the peer that may ask, from 0.
    say : callable, optional
    stop : Event, optional
    """
    model, people = _of_partner(plan)
    if item >= len(plan.peers):
        raise InputError(f"no item side {item}: peers has {len(plan.peers)} entries")
    alignment = read_alignment(plan.alignment)
    tower = OnnxTower(tower_bytes(model))
    keys, peer = read_keys(plan.keys), read_certificate(Path(plan.peers[item]))
    prints = (fingerprint_of(peer), keys.fingerprint)
    desk = Desk(role="partner", certificates=prints, timeout_s=plan.timeout_s, stop=stop)
    about = {"model_id": model.model_id, "space": space_of(model.space, item)}
    sent = 0
    with FlightDesk(address, desk, keys, peer) as server:
        if say is not None:
            say(f"listening on {address.rpartition(':')[0]}:{server.port}")
        while stop is None or not stop.is_set():
            try:
                if not _is_welcome(desk, alignment.ids[item]):
                    continue
                while True:
                    rows = desk.receive(MessageKind.ROWS).integers()
                    if len(rows) and not 0 <= rows.min() <= rows.max() < len(alignment):
                        desk.refuse(f"rows from 0 to {len(alignment) - 1}")
                        continue
                    asked = people.for_users([alignment.user_ids[row] for row in rows.tolist()])
                    raw = tower.vectors(model.encoder.encode(asked))[:, item]
                    vectors = defended(plan, model, asked, raw, item)
                    shape, payload = pack(vectors)
                    desk.reply(MessageKind.EMBEDDINGS, {**shape, **about}, payload)
                    sent += len(rows)
            except LostPeerError:
                continue  # wait for the next caller
    return sent


def fetch_users(plan: PartyPlan, address: str, out: Path) -> dict[str, Any]:
    """Fetch the vectors of all aligned users from a serving partner and write them as a table.

    Raises
    ------
    SpecMismatchError
        If the partner's model is not the one that this side was trained with.
    LostPeerError, PeerError
        If the partner does not answer or violates the protocol.
    """
    if plan.role != "music":
        raise InputError("only an item side fetches vectors; the partner has the user tower")
    space = str(read_bundle(plan.out, kind=read_kind(plan.out)).config.get("space", ""))
    alignment = read_alignment(plan.alignment)
    keys = read_keys(plan.keys)
    transport = FlightTransport(address, keys, read_certificate(Path(plan.peers[0])))
    caller = Caller(transport, role="music", timeout_s=plan.timeout_s)
    parts: list[FloatArray] = []
    made: dict[str, Any] = {}
    try:
        caller.hello("users", alignment=alignment.ids[0])
        for first in range(0, len(alignment), ROWS):
            rows = np.arange(first, min(first + ROWS, len(alignment)), dtype="<i8")
            fields = {"rows": len(rows)}
            answer = caller.ask(
                MessageKind.ROWS, fields, rows.tobytes(), expect=MessageKind.EMBEDDINGS
            )
            if answer["rows"] != len(rows):
                raise ProtocolError(str(answer), f"{len(rows)} rows", str(answer["rows"]))
            made = {name: answer[name] for name in ("model_id", "space")}
            if made["space"] != space:
                raise SpecMismatchError(
                    f"{plan.out}: was trained in the space {space or 'of its own'}, the partner's "
                    f"tower in {made['space']}; train both again: audiorec federated train"
                )
            parts.append(answer.array())
    finally:
        caller.close()
    return _written(out, alignment.user_ids, np.concatenate(parts), made)


def _is_welcome(desk: Desk, alignment: str) -> bool:
    hello = desk.accept(FOREVER_S)
    reason = ""
    if hello["purpose"] != "users":
        reason = f"this side serves user vectors; it is not running {hello['purpose']}"
    elif hello["alignment"] != alignment:
        reason = "the alignments differ: align both sides again"
    if reason:
        desk.refuse(reason)
        return False
    desk.welcome(hello)
    return True


def _of_partner(plan: PartyPlan) -> tuple[UserModel, Profiles]:
    if plan.role != "partner":
        raise InputError("the partner has the user tower: run this there")
    return UserModel.load(plan.out), read_profiles(plan.needs("profiles"))


def defended(
    plan: PartyPlan, model: UserModel, people: Profiles, vectors: FloatArray, item: int = 0
) -> FloatArray:
    """Return the vectors of users, for one item side, with the plan's defence.

    The same profile of a user gets the same noise each time: averaging repeated requests does not
    remove it. A changed profile gets other noise: the difference of two vectors does not either.
    """
    defence = plan.parsed_defence()
    if not defence.vector_noise:
        return defence.vectors(vectors)
    keys, features = read_keys(plan.keys), model.encoder.encode(people)
    digest = model.digest
    found = vectors.copy()
    for row, user in enumerate(people.user_ids):
        seed = keys.seed("vector", digest, str(item), user, _content(features, row))
        found[row : row + 1] = defence.vectors(vectors[row : row + 1], seed)
    found[~vectors.any(axis=1)] = 0  # of whom nothing is known
    return found


def _content(features: UserFeatures, row: int) -> str:
    """Return all features of a user as text.

    Not the vector: its last digits depend on the other users of a request.
    """
    one = features.take(np.array([row]))
    codes = {name: sorted(bag.code.tolist()) for name, bag in one.bags.items()}
    return json.dumps([codes, one.dense.tolist()])


def _written(
    out: Path, user_ids: Sequence[str], vectors: FloatArray, made: dict[str, Any]
) -> dict[str, Any]:
    """Write the vectors of users with features; return a summary."""
    known = np.asarray(vectors.any(axis=1)) & np.array([bool(user) for user in user_ids], np.bool_)
    ids = [user for user, is_known in zip(user_ids, known.tolist(), strict=True) if is_known]
    if not ids:
        raise InputError("none of these users has a profile that the tower can use")
    write_embeddings(out, ids, vectors[known], kind="users", **made)
    counts = {"users": len(ids), "unknown": len(user_ids) - len(ids)}
    return {**counts, "dimension": int(vectors.shape[1]), **made, "out": str(out)}
