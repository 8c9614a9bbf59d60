"""Say how close two songs are, and why they go together: by facts that are true of both.

    store, rows ──FactReader.of_rows──▶ [`SureFacts`, ...]   one for each row
    facts of two songs, `Usual` ──reasons_for──▶ [`Reason`, ...] ──sentence──▶ "both reggae, ..."
    space, rows ──Closeness.of──▶ `Closeness` ──closer_than──▶ share of pairs that are less similar

Nothing is said where nothing is certain: every part of a reason can be checked against the store.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from audiorec.search.music import HEAD, is_music, why_vector_not_music
from audiorec.search.space import Space
from audiorec.search.stored_labels import has_labels, stated_genres
from audiorec.store.schema import GENRE_TAG
from audiorec.store.store import VectorStore
from audiorec.tagger.reading import heaviness
from audiorec.tagger.song_labels import (
    SongLabel,
    SongLabels,
    StatedGenre,
    TaggedGenre,
    heard_genre,
    said_genre,
    tagged_genre,
)
from audiorec.tagger.weights import MSD
from audiorec.types import (
    SCALES,
    TONICS,
    BoolArray,
    Float64Array,
    FloatArray,
    Int64Array,
    Numbers,
    normalised_name,
)

Version = Literal["", "instrumental", "voice", "voice alone"]
Singer = Literal["", "woman", "man"]
OF_CLASS: Mapping[str, Version] = {
    "vocal": "voice alone",
    "instrumental": "instrumental",
    "vocal_accompaniment": "voice",
}

SURE = 0.9  # confidence of a tempo or a key; of those above it nine in ten are right
# Mean scores of the version head, and of its two classes with a voice together.
INSTRUMENTAL, VOICED, ALONE = 0.75, 0.7, 0.6
# Mean of the backbone's tag "female vocalists" in songs with voice and instruments.
WOMAN, MAN = 0.12, 0.05
EMBEDDING, TAGS = "embedding", "heard_tags"
WOMAN_TAG = MSD.tags.index("female vocalists")


@dataclass(frozen=True, slots=True, kw_only=True)
class SureFacts:
    """What is certain about one song; a fact that is not certain is empty or None.

    Reasons and names of playlists are made of these facts, so each has a limit in absolute terms:
    it depends on the song alone, not on the library. A song that is not music has its tags only.
    How often facts are right: docs/decisions/0059.

    Attributes
    ----------
    artist : str
        As its tag has it.
    year : int or None
        From a column ``year`` of the store.
    genre : str
        One of the ten, as it is stated (`audiorec.search.stored_labels`); empty if none is.
    styles : tuple of str
        The same.
    version : {"", "instrumental", "voice", "voice alone"}
    singer : {"", "woman", "man"}
        Whose voice it is; only of a voice with instruments.
    bpm : float or None
        Right within 4 %, at the level that people tap.
    key, scale : str
    loudness_lufs : float or None
    """

    artist: str = ""
    year: int | None = None
    genre: str = ""
    styles: tuple[str, ...] = ()
    version: Version = ""
    singer: Singer = ""
    bpm: float | None = None
    key: str = ""
    scale: str = ""
    loudness_lufs: float | None = None


class _Heard(NamedTuple):
    """What is known of n whole songs.

    `women` (n,) is the mean of the tag of women's voices, NaN for a song without; `versions` are
    those that the owner corrected, by place.
    """

    music: BoolArray
    women: FloatArray
    stated: Callable[[int], StatedGenre]
    versions: Mapping[int, str]


class FactReader:
    """Reads what is certain about songs of a store, and about others, for several calls.

    What networks heard is read once, for all.
    """

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def of_rows(self, rows: Sequence[int] | Int64Array) -> list[SureFacts]:
        """Return what is certain about some songs, in the order of `rows`."""
        numbers = np.asarray(rows, np.int64)
        if not len(numbers):
            return []
        songs, vectors = self._store.rows(numbers.tolist()), self._store.read_rows(numbers)
        return self._facts(songs, vectors, self._heard, numbers)

    def of_songs(
        self,
        songs: Sequence[Mapping[str, Any]],
        vectors: FloatArray,
        lists: Mapping[str, Numbers],
    ) -> list[SureFacts]:
        """Return what is certain about songs that were extracted like those of the store.

        Parameters
        ----------
        songs : sequence of mapping
            Their columns; those that are missing are unknown.
        vectors : ndarray, shape (n, V)
        lists : mapping of str to ndarray, shape (n, W)
            Lists beside the vector, by column; empty for songs without.
        """
        women = np.full(len(songs), np.nan, np.float32)
        if TAGS in lists:
            women = _women(lists[TAGS])
        labels: list[SongLabel | None] = [None] * len(songs)
        if has_labels(self._store) and {EMBEDDING, TAGS} <= lists.keys():
            segments = np.asarray([song.get("segments") or 0 for song in songs], np.int64)
            head = SongLabels.shipped()
            found = head.of(lists[EMBEDDING], lists[TAGS]).heard_long(segments)
            labels = [head.label(found, n) for n in range(len(songs))]
        tags = [tagged_genre(song.get(GENRE_TAG)) or TaggedGenre("") for song in songs]
        stated = [
            said_genre(tag, "tag") or heard_genre(label)
            for tag, label in zip(tags, labels, strict=True)
        ]
        heavy = heaviness(lists[TAGS]) if TAGS in lists else np.zeros(len(songs))
        music = [
            not why_vector_not_music(self._store, vector, song, weight)
            for vector, song, weight in zip(vectors, songs, heavy, strict=True)
        ]
        heard = _Heard(np.asarray(music, np.bool_), women, stated.__getitem__, {})
        return self._facts(songs, vectors, heard, np.arange(len(songs)))

    @cached_property
    def _heard(self) -> _Heard:
        """What is known of all songs of the store, read in blocks."""
        store = self._store
        women = np.full(len(store), np.nan, np.float32)
        if TAGS in store.metadata.lists:
            for there, tags in store.list_blocks(TAGS):
                women[there] = _women(tags)
        stated = stated_genres(store).of
        return _Heard(is_music(store), women, stated, store.corrections["version"])

    def _facts(
        self,
        songs: Sequence[Mapping[str, Any]],
        vectors: FloatArray,
        heard: _Heard,
        places: Int64Array,
    ) -> list[SureFacts]:
        means = self._store.metadata.mean_columns(HEAD)
        facts = []
        for n, (song, place) in enumerate(zip(songs, places.tolist(), strict=True)):
            tags = _tagged_facts(song)
            if not heard.music[place]:
                facts.append(tags)
                continue
            version = _version({name: float(vectors[n, at]) for name, at in means.items()})
            version = OF_CLASS.get(heard.versions.get(place, ""), version)
            singer = _singer(version, float(heard.women[place]))
            genre = _genre(heard.stated(place))
            facts.append(replace(tags, version=version, singer=singer, **genre, **_measured(song)))
        return facts


def _genre(stated: StatedGenre) -> dict[str, Any]:
    """Return the genre and the styles that are stated; a family is no fact."""
    return {"genre": "".join(stated.genres[:1]), "styles": stated.styles}


def _women(tags: Numbers) -> FloatArray:
    """Return the tag of women's voices of the tags (n, 50); NaN of those of another network."""
    if tags.shape[1] != len(MSD.tags):
        return np.full(len(tags), np.nan, np.float32)
    return tags[:, WOMAN_TAG].astype(np.float32)


