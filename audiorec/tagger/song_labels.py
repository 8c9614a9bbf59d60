"""Genre and styles of whole songs, and whether they are sure: a head over stored columns, and tags.

    embedding (N, 624), heard_tags (N, 50)  ──SongLabels.of──▶ `FoundLabels`
    "Hip-Hop/Rap"            ──tagged_genre──▶ genres ("hiphop",)
    "Progressive House; 氛围" ──tagged_genre──▶ genres ("electronic",), styles ("house", "ambient")

The vector's genre numbers come from a head that hears three seconds at a time, and always add up to
one. `SongLabels` reads what a store keeps of a whole song, so it decodes nothing, and may answer
that a song is none of its ten genres.
"""

import os
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiorec.errors import InputError, ShapeError, WeightsError
from audiorec.tagger.features import OUTPUT_WIDTHS
from audiorec.tagger.heads import OPEN, softmax
from audiorec.tagger.weights import data_folder, read_shipped, write_shipped
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

FILE = "song_labels.safetensors"
SHA256 = "2f0b004b7d6d4466dc2aad72acfd253198f1f7abc459ee7241ca15f8077329c4"
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
    family : ndarray, shape (N,), int64
        Which of `FAMILIES` is sure enough to be stated; -1 for none.

    Songs without an embedding (NaN) have NaN for probabilities, and nothing of them is clear.
    """

    genre: FloatArray
    genre_clear: BoolArray
    styles: FloatArray
    style_clear: BoolArray
    family: Int64Array

    def heard_long(self, segments: Int64Array) -> "FoundLabels":
        """Return the same, with nothing clear of songs of fewer than `CLEAR_SEGMENTS`."""
        long = segments >= CLEAR_SEGMENTS
        return replace(
            self,
            genre_clear=self.genre_clear & long,
            style_clear=self.style_clear & long[:, None],
            family=np.where(long, self.family, -1),
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
    family : str
        The one of `FAMILIES` that is sure; empty if none is.
    """

    likely: Mapping[str, float]
    genre: str
    genre_clear: bool
    styles: tuple[str, ...]
    family: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SongLabels:
    """A linear head for genres and styles.

    It knows styles beside genres, and a last class has learnt from speech, noise and opera. A genre
    is clear if its probability reaches a limit from which, on music by makers that the head never
    heard, at least four of five answers are right (``docs/model_cards/song_labels.md``); so is a
    style. Nothing is clear of less than 20 s.

    ``scripts/heads/train_song_labels.py`` learns the file. It is no part of `extractor_id`: a
    better one changes what is shown of a store, and nothing in it. ``$AUDIOREC_LABELS=open`` takes
    a second head, which learnt from free audio alone (``scripts/heads/train_open_labels.py``).

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
        names = (*self.genres, *self.styles)
        sums = np.stack(
            [
                probabilities[:, [names.index(n) for n in family if n in names]].sum(axis=1)
                for family in FAMILIES.values()
            ],
            axis=1,
        )
        is_sure = sums.max(axis=1, initial=0.0) >= FAMILY_LIMIT
        return FoundLabels(
            genre=genre,
            genre_clear=genre.max(axis=1, initial=0.0) >= self.genre_limit,
            styles=styles,
            style_clear=styles >= self.style_limits,
            family=np.where(is_sure, sums.argmax(axis=1), -1),
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
            family=("", *FAMILIES)[found.family[number] + 1],
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
        about, tensors, result = read_shipped(
            Path(path), METADATA_KEY, FORMAT_VERSION, what="the labels of songs", sha256=sha256
        )
        try:
            return cls(
                genres=tuple(map(str, about["genres"])),
                styles=tuple(map(str, about["styles"])),
                backbone_sha256=str(about["backbone_sha256"]),
                front_end=str(about["front_end"]),
                genre_limit=float(about["genre_limit"]),
                sha256=result,
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
    result = np.empty((len(embedding), WIDTH))
    result[:, :EMBEDDING] = embedding
    result[:, EMBEDDING:] = np.sqrt(np.maximum(heard_tags.astype(np.float64), 0.0))
    return result


def _shipped() -> SongLabels:
    name = os.environ.get(ENVIRONMENT, "")
    if name not in SHIPPED:
        raise InputError(f"${ENVIRONMENT}: must be {OPEN} or empty, got {name!r}")
    return _loaded(*SHIPPED[name])


@cache
def _loaded(file: str, sha256: str) -> SongLabels:
    return SongLabels.load(data_folder() / file, sha256=sha256)


# Each genre and style, and what people write for it; case, spaces, hyphens and accents are ignored.
GENRES = {
    "blues": "blues, 蓝调, 藍調, 布鲁斯, ブルース",
    "classical": """classical, classic music, klassik, clasica, classique, opera, baroque, symphony,
        symphonic, chamber music, orchestral, choral, piano classics, 古典, 交响乐, クラシック""",
    "country": "country, country & western, americana, bluegrass, honky tonk, 乡村, 鄉村",
    "electronic": """electronic, electronica, elektronisch, electronique, electro, edm, dance,
        club dance, trance, drum & bass, dnb, jungle, dubstep, idm, breakbeat, downtempo, chillout,
        trip hop, eurodance, hardstyle, chiptune, 8 bit, synthwave, 电子, 電子, 舞曲""",
    "folk": "folk, folklore, volksmusik, celtic, singer folk, 民谣, 民謠",
    "hiphop": "hip hop, rap, trap, grime, drill, crunk, boom bap, 嘻哈, 说唱, 饒舌, ヒップホップ",
    "jazz": "jazz, swing, bebop, hard bop, big band, dixieland, fusion, 爵士, ジャズ",
    "metal": "metal, metalcore, grindcore, djent, 金属, 重金属, 金屬, メタル",
    "pop": """pop, j pop, jpop, k pop, kpop, c pop, mandopop, cantopop, synthpop, electropop,
        schlager, 流行, 国语, 华语, 粤语, ポップス""",
    "rock": """rock, rock & roll, rocknroll, grunge, shoegaze, britpop, indie, alternative, emo,
        aor, new wave, 摇滚, 搖滾, ロック""",
}
STYLES = {  # the genre that a style is one of, if any, and its names
    "ambient": ("electronic", "ambient, drone, 氛围"),
    "disco": ("", "disco, italo disco, 迪斯科"),
    "funk": ("", "funk, 放克"),
    "house": ("electronic", "house, deep house, 浩室"),
    "latin": (
        "",
        "latin, latino, salsa, bossa nova, samba, cumbia, reggaeton, bachata, tango, 拉丁",
    ),
    "punk": ("rock", "punk, 朋克, 龐克"),
    "reggae": ("", "reggae, dub, dancehall, rocksteady, 雷鬼"),
    "rnb": ("", "r&b, rhythm & blues, contemporary r&b, 节奏布鲁斯, 節奏藍調"),
    "ska": ("", "ska"),
    "soul": ("", "soul, motown, 灵魂"),
    "soundtrack": (
        "",
        """soundtrack, original soundtrack, score, film score, ost, filmmusik, game, video game,
        video game music, anime, bande originale, 原声, 原声带, 影视原声, サウンドトラック""",
    ),
    "techno": ("electronic", "techno, minimal techno, 科技舞曲"),
    "world": ("", "world, world music, ethnic, musiques du monde, 世界音乐"),
}
_BETWEEN = re.compile(r"[;,/|\\\u3001\uff0c\uff1b]")
_AND = re.compile(r"\s*(?:&|\+|\band\b|\b'?n'?\b)\s*")
_WORD = re.compile(r"\w+")
_ENDING = re.compile("(?:音乐|音樂|歌曲|乐|樂)$")


@dataclass(frozen=True, slots=True)
class TaggedGenre:
    """What a genre tag says.

    Attributes
    ----------
    text : str
        The tag as written.
    genres, styles : tuple of str
        Those of `GENRES` and `STYLES` that it names, in its order.
    """

    text: str
    genres: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether it names any of the genres or styles."""
        return bool(self.genres or self.styles)

    def agrees(self, heard: Collection[str], audible: Collection[str]) -> bool | None:
        """Return whether it names one of the labels heard; None if one of the two says nothing.

        `audible` has the styles that could be heard.
        """
        said = {*self.genres, *set(self.styles).intersection(audible)}
        return not said.isdisjoint(heard) if said and heard else None


