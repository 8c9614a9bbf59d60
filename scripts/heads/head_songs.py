"""What the head for whole songs learns from: one row per recording, of what a store would hold.

A recording is a GTZAN clip, a piece of another maker (`head_outside`), or a sound that is no music.
443 more tracks of GTZAN are known by their published tags alone. The tags are a linear map of the
network's last layer and a sigmoid, so much of the layer can be told from them: it is estimated
by a ridge regression learnt on the recordings at hand. This is worth more than any other
choice here (`docs/decisions/0058-genre-of-songs.md`).

The classes are the ten genres, the styles outside them of which labelled songs are at hand (disco
and reggae), and none of these: speech, noise, opera. All answers are compared with each other,
so a song of another kind need not be called a genre.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from head_data import OTHER
from head_features import Table
from head_genre import FOLK, FOLK_SHARE, GENRES, folk_tag
from head_gtzan import GTZAN_GENRES, ROWS_PER_SEGMENT, Taggrams, artists_of, balanced
from head_linear import SoftmaxRegression, fit_linear, fit_softmax_regression
from head_outside import Maker, is_loop
from head_yardstick import GENRE_RECIPE
from scipy.optimize import minimize_scalar

from audiorec.labelling.train import grouped_folds
from audiorec.spec import FeatureSpec
from audiorec.tagger.heads import softmax
from audiorec.tagger.song_labels import CLEAR_SEGMENTS, CLIP, EMBEDDING, SongLabels, columns
from audiorec.tagger.vectors import BLOCKS, shipped_sound
from audiorec.tagger.weights import MSD
from audiorec.types import Float64Array, Int64Array

STYLES = ("disco", "reggae")  # outside the ten, of the labelled lists
CLASSES = (*GENRES, *STYLES, "none")
NONE = len(CLASSES) - 1
L2 = 2.0
RIDGE = 30.0  # of the estimate of an embedding, in rows
SMALLEST = 1e-4  # a tag's probability; a smaller one is noise
FOLDS = 5
WHOLE, PART = 10_000, CLEAR_SEGMENTS  # segments of a row
LOOP_WEIGHT = 0.25
# Makers of the pieces that only this head reads (`head_packages.TAGGED`).
TAGGED_MAKERS = (
    Maker(corpus="cello", genre="classical"),
    Maker(corpus="eliminator", genre="classical"),
    Maker(corpus="flute", genre="classical"),
    Maker(corpus="hasi50", genre="folk"),
    Maker(corpus="middle-finger", genre="metal"),
    Maker(corpus="tgfcoder", genre="blues"),
    Maker(corpus="k-pone", genre="rock", marks=("Motorway", "TheSkylands")),
    Maker(corpus="k-pone", genre="electronic", marks=("Cocktail",)),
    Maker(corpus="askyel", genre="electronic"),
    Maker(corpus="dj-helium", genre="electronic"),
    Maker(corpus="parapraxis", genre="electronic"),
)
NO_GENRE = ("jingju_arias",)  # music outside the ten
StrArray = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SongRows:
    """n recordings.

    Attributes
    ----------
    columns : ndarray, shape (n, 674), float64
        As `audiorec.tagger.song_labels.columns` makes them; the embedding is NaN where only the
        tags are known.
    genre : ndarray, shape (n,), int64
        Index in `CLASSES`.
    segments : ndarray, shape (n,), int64
    corpus, group, track : ndarray, shape (n,), str
        What is left out together: a maker or an artist is a group.
    """

    columns: Float64Array
    genre: Int64Array
    segments: Int64Array
    corpus: StrArray
    group: StrArray
    track: StrArray

    def __len__(self) -> int:
        return len(self.genre)

    def rows(self, keep: npt.NDArray[Any]) -> "SongRows":
        """Return the rows of a mask or of indices."""
        return SongRows(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})

    @property
    def tags(self) -> Float64Array:
        """Mean tags, (n, 50)."""
        return np.square(self.columns[:, EMBEDDING:])


def joined(parts: Sequence[SongRows]) -> SongRows:
    """Stack rows."""
    names = [f.name for f in fields(SongRows)]
    return SongRows(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def recordings(table: Table, genre: Int64Array, group: StrArray, *, part: int = WHOLE) -> SongRows:
    """Return one row per track of a table; `genre` and `group` are of its rows.

    `part` is how many segments make a row: a song's quiet bridge has its genre too.
    """
    name = np.char.add(np.char.add(table.corpus, "|"), table.track)
    _, start, of_track = np.unique(name, return_index=True, return_inverse=True)
    place = np.arange(len(table)) - start[of_track]  # a track's segments follow each other
    _, first, number = np.unique(
        np.stack([of_track, place // part]), axis=1, return_index=True, return_inverse=True
    )
    sums = np.bincount(number)[:, None].astype(np.float64)

    def means(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        total = np.zeros((len(first), values.shape[1]))
        np.add.at(total, number, values)
        return (total / sums).astype(np.float32)

    embedding = shipped_sound().embedding(*(means(getattr(table.msd, b)) for b in BLOCKS))
    return SongRows(
        columns=columns(embedding, means(table.msd.tags).astype(np.float16)),
        genre=genre[first],
        segments=np.bincount(number),
        corpus=table.corpus[first],
        group=group[first],
        track=table.track[first],
    )


def of_gtzan(table: Table, data: Path, *, part: int = WHOLE) -> SongRows:
    """Return the rows of GTZAN clips; an artist is a group."""
    kind, track = np.array([name.split("/") for name in table.track]).T
    genre = np.array([CLASSES.index(name) for name in kind], np.int64)
    return recordings(table, genre, artists_of(data, track), part=part)


def of_taggrams(taggrams: Taggrams) -> SongRows:
    """Return one row per track of which only the tags are known."""
    tracks, first = np.unique(taggrams.track, return_index=True)
    mean = np.array([taggrams.tags[taggrams.track == track].mean(axis=0) for track in tracks])
    rows = np.array([np.count_nonzero(taggrams.track == track) for track in tracks])
    known = columns(np.full((len(tracks), EMBEDDING), np.nan), mean.astype(np.float16))
    return SongRows(
        columns=known,
        genre=np.array([CLASSES.index(GTZAN_GENRES[i]) for i in taggrams.genre[first]], np.int64),
        segments=rows // ROWS_PER_SEGMENT,
        corpus=np.full(len(tracks), "taggrams"),
        group=taggrams.artist[first],
        track=tracks,
    )


def of_pieces(table: Table, genre: StrArray, *, part: int = WHOLE) -> SongRows:
    """Return the rows of other makers' pieces; a maker is a group."""
    index = np.array([GENRES.index(name) for name in genre], np.int64)
    return recordings(table, index, table.corpus, part=part)


