"""A trained model as a folder that cannot run code.

=====================  =====================================================================
``model.safetensors``  the weights
``model.json``         kind, format version, architecture, seed, figures, the checksum of the
                       weights, so that two halves of different models are never joined, and
                       a digest of all that
``MODEL_CARD.md``      the same for people
=====================  =====================================================================

``metrics.jsonl`` may lie beside them; it is never read. A folder takes the place of an older
one as a whole, and only of one that holds nothing but these files: what else is there would
be lost.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from audiorec.errors import InputError, MissingWeightsError, StoreError, WeightsError
from audiorec.files.atomic import sync
from audiorec.files.json_files import parse_json, sealed, unsealed
from audiorec.files.own_files import check_tree, read_own, refuse_link, remove_tree
from audiorec.spec import fingerprint

FORMAT_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "model.json"
CARD_FILE = "MODEL_CARD.md"
BUNDLE_FILES = re.compile(r"model\.(?:safetensors|json)|MODEL_CARD\.md|metrics\.jsonl")
MAX_CONFIG_BYTES = 64 << 20  # a users model may know a million song ids
MAX_WEIGHTS_BYTES = 16 << 30
# What a model is told apart by leaves these out: they differ between two equal models.
INCIDENTAL = ("figures", "versions", "created_by", "created_at")


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A model as it stands in its folder."""

    tensors: Mapping[str, npt.NDArray[Any]]  # finite
    # ``model.json``: ``kind``, ``format_version``, ``weights_sha256`` and what the writer put there
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model_id(self) -> str:
        """Sixteen hex digits: changes with any weight and with any setting that counts."""
        return fingerprint({k: v for k, v in self.config.items() if k not in INCIDENTAL})


