"""Small ONNX models, written field by field: a network whose answers are known, and odd ones.

model = made_model(...)     bytes of a network: scores = sigmoid(mean over frames @ weights)
"""

import numpy as np

FLOAT, INT, INTS = 1, 2, 7


def varint(value):
    out = b""
    while True:
        out += bytes([value & 0x7F | (0x80 if value > 0x7F else 0)])
        value >>= 7
        if not value:
            return out


def number(field, value):
    return varint(field << 3) + varint(value)


def part(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(name, values, *more):
    values = np.ascontiguousarray(values, np.float32)
    dims = b"".join(number(1, size) for size in values.shape)
    return dims + number(2, FLOAT) + part(8, name) + part(9, values.tobytes()) + b"".join(more)


def node(operator, inputs, outputs, *more):
    names = b"".join(part(1, name) for name in inputs) + b"".join(part(2, n) for n in outputs)
    return names + part(4, operator) + b"".join(more)


def whole_numbers(name, values):
    """Return an attribute of a node."""
    return part(1, name) + b"".join(number(8, value) for value in values) + number(20, INTS)


def whole_number(name, value):
    return part(1, name) + number(3, value) + number(20, INT)


def value_info(name, shape):
    sizes = (part(2, size) if isinstance(size, str) else number(1, size) for size in shape)
    dims = b"".join(part(1, size) for size in sizes)
    return part(1, name) + part(2, part(1, number(1, FLOAT) + part(2, dims)))


def model(nodes, inputs, outputs, tensors=(), *more):
    graph = b"".join(part(1, one) for one in nodes) + part(2, "g")
    graph += b"".join(part(5, one) for one in tensors)
    graph += b"".join(part(11, one) for one in inputs) + b"".join(part(12, o) for o in outputs)
    opset = part(8, part(1, "") + number(2, 13))
    return number(1, 8) + part(7, graph) + opset + b"".join(more)


def weights(bands, classes, seed=0):
    return np.random.default_rng(seed).normal(0, 0.3, (bands, classes)).astype(np.float32)


def made_model(bands=40, frames="T", classes=3, *, batch="N", layout="NTM", activation="Sigmoid"):
    """Return a network: embedding is the mean over frames, scores are read off it."""
    sizes = {"N": batch, "T": frames, "M": bands, "1": 1}
    shape = [sizes[letter] for letter in layout]
    axes = [i for i, letter in enumerate(layout) if letter in "T1"]
    mean = node(
        "ReduceMean",
        ["mel"],
        ["emb"],
        part(5, whole_numbers("axes", axes)),
        part(5, whole_number("keepdims", 0)),
    )
    nodes = [mean, node("MatMul", ["emb", "w"], ["logits"]), node(activation, ["logits"], ["tags"])]
    return model(
        nodes,
        [value_info("mel", shape)],
        [value_info("tags", [batch, classes]), value_info("emb", [batch, bands])],
        [tensor("w", weights(bands, classes))],
    )


def external(content):
    """Return a tensor that says that its numbers lie in another file."""
    place = part(13, part(1, "location") + part(2, content)) + number(14, 1)
    return number(1, 40) + number(1, 3) + number(2, FLOAT) + part(8, "w") + place
