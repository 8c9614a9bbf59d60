"""Export of the user tower to ONNX, for servers without torch or this package.

    `UserModel` ──tower_bytes──▶ one ONNX file      `OnnxTower`(bytes) ──vectors──▶ (n, K, d)

`inputs_of` computes the inputs from `UserFeatures`: for each bag the codes (P,), the row of each
code (P, 1) and the codes per row (n, 1); and the dense columns (n, A). The output equals that of
`audiorec.recall.federated.forward`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from audiorec.errors import MissingExtraError
from audiorec.recall.federated.recipe import PartyRecipe, TwoTowerRecipe
from audiorec.recall.federated.user_features import UserFeatures
from audiorec.tagger.backbone import open_session
from audiorec.types import FloatArray

if TYPE_CHECKING:
    from audiorec.recall.federated.user_model import UserModel

OPSET = 18
IR_VERSION = 9
ROWS = 4_096  # users at a time
TINY = 1e-12


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
        for first in range(0, len(features), ROWS):
            part = features.take(np.arange(first, min(first + ROWS, len(features))))
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


def tower_bytes(model: "UserModel") -> bytes:
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
