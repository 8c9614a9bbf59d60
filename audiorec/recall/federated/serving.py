"""User vectors after training: as a table, as an ONNX tower, or served to the music side.

::

    partner: profiles ──user_table──▶ vectors.parquet       a file to hand over
    partner: profiles ──serve_users──▶ Flight ──▶ fetch_users: music side ──▶ vectors.parquet

    `UserModel` ──tower_bytes──▶ one ONNX file, for servers without torch ──▶ `OnnxTower`

Either file is an ordinary table of users for the music side: ``recall candidates MODEL --users``.
Requests contain only row numbers of the alignment, no user ids.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from audiorec.errors import (
    InputError,
    LostPeerError,
    MissingExtraError,
    ProtocolError,
    SpecMismatchError,
)
from audiorec.files.own_files import replaced, write_errors
from audiorec.learning.bundle import read_bundle, read_kind
from audiorec.listening.profiles import Profiles, read_profiles
from audiorec.recall.federated.alignment import read_alignment
from audiorec.recall.federated.flight import FlightDesk, FlightTransport
from audiorec.recall.federated.keys import fingerprint_of, read_certificate, read_keys
from audiorec.recall.federated.link import Caller, Desk
from audiorec.recall.federated.plan import PartyPlan
from audiorec.recall.federated.protocol import MessageKind, pack
from audiorec.recall.federated.recipe import PartyRecipe, TwoTowerRecipe
from audiorec.recall.federated.user_features import UserFeatures
from audiorec.recall.federated.user_model import UserModel, space_of
from audiorec.store.embeddings import write_embeddings
from audiorec.tagger.backbone import open_session
from audiorec.types import FloatArray

Say = Callable[[str], None]
ROWS = 8_192  # rows of one request
OPSET = 18
IR_VERSION = 9
TINY = 1e-12
EMBEDDED = 4_096  # users at a time
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


class OnnxTower:
    """User tower in ONNX Runtime, on one thread.

    Parameters
    ----------
    content : bytes
        Model returned by `tower_bytes`.
    """

    def __init__(self, content: bytes) -> None:
        self._session = open_session(content)

    def vectors(self, features: UserFeatures) -> FloatArray:
        """Return a vector per user and task, (n, K, d) float32; 0 for unknown users."""
        shape = self._session.get_outputs()[0].shape[1:]
        # ONNX Runtime divides by zero if there are no rows.
        parts = [np.zeros((0, *shape), np.float32)]
        for first in range(0, len(features), EMBEDDED):
            part = features.take(np.arange(first, min(first + EMBEDDED, len(features))))
            parts.append(self._session.run(None, inputs_of(part))[0])
        found: FloatArray = np.concatenate(parts)
        found[~features.known] = 0
        return found


def inputs_of(features: UserFeatures) -> dict[str, Any]:
    """Return the graph's inputs for the given users."""
    found: dict[str, Any] = {"dense": features.dense}
    for number, bag in enumerate(features.bags.values()):
        counts = np.diff(bag.starts)
        found[f"codes_{number}"] = bag.code
        found[f"owners_{number}"] = np.repeat(np.arange(len(bag)), counts)[:, None]
        found[f"counts_{number}"] = np.maximum(counts, 1).astype(np.float32)[:, None]
    return found


def tower_bytes(model: UserModel) -> bytes:
    """Return a tower as a self-contained ONNX model without custom operators.

    Raises
    ------
    MissingExtraError
        Without ``onnx``.
    """
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError as error:
        raise MissingExtraError("a tower as ONNX", "federated", str(error)) from error
    recipe, weights = model.recipe, model.weights
    graph = _Graph(weights, helper.make_node, numpy_helper.from_array)
    bags = sum(name.startswith("values.") for name in weights)
    if isinstance(recipe, TwoTowerRecipe):
        found, tasks = _tower(graph, recipe, bags), len(weights["head"])
    else:
        found, tasks = _projection(graph, recipe, bags), 1
    length = graph.node("ReduceL2", found, graph.constant([-1]), keepdims=1)
    least = graph.constant(np.array(TINY, np.float32))
    graph.node("Div", found, graph.node("Max", length, least), out="vectors")
    inputs: list[tuple[str, int, list[str | int | None]]] = [
        ("dense", TensorProto.FLOAT, ["n", None])
    ]
    for number in range(bags):
        inputs += [
            (f"codes_{number}", TensorProto.INT64, [None]),
            (f"owners_{number}", TensorProto.INT64, [None, 1]),
            (f"counts_{number}", TensorProto.FLOAT, ["n", 1]),
        ]
    output: tuple[str, int, list[str | int | None]]
    output = ("vectors", TensorProto.FLOAT, ["n", tasks, recipe.dimension])
    made = helper.make_graph(
        graph.nodes,
        "users_tower",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*output)],
        graph.constants,
    )
    whole_model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    checker.check_model(whole_model)
    content: bytes = whole_model.SerializeToString()
    return content


