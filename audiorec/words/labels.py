"""AudioSet's labels and the network's tags, from a song's embedding.

    embedding (n, 624) ──Labels.heard──▶ (L, n): "Speech", "Violin, fiddle", ..., "tag.rock"

Labels are linear in the embedding as the projection of sound prepares it: each block standardised
and of length 1. A network that was trained on AudioSet taught them (``scripts/train_labels.py``);
those that do not carry over to other corpora are left out. Tags are the backbone's own last layer,
which reads the penultimate that the embedding begins with.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from audiorec.errors import ShapeError, WeightsError
from audiorec.tagger.features import OUTPUT_WIDTHS
from audiorec.tagger.vectors import Half, shipped_sound
from audiorec.tagger.weights import MSD, read_shipped, write_shipped
from audiorec.types import FloatArray

FILE = "labels_msd.safetensors"
SHA256 = "d7c81091c54e6f7c0b291114913b09a1611c2cbd661a67a540236f3d84bff2b7"
METADATA_KEY = "audiorec_labels"
FORMAT_VERSION = 1
STILL = 1e-6  # a label that varies less says nothing
TAG = "tag."  # before the name of a tag


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """A linear map from embeddings to logits.

    Attributes
    ----------
    names : tuple of str, length L
    sound_sha256 : str
        Checksum of the projection of sound whose embedding it reads.
    matrix : ndarray, shape (E, L - 50), float32
        From prepared embeddings to labels.
    tags : ndarray, shape (200, 50), float32
        From the penultimate to the tags, which come last.
    bias : ndarray, shape (L,), float32
    usual, spread : ndarray, shape (L,), float32
        Mean and standard deviation of each logit over the audio it was learnt from.
    """

    names: tuple[str, ...]
    sound_sha256: str
    matrix: FloatArray
    tags: FloatArray
    bias: FloatArray
    usual: FloatArray
    spread: FloatArray

    def __post_init__(self) -> None:
        count, tags = len(self.names), len(MSD.tags)
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("bias", "usual", "spread"), (count,))
        shapes["matrix"] = (shipped_sound().size, count - tags)
        shapes["tags"] = (OUTPUT_WIDTHS["penultimate"], tags)
        for name, shape in shapes.items():
            values: FloatArray = getattr(self, name)
            if values.shape != shape or not np.isfinite(values).all():
                raise ShapeError(f"{name} must be finite and of shape {shape}, got {values.shape}")

    def heard(self, embedding: FloatArray | Half) -> FloatArray:
        """Return how far each label lies above the usual, in deviations: (L, n), float32.

        Raises
        ------
        ShapeError
            If the embeddings (n, E) are of another width.
        """
        sound = shipped_sound()
        if embedding.shape[-1:] != (sound.size,):
            raise ShapeError(f"embedding must have shape (n, {sound.size}), got {embedding.shape}")
        prepared = sound.prepared(embedding).astype(np.float32)
        penultimate = np.asarray(embedding)[:, : len(self.tags)].astype(np.float32)
        both = np.concatenate([self.matrix.T @ prepared.T, self.tags.T @ penultimate.T])
        both += (self.bias - self.usual)[:, None]
        both /= np.maximum(self.spread, STILL)[:, None]
        return both

    def save(self, path: Path | str) -> str:
        """Write this to one safetensors file, the matrix as float16; return its SHA-256."""
        about = {
            "format_version": FORMAT_VERSION,
            "names": list(self.names),
            "sound_sha256": self.sound_sha256,
        }
        others = ("tags", "bias", "usual", "spread")
        tensors = {name: np.ascontiguousarray(getattr(self, name), np.float32) for name in others}
        tensors["matrix"] = self.matrix.astype(np.float16)
        return write_shipped(path, METADATA_KEY, about, tensors)

    @classmethod
    def load(cls, path: Path | str, *, sha256: str = "") -> "Labels":
        """Read a file written by `save`.

        Raises
        ------
        WeightsError
            If the file is missing (a `MissingWeightsError`), damaged, another one than `sha256`
            says, or of another format.
        """
        about, tensors, _ = read_shipped(
            Path(path), METADATA_KEY, FORMAT_VERSION, what="the labels of sounds", sha256=sha256
        )
        try:
            tensors["matrix"] = tensors["matrix"].astype(np.float32)
            names, sound = tuple(map(str, about["names"])), str(about["sound_sha256"])
            return cls(names=names, sound_sha256=sound, **tensors)
        except (KeyError, TypeError, ValueError, ShapeError) as error:
            raise WeightsError(f"{path}: damaged: {error!r}") from error


def words_data() -> Path:
    """Return the folder of the shipped table and weights."""
    return Path(str(files("audiorec.words").joinpath("data")))


@cache
def shipped_labels() -> Labels:
    """Return the shipped labels, their checksum verified; see `Labels.load`."""
    return Labels.load(words_data() / FILE, sha256=SHA256)
