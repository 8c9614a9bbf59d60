"""The spec of a network, written by its user: front end, input, outputs, class names.

    spec.json  ──read_spec──▶ `BackboneSpec`
    bytes of an ONNX model  ──rewritten_onnx──▶  the same network in fresh bytes

A wrong front end gives wrong numbers without any error, so nothing is guessed: everything that
changes numbers must be stated, and unknown keys and invalid values are refused.
``docs/reference/backbone_spec.md`` has an example and explains each key.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from audiorec.errors import DamagedFileError, InputError, WeightsError
from audiorec.files.own_files import parse_json
from audiorec.files.user_files import csv_rows, read_lines, read_text
from audiorec.spec import (
    CURVES,
    PADDINGS,
    SCALES,
    WINDOWS,
    DecodeSpec,
    FeatureSpec,
    LevelSpec,
    MelSpec,
    SegmentSpec,
)
from audiorec.types import FloatArray

Activation = Literal["none", "sigmoid", "softmax"]
Role = Literal["scores", "embedding"]
ROLES: tuple[Role, ...] = get_args(Role)
ACTIVATIONS = get_args(Activation)
NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
RESERVED = ("msd", "mtt", "musicnn_msd", "musicnn_mtt", "ours", "version", "genre")
STFTS = ("track", "segment")  # the extent of one STFT
AXES = frozenset("NTM")  # of an input: segments, frames, mel bands; 1 is an axis of length 1
MAX_CLASSES = 8_192
FAILURE = "cannot read the spec"
FILTERBANK_FILE, FILTERBANK_ARRAY = "filterbank.npz", "filterbank"
MAX_SPEC_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """Parsed spec of a network.

    Attributes
    ----------
    name : str
        Name used in heads, columns and commands.
    licence, source : str
        Licence and origin of its weights.
    features : FeatureSpec
        The front end: everything between a file and the network's input.
    filterbank : ndarray, shape (n_mels, 1 + n_fft // 2), float32, or None
        The matrix from spectra to mel bands, if the spec supplies one.
    input, layout : str
        Name of the graph's input, and the order of its axes: N segments, T frames, M bands, 1 for
        an axis of length 1.
    outputs : mapping of role to str
        Names of the graph's outputs by role: ``scores`` (N, C), ``embedding`` (N, D).
    activation : {"none", "sigmoid", "softmax"}
        Applied to ``scores``; none if the graph applies it.
    classes : tuple of str
        Names of the scores, in order.
    content : mapping
        The spec as read, with the classes inlined and the filterbank named `FILTERBANK_FILE`.
    """

    name: str
    licence: str
    source: str
    features: FeatureSpec
    filterbank: FloatArray | None = field(repr=False, compare=False)
    input: str
    layout: str
    outputs: Mapping[Role, str]
    activation: Activation
    classes: tuple[str, ...]
    content: Mapping[str, Any] = field(repr=False)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in RESERVED:
            raise InputError(
                f"name: must have up to 32 characters of a-z, 0-9 and _, begin with a letter and "
                f"be none of {', '.join(RESERVED)}; got {self.name!r}"
            )
        letters = [letter for letter in self.layout if letter != "1"]
        if frozenset(letters) != AXES or len(letters) != len(AXES):
            raise InputError(f"layout: expected N, T, M once each, and 1, got {self.layout!r}")
        if not self.outputs:
            raise InputError(f"outputs: name at least one of {', '.join(ROLES)}")
        if ("scores" in self.outputs) != bool(self.classes):
            raise InputError("outputs: class names are required for scores, and only for them")
        if len(set(self.classes)) != len(self.classes) or not all(self.classes):
            raise InputError("classes: names must be unique and not empty")
        if (self.filterbank is None) != (self.features.mel.scale != "given"):
            raise InputError("mel: give either a scale or a filterbank")

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that changes numbers except the weights, so without name and licence."""
        return {
            "front_end": self.features.front_end,
            "input": [self.input, self.layout],
            "outputs": dict(self.outputs),
            "activation": self.activation,
            "classes": list(self.classes),
        }


def read_spec(path: Path) -> BackboneSpec:
    """Read the spec of a network.

    Parameters
    ----------
    path : Path
        A JSON file; paths in it are relative to its folder.

    Raises
    ------
    InputError
        If it cannot be read, a key is missing or unknown (the closest one is suggested), or a
        value is invalid. One line, with the file's name and the place in it.
    """
    return parse_spec(read_text(path, FAILURE), path)


def parse_spec(text: str | bytes, path: Path) -> BackboneSpec:
    """Parse the text of the spec at `path`; see `read_spec`."""
    try:
        content = parse_json(text, max_bytes=MAX_SPEC_BYTES)
    except ValueError as error:
        raise DamagedFileError(f"{path}: not JSON: {error}") from error
    try:
        return _stated(content, path.parent)
    except InputError as error:
        if isinstance(error, FileNotFoundError):  # a file named in the spec
            raise
        raise type(error)(f"{path}: {error}") from error


def _stated(content: Any, folder: Path) -> BackboneSpec:
    top = _object(content, "", _TOP)
    mel, segment = _object(top["mel"], "mel", _MEL), _object(top["segment"], "segment", _SEGMENT)
    given, outputs = _object(top["input"], "input", _INPUT), _outputs(top["outputs"], folder)
    named = mel.pop("filterbank", None)
    if (named is None) == ("scale" not in mel):
        raise InputError(f"mel: give a scale ({', '.join(_NAMED_SCALES)}) or a filterbank")
    matrix = None
    if named is not None:
        matrix = _filterbank(named, folder, mel)
        digest = hashlib.sha256(matrix.astype("<f4").tobytes()).hexdigest()
        mel |= {"scale": "given", "filterbank": digest}
    level = top["loudness_lufs"]
    rate = top["sample_rate"]
    return BackboneSpec(
        name=top["name"],
        licence=top["licence"],
        source=top.get("source", ""),
        features=FeatureSpec(
            decode=DecodeSpec(sample_rate=rate),
            level=None if level is None else LevelSpec(target_lufs=level),
            mel=MelSpec(sample_rate=rate, **mel),
            segment=_segment(segment, MelSpec(sample_rate=rate, **mel)),
        ),
        filterbank=matrix,
        input=given["name"],
        layout=given["layout"].replace(" ", ""),
        **outputs,
        content=_inlined(content, outputs["classes"]),
    )


def _inlined(content: Mapping[str, Any], classes: tuple[str, ...]) -> dict[str, Any]:
    """Return a self-contained copy of a spec: classes inlined, the filterbank's file renamed."""
    result = {name: dict(v) if isinstance(v, dict) else v for name, v in content.items()}
    if classes:
        kept = {k: v for k, v in result["outputs"]["scores"].items() if k != "column"}
        result["outputs"]["scores"] = {**kept, "classes": list(classes)}
    if "filterbank" in result["mel"]:
        result["mel"]["filterbank"] = {"file": FILTERBANK_FILE, "array": FILTERBANK_ARRAY}
    return result


def _segment(segment: dict[str, Any], mel: MelSpec) -> SegmentSpec:
    """Return the spec of segments; their number of frames follows from their length."""
    length_s = segment.pop("length_s")
    samples = round(length_s * mel.sample_rate)
    whole = segment.pop("stft") == "segment"
    frames = mel.n_frames(samples) if whole else samples // mel.hop_length
    stated = segment.pop("frames", frames)
    if stated != frames:
        raise InputError(
            f"segment: {length_s:g} s is {frames} frames of this front end, not {stated}"
        )
    usual = {"hop_s": length_s, "min_tail_s": length_s / 2}
    return SegmentSpec(n_frames=frames, length_s=length_s if whole else None, **usual | segment)


def _outputs(content: Any, folder: Path) -> dict[str, Any]:
    result = _object(content, "outputs", _OUTPUTS)
    names: dict[Role, str] = {}
    classes: tuple[str, ...] = ()
    activation = "none"
    if "scores" in result:
        scores = _object(result["scores"], "outputs.scores", _SCORES)
        names["scores"], activation = scores["name"], scores.get("activation", "none")
        classes = _classes(scores["classes"], scores.get("column"), folder)
    if "embedding" in result:
        names["embedding"] = _object(result["embedding"], "outputs.embedding", _EMBEDDING)["name"]
    return {"outputs": names, "activation": activation, "classes": classes}


def _classes(named: Any, column: str | None, folder: Path) -> tuple[str, ...]:
    """Return class names from a list, a text file (one per line) or a column of a CSV file."""
    if isinstance(named, list):
        names = [name for name in named if isinstance(name, str)]
        if len(names) != len(named):
            raise InputError("outputs.scores.classes: expected a list of strings or a file name")
    elif column is not None:
        path = folder / named
        names = [row[column] for row in csv_rows(path, "cannot read the classes", needed=[column])]
    else:
        lines = read_lines(str(folder / named), "cannot read the classes")
        names = [line.strip() for line in lines if line.strip()]
    if not 1 <= len(names) <= MAX_CLASSES:
        raise InputError(
            f"outputs.scores.classes: expected 1 to {MAX_CLASSES} names, got {len(names)}"
        )
    return tuple(names)


def _filterbank(named: Any, folder: Path, mel: Mapping[str, Any]) -> FloatArray:
    """Read a filterbank from an npz file as (bands, bins), transposing if needed."""
    place = _object(named, "mel.filterbank", _FILTERBANK)
    path, bands, bins = folder / place["file"], mel["n_mels"], 1 + mel["n_fft"] // 2
    from audiorec.files.arrow import read_npz  # loads Arrow

    (result,) = read_npz(path, [place["array"]])
    if result.dtype.kind != "f" or result.shape not in ((bands, bins), (bins, bands)):
        raise InputError(
            f"mel.filterbank: expected floats of shape ({bands}, {bins}) or ({bins}, {bands}), "
            f"but {path} has {result.dtype} of {result.shape}"
        )
    matrix: FloatArray = result if result.shape == (bands, bins) else result.T
    matrix = np.ascontiguousarray(matrix, np.float32)
    if not np.isfinite(matrix).all() or (matrix < 0).any():
        raise InputError(f"mel.filterbank: {path} contains negative or non-finite numbers")
    return matrix


@dataclass(frozen=True, slots=True)
class _Key:
    """One key of an object: its valid values, in words and as a test."""

    words: str
    test: Callable[[Any], bool]
    needed: bool = True
    cast: Callable[[Any], Any] = lambda value: value  # so that 3 and 3.0 are the same number


def _object(content: Any, where: str, keys: Mapping[str, _Key]) -> dict[str, Any]:
    """Check an object key by key and return it."""
    at = f"{where}: " if where else ""
    if not isinstance(content, dict):
        kind = InputError if where else DamagedFileError  # not a spec at all
        raise kind(f"{at}expected an object with {', '.join(keys)}, got {_short(content)}")
    for name in content:
        if name not in keys:
            near = get_close_matches(name, keys, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(keys)}"
            raise InputError(f"{at}unknown key {name[:40]!r}; {hint}")
    for name, key in keys.items():
        if name not in content:
            if key.needed:
                raise InputError(f"{at}missing {name!r}: {key.words}")
        elif not key.test(content[name]):
            raise InputError(f"{at}{name}: expected {key.words}, got {_short(content[name])}")
    return {name: keys[name].cast(value) for name, value in content.items()}


def _short(value: object) -> str:
    return repr(value)[:60]


def _number(least: float, most: float, *, needed: bool = True) -> _Key:
    return _Key(
        f"a number from {least:g} to {most:g}",
        lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and least <= v <= most,
        needed,
        float,
    )


def _whole(least: int, most: int, *, needed: bool = True) -> _Key:
    return _Key(
        f"a whole number from {least} to {most}",
        lambda v: type(v) is int and least <= v <= most,
        needed,
    )


def _one_of(choices: tuple[str, ...], *, needed: bool = True) -> _Key:
    words = f"one of {', '.join(map(repr, choices))}"
    return _Key(words, lambda v: isinstance(v, str) and v in choices, needed)


def _text(words: str, *, needed: bool = True) -> _Key:
    return _Key(words, lambda v: isinstance(v, str) and 0 < len(v) <= 500, needed)


def _is_level(value: Any) -> bool:
    return value is None or _number(-60, 0).test(value)


_ANY = _Key("an object", lambda _: True)
_MAYBE = _Key("an object", lambda _: True, False)
_NAMED_SCALES = tuple(name for name in SCALES if name != "given")
_TOP = {
    "name": _text("the network's name in heads and commands"),
    "licence": _text("the licence of its weights, for example MIT"),
    "source": _text("the origin of its weights", needed=False),
    "sample_rate": _whole(4_000, 192_000),
    "loudness_lufs": _Key("a loudness from -60 to 0, or null to keep the level", _is_level),
    "mel": _ANY,
    "segment": _ANY,
    "input": _ANY,
    "outputs": _ANY,
}
_MEL = {
    "pre_emphasis": _number(0, 1, needed=False),
    "n_fft": _whole(16, 65_536),
    "window": _one_of(WINDOWS),
    "window_length": _whole(16, 65_536, needed=False),
    "hop_length": _whole(1, 65_536),
    "padding": _one_of(PADDINGS),
    "power": _Key("1 (magnitude) or 2 (power)", lambda v: v in (1, 2), False, float),
    "scale": _one_of(_NAMED_SCALES, needed=False),
    "filterbank": _MAYBE,
    "n_mels": _whole(1, 4_096),
    "f_min": _number(0, 96_000),
    "f_max": _number(0, 96_000),
    "curve": _one_of(CURVES),
    "compression": _number(1e-30, 1e12),
    "shift": _number(-1e6, 1e6, needed=False),
    "divide_by": _number(1e-6, 1e6, needed=False),
}
_SEGMENT = {
    "length_s": _number(0.1, 60),
    "frames": _whole(1, 100_000, needed=False),
    "stft": _one_of(STFTS),
    "hop_s": _number(SegmentSpec.MIN_HOP_S, SegmentSpec.MAX_HOP_S, needed=False),
    "min_tail_s": _number(0.01, 60, needed=False),
    "min_track_s": _number(0.1, 60, needed=False),
}
_INPUT = {
    "name": _text("the name of the graph's input"),
    "layout": _text("the order of its axes, for example 'N 1 M T'"),
}
_OUTPUTS = {"scores": _MAYBE, "embedding": _MAYBE}
_SCORES = {
    "name": _text("the name of the graph's output"),
    "classes": _Key(
        "a list of names, or a file of names", lambda v: isinstance(v, (list, str)) and bool(v)
    ),
    "column": _text("a column of the CSV file of classes", needed=False),
    "activation": _one_of(ACTIVATIONS, needed=False),
}
_EMBEDDING = {"name": _text("the name of the graph's output")}
_FILTERBANK = {"file": _text("an npz file"), "array": _text("the array's name in the npz file")}


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

    An ONNX file is a protobuf message. It can make its reader open other files (external data;
    operators that load compiled graphs), change settings (metadata) and call code outside ONNX
    Runtime (custom operators), and an odd one may mean different things to different readers of
    protobuf. So only fields of `_FIELDS` are accepted, each with its own type of value, only lists
    repeated, and tags, lengths and numbers in their shortest form: such a file has one meaning.
    Texts that compute nothing are left out. What runs is what is written here, never the file.

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
            _check_operator(_decoded(given.get(_NODE_TYPE)), _decoded(given.get(_NODE_DOMAIN)))
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
            _decoded(value)
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
    for index, byte in enumerate(message[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if (byte == 0 and index) or value >> 64:
                raise _broken("a number is longer than it has to be")
            return value, at + index + 1
    raise _broken("it is truncated within a number")


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def _broken(reason: str) -> WeightsError:
    return WeightsError(f"not an ONNX model, or not one that this version reads: {reason}")


def _decoded(value: int | memoryview | None) -> str:
    if not isinstance(value, memoryview):
        return ""
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise _broken("a name is not UTF-8") from error


def _shown(text: str) -> str:
    return repr(text[:60])
