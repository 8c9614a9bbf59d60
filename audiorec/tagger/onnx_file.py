"""Read an untrusted ONNX model and write it anew, with nothing in it that was not understood.

    bytes  ──rewritten_onnx──▶  the same network in fresh bytes, or a `WeightsError` with the reason

An ONNX file is a protobuf message. It can make its reader open other files (external data;
operators that load compiled graphs), change settings (metadata) and call code outside ONNX Runtime
(custom operators), and an odd one may mean different things to different readers of protobuf. So
only fields of the table below are accepted, each with its own type of value, only lists repeated,
and tags, lengths and numbers in their shortest form: such a file has one meaning. Texts that
compute nothing are left out. What runs is what is written here, never the file itself.
"""

import re
from collections.abc import Iterator

from audiorec.errors import WeightsError

MAX_MODEL_BYTES = 512 << 20  # the largest audio networks in use have 330 MB
MAX_FIELDS = 1_000_000  # large networks have tens of thousands
MAX_DEPTH = 32  # messages within messages: a graph in an attribute of a node is three
MAX_VARINT_BYTES = 10
STANDARD = ("", "ai.onnx", "ai.onnx.ml")  # domains of the operators of the ONNX standard
# ONNX Runtime's own format, which it recognises by these bytes whatever else the file contains.
ORT_MAGIC, ORT_AT = b"ORTM", 4

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
# Wire types of numbers; all else is bytes. Lists of numbers may be packed as bytes.
_WIRES = {
    "int": {_VARINT},
    "int32": {_VARINT},
    "ints": {_VARINT, _BYTES},
    "float": {_FIXED32},
    "floats": {_FIXED32, _BYTES},
    "doubles": {_FIXED64, _BYTES},
    "attribute type": {_VARINT},
    "location": {_VARINT},
}
# Readers of protobuf cut or drop larger values.
_MOST = {"int32": (1 << 31) - 1, "attribute type": 14}
# The fields of each message by number (onnx.proto3), each with its kind of value or message; "*"
# marks lists. Metadata, comments and names of makers are left out.
_FIELDS = {
    "model": {
        1: "int", 2: "left out", 3: "left out", 4: "left out", 5: "int", 6: "left out",
        7: "graph", 8: "opset*", 14: "left out*", 20: "training*", 25: "function*",
    },
    "opset": {1: "text", 2: "int"},
    "graph": {
        1: "node*", 2: "text", 5: "tensor*", 10: "left out", 11: "value*", 12: "value*",
        13: "value*", 14: "left out*", 15: "sparse*", 16: "left out*",
    },
    "node": {
        1: "text*", 2: "text*", 3: "text", 4: "text", 5: "attribute*", 6: "left out", 7: "text",
        9: "left out*",
    },
    "attribute": {
        1: "text", 2: "float", 3: "int", 4: "bytes", 5: "tensor", 6: "graph", 7: "floats*",
        8: "ints*", 9: "bytes*", 10: "tensor*", 11: "graph*", 13: "left out", 14: "type",
        15: "type*", 20: "attribute type", 22: "sparse", 23: "sparse*",
    },
    "tensor": {
        1: "ints*", 2: "int32", 4: "floats*", 5: "ints*", 6: "bytes*", 7: "ints*", 8: "text",
        9: "bytes", 10: "doubles*", 11: "ints*", 12: "left out", 13: "external*", 14: "location",
        16: "left out*",
    },
    "sparse": {1: "tensor", 2: "tensor", 3: "ints*"},
    "value": {1: "text", 2: "type", 3: "left out", 4: "left out*"},
    "type": {
        1: "tensor type", 4: "sequence type", 5: "map type", 6: "left out", 8: "tensor type",
        9: "sequence type",
    },
    "tensor type": {1: "int32", 2: "shape"},
    "sequence type": {1: "type"},
    "map type": {1: "int32", 2: "type"},
    "shape": {1: "size*"},
    "size": {1: "int", 2: "text", 3: "left out"},
}  # fmt: skip
_REFUSED = {
    "external": "tensors are in another file (external data); export the model as a single file",
    "training": "it has a part for training; export the model for inference",
    "function": "it has functions of its own; export the model with its functions inlined",
}
# A byte that says that the number goes on, and then none or an empty one; and more than 64 bits.
_NOT_PACKED = re.compile(rb"[\x80-\xff](?:\x00|\Z)|[\x80-\xff]{9}[^\x01]", re.DOTALL)
_GRAPH, _NODE_TYPE, _NODE_DOMAIN = 7, 4, 7
Chunks = list[bytes | memoryview]


