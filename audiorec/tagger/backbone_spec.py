"""The spec of a network, written by its user: front end, input, outputs, class names.

    spec.json  ──read_spec──▶ `BackboneSpec`

A wrong front end gives wrong numbers without any error, so nothing is guessed: everything that
changes numbers must be stated, and unknown keys and invalid values are refused.
``docs/reference/backbone_spec.md`` has an example and explains each key.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from audiorec.errors import DamagedFileError, InputError
from audiorec.files.json_files import parse_json
from audiorec.files.npz import read_npz
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
    found = {name: dict(v) if isinstance(v, dict) else v for name, v in content.items()}
    if classes:
        kept = {k: v for k, v in found["outputs"]["scores"].items() if k != "column"}
        found["outputs"]["scores"] = {**kept, "classes": list(classes)}
    if "filterbank" in found["mel"]:
        found["mel"]["filterbank"] = {"file": FILTERBANK_FILE, "array": FILTERBANK_ARRAY}
    return found


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
    found = _object(content, "outputs", _OUTPUTS)
    names: dict[Role, str] = {}
    classes: tuple[str, ...] = ()
    activation = "none"
    if "scores" in found:
        scores = _object(found["scores"], "outputs.scores", _SCORES)
        names["scores"], activation = scores["name"], scores.get("activation", "none")
        classes = _classes(scores["classes"], scores.get("column"), folder)
    if "embedding" in found:
        names["embedding"] = _object(found["embedding"], "outputs.embedding", _EMBEDDING)["name"]
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
    (found,) = read_npz(path, [place["array"]])
    if found.dtype.kind != "f" or found.shape not in ((bands, bins), (bins, bands)):
        raise InputError(
            f"mel.filterbank: expected floats of shape ({bands}, {bins}) or ({bins}, {bands}), "
            f"but {path} has {found.dtype} of {found.shape}"
        )
    matrix: FloatArray = found if found.shape == (bands, bins) else found.T
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