def _tagged_facts(song: Mapping[str, Any]) -> SureFacts:
    year = song.get("year")
    return SureFacts(
        artist=" ".join((song.get("artist") or "").split()),
        year=year if isinstance(year, int) else None,
    )


def _measured(song: Mapping[str, Any]) -> dict[str, Any]:
    """Return tempo and key, where they are certain, and loudness."""
    bpm, key, scale = song.get("bpm") or 0.0, song.get("key"), song.get("scale")
    has_beat = bpm > 0 and (song.get("bpm_confidence") or 0.0) >= SURE
    has_beat &= song.get("bpm_other") is None
    in_key = (song.get("key_confidence") or 0.0) >= SURE and key in TONICS and scale in SCALES
    return {
        "bpm": float(bpm) if has_beat else None,
        "key": str(key) if in_key else "",
        "scale": str(scale) if in_key else "",
        "loudness_lufs": song.get("loudness_lufs"),
    }


def _version(means: Mapping[str, float]) -> Version:
    alone = means.get("vocal", 0.0)
    if alone >= ALONE:
        return "voice alone"
    if means.get("instrumental", 0.0) >= INSTRUMENTAL:
        return "instrumental"
    return "voice" if alone + means.get("vocal_accompaniment", 0.0) >= VOICED else ""