def rewritten_onnx(content: bytes) -> bytes:
    """Write an ONNX model anew, accepting only standard operators with all tensors in the file.

    Parameters
    ----------
    content : bytes
        The whole file, at most `MAX_MODEL_BYTES`.

    Returns
    -------
    model : bytes
        The same network without names of its makers, comments and metadata.

    Raises
    ------
    WeightsError
        If it is too large, not ONNX, has external data, functions, a part for training or a field
        that is not known here, or uses a non-standard operator; one line, without the file's name.
    """
    if len(content) > MAX_MODEL_BYTES:
        raise WeightsError(f"{len(content)} bytes; the limit is {MAX_MODEL_BYTES}")
    if content[ORT_AT : ORT_AT + len(ORT_MAGIC)] == ORT_MAGIC:
        raise WeightsError("a model in ONNX Runtime's own format; export it as ONNX")
    return b"".join(_Rewriter().message("model", memoryview(content), 0))


class _Rewriter:
    """One reading of a model, with a limit on the number of its fields."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def message(self, kind: str, content: memoryview, depth: int) -> Chunks:
        """Return a message written anew, in pieces; raise `WeightsError` if it is not allowed."""
        if depth > MAX_DEPTH:
            raise _broken("it is nested too deeply")
        written: Chunks = []
        given: dict[int, int | memoryview] = {}
        for number, wire, value in _fields(content):
            self._left -= 1
            if self._left < 0:
                raise _broken(f"it has more than {MAX_FIELDS} parts")
            of = _FIELDS[kind].get(number, "")
            if not of:
                raise _broken(f"the {kind} has an unknown field, {number}")
            if number in given and not of.endswith("*"):
                raise _broken(f"the {kind} has field {number} twice")
            given[number] = value
            written += self._field(of.removesuffix("*"), number, wire, value, depth)
        if kind == "model" and _GRAPH not in given:
            raise _broken("it contains no graph")
        if kind == "node":
            _check_operator(_text(given.get(_NODE_TYPE)), _text(given.get(_NODE_DOMAIN)))
        return written

    def _field(
        self, of: str, number: int, wire: int, value: int | memoryview, depth: int
    ) -> Chunks:
        """Return a field written anew: nothing for one that is left out."""
        if of in _REFUSED:
            raise WeightsError(_REFUSED[of])
        if wire not in _WIRES.get(of, {_BYTES}):
            raise _broken(f"field {number} holds no {of}")
        if of == "location" and value:
            raise WeightsError(_REFUSED["external"])
        if isinstance(value, int) and value > _MOST.get(of, value):
            raise _broken(f"{value} is no {of}")
        if of in ("left out", "location"):
            return []
        tag = _varint(number << 3 | wire)
        if isinstance(value, int):
            return [tag, _varint(value)]
        if of == "text":
            _text(value)
        elif wire == _BYTES and of in _WIRES:
            _check_packed(of, value)
        inside = self.message(of, value, depth + 1) if of in _FIELDS else [value]
        length = [_varint(sum(map(len, inside)))] if wire == _BYTES else []
        return [tag, *length, *inside]


def _check_operator(name: str, domain: str) -> None:
    if domain not in STANDARD:
        raise WeightsError(
            f"{_shown(name)} of the domain {_shown(domain)} is not a standard ONNX operator; "
            "export the model without custom operators"
        )


def _check_packed(of: str, value: memoryview) -> None:
    """Refuse a packed list with a part of a number, or a number longer than it has to be."""
    size = {"floats": 4, "doubles": 8}.get(of)
    if len(value) % size if size else _NOT_PACKED.search(value):
        raise _broken(f"a list holds something other than {of}")


def _fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield number, wire type and value of each field; all but varints as their bytes."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _read_varint(message, at)
            yield number, wire, value
            continue
        length = _SIZES.get(wire)
        if wire == _BYTES:
            length, at = _read_varint(message, at)
        if length is None:
            raise _broken("it is not a protobuf message")
        if length > len(message) - at:
            raise _broken("it is not a protobuf message, or it is truncated")
        yield number, wire, message[at : at + length]
        at += length


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number of up to 64 bits in its shortest form, and the position after it."""
    value = 0
    for place, byte in enumerate(message[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if (byte == 0 and place) or value >> 64:
                raise _broken("a number is longer than it has to be")
            return value, at + place + 1
    raise _broken("it is truncated within a number")


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _broken(reason: str) -> WeightsError:
    return WeightsError(f"not an ONNX model, or not one that this version reads: {reason}")


def _text(value: int | memoryview | None) -> str:
    if not isinstance(value, memoryview):
        return ""
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise _broken("a name is not UTF-8") from error


def _shown(text: str) -> str:
    return repr(text[:60])
