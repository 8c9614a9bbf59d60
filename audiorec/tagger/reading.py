"""Scores in words: the likeliest classes of a song, when to give none, and its most typical part.

    ScoreSeries, Status ──read_scores──▶ `Reading`
    means (H,), segments, Status ──read_means──▶ the same `Reading`, from a store's row
    ScoreSeries ──typical_part──▶ where the song is most itself: start and end in seconds, of 20 s

A song that is silent, shorter than three segments, or more likely not music than music gets no
genre, unless the owner says that it is music. The genre is the one that is stated
(`audiorec.tagger.song_labels.PRECEDENCE`), or else the likeliest, which is not sure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiorec.errors import InputError
from audiorec.files.visible import visible
from audiorec.tagger.song_labels import (
    CLEAR_SEGMENTS,
    NOTHING_STATED,
    PRECEDENCE,
    SongLabel,
    SongLabels,
    StatedGenre,
    TaggedGenre,
    heard_genre,
    said_genre,
)
from audiorec.tagger.vectors import summarise
from audiorec.tagger.weights import MSD
from audiorec.types import (
    STATISTICS,
    BoolArray,
    Float64Array,
    FloatArray,
    Numbers,
    ScoreSeries,
    Status,
)

MIN_SEGMENTS = 3  # fewer are not reliable
VOICED = ("vocal", "vocal_accompaniment")
NOT_MUSIC = "other"
PERHAPS = "perhaps not music"
TALK = "talk over music"
FIRST = 3  # classes shown for a head with more than `FEW`
FEW = 4
TWO = 2  # genres that an unclear song may have
GENRE, UNCLEAR, SHORT = "genre", "unclear", "too short"
EVEN = 0.5  # from this score on, "not music" outweighs all music classes together
HEAVY_TAGS = ("metal", "heavy metal", "hard rock")
HEAVY = 0.45  # their sum, from which loud distortion is music and no noise
SURELY = 0.9  # the score of "not music" that a tag naming a genre outweighs


def heaviness(tags: Numbers) -> Float64Array:
    """Return the sum of the heavy tags of songs' mean tags (n, 50): shape (n,)."""
    return tags[:, [MSD.tags.index(name) for name in HEAVY_TAGS]].sum(axis=1, dtype=np.float64)


