"""Scores in words: the likeliest classes of a song, and when to give none.

    ScoreSeries, Status ──read_scores──▶ `Reading`
    means (H,), segments, Status ──read_means──▶ the same `Reading`, from a store's row

A song that is silent, shorter than three segments, or more likely not music than music gets no
genre.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.files.visible import visible
from audiorec.tagger.vectors import summarise
from audiorec.types import STATISTICS, FloatArray, ScoreSeries, Status

MIN_SEGMENTS = 3  # fewer are not reliable
VOICED = ("vocal", "vocal_accompaniment")
NOT_MUSIC = "other"
PERHAPS = "perhaps not music"
FIRST = 3  # classes shown for a head with more than `FEW`
FEW = 4
EVEN = 0.5  # from this score on, "not music" outweighs all music classes together


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Interpretation of one song's scores.

    Attributes
    ----------
    best : mapping of str to str or None
        The likeliest class of each head; None if it would not be reliable.
    scores : mapping of str to mapping of str to float
        Mean score of each class by head, largest first.
    voiced : float or None
        Share of segments whose likeliest version has a voice; None if segments are not available.
    segments : int
    remark : str
        Why a class is missing or may be wrong; empty otherwise.
    """

    best: Mapping[str, str | None]
    scores: Mapping[str, Mapping[str, float]]
    voiced: float | None
    segments: int
    remark: str = ""

    def __repr__(self) -> str:
        """Return a summary in one line."""
        heads = []
        for head, scores in self.scores.items():
            if self.best.get(head) is not None:
                first = list(scores.items())[: FIRST if len(scores) > FEW else 1]
                named = ", ".join(f"{label} {score:.2f}" for label, score in first)
                heads.append(f"{head} {named}")
        voiced = [] if self.voiced is None else [f"voiced {self.voiced:.2f}"]
        remark = [self.remark] if self.remark else []
        parts = [*heads, *voiced, f"{self.segments} segment{'s' * (self.segments != 1)}", *remark]
        return visible(f"Reading({'; '.join(parts)})")


def read_scores(series: ScoreSeries, status: Status = Status.OK) -> Reading:
    """Interpret a score series.

    Parameters
    ----------
    series : ScoreSeries
        One or more segments.
    status : Status
        Status of the audio.

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
    )


def read_means(
    classes: Sequence[str],
    means: FloatArray,
    *,
    segments: int,
    status: Status = Status.OK,
    voiced: float | None = None,
) -> Reading:
    """Interpret the mean scores of a song, shape (H,), as stored in its vector.

    Examples
    --------
    >>> means = np.array([0.9, 0.1, 0.7, 0.3], np.float32)
    >>> classes = ("version/instrumental", "version/other", "genre/jazz", "genre/pop")
    >>> read_means(classes, means, segments=2).remark
    'only 2 segments of three seconds'
    """
    heads: dict[str, dict[str, float]] = {}
    for name, value in zip(classes, means, strict=True):
        head, _, label = name.partition("/")
        heads.setdefault(head, {})[label] = float(value)
    scores = {h: dict(sorted(s.items(), key=lambda item: -item[1])) for h, s in heads.items()}
    best: dict[str, str | None] = {head: next(iter(s)) for head, s in scores.items()}
    remark = _remark(segments, status, scores.get("version", {}))
    if remark and remark != PERHAPS:
        best = {head: None if head != "version" else label for head, label in best.items()}
    if status is Status.SILENT:
        best = dict.fromkeys(best)
    return Reading(best=best, scores=scores, voiced=voiced, segments=segments, remark=remark)


def voiced_share(classes: Sequence[str], scores: FloatArray) -> float | None:
    """Return the share of segments, rows of (T, H), with a voice; None without a version head."""
    columns = [i for i, name in enumerate(classes) if name.startswith("version/")]
    if not columns:
        return None
    labels = [classes[i].partition("/")[2] for i in columns]
    best = scores[:, columns].argmax(axis=1)
    return float(np.mean([labels[i] in VOICED for i in best]))


def _remark(segments: int, status: Status, version: Mapping[str, float]) -> str:
    if status is Status.SILENT:
        return "silent"
    other = next(iter(version), None) == NOT_MUSIC
    if other and version[NOT_MUSIC] >= EVEN:
        return "not music: speech, noise or other sound"
    if segments < MIN_SEGMENTS:
        return f"only {segments} segment{'s' if segments > 1 else ''} of three seconds"
    return PERHAPS if other else ""
