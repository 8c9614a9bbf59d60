"""The backbone weights shipped with audiorec, their checksums, and the columns of the mood tags.

Each network has two files in ``data/``: the weights as safetensors, and the same network folded for
inference as ONNX, less its largest matrix, which the first file holds.
``scripts/musicnn/convert_musicnn.py`` reproduces both byte for byte from the public wheel, and this
table has the checksums of the weights and of the whole ONNX model. A network is identified by that
of its weights, whichever file is used.

The backbone's mood tags and their columns.

    tags (T, 50) ──mean over segments──▶ tag_happy, tag_sad, ...

A network learnt them from listeners' tags; they do not measure a mood. So the columns are named
after the tags.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from audiorec.errors import InputError, MissingWeightsError, SpecMismatchError, WeightsError
from audiorec.spec import MelSpec, fingerprint
from audiorec.types import FloatArray

BackboneName = Literal["msd"]
Form = Literal["safetensors", "onnx"]

FORMAT_VERSION = 1
NORM_EPSILON = 1e-3  # of every batch-norm; default of the framework in which it was trained
DENSE_MARK = b"<dense.matrix>"
METADATA_KEY = "audiorec_backbone"

MSD_TAGS = (
    "rock, pop, alternative, indie, electronic, female vocalists, dance, 00s, alternative rock, "
    "jazz, beautiful, metal, chillout, male vocalists, classic rock, soul, indie rock, Mellow, "
    "electronica, 80s, folk, 90s, chill, instrumental, punk, oldies, blues, hard rock, ambient, "
    "acoustic, experimental, female vocalist, guitar, Hip-Hop, 70s, party, country, "
    "easy listening, sexy, catchy, funk, electro, heavy metal, Progressive rock, 60s, rnb, "
    "indie pop, sad, House, happy"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneWeights:
    """Names, checksums, licence and tags of one shipped network."""

    name: BackboneName
    sha256: str  # of the safetensors file: identifies the network in stores and heads
    onnx_sha256: str  # of the model that `onnx_model` returns
    licence: str  # SPDX identifier
    tags: tuple[str, ...]  # names of the 50 tag outputs, in order
    mel_fingerprint: str  # of the `MelSpec` that the network was trained on

    def file_name(self, form: Form) -> str:
        """Return the file's name in ``data/``."""
        return f"musicnn_{self.name}.{form}"

    def origin(self) -> dict[str, str]:
        """Return the network's entry in a store: name, sha256 and licence."""
        return {"name": f"musicnn_{self.name}", "sha256": self.sha256, "licence": self.licence}


MSD = BackboneWeights(
    name="msd",
    sha256="c9dae8546555208e5cbb7b8a0d32575b2f3a9f2cece4574d3723e99a11ac14e1",
    onnx_sha256="1d47921a8a3a1c1a880630c0785e2551bbafd343e827e08612a2b86238214465",
    licence="ISC",
    tags=tuple(MSD_TAGS.split(", ")),
    mel_fingerprint="accbabe5ac9323be",
)
WEIGHTS: Mapping[BackboneName, BackboneWeights] = MappingProxyType({"msd": MSD})


def backbone_weights(name: str) -> BackboneWeights:
    """Return the table's entry of a network; raise `InputError` for an unknown name."""
    for known, entry in WEIGHTS.items():
        if name == known:
            return entry
    raise InputError(f"backbone must be one of {', '.join(WEIGHTS)}, got {name!r}")


@cache
def weights_path(name: BackboneName) -> Path:
    """Return the path of a network's safetensors file after verifying its checksum.

    The checksum is computed once per process and file. Raises `InputError` if there is no such
    network, `WeightsError` if the file is missing, or its checksum does not match.
    """
    entry = backbone_weights(name)
    path = data_folder() / entry.file_name("safetensors")
    read_checked(path, what="the weights", sha256=entry.sha256)
    return path


def onnx_model(name: BackboneName) -> bytes:
    """Return a network as ONNX, after verifying its checksum; raise as `weights_path`.

    `DENSE_MARK` stands in the file for its largest matrix, which is made of the safetensors file.
    """
    entry = backbone_weights(name)
    path = data_folder() / entry.file_name("onnx")
    content, _ = read_checked(path, what="the weights")
    with safe_open(weights_path(name), framework="numpy") as file:
        model = content.replace(DENSE_MARK, dense_matrix(file.get_tensor).tobytes(), 1)
    _checksum(path, model, entry.onnx_sha256)
    return model


def dense_matrix(tensor: Callable[[str], npt.NDArray[np.floating]]) -> FloatArray:
    """Return the first dense layer's matrix, with its batch-norm: 753 columns of max, 753 of mean.

    `tensor` returns a tensor of the safetensors file, where the columns alternate.
    """
    names = ("dense.weight", "pool_norm.weight", "pool_norm.running_var")
    matrix, weight, variance = (tensor(name).astype(np.float64) for name in names)
    matrix = matrix * (weight / np.sqrt(variance + NORM_EPSILON))
    by_pool = matrix.reshape(len(matrix), -1, 2).transpose(0, 2, 1)
    return by_pool.reshape(len(matrix), -1).astype(np.float32)