def sounds_other(versions: Numbers, other: int, heavy: Float64Array, named: BoolArray) -> BoolArray:
    """Return which of n songs sound like speech, noise or another sound: shape (n,), bool.

    Parameters
    ----------
    versions : ndarray, shape (n, C)
        Mean scores of the version head.
    other : int
        The column of *other*. It is what a song is from one half on, if it is the highest.
    heavy : ndarray, shape (n,)
        As from `heaviness`: what is heavy is music, whatever the head takes its noise for.
    named : ndarray, shape (n,), bool
        Whether a genre is said of the song, which outweighs all but a sure *other*.
    """
    score = versions[:, other]
    sounds: BoolArray = (versions.argmax(axis=1) == other) & (score >= EVEN)
    return sounds & (heavy < HEAVY) & ~(named & (score < SURELY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Interpretation of one song's scores.

    Attributes
    ----------
    best : mapping of str to str or None
        The class of each head, as the owner says or as is likeliest, and the genre or style that is
        stated; None if it would not be reliable.
    scores : mapping of str to mapping of str to float
        Mean score of each class by head, largest first.
    voiced : float or None
        Share of segments whose likeliest version has a voice; None if segments are not available.
    segments : int
    remark : str
        Why a class is missing or may be wrong; empty otherwise.
    genre_clear : bool or None
        Whether the genre is stated alone; None if there is none, or it is the answer of a head of
        your own, of which nobody measured when it is right.
    stated : StatedGenre
        What is stated as genre, and by whom.
    label : SongLabel or None
        Genre and styles of the whole song; None if they are not known or would not be reliable.
    tagged : TaggedGenre or None
        What the file's own genre tag says; None without one.
    """

    best: Mapping[str, str | None]
    scores: Mapping[str, Mapping[str, float]]
    voiced: float | None
    segments: int
    remark: str = ""
    genre_clear: bool | None = None
    stated: StatedGenre = NOTHING_STATED
    label: SongLabel | None = None
    tagged: TaggedGenre | None = None

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles outside the genres that are stated."""
        return self.stated.styles

    @property
    def likely(self) -> Mapping[str, float]:
        """Genres and styles of the song, or else its genre scores, the likeliest first."""
        if self.best.get(GENRE) is None:
            return {}
        return self.scores[GENRE] if self.label is None else self.label.likely

    def genre_facts(self) -> dict[str, Any]:
        """Return the genre as plain values; empty for a song without one.

        Keys: ``words`` (`genre_words`), ``clear``, ``source`` (who states it, of `PRECEDENCE`),
        ``why`` (the same in words), ``likely`` (what is heard: probabilities of the first three
        genres and styles), ``styles``; `tag_facts` has the file's own.
        """
        if not self.genre_words:
            return {}
        likely = dict(list(self.likely.items())[:FIRST])
        return {
            "words": self.genre_words,
            "clear": self.genre_clear,
            "source": self.stated.source,
            "why": PRECEDENCE.get(self.stated.source, ""),
            "likely": {name: round(value, 4) for name, value in likely.items()},
            "styles": list(self.styles),
        }

    def tag_facts(self) -> dict[str, Any]:
        """Return the file's own genre as plain values; empty without a tag.

        Keys: ``text``, ``genres`` and ``styles`` that it names, ``agrees``.
        """
        if self.tagged is None:
            return {}
        named = {name: list(getattr(self.tagged, name)) for name in ("genres", "styles")}
        return {"text": self.tagged.text, **named, "agrees": self.tag_agrees}

    @property
    def tag_agrees(self) -> bool | None:
        """Whether the file's own genre is what is heard; None if one of the two says nothing."""
        if self.tagged is None or self.label is None:
            return None
        heard = heard_genre(self.label)
        return self.tagged.agrees((*heard.styles, *heard.genres), self.label.likely)

    @property
    def genre_words(self) -> str:
        """What to call the song: ``jazz``, or ``unclear: blues or rock``; empty without a genre.

        A family, ``rock or metal``, where the song is surely one of it; just ``unclear`` if it is
        rather none of the genres and styles; ``too short: blues or rock`` if less than 20 s were
        heard, of which nothing is clear.

        Examples
        --------
        >>> label = SongLabel(
        ...     likely={"rock": 0.5, "blues": 0.4}, genre="rock", genre_clear=False, styles=()
        ... )
        >>> Reading(
        ...     best={"genre": "rock"}, scores={}, voiced=None, segments=9, genre_clear=False,
        ...     label=label,
        ... ).genre_words
        'unclear: rock or blues'
        """
        if self.stated:
            return self.stated.words
        first = list(self.likely)[:TWO]
        if not first or self.genre_clear is not False:
            return "".join(first[:1])
        rather_none = sum(self.likely.values()) < EVEN
        is_short = self.label is not None and self.segments < CLEAR_SEGMENTS
        why = SHORT if is_short else UNCLEAR
        return why if rather_none else f"{why}: {' or '.join(first)}"

    def __repr__(self) -> str:
        """Return a summary in one line."""
        heads = []
        for head, scores in self.scores.items():
            if self.best.get(head) is not None:
                kept = self.likely if head == GENRE else scores
                first = list(kept.items())[: FIRST if len(scores) > FEW else 1]
                named = ", ".join(f"{label} {score:.2f}" for label, score in first)
                unclear = "unclear " if head == GENRE and self.genre_clear is False else ""
                heads.append(f"{unclear}{head} {named}")
        voiced = [] if self.voiced is None else [f"voiced {self.voiced:.2f}"]
        remark = [self.remark] if self.remark else []
        parts = [*heads, *voiced, f"{self.segments} segment{'s' * (self.segments != 1)}", *remark]
        return visible(f"Reading({'; '.join(parts)})")


def read_scores(
    series: ScoreSeries,
    status: Status = Status.OK,
    *,
    label: SongLabel | None = None,
    tagged: TaggedGenre | None = None,
    heavy: float = 0.0,
    is_talk: bool = False,
) -> Reading:
    """Interpret a score series.

    Parameters
    ----------
    series : ScoreSeries
        One or more segments.
    status : Status
        Status of the audio.
    label : SongLabel, optional
        Genre and styles of the whole song.
    tagged : TaggedGenre, optional
        What the file's own genre tag says.
    heavy : float
        As from `heaviness`.
    is_talk : bool
        Whether people talk over the music (`audiorec.words.labels.talks`).

    Examples
    --------
    >>> scores = np.array([[0.9, 0.1, 0.7, 0.3]] * 4, np.float32)
    >>> classes = ("version/instrumental", "version/other", "genre/jazz", "genre/pop")
    >>> reading = read_scores(ScoreSeries(scores, np.arange(4, dtype=np.float32), classes))
    >>> reading.best, reading.remark
    ({'version': 'instrumental', 'genre': 'jazz'}, '')
    """
    # Means as in the vector, so that a store's row gives the same result.
    means = summarise(series.scores).reshape(-1, len(STATISTICS))[:, STATISTICS.index("mean")]
    return read_means(
        series.classes,
        means,
        segments=len(series),
        status=status,
        voiced=voiced_share(series.classes, series.scores),
        label=label,
        tagged=tagged,
        heavy=heavy,
        is_talk=is_talk,
    )


def read_means(
    classes: Sequence[str],
    means: FloatArray,
    *,
    segments: int,
    status: Status = Status.OK,
    voiced: float | None = None,
    label: SongLabel | None = None,
    tagged: TaggedGenre | None = None,
    said: StatedGenre | None = None,
    heavy: float = 0.0,
    is_talk: bool = False,
    is_music: bool | None = None,
    version: str | None = None,
) -> Reading:
    """Interpret the mean scores of a song, shape (H,), as stored in its vector.

    What the owner says is right: `said` of the genre (by default what the tag says), `is_music`,
    `version`.

    Examples
    --------
    >>> means = np.array([0.9, 0.1, 0.7, 0.3], np.float32)
    >>> classes = ("version/instrumental", "version/other", "genre/jazz", "genre/pop")
    >>> read_means(classes, means, segments=2).remark
    'only 2 segments of three seconds'
    """
    heads: dict[str, dict[str, float]] = {}
    for name, value in zip(classes, means, strict=True):
        head, _, word = name.partition("/")
        heads.setdefault(head, {})[word] = float(value)
    scores = {h: dict(sorted(s.items(), key=lambda item: -item[1])) for h, s in heads.items()}
    best: dict[str, str | None] = {head: next(iter(s)) for head, s in scores.items()}
    said = said or (NOTHING_STATED if tagged is None else said_genre(tagged, "tag"))
    remark = _remark(segments, status, scores.get("version", {}), heavy, named=bool(said))
    if is_talk and remark in ("", PERHAPS) and best.get("version") != VOICED[0]:
        remark = TALK
    if is_music is not None:
        remark = "" if is_music else SAID_NO_MUSIC
    if version in scores.get("version", ()):
        best["version"] = version
    elif not remark and best.get("version") == NOT_MUSIC:  # music that sounds like noise
        best["version"] = next(name for name in scores["version"] if name != NOT_MUSIC)
    if remark and remark != PERHAPS:
        best = {head: None if head != "version" else word for head, word in best.items()}
    if status is Status.SILENT and not is_music:
        best = dict.fromkeys(best)
    clear: bool | None = None
    stated, is_genre = NOTHING_STATED, bool(best.get(GENRE))
    label = label if is_genre else None
    if label is not None:
        best[GENRE] = label.genre
    if is_genre:
        stated = said or (heard_genre(label) if not remark else stated)
        if stated.is_clear:
            best[GENRE] = stated.words
        if stated or SongLabels.shipped().fits(classes):
            clear = stated.is_clear
    return Reading(
        best=best,
        scores=scores,
        voiced=voiced,
        segments=segments,
        remark=remark,
        genre_clear=clear,
        stated=stated,
        label=label,
        tagged=tagged,
    )


def voiced_share(classes: Sequence[str], scores: FloatArray) -> float | None:
    """Return the share of segments, rows of (T, H), with a voice; None without a version head."""
    columns = [i for i, name in enumerate(classes) if name.startswith("version/")]
    if not columns:
        return None
    labels = [classes[i].partition("/")[2] for i in columns]
    best = scores[:, columns].argmax(axis=1)
    return float(np.mean([labels[i] in VOICED for i in best]))


SAID_NO_MUSIC = "not music: as you say"


def _remark(
    segments: int, status: Status, version: Mapping[str, float], heavy: float, *, named: bool
) -> str:
    if status is Status.SILENT:
        return "silent"
    other = next(iter(version), None) == NOT_MUSIC
    if other:
        scores = np.asarray([list(version.values())])
        if sounds_other(scores, 0, np.asarray([heavy]), np.asarray([named]))[0]:
            return "not music: speech, noise or other sound"
    if segments < MIN_SEGMENTS:
        return f"only {segments} segment{'s' if segments > 1 else ''} of three seconds"
    is_rescued = named or heavy >= HEAVY
    return PERHAPS if other and not is_rescued else ""


PART_S = 20.0
ALIVE = 0.5  # what the score of silence, speech and noise takes away


def typical_part(
    series: ScoreSeries, *, duration_s: float, part_s: float = PART_S
) -> tuple[float, float]:
    """Return the part of a song that is most like the whole, in seconds.

    A moment is typical if it is like most other moments of the song, and alive if it is unlike
    silence and noise: intros, breaks and endings lose. Two moments are alike by the product of the
    roots of their scores (Bhattacharyya), of which the mean over the song is taken.

    Parameters
    ----------
    series : ScoreSeries
    duration_s : float
        Of the song.
    part_s : float
        Length of the part; the whole song if it is shorter.

    Returns
    -------
    start_s, end_s : float
        The earliest part among equals.

    Raises
    ------
    InputError
        If `part_s` is not positive.

    Examples
    --------
    >>> rows = [[1.0, 0.0]] * 2 + [[0.2, 0.8]] * 8
    >>> song = ScoreSeries(
    ...     np.array(rows, np.float32), 3 * np.arange(10, dtype=np.float32), ("g/a", "g/b")
    ... )
    >>> typical_part(song, duration_s=30.0, part_s=12.0)
    (6.0, 18.0)
    """
    if not part_s > 0:
        raise InputError(f"a part must be longer than 0 seconds, got {part_s}")
    starts = series.start_s.astype(np.float64)
    last = max(0.0, duration_s - part_s)
    begins = starts[starts <= last + 1e-6]
    if not len(begins):
        return 0.0, min(part_s, duration_s)
    inside = (starts >= begins[:, None] - 1e-6) & (starts < begins[:, None] + part_s - 1e-6)
    worth = inside @ _worth(series) / inside.sum(axis=1)
    best = begins[int(np.argmax(worth.round(9)))]
    return float(best), float(min(best + part_s, duration_s))


def _worth(series: ScoreSeries) -> Float64Array:
    """Return how typical and alive each segment is: (T,)."""
    roots = np.sqrt(series.scores.astype(np.float64).clip(0))
    noise = [i for i, name in enumerate(series.classes) if name.endswith(f"/{NOT_MUSIC}")]
    return roots @ roots.mean(axis=0) - ALIVE * series.scores[:, noise].sum(axis=1)
