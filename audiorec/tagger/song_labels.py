"""Genre and styles of whole songs, and whether they are sure: a head over stored columns.

    embedding (N, 624), heard_tags (N, 50)  ──SongLabels.of──▶ `FoundLabels`

The vector's genre numbers come from a head that hears three seconds at a time, and always add up
to one. This head reads what a store keeps of a whole song, so it decodes nothing, and may answer
that a song is none of its ten genres: it knows styles beside them, and a last class has learnt from
speech, noise and opera. A genre is clear if its probability reaches a limit from which, on music by
makers that the head never heard, at least four of five answers are right
(``docs/model_cards/song_labels.md``); so is a style. Nothing is clear of less than 20 s.

``scripts/train_song_labels.py`` learns the file. It is no part of `extractor_id`: a better one
changes what is shown of a store, and nothing in it. ``$AUDIOREC_LABELS=open`` takes a second head,
which learnt from free audio alone (``scripts/train_open_labels.py``).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError, WeightsError
from audiorec.tagger.features import OUTPUT_WIDTHS
from audiorec.tagger.heads import softmax
from audiorec.tagger.weights import data_folder, read_shipped, write_shipped
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

FILE = "song_labels.safetensors"
SHA256 = "2f0b004b7d6d4466dc2aad72acfd253198f1f7abc459ee7241ca15f8077329c4"
OPEN = "open"
OPEN_SHA256 = "b84497b672e0168f2aee4674494e3eb2af706b3ef73a22e376d52fdd45601d9e"
SHIPPED = {"": (FILE, SHA256), OPEN: ("song_labels_open.safetensors", OPEN_SHA256)}
ENVIRONMENT = "AUDIOREC_LABELS"
METADATA_KEY = "audiorec_song_labels"
FORMAT_VERSION = 1
EMBEDDING = 624  # numbers of a song: `audiorec.tagger.vectors.SoundProjection.embedding`
TAGS = OUTPUT_WIDTHS["tags"]
WIDTH = EMBEDDING + TAGS
CLEAR_SEGMENTS = 7  # a song of which less is heard, 20 s, may be a loop or the bridge of a song
HEAD = "genre/"  # of the score columns
CLIP = 4.0  # standard deviations beyond which a number says no more

Numbers = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class FoundLabels:
    """Labels of N songs.

    Attributes
    ----------
    genre : ndarray, shape (N, C), float32
        Probabilities of the genres. What a row lacks to 1 are the styles, and none of both.
    genre_clear : ndarray, shape (N,), bool
        Whether the likeliest genre is sure enough to be stated without a second one.
    styles : ndarray, shape (N, S), float32
        Probabilities of the styles outside the genres.
    style_clear : ndarray, shape (N, S), bool
        Whether a style is sure enough to be stated.

    Songs without an embedding (NaN) have NaN for probabilities, and nothing of them is clear.
    """

    genre: FloatArray
    genre_clear: BoolArray
    styles: FloatArray
    style_clear: BoolArray

    def heard_long(self, segments: Int64Array) -> "FoundLabels":
        """Return the same, with nothing clear of songs of fewer than `CLEAR_SEGMENTS`."""
        long = segments >= CLEAR_SEGMENTS
        return replace(
            self,
            genre_clear=self.genre_clear & long,
            style_clear=self.style_clear & long[:, None],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SongLabel:
    """Labels of one song, by name.

    Attributes
    ----------
    likely : mapping of str to float
        Probability of each genre and style, the likeliest first.
    genre : str
        The likeliest of the genres.
    genre_clear : bool
    styles : tuple of str
        Those that are clear.
    """

    likely: Mapping[str, float]
    genre: str
    genre_clear: bool
    styles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SongLabels:
    """A linear head for genres and styles.

    Attributes
    ----------
    genres : tuple of str, length C
        In the order of the vector's genre classes.
    styles : tuple of str, length S
    backbone_sha256, front_end : str
        Checksum of the network and fingerprint of the front end whose columns it reads.
    centre, scale : ndarray, shape (D,), float32
        Standardisation of the embedding and the roots of the tags: ``(x - centre) / scale``.
    weight, bias : ndarray, shapes (D, C + S + 1) and (C + S + 1,), float32
        Calibrated: logits of the genres, of the styles, and of none of both.
    genre_limit : float
        Probability from which a genre is clear.
    style_limits : ndarray, shape (S,), float32
        The same for each style; above 1 for one that is never clear.
    sha256 : str
        Checksum of the file it was read from; empty before it is saved.
    """

    genres: tuple[str, ...]
    styles: tuple[str, ...]
    backbone_sha256: str
    front_end: str
    centre: FloatArray
    scale: FloatArray
    weight: FloatArray
    bias: FloatArray
    genre_limit: float
    style_limits: FloatArray
    sha256: str = ""

    def __post_init__(self) -> None:
        outputs = len(self.genres) + len(self.styles) + 1
        shapes = {"centre": (WIDTH,), "scale": (WIDTH,), "weight": (WIDTH, outputs)}
        shapes |= {"bias": (outputs,), "style_limits": (len(self.styles),)}
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values.shape != shape or not np.isfinite(values).all():
                raise ShapeError(f"{name} must be finite and of shape {shape}, got {values.shape}")
        if not (self.scale > 0).all():
            raise ShapeError("scale must be positive everywhere")

    def of(self, embedding: Numbers, heard_tags: Numbers) -> FoundLabels:
        """Label songs.

        Parameters
        ----------
        embedding : ndarray, shape (N, 624)
            As stored; NaN for a song without.
        heard_tags : ndarray, shape (N, 50)
            As stored: mean tags.

        Returns
        -------
        found : FoundLabels

        Raises
        ------
        ShapeError
            If an array has another shape.

        Examples
        --------
        >>> found = SongLabels.shipped().of(np.zeros((2, 624)), np.full((2, 50), 0.1))
        >>> found.genre.shape, found.genre_clear.shape
        ((2, 10), (2,))
        """
        x = columns(embedding, heard_tags)  # changed in place: a library has millions of numbers
        x -= self.centre
        x /= self.scale
        np.clip(x, -CLIP, CLIP, out=x)
        logits = x @ self.weight.astype(np.float64) + self.bias
        probabilities = softmax(logits).astype(np.float32)
        size = len(self.genres)
        genre, styles = probabilities[:, :size], probabilities[:, size:-1]
        return FoundLabels(
            genre=genre,
            genre_clear=genre.max(axis=1, initial=0.0) >= self.genre_limit,
            styles=styles,
            style_clear=styles >= self.style_limits,
        )

    def label(self, found: FoundLabels, number: int) -> SongLabel | None:
        """Return the labels of one of the songs found; None for one without an embedding."""
        genre, styles = found.genre[number], found.styles[number]
        if not np.isfinite(genre).all():
            return None
        values = np.concatenate([genre, styles]).tolist()
        named = zip((*self.genres, *self.styles), values, strict=True)
        return SongLabel(
            likely=dict(sorted(named, key=lambda item: -item[1])),
            genre=self.genres[int(genre.argmax())],
            genre_clear=bool(found.genre_clear[number]),
            styles=tuple(np.array(self.styles)[found.style_clear[number]].tolist()),
        )

    def fits(self, classes: Sequence[str]) -> bool:
        """Return whether score columns, such as ``genre/jazz``, have these very genres."""
        own = (name.removeprefix(HEAD) for name in classes if name.startswith(HEAD))
        return tuple(own) == self.genres

    def save(self, path: Path | str) -> str:
        """Write this to one safetensors file and return the file's SHA-256."""
        about = {
            "format_version": FORMAT_VERSION,
            "genres": self.genres,
            "styles": self.styles,
            "backbone_sha256": self.backbone_sha256,
            "front_end": self.front_end,
            "genre_limit": self.genre_limit,
        }
        names = ("centre", "scale", "weight", "bias", "style_limits")
        tensors = {name: np.ascontiguousarray(getattr(self, name), np.float32) for name in names}
        return write_shipped(path, METADATA_KEY, about, tensors)

    @classmethod
    def load(cls, path: Path | str, *, sha256: str = "") -> "SongLabels":
        """Read a file written by `save`; `sha256` is what the file must have, if given.

        Raises
        ------
        WeightsError
            If the file is missing (a `MissingWeightsError`), damaged, another one than `sha256`
            says, or of another format.
        """
        about, tensors, found = read_shipped(
            Path(path), METADATA_KEY, FORMAT_VERSION, what="the labels of songs", sha256=sha256
        )
        try:
            return cls(
                genres=tuple(map(str, about["genres"])),
                styles=tuple(map(str, about["styles"])),
                backbone_sha256=str(about["backbone_sha256"]),
                front_end=str(about["front_end"]),
                genre_limit=float(about["genre_limit"]),
                sha256=found,
                **tensors,
            )
        except (KeyError, TypeError, ValueError, ShapeError) as error:
            raise WeightsError(f"{path}: damaged: {error!r}") from error

    @classmethod
    def shipped(cls) -> "SongLabels":
        """Return the shipped head that ``$AUDIOREC_LABELS`` names, its checksum verified.

        Raises `InputError` for an unknown name, else as `load`.
        """
        return _shipped()


def columns(embedding: Numbers, heard_tags: Numbers) -> Float64Array:
    """Return what the head reads of songs: (N, 674), float64."""
    if embedding.ndim != 2 or embedding.shape[1] != EMBEDDING:
        raise ShapeError(f"embedding must have shape (N, {EMBEDDING}), got {embedding.shape}")
    if heard_tags.shape != (len(embedding), TAGS):
        raise ShapeError(
            f"heard_tags must have shape ({len(embedding)}, {TAGS}), got {heard_tags.shape}"
        )
    found = np.empty((len(embedding), WIDTH))
    found[:, :EMBEDDING] = embedding
    found[:, EMBEDDING:] = np.sqrt(np.maximum(heard_tags.astype(np.float64), 0.0))
    return found


def _shipped() -> SongLabels:
    name = os.environ.get(ENVIRONMENT, "")
    if name not in SHIPPED:
        raise InputError(f"${ENVIRONMENT}: must be {OPEN} or empty, got {name!r}")
    return _loaded(*SHIPPED[name])


@cache
def _loaded(file: str, sha256: str) -> SongLabels:
    return SongLabels.load(data_folder() / file, sha256=sha256)