def of_music(table: Table) -> SongRows:
    """Return the rows of music whose genre nobody named."""
    return recordings(table, np.full(len(table), NONE), table.corpus)


def of_sounds(table: Table) -> SongRows:
    """Return the rows of what is none of the ten: speech, noise, music of other kinds."""
    known = table.rows((table.label == OTHER) | np.isin(table.corpus, NO_GENRE))
    return recordings(known, np.full(len(known), NONE), known.corpus)


def with_embedding(rows: SongRows, known: SongRows) -> SongRows:
    """Return rows whose embedding, where it is not known, is estimated from the tags.

    `known` are the recordings that teach the estimate.
    """
    absent = np.isnan(rows.columns[:, 0])
    if not absent.any():
        return rows
    heard = known.rows(~np.isnan(known.columns[:, 0]))
    x, layer = _log_odds(heard.tags), heard.columns[:, :EMBEDDING]
    centre, scale, mean = x.mean(axis=0), x.std(axis=0) + 1e-6, layer.mean(axis=0)
    z = (x - centre) / scale
    weight = np.linalg.solve(z.T @ z + RIDGE * np.eye(z.shape[1]), z.T @ (layer - mean))
    filled = rows.columns.copy()
    filled[absent, :EMBEDDING] = (_log_odds(rows.tags[absent]) - centre) / scale @ weight + mean
    return SongRows(**{f.name: getattr(rows, f.name) for f in fields(rows)} | {"columns": filled})


def _log_odds(tags: Float64Array) -> Float64Array:
    inside = np.clip(tags, SMALLEST, 1 - SMALLEST)
    found: Float64Array = np.log(inside / (1 - inside))
    return found


def targets(rows: SongRows) -> Float64Array:
    """Return what each row should be answered, (n, 13): a song of a genre may be folk in part."""
    found = np.eye(len(CLASSES))[rows.genre]
    is_one = rows.genre < len(GENRES)
    share = np.where(is_one, np.minimum(folk_tag(rows.tags), FOLK_SHARE), 0.0)
    found *= 1 - share[:, None]
    found[:, FOLK] += share
    return found