# Who says what genre a song is: the first who says anything is right, everywhere.
PRECEDENCE = {
    "correction": "corrected by you",
    "tag": "by the file's tag",
    "artist": "by the artist's other songs",
    "head": "by its sound",
    "family": "by its sound",
}
# What a song may be said to be whose genre is unclear: sums of genres and styles.
FAMILIES = {
    "rock or metal": ("rock", "metal"),
    "blues, country or folk": ("blues", "country", "folk"),
    "electronic, hip-hop or pop": ("electronic", "hiphop", "pop", "disco", "reggae"),
}
FAMILY_LIMIT = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedGenre:
    """What a song is stated to be; false if nothing is.

    Attributes
    ----------
    source : str
        Who says it, of `PRECEDENCE`; empty if nothing is stated.
    genres, styles : tuple of str
        Of `GENRES` and `STYLES`; neither, if it is a name of its own or a family.
    words : str
        ``jazz``, ``zydeco``, ``rock or metal``.
    """

    source: str = ""
    genres: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    words: str = ""

    def __bool__(self) -> bool:
        """Whether anything is stated."""
        return bool(self.source)

    @property
    def is_clear(self) -> bool:
        """Whether more than a family is stated."""
        return self.source not in ("", "family")

    def is_one_of(self, names: Collection[str]) -> bool:
        """Whether the song is stated to be one of `names`: genres, styles, the owner's words."""
        own = (self.words,) if self.source == "correction" else ()
        return not {*self.genres, *self.styles, *own}.isdisjoint(names)


