"""Networks that a user added: found by name, verified before use, and run in ONNX Runtime.

    ~/.local/share/audiorec/backbones/mn04/
        model.onnx      the network
        spec.json       its front end, input, outputs and class names, as `backbone_spec` reads
        filterbank.npz  if the spec supplies one
        backbone.json   checksums of the above, and the output widths found when it was added

    network  ──write_added──▶  such a folder  ──find_added──▶  `AddedBackbone`
    segments (B, T, M)  ──AddedOnnx.features──▶  scores (B, C), embedding (B, D), if it has them

A network is identified by one checksum over its weights and everything in its spec that changes
numbers: `AddedBackbone.sha256`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from audiorec.errors import (
    InputError,
    MissingWeightsError,
    ShapeError,
    SpecMismatchError,
    StoreError,
    WeightsError,
)
from audiorec.files.own_files import (
    own_data_folder,
    parse_json,
    read_own,
    refuse_link,
    refuse_other_than_folder,
    sealed,
    sync,
    unsealed,
    write_errors,
)
from audiorec.files.visible import visible
from audiorec.spec import FeatureSpec
from audiorec.tagger.backbone import onnx_errors, open_session
from audiorec.tagger.backbone_spec import (
    FILTERBANK_ARRAY,
    FILTERBANK_FILE,
    MAX_MODEL_BYTES,
    MAX_SPEC_BYTES,
    NAME,
    ROLES,
    Activation,
    BackboneSpec,
    Role,
    parse_spec,
    rewritten_onnx,
)
from audiorec.tagger.features import check_batch_size
from audiorec.tagger.heads import Head
from audiorec.tagger.weights import WEIGHTS
from audiorec.types import AddedFeatures, FloatArray

FOLDER = "backbones"  # in the user's data folder
MODEL_FILE, SPEC_FILE, ABOUT_FILE = "model.onnx", "spec.json", "backbone.json"
FORMAT_VERSION = 1
MAX_FILTERBANK_BYTES = 64 << 20
_LIMITS = {
    MODEL_FILE: MAX_MODEL_BYTES,
    SPEC_FILE: MAX_SPEC_BYTES,
    FILTERBANK_FILE: MAX_FILTERBANK_BYTES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedBackbone:
    """A network that a user added.

    Attributes
    ----------
    stated : BackboneSpec
    folder : Path
    model_sha256 : str
        Checksum of the ONNX file.
    widths : mapping of role to int
        Numbers per segment of each output.
    model_size : int
        Size of the ONNX file in bytes.
    """

    stated: BackboneSpec
    folder: Path
    model_sha256: str
    widths: Mapping[Role, int]
    model_size: int

    @property
    def name(self) -> str:
        """Name used in heads, columns and commands."""
        return self.stated.name

    @property
    def sha256(self) -> str:
        """Checksum of the weights and of all in the spec that changes numbers, except the hop."""
        content = {"weights": self.model_sha256, **self.stated.identity}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def outputs(self) -> dict[str, int]:
        """Widths of its outputs, keyed as in heads and features: ``mn04.embedding``."""
        return {f"{self.name}.{role}": self.widths[role] for role in ROLES if role in self.widths}

    def origin(self) -> dict[str, str]:
        """Return the network's entry in a store: name, sha256 and licence."""
        return {"name": self.name, "sha256": self.sha256, "licence": self.stated.licence}

    def model_bytes(self) -> bytes:
        """Read the ONNX file; raise `WeightsError` if it changed since it was added."""
        content = _read(self.folder / MODEL_FILE)
        if hashlib.sha256(content).hexdigest() != self.model_sha256:
            raise _changed(self.folder / MODEL_FILE)
        return content

    def check_spec(self, spec: FeatureSpec) -> None:
        """Raise `SpecMismatchError` if the front end is not the network's."""
        if spec.front_end != self.stated.features.front_end:
            raise SpecMismatchError(
                f"backbone {self.name!r} was added with front end "
                f"{self.stated.features.front_end}, but this one is {spec.front_end}"
            )


def backbones_folder() -> Path:
    """Return the folder of the added networks, which may not exist."""
    return own_data_folder() / FOLDER


def added_names() -> list[str]:
    """Return the sorted names of the added networks, without checking them."""
    folder = backbones_folder()
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if NAME.fullmatch(p.name) and p.is_dir())


