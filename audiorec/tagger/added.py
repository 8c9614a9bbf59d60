"""Networks that a user added: one folder each, found by name, verified before use.

    ~/.local/share/audiorec/backbones/mn04/
        model.onnx      the network
        spec.json       its front end, input, outputs and class names, as `stated.read_spec` reads
        filterbank.npz  if the spec supplies one
        backbone.json   checksums of the above, and the output widths found when it was added

`write_added` writes such a folder atomically; `find_added` opens one by its name, or by a path if
it lies elsewhere. A network is identified by one checksum over its weights and everything in its
spec that changes numbers: `AddedBackbone.sha256`.
"""

import hashlib
import json
from collections.abc import Mapping
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
from audiorec.files.atomic import sync, write_errors
from audiorec.files.json_files import parse_json, sealed, unsealed
from audiorec.files.own_data import own_data_folder
from audiorec.files.own_files import read_own, refuse_link, refuse_other_than_folder
from audiorec.spec import FeatureSpec
from audiorec.tagger.backbone_spec import (
    FILTERBANK_ARRAY,
    FILTERBANK_FILE,
    MAX_SPEC_BYTES,
    NAME,
    ROLES,
    BackboneSpec,
    Role,
    parse_spec,
)
from audiorec.tagger.onnx_file import MAX_MODEL_BYTES

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
            "add MODEL.onnx --spec SPEC.json"
        )
    return open_added(backbones_folder() / named)


def open_added(folder: Path) -> AddedBackbone:
    """Open the folder of a network and verify everything in it except the weights.

    Raises
    ------
    WeightsError
        If a file is missing, is a symbolic or hard link, or changed since the network was added.
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

    Parameters
    ----------
    stated : BackboneSpec
    model : bytes
        The ONNX file.
    widths : mapping of role to int
        Of its outputs, as found by running the model.
    replace : bool
        Replace a network with the same name.

    Raises
    ------
    InputError
        If a network with this name exists and `replace` is not set.
    StoreError
        If the folder cannot be written.
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