def read_checked(path: Path, *, what: str = "it", sha256: str = "") -> tuple[bytes, str]:
    """Return the content and checksum of a shipped file, which must have `sha256` if it is given.

    Raise `WeightsError` if it is another one, `MissingWeightsError` if there is none.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        kind = MissingWeightsError if isinstance(error, FileNotFoundError) else WeightsError
        raise kind(f"{path}: cannot read {what} ({error.strerror}); reinstall audiorec") from error
    return content, _checksum(path, content, sha256)


def _checksum(path: Path, content: bytes, sha256: str) -> str:
    """Return a checksum; raise `WeightsError` if it is not `sha256`, where that is given."""
    result = hashlib.sha256(content).hexdigest()
    if sha256 and result != sha256:
        raise WeightsError(
            f"{path}: sha256 is {result[:12]}..., expected {sha256[:12]}...: the file was "
            "damaged or replaced; reinstall audiorec"
        )
    return result


def write_shipped(
    path: Path | str, key: str, about: Mapping[str, Any], tensors: dict[str, npt.NDArray[Any]]
) -> str:
    """Write a file that `read_shipped` reads; return its SHA-256."""
    rows = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    content = save(rows, {key: json.dumps(about, sort_keys=True)})  # columns would be mixed up
    Path(path).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_shipped(
    path: Path, key: str, version: int, *, what: str, sha256: str = ""
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]], str]:
    """Return metadata, tensors and checksum of a small safetensors file such as is shipped.

    Parameters
    ----------
    path : Path
    key : str
        Of the metadata, a JSON object with ``format_version``.
    version : int
        The only format that is read.
    what : str
        What the file is, for messages.
    sha256 : str, optional
        What the file must have.

    Raises
    ------
    WeightsError
        If the file is missing (a `MissingWeightsError`), damaged, another one than `sha256`
        says, or of another format.
    """
    _, result = read_checked(path, what=what, sha256=sha256)
    try:
        with safe_open(str(path), framework="numpy") as file:
            about = json.loads((file.metadata() or {})[key])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        given = about["format_version"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: damaged: {error!r}") from error
    if given != version:
        raise WeightsError(f"{path}: damaged: format {given!r}; this audiorec reads {version}")
    return about, tensors, result


def data_folder() -> Path:
    """Return the folder of the shipped weights."""
    return Path(str(files("audiorec.tagger").joinpath("data")))


def check_mel(name: str, mel: MelSpec) -> None:
    """Raise `SpecMismatchError` if the network was trained on another spectrogram."""
    trained, given = backbone_weights(name).mel_fingerprint, fingerprint(mel.to_dict())
    if given != trained:
        raise SpecMismatchError(
            f"backbone {name!r} was trained on MelSpec {trained}, but this one is {given}; "
            "only the default MelSpec() matches the shipped weights"
        )


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a backbone's safetensors file.

    Keys: ``format_version``, ``name``, ``tags``, ``mel``, ``mel_fingerprint``,
    ``segment_frames``, ``source``, ``licence`` and ``copyright``. Raises `WeightsError` for any
    other file or format version.
    """
    try:
        with safe_open(path, framework="numpy") as opened:
            text = (opened.metadata() or {}).get(METADATA_KEY)
    except FileNotFoundError as error:
        raise MissingWeightsError(f"{path}: no such file") from error
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a safetensors file ({error})") from error
    if text is None:
        raise WeightsError(f"{path}: not a backbone: no metadata key {METADATA_KEY!r}")
    try:
        about: dict[str, Any] = json.loads(text)
        version = about["format_version"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise WeightsError(f"{path}: damaged backbone metadata: {error}") from error
    if version != FORMAT_VERSION:
        raise WeightsError(
            f"{path}: format version {version}; this audiorec reads version {FORMAT_VERSION}"
        )
    return about


# The moods among the 50 tags that agree with what people hear; "chill", "chillout" and "sexy" do
# not. The others are genres, decades, voices and instruments.
MOODS = ("beautiful", "Mellow", "party", "catchy", "sad", "happy")


def mood_columns(backbones: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return the mood columns: name to backbone and index of its tag.

    Each tag comes from the first backbone that has it; added networks have no columns.

    Examples
    --------
    >>> list(mood_columns(["msd"]))[:3], mood_columns(["mn04"])
    (['tag_beautiful', 'tag_mellow', 'tag_party'], {})
    """
    columns: dict[str, tuple[str, int]] = {}
    for backbone in (name for name in backbones if name in WEIGHTS):
        tags = backbone_weights(backbone).tags
        for mood in MOODS:
            if mood in tags:
                columns.setdefault(tag_column(mood), (backbone, tags.index(mood)))
    return columns


def tag_column(tag: str) -> str:
    """Return the column of a tag: ``easy listening`` becomes ``tag_easy_listening``."""
    return "tag_" + re.sub(r"\W+", "_", tag.lower())