def fit(rows: SongRows) -> SoftmaxRegression:
    """Fit the classes to labelled rows; a class counts the same, however many rows it has."""
    full = with_embedding(rows, rows)
    weights = balanced(full.group, full.genre)
    return fit_softmax_regression(full.columns, targets(full), weights, l2=L2, clip=CLIP)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Songs:
    """Everything that is learnt from.

    Attributes
    ----------
    half, short : SongRows
        GTZAN's half minutes, and clips of two or three seconds.
    listed : SongRows
        GTZAN's tracks of which only the tags are known.
    outside : SongRows
        Pieces of other makers.
    sounds : SongRows
        None of the classes.
    parts : SongRows
        Parts of 21 s of half minutes and pieces, only to learn from.
    tagged : SongRows
        Pieces of single makers, only to judge by: one of them must not stand for a genre.
    unnamed : SongRows
        Music whose makers name no genre, of which nothing is learnt.
    """

    half: SongRows
    short: SongRows
    listed: SongRows
    outside: SongRows
    sounds: SongRows
    parts: SongRows
    tagged: SongRows
    unnamed: SongRows

    @property
    def gtzan(self) -> SongRows:
        """All rows of GTZAN."""
        return joined([self.half, self.short, self.listed])

    @property
    def all(self) -> SongRows:
        """All rows that are learnt from."""
        return joined([self.gtzan, self.outside, self.sounds, self.parts])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftOut:
    """Rows, and the logits (n, 13) of fits that did not hear their group."""

    rows: SongRows
    logits: Float64Array

    def calibrated(self, temperature: float) -> Float64Array:
        """Return probabilities, (n, 13)."""
        return softmax(self.logits / temperature)


Logits = Callable[[SongRows], Float64Array]  # rows ▶ (n, classes)
Learn = Callable[[SongRows], Logits]


def learn(rows: SongRows) -> Logits:
    """Fit to rows, and return what gives the logits of others."""
    model = fit(rows)
    return lambda others: model.logits(with_embedding(others, rows).columns)


def learn_tags(rows: SongRows) -> Logits:
    """Fit as the head of the vector is: ten genres, by tags alone."""
    known = rows.rows(rows.genre < len(GENRES))
    wanted, weights = targets(known)[:, : len(GENRES)], balanced(known.group, known.genre)
    model = fit_linear(known.tags, wanted, weights, recipe=GENRE_RECIPE)
    return lambda others: model.logits(others.tags)


def makers_left_out(songs: Songs, how: Learn = learn) -> LeftOut:
    """Judge each piece of another maker by a fit that heard nothing of that maker."""
    rows = joined([songs.outside, songs.tagged])
    return left_out(rows, rows.group, groups_of, songs.all, how)


def gtzan_left_out(songs: Songs, how: Learn = learn, *, by_track: bool = False) -> LeftOut:
    """Judge GTZAN's rows in five folds along artists, or along tracks."""
    rows, name = songs.gtzan, _tracks if by_track else groups_of
    fold = grouped_folds(name(rows), rows.genre, folds=FOLDS, seed=0)
    return left_out(rows, fold, name, songs.all, how)


def left_out(
    rows: SongRows,
    fold: npt.NDArray[Any],
    name: Callable[[SongRows], StrArray],
    every: SongRows,
    how: Learn,
) -> LeftOut:
    """Judge the rows of each fold by a fit to all rows of other names."""
    parts = {}
    for held in np.unique(fold):
        judged = rows.rows(fold == held)
        heard = every.rows(~np.isin(name(every), name(judged)))
        parts[held] = how(heard)(judged)
    logits = np.zeros((len(rows), next(iter(parts.values())).shape[1]))
    for held, found in parts.items():
        logits[fold == held] = found
    return LeftOut(rows=rows, logits=logits)


def groups_of(rows: SongRows) -> StrArray:
    """Return what is left out together."""
    return rows.group


def _tracks(rows: SongRows) -> StrArray:
    return np.array([name.rsplit("/", 1)[-1] for name in rows.track])


def temperature_of(judged: Sequence[LeftOut]) -> float:
    """Return the temperature at which left-out rows, each set as a whole, are likeliest.

    Drum loops, of which one maker has most, count a quarter.
    """

    def loss(log_temperature: float) -> float:
        total = 0.0
        for one in judged:
            right = one.calibrated(float(np.exp(log_temperature)))
            chosen = right[np.arange(len(one.rows)), one.rows.genre]
            weights = np.where(is_loop(one.rows.corpus), LOOP_WEIGHT, 1.0)
            total -= float((weights * np.log(chosen + 1e-12)).sum() / weights.sum())
        return total

    found = minimize_scalar(loss, bounds=(-3.0, 1.0), method="bounded", options={"xatol": 1e-6})
    return round(float(np.exp(found.x)), 3)  # the same on every machine


def head_of(
    model: SoftmaxRegression, temperature: float, limit: float, limits: Sequence[float]
) -> SongLabels:
    """Return the head that is shipped: a fit to all rows, calibrated."""
    return SongLabels(
        genres=GENRES,
        styles=STYLES,
        backbone_sha256=MSD.sha256,
        front_end=FeatureSpec().front_end,
        centre=model.mean.astype(np.float32),
        scale=model.scale.astype(np.float32),
        weight=(model.weight / temperature).astype(np.float32),
        bias=(model.bias / temperature).astype(np.float32),
        genre_limit=limit,
        style_limits=np.array(limits, np.float32),
    )
