"""A trained model as a folder that cannot run code, with a card.

=====================  =====================================================================
``model.safetensors``  the weights
``model.json``         kind, format version, architecture, seed, figures, the checksum of the
                       weights, which ties both files together, and a digest of its content
``MODEL_CARD.md``      the model card for people: `Card.markdown`
=====================  =====================================================================

The folder may contain ``metrics.jsonl``, which is never read. A bundle is replaced as a whole, and
only if the old folder contains nothing but these files, so that no other file is lost.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from audiorec.errors import InputError, MissingWeightsError, StoreError, WeightsError
from audiorec.files.own_files import (
    MAX_READS,
    check_tree,
    leftovers,
    parse_json,
    read_own,
    refuse_link,
    remove_tree,
    sealed,
    sync,
    unsealed,
    write_errors,
)
from audiorec.files.visible import visible
from audiorec.spec import fingerprint

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure, with its interval if one was computed."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        between = "" if self.low is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{visible(self.name)}: {self.value:.3f}{between}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Content of a model card; control characters in foreign texts are made visible.

    The sections common to all models: the training data, what the model stores about people, its
    figures and how they were measured, and sources with licences. Those specific to a model follow.
    """

    title: str
    about: str  # one or two sentences
    people: str  # what the model stores about people
    caution: str = ""  # warning, placed first
    learnt_from: Mapping[str, Value] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    judged_on: str = ""  # what the figures were measured on, and the kind of interval
    sources: tuple[str, ...] = ()  # sources of the data, with their licences
    sections: Mapping[str, str] = field(default_factory=dict)  # Markdown, by heading

    def markdown(self) -> str:
        """Return the card as Markdown.

        Examples
        --------
        >>> card = Card(
        ...     title="rules",
        ...     about="What is played next.",
        ...     people="Nothing.",
        ...     learnt_from={"songs": 12_000},
        ...     figures=(Figure("recall@20", 0.2, 0.19, 0.21),),
        ...     judged_on="the newest tenth of the plays",
        ... )
        >>> print(card.markdown())
        # rules
        <BLANKLINE>
        What is played next.
        <BLANKLINE>
        ## Learnt from
        <BLANKLINE>
        - songs: 12,000
        <BLANKLINE>
        ## Figures
        <BLANKLINE>
        Measured on the newest tenth of the plays.
        <BLANKLINE>
        - recall@20: 0.200 [0.190, 0.210]
        <BLANKLINE>
        ## People
        <BLANKLINE>
        Nothing.
        <BLANKLINE>
        """
        facts = [f"- {visible(name)}: {_shown(value)}" for name, value in self.learnt_from.items()]
        judged = f"Measured on {visible(self.judged_on)}.\n\n" if self.judged_on else ""
        figures = "\n".join(f"- {figure}" for figure in self.figures)
        parts = {
            "Learnt from": "\n".join(facts),
            "Figures": judged + figures if figures else "",
            "People": visible(self.people),
            "Sources and licences": "\n".join(f"- {visible(text)}" for text in self.sources),
            **self.sections,
        }
        head = [f"# {visible(self.title)}"]
        head += [f"**{visible(self.caution)}**"] if self.caution else []
        body = [f"## {name}\n\n{text.strip()}" for name, text in parts.items() if text.strip()]
        return "\n\n".join([*head, visible(self.about), *body]) + "\n"