def write_bundle(
    path: str | os.PathLike[str],
    *,
    tensors: Mapping[str, npt.NDArray[Any]],
    config: Mapping[str, Any],
    card: str,
    files: Mapping[str, str] | None = None,
) -> str:
    """Write a model's folder, whole or not at all; return its `Bundle.model_id`.

    Parameters
    ----------
    path : path
        A folder; replaced if it is a bundle or empty.
    config : mapping
        Plain JSON values; ``kind`` is required.
    card : str
        Markdown.
    files : mapping of str to str, optional
        More text files, by name, to lie beside the model.

    Raises
    ------
    InputError
        If `path` is something else than a bundle, `config` has no kind or is not JSON, or a
        tensor is not finite. Nothing is written.
    StoreError
        If `path` is a link.
    """
    refuse_link(Path(path))
    target = Path(os.path.realpath(path))
    check_target(target)
    _check_tensors(tensors)
    if not config.get("kind"):
        raise InputError("a bundle's config needs a kind")
    weights = save({name: np.ascontiguousarray(array) for name, array in tensors.items()})
    whole = {
        **config,
        "format_version": FORMAT_VERSION,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    try:
        text = json.dumps(sealed(whole), indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"a bundle's config must be plain JSON: {error}") from error
    contents = {name: content.encode() for name, content in (files or {}).items()}
    contents |= {
        WEIGHTS_FILE: weights,
        CARD_FILE: card.encode(),
        CONFIG_FILE: f"{text}\n".encode(),
    }
    _replace_folder(target, contents)
    return Bundle({}, unsealed(json.loads(text))).model_id


def read_bundle(path: str | os.PathLike[str], *, kind: str) -> Bundle:
    """Read and check a model's folder.

    Parameters
    ----------
    path : path
    kind : str
        What it must be.

    Raises
    ------
    WeightsError
        If it is missing, damaged, of another kind or a newer format, or if the weights are
        not those that ``model.json`` was written with. The message names the folder.
    """
    folder = _whole_folder(Path(path))
    config = _read_config(folder)
    if config.get("kind") != kind:
        raise WeightsError(f"{path}: holds a {config.get('kind')}, not a {kind}")
    weights = _read_bytes(folder / WEIGHTS_FILE, MAX_WEIGHTS_BYTES)
    if hashlib.sha256(weights).hexdigest() != config.get("weights_sha256"):
        raise WeightsError(f"{path}: {WEIGHTS_FILE} is not the one that {CONFIG_FILE} speaks of")
    try:
        config = unsealed(config)
    except ValueError as error:
        raise WeightsError(f"{path}: {CONFIG_FILE}: {error}") from error
    try:
        tensors = load(weights)
        _check_tensors(tensors)
    except (SafetensorError, InputError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: {WEIGHTS_FILE}: {error}") from error
    return Bundle(tensors, config)


def read_kind(path: str | os.PathLike[str]) -> str:
    """Return what kind of model a folder says that it holds; errors as for `read_bundle`."""
    kind = _read_config(_whole_folder(Path(path))).get("kind")
    if not isinstance(kind, str):
        raise WeightsError(f"{path}: {CONFIG_FILE} does not say what kind of model it is")
    return kind


def texts_as_arrays(name: str, texts: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Return any texts as two tensors of a bundle: their UTF-8 bytes, and where each starts.

    Examples
    --------
    >>> texts_of_arrays("ids", texts_as_arrays("ids", ("a", "", "é")))
    ('a', '', 'é')
    """
    encoded = [text.encode() for text in texts]
    starts = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return {name: np.frombuffer(b"".join(encoded), np.uint8), f"{name}_starts": starts}


def texts_of_arrays(name: str, tensors: Mapping[str, npt.NDArray[Any]]) -> tuple[str, ...]:
    """Undo `texts_as_arrays`; tensors that do not fit together are a `WeightsError`."""
    content, starts = tensors[name].tobytes(), tensors[f"{name}_starts"]
    ascending = len(starts) and starts[0] == 0 and (np.diff(starts) >= 0).all()
    if not ascending or starts[-1] != len(content):
        raise WeightsError(f"tensor {name!r} and its starts do not fit together")
    try:
        return tuple(content[a:b].decode() for a, b in pairwise(starts.tolist()))
    except UnicodeDecodeError as error:
        raise WeightsError(f"tensor {name!r} holds a text that is not UTF-8") from error


def check_target(target: Path) -> None:
    """Refuse to write a model over a file, or a folder with anything but a model in it."""
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is a file; a model is written as a folder")
    for folder in (target, _previous(target)):
        try:
            if folder.is_dir():
                check_tree(folder, BUNDLE_FILES)
        except StoreError as error:
            raise InputError(
                f"{folder}: is a folder with other files in it; name a new one ({error})"
            ) from error


def _whole_folder(path: Path) -> Path:
    """Return where the bundle is: a crash between two renames leaves it under its old name."""
    if path.is_dir():
        return path
    previous = _previous(Path(os.path.realpath(path)))
    if previous.is_dir():
        return previous
    if path.exists():
        raise WeightsError(f"{path}: is a file, not a model's folder")
    raise MissingWeightsError(f"{path}: no such folder")


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        config = parse_json(_read_bytes(path, MAX_CONFIG_BYTES), max_bytes=MAX_CONFIG_BYTES)
    except ValueError as error:
        raise WeightsError(f"{path}: not JSON: {error}") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise WeightsError(
            f"{path}: model format {version!r}, this audiorec reads {FORMAT_VERSION}; "
            "a newer audiorec may read it"
        )
    checked: dict[str, Any] = config
    return checked


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        return read_own(path, limit)
    except StoreError as error:
        raise WeightsError(str(error)) from error
    except FileNotFoundError as error:
        raise MissingWeightsError(f"{path}: no such file") from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error


def _check_tensors(tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    for name, array in tensors.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise InputError(f"tensor {name!r} is not made of finite numbers")


def _replace_folder(target: Path, contents: Mapping[str, bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.parent / f".{target.name}.{uuid4().hex[:12]}.tmp"
    previous = _previous(target)
    try:
        fresh.mkdir()
        for name, content in contents.items():
            with (fresh / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        sync(fresh)
        if target.exists():
            _remove(previous)
            target.rename(previous)
        fresh.rename(target)
    finally:
        _remove(fresh)
    _remove(previous)
    sync(target.parent)


def _remove(folder: Path) -> None:
    if folder.is_dir():
        remove_tree(folder, BUNDLE_FILES)
        folder.rmdir()


def _previous(target: Path) -> Path:
    return target.parent / f".{target.name}.previous"