def _singer(version: Version, woman: float) -> Singer:
    """Say whose voice is heard; the tag takes a voice alone for a woman's."""
    if version != "voice":
        return ""
    return "woman" if woman >= WOMAN else "man" if woman <= MAN else ""


Kind = Literal["artist", "year", "genre", "style", "version", "singer", "tempo", "key", "loudness"]
Value = str | float | None
MEASURED: tuple[Kind, ...] = ("tempo", "loudness")  # of two songs, hardly ever of two others
MOST_PARTS = 3
COMMON = 0.5  # what more of the library have is no reason
NEAR_TEMPO = 1.04  # ratio of two tempos that are alike
QUIET, LOUD = -23.0, -8.0  # LUFS: below the level of broadcasts; as loud as records get
OTHER_LEVEL = 8.0  # dB
RELATIVE = 3  # semitones from a minor key up to its relative major
WORDS = {"hiphop": "hip-hop", "rnb": "R&B", "voice": "with a voice", "voice alone": "a voice alone"}
SINGERS = {"woman": "a woman's voice", "man": "a man's voice"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that two songs have in common, or one in which they differ.

    Attributes
    ----------
    kind : str
        What is compared; see `Kind`.
    words : str
        For a reader, as part of a sentence.
    values : tuple
        What the first song has, and what the second.
    share : float or None
        Share of the library's songs that have it too, 0 to 1; None for a difference.
    """

    kind: Kind
    words: str
    values: tuple[Value, Value]
    share: float | None = None

    @property
    def in_common(self) -> bool:
        """Whether both songs have it."""
        return self.share is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the reason as JSON values; numbers are rounded to three places."""

        def plain(value: Any) -> Any:
            return round(value, 3) if isinstance(value, float) else value

        fields = {name: plain(value) for name, value in asdict(self).items()}
        return {**fields, "values": [plain(value) for value in self.values]}


@dataclass(frozen=True, slots=True)
class Usual:
    """Facts of a library's songs, or of a sample of them: how rare is what two songs share."""

    songs: Sequence[SureFacts]
    _counted: dict[tuple[str, str] | None, float] = field(
        default_factory=dict, repr=False, compare=False
    )

    def share(self, fact: "_InCommon") -> float:
        """Return the share of songs that have a fact, 0 to 1; names are counted once."""
        named = (fact.kind, fact.words) if fact.kind not in MEASURED else None
        if named in self._counted:
            return self._counted[named]
        share = sum(map(fact.has, self.songs)) / max(1, len(self.songs))
        if named is not None:
            self._counted[named] = share
        return share


@dataclass(frozen=True, slots=True)
class _InCommon:
    """A fact of both songs, and whether any song has it."""

    kind: Kind
    words: str
    values: tuple[Value, Value]
    has: Callable[[SureFacts], bool]


def reasons_for(first: SureFacts, second: SureFacts, usual: Usual) -> tuple[Reason, ...]:
    """Return what two songs have in common, the rarest first, then what sets them apart.

    What all songs of the library have is no reason. A difference is the one that is heard most, if
    any. There are no more than three parts.

    Examples
    --------
    >>> one = SureFacts(genre="jazz", version="instrumental", bpm=120.0, loudness_lufs=-12.0)
    >>> other = SureFacts(genre="jazz", version="voice", singer="woman", bpm=122.0)
    >>> library = Usual([one, other, *[SureFacts(genre="rock")] * 8])
    >>> sentence(reasons_for(one, other, library))
    'both jazz, 120 and 122 BPM; but with a voice'
    """
    result = [
        Reason(
            kind=one.kind,
            words=one.words,
            values=one.values,
            share=usual.share(one),
        )
        for one in _in_common(first, second)
    ]
    rare = sorted((r for r in result if r.share is not None and r.share <= COMMON), key=_rarity)
    apart = next(_apart(first, second), None)
    if apart is None:
        return tuple(rare[:MOST_PARTS])
    return (*rare[: MOST_PARTS - 1], apart)


def sentence(reasons: Sequence[Reason]) -> str:
    """Return reasons as one sentence; empty if the songs have nothing certain in common.

    Examples
    --------
    >>> both = [
    ...     Reason(kind="style", words="both reggae", values=("reggae", "reggae"), share=0.1),
    ...     Reason(kind="version", words="both instrumental", values=("", ""), share=0.3),
    ... ]
    >>> sentence(both)
    'both reggae, instrumental'
    """
    shared = [reason.words for reason in reasons if reason.in_common]
    if not shared:
        return ""
    parts = list(shared[:1])
    for words in shared[1:]:
        again = any(one.startswith("both ") for one in parts)
        parts.append(words.removeprefix("both ") if again else words)
    apart = [reason.words for reason in reasons if not reason.in_common]
    return "; but ".join([", ".join(parts), *apart])


def _rarity(reason: Reason) -> float:
    return 1.0 if reason.share is None else reason.share


def _in_common(first: SureFacts, second: SureFacts) -> Iterator[_InCommon]:
    """Yield what is true of both songs."""
    yield from _tags_in_common(first, second)
    kinds: tuple[Kind, ...] = ("genre", "version")
    for kind in kinds:
        value = getattr(first, kind)
        said = kind == "version" and first.singer == second.singer != ""  # the singer says it
        if value and value == getattr(second, kind) and not said:
            words = f"both {word(value)}"
            yield _InCommon(kind, words, (value, value), _equals(kind, value))
    for style in (style for style in first.styles if style in second.styles):
        yield _InCommon("style", f"both {word(style)}", (style, style), _has_style(style))
    if first.singer and first.singer == second.singer:
        both = (first.singer, second.singer)
        yield _InCommon("singer", SINGERS[first.singer], both, _equals("singer", first.singer))
    yield from _numbers_in_common(first, second)


def _tags_in_common(first: SureFacts, second: SureFacts) -> Iterator[_InCommon]:
    name = normalised_name(first.artist)
    if name and name == normalised_name(second.artist):
        both = (first.artist, second.artist)
        yield _InCommon(
            "artist", f"both by {first.artist}", both, lambda s: normalised_name(s.artist) == name
        )
    if first.year and first.year == second.year:
        year = first.year
        yield _InCommon("year", f"both of {year}", (year, year), _equals("year", year))


def _numbers_in_common(first: SureFacts, second: SureFacts) -> Iterator[_InCommon]:
    if first.bpm and second.bpm and _ratio(first.bpm, second.bpm) <= NEAR_TEMPO:
        a, b = first.bpm, second.bpm
        words = f"{a:.0f} and {b:.0f} BPM" if round(a) != round(b) else f"both {a:.0f} BPM"
        yield _InCommon("tempo", words, (a, b), lambda s: _near_tempo(s.bpm, a, b))
    one, other = _key_name(first), _key_name(second)
    if one and one == other:
        same = _equals("key", first.key), _equals("scale", first.scale)
        yield _InCommon("key", f"both in {one}", (one, other), lambda s: all(f(s) for f in same))
    elif one and other and _relative(first) == _relative(second):
        pitch = _relative(first)
        words = f"in the relative keys {one} and {other}"
        yield _InCommon("key", words, (one, other), lambda s: bool(s.key) and _relative(s) == pitch)
    both = (first.loudness_lufs, second.loudness_lufs)
    levels = f"({_level(first):.0f} and {_level(second):.0f} LUFS)"
    is_near = abs(_level(first) - _level(second)) < OTHER_LEVEL
    for name, has in (("quiet", _is_quiet), ("loud", _is_loud)):
        if is_near and has(first) and has(second):
            yield _InCommon("loudness", f"both {name} {levels}", both, has)


def _apart(first: SureFacts, second: SureFacts) -> Iterator[Reason]:
    """Yield in what the second song differs from the first, what is heard most first."""
    if first.version and second.version and first.version != second.version:
        versions = (first.version, second.version)
        yield Reason(kind="version", words=word(second.version), values=versions)
    if first.singer and second.singer and first.singer != second.singer:
        singers = (first.singer, second.singer)
        yield Reason(kind="singer", words=SINGERS[second.singer], values=singers)
    alike = set(first.styles) & set(second.styles)
    if first.genre and second.genre and first.genre != second.genre and not alike:
        words = f"{word(second.genre)}, not {word(first.genre)}"
        yield Reason(kind="genre", words=words, values=(first.genre, second.genre))
    # No word of another tempo: one of the two may be twice, or half, of what people tap.
    rise = _level(second) - _level(first)
    if abs(rise) >= OTHER_LEVEL:
        words = f"{abs(rise):.0f} dB {'louder' if rise > 0 else 'quieter'}"
        yield Reason(
            kind="loudness", words=words, values=(first.loudness_lufs, second.loudness_lufs)
        )


def word(label: str) -> str:
    """Return a class, a style or a version as part of a sentence.

    Examples
    --------
    >>> word("hiphop"), word("voice alone"), word("jazz")
    ('hip-hop', 'a voice alone', 'jazz')
    """
    return WORDS.get(label, label.replace("_", " "))


def _equals(name: str, value: Value) -> Callable[[SureFacts], bool]:
    return lambda song: bool(getattr(song, name) == value)


def _has_style(style: str) -> Callable[[SureFacts], bool]:
    return lambda song: style in song.styles


def _ratio(one: float, other: float) -> float:
    return max(one, other) / min(one, other)


def _near_tempo(bpm: float | None, one: float, other: float) -> bool:
    return bpm is not None and max(_ratio(bpm, one), _ratio(bpm, other)) <= NEAR_TEMPO


def _level(song: SureFacts) -> float:
    """Return the loudness in LUFS, NaN if it is unknown: every comparison with it fails."""
    return np.nan if song.loudness_lufs is None else song.loudness_lufs


def _is_quiet(song: SureFacts) -> bool:
    return _level(song) <= QUIET


def _is_loud(song: SureFacts) -> bool:
    return _level(song) >= LOUD


def _key_name(song: SureFacts) -> str:
    return f"{song.key} {song.scale}" if song.key else ""


def _relative(song: SureFacts) -> int:
    """Return the tonic of a song's key if it were major: A minor and C major are 0."""
    place = TONICS.index(song.key) + (RELATIVE if song.scale == SCALES[1] else 0)
    return place % len(TONICS)


SONGS = 1_000  # songs of the sample: half a million pairs
ROUNDING = 1e-5  # of a similarity: a pair of the sample is not below itself
MOST = 0.999  # said of a pair that is closer than all of the sample


@dataclass(frozen=True, slots=True, eq=False)
class Closeness:
    """The similarities of sampled pairs of a library, ascending: shape (P,), float32.

    A similarity of 0.8 is much in one space and little in another, so people are told how many
    pairs of their library are less similar. The sample of songs is the same every time; the share
    is off by two points at most.
    """

    similarities: FloatArray

    @classmethod
    def of(cls, space: Space, rows: Int64Array) -> "Closeness":
        """Sample pairs of some songs of a space, given by their rows in the store."""
        if len(rows) > SONGS:
            rows = np.sort(np.random.default_rng(0).choice(rows, SONGS, replace=False))
        units = space.units(rows)
        pairs = (units @ units.T)[np.triu_indices(len(rows), 1)]
        return cls(np.sort(pairs))

    def closer_than(self, similarities: FloatArray | Float64Array) -> Float64Array:
        """Return the share of pairs that are less similar, 0 to 1; NaN if there are no pairs.

        Examples
        --------
        >>> Closeness(np.float32([-0.2, 0.1, 0.4, 0.8])).closer_than(np.float32([0.5, -1])).tolist()
        [0.75, 0.0]
        """
        if not len(self.similarities):
            return np.full(np.shape(similarities), np.nan)
        wanted = np.asarray(similarities, np.float32) - np.float32(ROUNDING)
        below = np.searchsorted(self.similarities, wanted)
        return np.asarray(below / len(self.similarities), np.float64)


def percent_words(share: float) -> str:
    """Return a share of pairs in percent, rounded down; empty for NaN.

    Examples
    --------
    >>> [percent_words(share) for share in (0.9973, 1.0, 0.876, 0.0)]
    ['99.7 %', '99.9 %', '87 %', '0 %']
    """
    if np.isnan(share):
        return ""
    capped = min(share, MOST) + 1e-9  # 0.29 * 100 is less than 29
    return f"{int(1000 * capped) / 10} %" if capped >= 0.99 else f"{int(100 * capped)} %"