def _shown(value: Value) -> str:
    if isinstance(value, str):
        return visible(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


T = TypeVar("T")
FORMAT_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "model.json"
CARD_FILE = "MODEL_CARD.md"
BUNDLE_FILES = re.compile(r"model\.(?:safetensors|json)|MODEL_CARD\.md|metrics\.jsonl")
MAX_CONFIG_BYTES = 64 << 20  # a user model may have a million song ids
MAX_WEIGHTS_BYTES = 16 << 30
# Not part of the model id, since they differ between equal models.
INCIDENTAL = ("figures", "versions", "created_by", "created_at", "newest_play", "parent")


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Content of a model folder."""

    tensors: Mapping[str, npt.NDArray[Any]]  # finite
    # ``model.json``: ``kind``, ``format_version``, ``weights_sha256`` and the writer's entries
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model_id(self) -> str:
        """Hash of the weights and all relevant settings, sixteen hex digits."""
        return fingerprint({k: v for k, v in self.config.items() if k not in INCIDENTAL})


def write_bundle(
    path: str | os.PathLike[str],
    *,
    tensors: Mapping[str, npt.NDArray[Any]],
    config: Mapping[str, Any],
    card: str,
    files: Mapping[str, str] | None = None,
) -> str:
    """Write a model folder atomically; return its `Bundle.model_id`.

    Parameters
    ----------
    path : path
        A folder; replaced if it is a bundle or empty.
    config : mapping
        Plain JSON values; ``kind`` is required.
    card : str
        Markdown.
    files : mapping of str to str, optional
        Further text files to write beside the model, by name.

    Raises
    ------
    InputError
        If `path` exists and is not a bundle, `config` has no kind or is not JSON, or a tensor
        is not finite. Nothing is written.
    StoreError
        If `path` is a link, or cannot be written.
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
    with write_errors(path):
        _replace_folder(target, contents)
    return Bundle({}, unsealed(json.loads(text))).model_id


def read_bundle(path: str | os.PathLike[str], *, kind: str) -> Bundle:
    """Read and check a model folder.

    Parameters
    ----------
    path : path
    kind : str
        Required kind of model.

    Raises
    ------
    WeightsError
        If it is missing, damaged, of another kind or a newer format, or if the weights do not
        match ``model.json``. The message names the folder.
    """
    return _read_whole(Path(path), lambda folder: _read_bundle(folder, path, kind))


def _read_bundle(folder: Path, path: str | os.PathLike[str], kind: str) -> Bundle:
    config = _read_config(folder)
    if config.get("kind") != kind:
        raise WeightsError(f"{path}: expected a model of kind {kind}, got {config.get('kind')}")
    weights = _read_bytes(folder / WEIGHTS_FILE, MAX_WEIGHTS_BYTES)
    if hashlib.sha256(weights).hexdigest() != config.get("weights_sha256"):
        raise WeightsError(f"{path}: checksum of {WEIGHTS_FILE} does not match {CONFIG_FILE}")
    try:
        config = unsealed(config)
    except ValueError as error:
        raise WeightsError(f"{path}: {CONFIG_FILE}: {error}") from error
    try:
        tensors = load(weights)
        _check_tensors(tensors)
    except (SafetensorError, InputError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: {WEIGHTS_FILE}: {visible(str(error))}") from error
    return Bundle(tensors, config)


def read_kind(path: str | os.PathLike[str]) -> str:
    """Return the kind of model in a folder; errors as for `read_bundle`."""
    kind = _read_whole(Path(path), _read_config).get("kind")
    if not isinstance(kind, str):
        raise WeightsError(f"{path}: {CONFIG_FILE} has no kind of model")
    return kind


def texts_as_arrays(name: str, texts: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Return texts as two tensors of a bundle: their UTF-8 bytes, and the offset of each.

    Examples
    --------
    >>> texts_of_arrays("ids", texts_as_arrays("ids", ("a", "", "é")))
    ('a', '', 'é')
    """
    encoded = [text.encode() for text in texts]
    starts = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return {name: np.frombuffer(b"".join(encoded), np.uint8), f"{name}_starts": starts}


def texts_of_arrays(name: str, tensors: Mapping[str, npt.NDArray[Any]]) -> tuple[str, ...]:
    """Undo `texts_as_arrays`; raise `WeightsError` if the tensors do not fit together."""
    content, starts = tensors[name].tobytes(), tensors[f"{name}_starts"]
    ascending = len(starts) and starts[0] == 0 and (np.diff(starts) >= 0).all()
    if not ascending or starts[-1] != len(content):
        raise WeightsError(f"tensor {name!r} and its starts do not fit together")
    try:
        return tuple(content[a:b].decode() for a, b in pairwise(starts.tolist()))
    except UnicodeDecodeError as error:
        raise WeightsError(f"tensor {name!r} has a text that is not UTF-8") from error


def check_target(target: Path) -> None:
    """Refuse to overwrite a file, or a folder that contains anything but a model."""
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is a file; a model is written as a folder, give a new name")
    for folder in (target, _previous(target)):
        try:
            if folder.is_dir():
                check_tree(folder, BUNDLE_FILES)
        except StoreError as error:
            raise InputError(
                f"{folder}: the folder contains other files; give a new name ({error})"
            ) from error


def _read_whole(path: Path, read: Callable[[Path], T]) -> T:
    """Read the folder of a bundle, again if it was replaced meanwhile."""
    for _ in range(1, MAX_READS):
        folder = _whole_folder(path)
        before = _inode(folder)
        try:
            return read(folder)
        except WeightsError:
            if before is not None and _inode(folder) == before:
                raise
    return read(_whole_folder(path))


def _inode(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_ino
    return None


def _whole_folder(path: Path) -> Path:
    """Return the folder of the bundle; after a crash between two renames, the previous one."""
    if path.is_dir():
        return path
    previous = _previous(Path(os.path.realpath(path)))
    if previous.is_dir():
        return previous
    if path.exists():
        raise WeightsError(f"{path}: is a file, not a model folder")
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
    return config


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
            raise InputError(f"tensor {name!r} has values that are not finite numbers")


def _replace_folder(target: Path, contents: Mapping[str, bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.parent / f".{target.name}.{uuid4().hex[:12]}.tmp"
    previous = _previous(target)
    for left in leftovers(target.parent, target.name):
        with suppress(StoreError):  # files of others stay
            _remove(left)
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
