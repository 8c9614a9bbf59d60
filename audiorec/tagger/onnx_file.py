"""Check an untrusted ONNX model before any library opens it.

    bytes  ──check_onnx──▶  nothing, or a `WeightsError` with the reason

An ONNX file is a protobuf message. It can make its reader open other files (external data;
operators that load compiled graphs) and call code outside ONNX Runtime (custom operators). Both
are refused here by walking the message: every tensor must be in the file, and every operator must
be a standard one or a function defined in the file from standard ones. Lengths are checked against
the file's size, and nothing that the file names is called.
"""

from collections.abc import Iterator

from audiorec.errors import WeightsError

MAX_MODEL_BYTES = 512 << 20  # the largest audio networks in use have 330 MB
MAX_MESSAGES = 2_000_000  # nodes, tensors and attributes; large networks have tens of thousands
MAX_DEPTH = 32  # graphs nested in attributes nested in nodes
MAX_VARINT_BYTES = 10
STANDARD = ("", "ai.onnx", "ai.onnx.ml")  # domains of the operators of the ONNX standard
# ONNX Runtime's own format, which it recognises by these bytes whatever else the file contains.
ORT_MAGIC, ORT_AT = b"ORTM", 4

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Fields that contain messages, by parent message (onnx.proto3).
_MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_NODE_TYPE, _NODE_DOMAIN, _FUNCTION_DOMAIN = 4, 7, 10
_EXTERNAL, _LOCATION = 13, 14  # of a tensor: its external data, and whether it has any


def check_onnx(content: bytes) -> None:
    """Accept only an ONNX model in a single file made of standard operators.

    Parameters
    ----------
    content : bytes
        The whole file, at most `MAX_MODEL_BYTES`.

    Raises
    ------
    WeightsError
        If it is too large, not ONNX, has external data, or uses a non-standard operator; one line,
        without the file's name.
    """
    if len(content) > MAX_MODEL_BYTES:
        raise WeightsError(f"{len(content)} bytes; the limit is {MAX_MODEL_BYTES}")
    if content[ORT_AT : ORT_AT + len(ORT_MAGIC)] == ORT_MAGIC:
        raise WeightsError("a model in ONNX Runtime's own format; export it as ONNX")
    used, own, graphs = _walk(memoryview(content))
    if not graphs:
        raise _broken("it contains no graph")
    foreign = {domain: name for domain, name in used.items() if domain not in {*STANDARD, *own}}
    foreign |= {domain: "functions" for domain in own if _is_reserved(domain)}
    if foreign:
        domain, name = min(foreign.items())
        raise WeightsError(
            f"{_shown(name)} of the domain {_shown(domain)} is not a standard ONNX operator; "
            "export the model without custom operators"
        )


def _walk(content: memoryview) -> tuple[dict[str, str], set[str], int]:
    """Return one operator per domain in use, the domains of functions, and the number of graphs."""
    used: dict[str, str] = {}
    own: set[str] = set()
    graphs = visited = 0
    waiting = [("model", content, 0)]
    while waiting:
        kind, message, depth = waiting.pop()
        visited += 1
        graphs += kind == "graph"
        if visited > MAX_MESSAGES or depth > MAX_DEPTH:
            raise _broken("it has too many parts, or too deeply nested ones")
        inside, texts = _MESSAGES[kind], {}
        for number, value in _fields(message):
            if kind == "tensor" and (number == _EXTERNAL or (number == _LOCATION and value)):
                raise WeightsError(
                    "tensors are in another file (external data); export the model as a single file"
                )
            if isinstance(value, memoryview):
                if number in inside:
                    waiting.append((inside[number], value, depth + 1))
                texts[number] = value
        if kind == "node":
            used.setdefault(_text(texts.get(_NODE_DOMAIN)), _text(texts.get(_NODE_TYPE)))
        elif kind == "function":
            own.add(_text(texts.get(_FUNCTION_DOMAIN)))
    return used, own, graphs


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field; fixed-size numbers, not needed here, as 0."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        value: int | memoryview = 0
        if wire == _VARINT:
            value, at = _varint(message, at)
        elif wire == _BYTES:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
        else:
            raise _broken("it is not a protobuf message")
        if number == 0 or at > len(message):
            raise _broken("it is not a protobuf message, or it is truncated")
        yield number, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a varint and the position after it."""
    value = 0
    for place, byte in enumerate(message[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise _broken("it is truncated within a number")


def _broken(reason: str) -> WeightsError:
    return WeightsError(f"not an ONNX model: {reason}")


def _text(value: memoryview | None) -> str:
    return "" if value is None else bytes(value).decode(errors="replace")


def _is_reserved(domain: str) -> bool:
    """Return whether a function claims a domain of built-in operators."""
    return domain in STANDARD or domain.startswith(("ai.onnx", "com.microsoft", "com.ms"))


def _shown(text: str) -> str:
    return repr(text[:60])