def find_added(named: str) -> AddedBackbone:
    """Open a network by its name, or by the path of its folder (which contains a ``/``).

    Raises
    ------
    MissingWeightsError
        If there is none; the message lists the existing ones and the command that adds one.
    WeightsError
        If its folder differs from what was added.
    """
    if "/" in named or Path(named).is_absolute():
        return open_added(Path(named))
    if named not in added_names():
        there = ", ".join(added_names()) or "none"
        raise MissingWeightsError(
            f"there is no added backbone {named!r} (added: {there}); add one: audiorec backbones "
            "MODEL.onnx --spec SPEC.json"
        )
    return open_added(backbones_folder() / named)


def network_of(heads: Sequence[Path], backbone: str | None) -> AddedBackbone | None:
    """Return the added network of this name, or that some heads need; None for the shipped."""
    if backbone is None:
        needed = {name for path in heads for name in Head.load(path).backbones} - WEIGHTS.keys()
        backbone = min(needed, default=None)
    return None if backbone is None else find_added(backbone)


def open_added(folder: Path) -> AddedBackbone:
    """Open the folder of a network and verify everything in it except the weights.

    Raises `WeightsError` if a file is missing, is a symbolic or hard link, or changed since the
    network was added.
    """
    if not folder.is_dir():
        raise MissingWeightsError(f"{folder}: there is no such backbone folder")
    try:
        about = unsealed(parse_json(_read(folder / ABOUT_FILE, 1 << 16), max_bytes=1 << 16))
        version, digests, widths = (about[k] for k in ("format", "sha256", "widths"))
        if version != FORMAT_VERSION:
            raise WeightsError(
                f"{folder}: backbone format {version!r}; this audiorec reads {FORMAT_VERSION}"
            )
        for name in sorted({SPEC_FILE, *_LIMITS} & digests.keys() - {MODEL_FILE}):
            if hashlib.sha256(_read(folder / name)).hexdigest() != digests[name]:
                raise _changed(folder / name)
        text = _read(folder / SPEC_FILE)
        stated = parse_spec(text, folder / SPEC_FILE)
        if _json(stated.content) != text:  # for example, it names other files
            raise _changed(folder / SPEC_FILE)
        _check_widths(stated, widths)
        size = (folder / MODEL_FILE).stat().st_size
        return AddedBackbone(
            stated=stated,
            folder=folder.absolute(),
            model_sha256=str(digests[MODEL_FILE]),
            widths={role: widths[role] for role in stated.outputs},
            model_size=size,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{folder}: not a valid backbone folder: {error}") from error


def write_added(
    stated: BackboneSpec, model: bytes, widths: Mapping[Role, int], *, replace: bool = False
) -> AddedBackbone:
    """Store a network atomically; its model must have been checked.

    Raises `InputError` if a network with this name exists and `replace` is not set; `StoreError` if
    the folder cannot be written.

    Parameters
    ----------
    stated : BackboneSpec
    model : bytes
        The ONNX file.
    widths : mapping of role to int
        Of its outputs, as found by running the model.
    replace : bool
        Replace a network with the same name.
    """
    target = backbones_folder() / stated.name
    files = {MODEL_FILE: model, SPEC_FILE: _json(stated.content)}
    if stated.filterbank is not None:
        files[FILTERBANK_FILE] = _npz(stated)
    about = {
        "format": FORMAT_VERSION,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "widths": dict(widths),
    }
    with write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        refuse_other_than_folder(target.parent)
        refuse_link(target)
        if target.exists() and replace:
            _refuse_foreign(target)
        elif target.exists():
            raise InputError(
                f"{target}: backbone {stated.name!r} exists; --replace overwrites it, and "
                "stores made with the old one then no longer match"
            )
        fresh = target.with_name(f".{stated.name}.{uuid4().hex[:12]}.tmp")
        fresh.mkdir()
        try:
            for name, content in {**files, ABOUT_FILE: _json(sealed(about))}.items():
                (fresh / name).write_bytes(content)
                sync(fresh / name)
            sync(fresh)
            _put(fresh, target)
        finally:
            if fresh.exists():
                _remove(fresh)
    return open_added(target)


def remove_added(name: str) -> Path:
    """Remove an added network, even a damaged one, and return its folder.

    Only files that `write_added` writes are removed: for a folder with anything else, raise
    `StoreError` and leave it as it is.
    """
    if name not in added_names():
        find_added(name)  # raises an error that lists the existing ones
    folder = backbones_folder() / name
    _refuse_foreign(folder)
    with write_errors(folder):
        _remove(folder)
    return folder


def _refuse_foreign(folder: Path) -> None:
    """Raise `StoreError` for a link, or a folder with files that `write_added` does not write."""
    refuse_link(folder)
    odd = [p.name for p in folder.iterdir() if p.name not in {*_LIMITS, ABOUT_FILE} or p.is_dir()]
    if odd:
        raise StoreError(
            f"{folder}: contains {min(odd)!r}, which audiorec did not write; move it elsewhere"
        )


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _put(fresh: Path, target: Path) -> None:
    """Rename a finished folder into place; an existing one is moved aside first, then removed."""
    old = fresh.with_name(fresh.name.replace(".tmp", ".old"))
    if target.exists():
        target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    sync(target.parent)
    if old.exists():
        _remove(old)


def _check_widths(stated: BackboneSpec, widths: Mapping[str, Any]) -> None:
    for role in stated.outputs:
        if type(widths[role]) is not int or not 1 <= widths[role] <= 65_536:
            raise ShapeError(f"width of {role}: {widths[role]!r}")
    if "scores" in stated.outputs and widths["scores"] != len(stated.classes):
        raise ShapeError(f"{widths['scores']} scores for {len(stated.classes)} classes")


def _read(path: Path, limit: int | None = None) -> bytes:
    """Read a file of a network's folder; its name may come from a file not verified yet."""
    most = _LIMITS.get(path.name) if limit is None else limit
    if most is None:
        raise WeightsError(f"{path}: not the name of a backbone file")
    try:
        return read_own(path, most)
    except FileNotFoundError as error:
        raise MissingWeightsError(f"{path}: no such file; add the backbone again") from error
    except StoreError as error:
        raise WeightsError(str(error)) from error


def _changed(path: Path) -> WeightsError:
    return WeightsError(f"{path}: changed since the backbone was added; add it again (--replace)")


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _npz(stated: BackboneSpec) -> bytes:
    from io import BytesIO

    memory = BytesIO()
    arrays: dict[str, Any] = {FILTERBANK_ARRAY: stated.filterbank}
    np.savez(memory, **arrays)
    return memory.getvalue()


class AddedOnnx:
    """An added network in ONNX Runtime, on one CPU thread.

    It is opened in worker processes only, from bytes whose checksum was recorded when it was added.
    ONNX Runtime never gets these, but what `rewritten_onnx` made of them, and no path, so that the
    model cannot refer to files. Raises `WeightsError` if its file changed, or is refused.

    Parameters
    ----------
    added : AddedBackbone
    batch_size : int
        Segments per batch, unless the graph has a fixed batch size.
    """

    def __init__(self, added: AddedBackbone, *, batch_size: int = 8) -> None:
        self.name = added.name
        self.weights_sha256 = added.sha256
        self.widths = added.widths
        self.stated = added.stated
        self._graph = Graph(added.stated, added.model_bytes(), batch_size=batch_size)

    def features(self, segments: FloatArray) -> AddedFeatures:
        """Return the features of B segments (B, T, M), float32; B may be 0."""
        frames, bands = self.stated.features.segment.n_frames, self.stated.features.mel.n_mels
        if segments.shape[1:] != (frames, bands):
            raise ShapeError(
                f"segments must have shape (B, {frames}, {bands}), got {segments.shape}"
            )
        result = self._graph.run(segments) if len(segments) else {}
        empty = {role: np.empty((0, width), np.float32) for role, width in self.widths.items()}
        return AddedFeatures(**{**empty, **result})


class Graph:
    """An open ONNX graph with inputs and outputs checked against the user's spec.

    `batch` is the graph's fixed batch size, 0 for any.
    """

    def __init__(self, stated: BackboneSpec, model: bytes, *, batch_size: int = 8) -> None:
        self._stated = stated
        model = rewritten_onnx(model)
        try:
            self._session = open_session(model)
        except onnx_errors() as error:
            raise WeightsError(f"ONNX Runtime cannot open it: {_reason(error)}") from error
        self.batch = self._check_input()
        self._check_outputs()
        self._at_once = self.batch or check_batch_size(batch_size)

    def run(self, segments: FloatArray) -> dict[Role, FloatArray]:
        """Return the outputs (B, D) of B segments (B, T, M) by role; B is at least 1."""
        parts = [
            self._run(segments[i : i + self._at_once])
            for i in range(0, len(segments), self._at_once)
        ]
        return {role: np.concatenate([part[role] for part in parts]) for role in parts[0]}

    def _run(self, segments: FloatArray) -> dict[Role, FloatArray]:
        count = len(segments)
        if self.batch and count < self.batch:  # pad to the fixed batch size
            segments = np.concatenate([segments, np.repeat(segments[-1:], self.batch - count, 0)])
        given = {self._stated.input: in_layout(segments, self._stated.layout)}
        names = list(self._stated.outputs.values())
        try:
            values = self._session.run(names, given)
        except onnx_errors() as error:
            raise WeightsError(
                f"{self._stated.name}: ONNX Runtime failed: {_reason(error)}"
            ) from error
        result: dict[Role, FloatArray] = {}
        for role, value in zip(self._stated.outputs, values, strict=True):
            if value.ndim != 2 or len(value) != len(segments) or value.dtype != np.float32:
                raise WeightsError(
                    f"output {self._stated.outputs[role]!r} of {len(segments)} segments: expected "
                    f"float32 of shape ({len(segments)}, D), got {value.dtype} of {value.shape}"
                )
            if not np.isfinite(value).all():
                raise WeightsError(
                    f"output {self._stated.outputs[role]!r} contains NaN or infinity"
                )
            result[role] = value[:count]
        if "scores" in result:
            result["scores"] = apply_activation(result["scores"], self._stated.activation)
        return result

    def _check_input(self) -> int:
        """Check the graph's single input against the spec; return its fixed batch size, or 0."""
        stated, inputs = self._stated, self._session.get_inputs()
        if [one.name for one in inputs] != [stated.input]:
            there = ", ".join(repr(one.name) for one in inputs)
            raise WeightsError(
                f"expected one input {stated.input!r}, the graph has {there or 'none'}"
            )
        (one,) = inputs
        if one.type != "tensor(float)":
            raise WeightsError(f"input {one.name!r} is {one.type}; it must be float32")
        mel, segment = stated.features.mel, stated.features.segment
        expected = [{"T": segment.n_frames, "M": mel.n_mels, "1": 1}.get(c) for c in stated.layout]
        sizes = [size if isinstance(size, int) else None for size in one.shape]
        fits = len(sizes) == len(expected) and all(
            None in (size, right) or size == right
            for size, right in zip(sizes, expected, strict=True)
        )
        if not fits:
            shown = ", ".join("N" if right is None else str(right) for right in expected)
            raise WeightsError(
                f"input {one.name!r} has shape {_shape(one.shape)}, the spec says ({shown})"
            )
        return sizes[stated.layout.index("N")] or 0

    def _check_outputs(self) -> None:
        there = {one.name: one for one in self._session.get_outputs()}
        for role, name in self._stated.outputs.items():
            if name not in there:
                raise WeightsError(f"no output {name!r}; the graph has {', '.join(sorted(there))}")
            width = there[name].shape[-1] if there[name].shape else None
            classes = len(self._stated.classes)
            if role == "scores" and isinstance(width, int) and width != classes:
                raise WeightsError(
                    f"output {name!r} has {width} numbers per segment, the spec {classes} classes"
                )


def in_layout(segments: FloatArray, layout: str) -> FloatArray:
    """Transpose segments (B, T, M) to a layout such as ``N1MT``.

    Examples
    --------
    >>> in_layout(np.zeros((2, 300, 128), np.float32), "N1MT").shape
    (2, 1, 128, 300)
    """
    order = ["NTM".index(letter) for letter in layout if letter != "1"]
    moved = segments.transpose(order)
    shape = iter(moved.shape)
    return np.ascontiguousarray(
        moved.reshape([1 if letter == "1" else next(shape) for letter in layout]), np.float32
    )


def apply_activation(values: FloatArray, activation: Activation) -> FloatArray:
    """Apply the activation to a graph's output (B, C): scores from 0 to 1, float32.

    Raises `WeightsError` if there is no activation and a value lies outside 0 to 1.
    """
    wide = values.astype(np.float64)
    if activation == "sigmoid":
        wide = 1.0 / (1.0 + np.exp(-np.clip(wide, -700, 700)))
    elif activation == "softmax":
        wide = np.exp(wide - wide.max(axis=1, keepdims=True))
        wide /= wide.sum(axis=1, keepdims=True)
    elif wide.min() < 0 or wide.max() > 1:
        raise WeightsError(
            f"scores from {wide.min():.3g} to {wide.max():.3g} are not probabilities: set the "
            "spec's activation to sigmoid or softmax"
        )
    return wide.astype(np.float32)


def _reason(error: Exception) -> str:
    return visible(next(iter(str(error).strip().splitlines()), type(error).__name__)[:300])


def _shape(sizes: Sequence[Any]) -> str:
    return f"({', '.join(str(size)[:40] for size in sizes)})"