def _tower(graph: "_Graph", recipe: TwoTowerRecipe, bags: int) -> str:
    """Add a user tower; return its vectors before they get length 1."""
    tasks, experts = len(graph.weights["head"]), len(graph.weights["layers.0.weight"])
    means = [graph.sum_of(number, recipe.width, mean=True) for number in range(bags)]
    x = graph.node("Concat", *means, "dense", axis=1)
    hidden = graph.node("Unsqueeze", x, graph.constant(np.array([0])))
    for number in range(len(recipe.hidden)):
        product = graph.node("MatMul", hidden, graph.weight(f"layers.{number}.weight"))
        biased = graph.node("Add", product, graph.weight(f"layers.{number}.bias"))
        hidden = graph.node("Relu", biased)
    gates = graph.gates_of(x, tasks, experts)
    mixed = graph.node("Einsum", gates, hidden, equation="bke,ebh->bkh")
    found = graph.node("Einsum", mixed, graph.weight("head"), equation="bkh,khd->bkd")
    if recipe.width == recipe.dimension and means:
        whole = graph.node("Sum", *means)
        found = graph.node("Add", found, graph.node("Unsqueeze", whole, graph.constant([1])))
    return found


def _projection(graph: "_Graph", recipe: PartyRecipe, bags: int) -> str:
    """Add the projection of a one-way model; return its vectors before they get length 1."""
    spread = np.repeat(graph.weights["numbers"], 2, axis=0)
    spread[1::2] = 0  # flags of missing numbers
    numbers = graph.node("MatMul", "dense", graph.constant(spread))
    whole = graph.node("Sum", numbers, *(graph.sum_of(n, recipe.dimension) for n in range(bags)))
    return graph.node("Unsqueeze", whole, graph.constant([1]))


class _Graph:
    """Builder of an ONNX graph: its nodes and constants."""

    def __init__(self, weights: Mapping[str, Any], make_node: Any, make_tensor: Any) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.weights, self._make_node, self._make_tensor = weights, make_node, make_tensor

    def node(self, kind: str, *inputs: str, out: str = "", **options: Any) -> str:
        """Add a node; return the name of its output."""
        name = out or f"{kind}_{len(self.nodes)}"
        self.nodes.append(self._make_node(kind, list(inputs), [name], **options))
        return name

    def constant(self, value: Any) -> str:
        """Add a constant; return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._make_tensor(np.asarray(value), name))
        return name

    def weight(self, name: str) -> str:
        """Add a weight of the tower; return its name."""
        self.constants.append(self._make_tensor(np.asarray(self.weights[name]), name))
        return name

    def sum_of(self, number: int, width: int, *, mean: bool = False) -> str:
        """Add the sum or the mean of a bag's values, (n, width); return its name."""
        rows = self.node("Gather", self.weight(f"values.{number}"), f"codes_{number}")
        zeros = self.filled(0.0, width)
        summed = self.node("ScatterND", zeros, f"owners_{number}", rows, reduction="add")
        return self.node("Div", summed, f"counts_{number}") if mean else summed

    def filled(self, value: float, *shape: int) -> str:
        """Add a constant array (n, *shape); return its name."""
        count = self.node("Shape", "dense", start=0, end=1)
        whole = self.node("Concat", count, self.constant(np.array(shape, np.int64)), axis=0)
        filling = self._make_tensor(np.array([value], np.float32), f"filling_{len(self.nodes)}")
        return self.node("ConstantOfShape", whole, value=filling)

    def gates_of(self, x: str, tasks: int, experts: int) -> str:
        """Add the gates, (n, tasks, experts); return their name."""
        if "gate.weight" not in self.weights:
            return self.filled(1.0, tasks, experts)
        logits = self.node(
            "Gemm", x, self.weight("gate.weight"), self.weight("gate.bias"), transB=1
        )
        shape = self.constant(np.array([-1, tasks, experts], np.int64))
        return self.node("Softmax", self.node("Reshape", logits, shape), axis=2)