NOTHING_STATED = StatedGenre()


def said_genre(tag: TaggedGenre, source: str) -> StatedGenre:
    """Return what a correction, or a tag that names a genre or style, states.

    Examples
    --------
    >>> said_genre(TaggedGenre("Soul", styles=("soul",)), "tag").words
    'soul'
    """
    if not tag.is_known and source != "correction":
        return NOTHING_STATED
    words = (tag.styles or tag.genres or (tag.text,))[0]
    return StatedGenre(source=source, genres=tag.genres, styles=tag.styles, words=words)


def heard_genre(label: SongLabel | None) -> StatedGenre:
    """Return what the sound of a whole song states: genre and styles that are clear, or a family.

    Examples
    --------
    >>> rock = SongLabel(likely={"rock": 1.0}, genre="rock", genre_clear=True, styles=())
    >>> heard_genre(rock).words
    'rock'
    """
    if label is None:
        return NOTHING_STATED
    if label.genre_clear or label.styles:
        genres = (label.genre,) if label.genre_clear else ()
        words = (label.styles or genres)[0]
        return StatedGenre(source="head", genres=genres, styles=label.styles, words=words)
    return StatedGenre(source="family", words=label.family) if label.family else NOTHING_STATED


@lru_cache(maxsize=4_096)
def tagged_genre(text: str | None) -> TaggedGenre | None:
    """Read a genre tag; None without one.

    A tag is split at semicolons, commas and slashes. Of a name that the table lacks, the end
    counts, then the beginning: "symphonic metal", "rap français". What is left over is a name of
    its own, such as "Zydeco", which stays a text.

    Examples
    --------
    >>> tagged_genre("R&B/Soul").styles, tagged_genre("Symphonic Black Metal").genres
    (('rnb', 'soul'), ('metal',))
    >>> tagged_genre("Drum and Bass & Jazz").genres, tagged_genre("摇滚乐").genres
    (('electronic', 'jazz'), ('rock',))
    >>> tagged_genre("Zydeco").is_known
    False
    """
    if not text:
        return None
    result = [name for part in _BETWEEN.split(text) for name in _named(part)]
    genres = [name for name in result if name in GENRES]
    genres += [STYLES[name][0] for name in result if name in STYLES and STYLES[name][0]]
    styles = [name for name in result if name in STYLES]
    return TaggedGenre(text, tuple(dict.fromkeys(genres)), tuple(dict.fromkeys(styles)))


def _named(part: str) -> list[str]:
    """Return the genres and styles of one name: by its last words, or by its first ones."""
    words = left = _words(part)
    result: list[str] = []
    while (start := next((n for n in range(len(left)) if "".join(left[n:]) in _TABLE), -1)) >= 0:
        result.insert(0, _TABLE["".join(left[start:])])
        left = left[: start - 1] if start and left[start - 1] == "n" else []
    firsts = ("".join(words[:stop]) for stop in range(len(words) - 1, 0, -1))
    return result or [_TABLE[name] for name in firsts if name in _TABLE][:1]


def _words(name: str) -> list[str]:
    """Return the words of a name, without case and accents; of Chinese, without "music"."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    words = _WORD.findall(_AND.sub(" n ", unicodedata.normalize("NFKC", plain)).replace("_", " "))
    return [_ENDING.sub("", word) or word for word in words]


def _table() -> dict[str, str]:
    names = {**GENRES, **{style: others for style, (_, others) in STYLES.items()}}
    return {
        "".join(_words(other)): name
        for name, others in names.items()
        for other in (name, *others.split(","))
    }


_TABLE = _table()
