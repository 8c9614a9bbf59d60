"""Networks that a user added: a folder each, found by name, checked before they are believed.

    ~/.local/share/audiorec/backbones/mn04/
        model.onnx      the network
        spec.json       its front end, input, outputs and class names, as `stated.read_spec` reads
        filterbank.npz  where the spec gives one
        backbone.json   checksums of these, and the widths that were found when it was added

`write_added` makes such a folder at once, or not at all; `find_added` opens one by its name, or by
its path where it lies elsewhere. A network goes by one checksum of its weights and of everything in
its spec that changes numbers: `AddedBackbone.sha256`.
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
from audiorec.tagger.onnx_file import MAX_MODEL_BYTES
from audiorec.tagger.stated import (
    FILTERBANK_ARRAY,
    FILTERBANK_FILE,
    MAX_SPEC_BYTES,
    NAME,
    ROLES,
    Role,
    StatedBackbone,
    parse_spec,
)

FOLDER = "backbones"  # in the folder of the user's data
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
    """A network that was added.

    Attributes
    ----------
    stated : StatedBackbone
    folder : Path
    model_sha256 : str
        Of the ONNX file.
    widths : mapping of role to int
        Numbers a segment of each output.
    model_size : int
        Bytes of the ONNX file.
    """

    stated: StatedBackbone
    folder: Path
    model_sha256: str
    widths: Mapping[Role, int]
    model_size: int

    @property
    def name(self) -> str:
        """What heads, columns and commands call it."""
        return self.stated.name

    @property
    def sha256(self) -> str:
        """Checksum of the weights and of all in the spec that changes numbers, the hop aside."""
        content = {"weights": self.model_sha256, **self.stated.identity}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def outputs(self) -> dict[str, int]:
        """Widths of its outputs by the names that heads and features know: ``mn04.embedding``."""
        return {f"{self.name}.{role}": self.widths[role] for role in ROLES if role in self.widths}

    def origin(self) -> dict[str, str]:
        """Return what a store says of the network: name, sha256 and licence."""
        return {"name": self.name, "sha256": self.sha256, "licence": self.stated.licence}

    def model_bytes(self) -> bytes:
        """Read the ONNX file; one that changed since it was added is a `WeightsError`."""
        content = _read(self.folder / MODEL_FILE)
        if hashlib.sha256(content).hexdigest() != self.model_sha256:
            raise _changed(self.folder / MODEL_FILE)
        return content

    def check_spec(self, spec: FeatureSpec) -> None:
        """Raise a `SpecMismatchError` for another front end than the network's."""
        if spec.front_end != self.stated.features.front_end:
            raise SpecMismatchError(
                f"backbone {self.name!r} was added with the front end "
                f"{self.stated.features.front_end}, this one is {spec.front_end}"
            )


def backbones_folder() -> Path:
    """Return the folder of the networks that were added; it need not be there."""
    return own_data_folder() / FOLDER


def added_names() -> list[str]:
    """Return the names of the networks that were added, sorted, whether they are sound or not."""
    folder = backbones_folder()
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if NAME.fullmatch(p.name) and p.is_dir())


def find_added(named: str) -> AddedBackbone:
    """Open a network by its name, or the folder of one by its path (which has a ``/`` in it).

    Raises
    ------
    MissingWeightsError
        If there is none; names those that there are, and the command that adds one.
    WeightsError
        If its folder does not hold what was added.
    """
    if "/" in named or Path(named).is_absolute():
        return open_added(Path(named))
    if named not in added_names():
        there = ", ".join(added_names()) or "none"
        raise MissingWeightsError(
            f"no backbone {named!r} was added; there are: {there}; add one: audiorec backbones add "
            "MODEL.onnx --spec SPEC.json"
        )
    return open_added(backbones_folder() / named)


def open_added(folder: Path) -> AddedBackbone:
    """Open the folder of a network and check everything in it but the weights themselves.

    Raises
    ------
    WeightsError
        If a file is missing, is a link or a second name of another file, or changed since the
        network was added.
    """
    if not folder.is_dir():
        raise MissingWeightsError(f"{folder}: no such folder of a backbone")
    try:
        about = unsealed(parse_json(_read(folder / ABOUT_FILE, 1 << 16), max_bytes=1 << 16))
        version, digests, widths = (about[k] for k in ("format", "sha256", "widths"))
        if version != FORMAT_VERSION:
            raise WeightsError(
                f"{folder}: backbone format {version!r}, this audiorec reads {FORMAT_VERSION}"
            )
        for name in sorted({SPEC_FILE, *_LIMITS} & digests.keys() - {MODEL_FILE}):
            if hashlib.sha256(_read(folder / name)).hexdigest() != digests[name]:
                raise _changed(folder / name)
        text = _read(folder / SPEC_FILE)
        stated = parse_spec(text, folder / SPEC_FILE)
        if _json(stated.content) != text:  # it names other files, say
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
        raise WeightsError(f"{folder}: not a backbone that audiorec added: {error}") from error


def write_added(
    stated: StatedBackbone, model: bytes, widths: Mapping[Role, int], *, replace: bool = False
) -> AddedBackbone:
    """Keep a network whose model was checked, whole or not at all.

    Parameters
    ----------
    stated : StatedBackbone
    model : bytes
        The ONNX file.
    widths : mapping of role to int
        Of its outputs, as the model was seen to give them.
    replace : bool
        Take the place of another network of the same name.

    Raises
    ------
    InputError
        If there is another network of this name and `replace` is not given.
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
                f"{target}: there is a backbone {stated.name!r} already; --replace puts this one "
                "in its place, and stores made with it are then of another extractor"
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
    """Remove a network that was added, sound or not; returns where it was.

    Only the files that `write_added` makes go: a folder that holds anything else is a `StoreError`,
    and stays as it is.
    """
    if name not in added_names():
        find_added(name)  # says which there are
    folder = backbones_folder() / name
    _refuse_foreign(folder)
    with write_errors(folder):
        _remove(folder)
    return folder


def _refuse_foreign(folder: Path) -> None:
    """Raise a `StoreError` for a link, or a folder that holds what `write_added` does not make."""
    refuse_link(folder)
    odd = [p.name for p in folder.iterdir() if p.name not in {*_LIMITS, ABOUT_FILE} or p.is_dir()]
    if odd:
        raise StoreError(f"{folder}: holds {min(odd)!r}, which is not of a backbone; look at it")


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _put(fresh: Path, target: Path) -> None:
    """Rename a finished folder to its place; what is there is moved away first, then removed."""
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


def _check_widths(stated: StatedBackbone, widths: Mapping[str, Any]) -> None:
    for role in stated.outputs:
        if type(widths[role]) is not int or not 1 <= widths[role] <= 65_536:
            raise ShapeError(f"width of {role}: {widths[role]!r}")
    if "scores" in stated.outputs and widths["scores"] != len(stated.classes):
        raise ShapeError(f"{widths['scores']} scores for {len(stated.classes)} classes")


def _read(path: Path, limit: int | None = None) -> bytes:
    """Read a file of a network's folder; its name may come from a file that is not believed yet."""
    most = _LIMITS.get(path.name) if limit is None else limit
    if most is None:
        raise WeightsError(f"{path}: no file of a backbone has this name")
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


def _npz(stated: StatedBackbone) -> bytes:
    from io import BytesIO

    memory = BytesIO()
    arrays: dict[str, Any] = {FILTERBANK_ARRAY: stated.filterbank}
    np.savez(memory, **arrays)
    return memory.getvalue()
