"""AudioSet's labels and the network's tags, from a song's embedding.

    embedding (n, 624) ──.numbers──▶ (n, 146) ──.heard──▶ (m, n): "Speech", ..., "tag.rock"

Labels depend on how near a song lies to some hundred kinds of sound: the embedding is prepared as
for the projection of sound (each block standardised and of length 1) and narrowed, a radial kernel
compares it to the centres, and two matrices make labels of that. A network that was trained on
AudioSet taught them (``scripts/heads/train_labels.py``); those that do not carry over to other
corpora are left out. Tags are the backbone's own last layer, which reads the penultimate that the
embedding begins with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiorec.errors import ShapeError, WeightsError
from audiorec.tagger.features import OUTPUT_WIDTHS
from audiorec.tagger.vectors import Half, shipped_sound
from audiorec.tagger.weights import MSD, read_shipped, write_shipped
from audiorec.types import BoolArray, FloatArray, Numbers

FILE = "labels_msd.safetensors"
SHA256 = "0b77e973b3f37b75f79801ea833247d002349acd3d7bb00d1f1a1438a82c0b3e"
METADATA_KEY = "audiorec_labels"
FORMAT_VERSION = 2
TAG = "tag."  # before the name of a tag
EMBEDDING = "embedding"  # the column that they are made of
PACKED = ("narrow", "centres", "inner", "outer")  # stored as 8-bit integers
LARGEST = 127  # of these integers
NARRATION = 0.8  # deviations above the usual, from which somebody tells something
SCALE = "_scale"  # after the name: what a column of integers is multiplied with


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """A map from embeddings to how far each label lies above the usual.

    Attributes
    ----------
    names : tuple of str, length L
    sound_sha256 : str
        Checksum of the projection of sound whose embedding it reads.
    narrow : ndarray, shape (E, D), float32
        From prepared embeddings to places, in widths of the kernel.
    centres : ndarray, shape (M, D), float32
        Places to which songs are compared.
    inner, outer : ndarray, shape (M, R) and (R, L - 50), float32
        From nearness to labels.
    tags : ndarray, shape (200, 50), float32
        From the penultimate to the tags, which come last.
    offset : ndarray, shape (L,), float32
    """

    names: tuple[str, ...]
    sound_sha256: str
    narrow: FloatArray
    centres: FloatArray
    inner: FloatArray
    outer: FloatArray
    tags: FloatArray
    offset: FloatArray

    def __post_init__(self) -> None:
        count, tags, places = len(self.names), len(MSD.tags), self.centres.shape
        shapes = {
            "narrow": (shipped_sound().size, *places[1:]),
            "inner": (*places[:1], *self.outer.shape[:1]),
            "outer": (*self.outer.shape[:1], count - tags),
            "tags": (OUTPUT_WIDTHS["penultimate"], tags),
            "offset": (count,),
            "centres": (*places[:1], *self.narrow.shape[1:]),
        }
        for name, shape in shapes.items():
            values: FloatArray = getattr(self, name)
            if values.shape != shape or not np.isfinite(values).all():
                raise ShapeError(f"{name} must be finite and of shape {shape}, got {values.shape}")

    def numbers(self, embedding: FloatArray | Half) -> FloatArray:
        """Return R numbers that the labels follow from, then the 50 tags: (n, R + 50), float32.

        Raises
        ------
        ShapeError
            If the embeddings (n, E) are of another width.
        """
        sound = shipped_sound()
        if embedding.shape[-1:] != (sound.size,):
            raise ShapeError(f"embedding must have shape (n, {sound.size}), got {embedding.shape}")
        near = nearness(sound.prepared(embedding, np.float32) @ self.narrow, self.centres)
        penultimate = np.asarray(embedding)[:, : len(self.tags)].astype(np.float32)
        return np.concatenate([near @ self.inner, penultimate @ self.tags], axis=1)

    def heard(self, numbers: FloatArray, places: Sequence[int]) -> FloatArray:
        """Return how far some of the labels lie above the usual, in deviations: (m, n), float32."""
        rank, count = self.outer.shape
        weights = np.zeros((numbers.shape[1], len(self.names)), np.float32)
        weights[:rank, :count] = self.outer
        weights[rank:, count:] = np.eye(len(MSD.tags))
        result: FloatArray = weights[:, places].T @ numbers.T
        result += self.offset[places, None]
        return result

    def save(self, path: Path | str) -> str:
        """Write this to one safetensors file; return its SHA-256."""
        about = {
            "format_version": FORMAT_VERSION,
            "names": list(self.names),
            "sound_sha256": self.sound_sha256,
        }
        tensors: dict[str, npt.NDArray[Any]]
        tensors = {"tags": self.tags.astype(np.float16), "offset": self.offset.astype(np.float32)}
        for name in PACKED:
            tensors[name], tensors[f"{name}{SCALE}"] = packed(getattr(self, name))
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
            tensors["tags"] = tensors["tags"].astype(np.float32)
            for name in PACKED:
                tensors[name] = tensors[name] * tensors.pop(f"{name}{SCALE}")
            names, sound = tuple(map(str, about["names"])), str(about["sound_sha256"])
            return cls(names=names, sound_sha256=sound, **tensors)
        except (KeyError, TypeError, ValueError, ShapeError) as error:
            raise WeightsError(f"{path}: damaged: {error!r}") from error


def talks(embedding: FloatArray | Half) -> BoolArray:
    """Return in which songs people talk, be it over music: embeddings (n, 624) to (n,), bool.

    Narration is heard, and more of it than of rap (``benchmarks/sound/eval_talk.py``). NaN is no
    talk.
    """
    labels = shipped_labels()
    places = [labels.names.index(name) for name in ("Narration, monologue", "Rapping")]
    narration, rap = labels.heard(labels.numbers(embedding), places)
    result: BoolArray = (narration >= NARRATION) & (narration >= rap)
    return result


def is_talk(lists: Mapping[str, Numbers]) -> bool:
    """Return whether people talk in a song that was decoded; `lists` are beside its vector.

    Of embeddings by networks of one's own, which have another width, nothing is known.
    """
    embedding = np.asarray(lists.get(EMBEDDING, ()), np.float32)
    return len(embedding) == shipped_sound().size and bool(talks(embedding[None])[0])


def nearness(places: FloatArray, centres: FloatArray) -> FloatArray:
    """Return how near places (n, D) are to centres (M, D), from 1 down to 0: (n, M)."""
    result = places @ centres.T
    result -= np.square(places).sum(axis=1)[:, None] / 2
    result -= np.square(centres).sum(axis=1) / 2
    return np.exp(np.minimum(result, 0))


def packed(matrix: Numbers) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Return a matrix as integers, and what each of its columns is multiplied with."""
    scale = np.abs(matrix).max(axis=0) / LARGEST
    whole = np.round(matrix / np.where(scale > 0, scale, 1))
    return whole.astype(np.int8), scale.astype(np.float32)


def words_data() -> Path:
    """Return the folder of the shipped table and weights."""
    return Path(str(files("audiorec.words").joinpath("data")))


@cache
def shipped_labels() -> Labels:
    """Return the shipped labels, their checksum verified; see `Labels.load`."""
    return Labels.load(words_data() / FILE, sha256=SHA256)
