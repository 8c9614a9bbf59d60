"""The genre head and the yardstick: trained, judged, told as figures.

With artists left out, in five foldings; outside GTZAN with each maker left out; on clips of two
to three seconds; on the test tracks, in one look; and what becomes of genres that have no label.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from head_features import Extractor, Table
from head_figures import LICENCE, Figures, save, shown
from head_folk import judge_folk
from head_genre import (
    FOLK,
    GENRES,
    GenreRows,
    fitted_scores,
    genre_rows,
    left_out,
    maker_left_out,
    ten_of_gtzan,
    train_genre,
)
from head_gtzan import GTZAN_GENRES, Taggrams, concatenate_taggrams, load_taggrams, taggrams_of
from head_outside import is_loop, shares_of
from head_tables import BANDS
from head_yardstick import fit_genres, judge

from audiorec.evaluation.classification import by_song, macro_f1, report
from audiorec.labelling.train import grouped_folds
from audiorec.tagger.heads import Head
from audiorec.types import FloatArray, Int64Array

INFO = {
    "sources": "MSD_musicnn tag scores of GTZAN's fault-filtered split (ISC), GTZAN audio "
    "(research use), Everything Is Free (CC0), WaivOps loops (CC BY), Schubert Winterreise "
    "Dataset (CC BY 3.0), Debian packages of game music and songs",
    "licence": LICENCE,
}
CONFIDENT = 0.5  # a mean score from which an answer counts as given
StrArray = npt.NDArray[np.str_]
Scores = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heard:
    """The tables of the genre task.

    Attributes
    ----------
    clean : Table
        Segments of everything that is not GTZAN's.
    songs, short : Table
        GTZAN's audio, half a minute and some seconds of a track.
    copied : mapping of str to Table
        GTZAN's audio through narrow bands, the first as it is.
    music : mapping of str to Table
        Music of packages through the same bands.
    outside : Table and ndarray of str
        Pieces of other makers and their genres.
    listed : Table
        Songs that nobody labelled, to be listed.
    """

    clean: Table
    songs: Table
    short: Table
    copied: Mapping[str, Table]
    music: Mapping[str, Table]
    outside: tuple[Table, StrArray]
    listed: Table


def genre(extractor: Extractor, data: Path, heard: Heard, out: Path) -> Figures:
    """Train the genre head, judge it with artists and makers left out, and on the test; save it.

    The test tracks are looked at here, once a run: change nothing for what they say.
    """
    alone = load_taggrams(data, "train", phases=3)
    gtzan = concatenate_taggrams([alone, taggrams_of(data, heard.songs)])
    test = load_taggrams(data, "test", phases=1)
    rows = learnt_rows(data, gtzan, heard)
    trained = train_genre(rows, extractor.sha256, info=INFO)
    foldings = left_out(rows, extractor.sha256)
    figures: Figures = inside(rows, foldings, gtzan)
    figures["bands"] = bands(trained.head, heard)
    figures |= outside(rows, heard, trained.head)
    figures["short"] = short_clips(data, gtzan, heard.short)
    figures["yardstick, 443"] = shown("GTZAN ten, test, 443", judge(alone, test, extractor.sha256))
    figures["yardstick, 443 and 53"] = shown(
        "GTZAN ten, test, 443 and 53", judge(gtzan, test, extractor.sha256)
    )
    figures |= on_test(trained.head, test)
    figures["listed"] = listed(
        trained.head.scores_of_columns(heard.listed.msd.tags), heard.listed.track
    )
    save(trained.head, figures, out)
    return figures


def learnt_rows(data: Path, gtzan: Taggrams, heard: Heard) -> GenreRows:
    """Return everything that the head learns from."""
    short = taggrams_of(data, heard.short, parts=("train", "valid"))
    narrow = [table for band, table in heard.copied.items() if band != next(iter(BANDS))]
    copied = [taggrams_of(data, table, parts=("train", "valid")) for table in narrow]
    return genre_rows(gtzan, concatenate_taggrams([short, *copied]), heard.outside, heard.clean)


def inside(rows: GenreRows, foldings: list[FloatArray], gtzan: Taggrams) -> Figures:
    """Judge GTZAN's eight classes with artists left out, and folk among them."""
    part = gtzan.rows(ten_of_gtzan(gtzan.genre) >= 0)
    own = [scores[rows.as_found] for scores in foldings]
    mean = np.mean(own, axis=0)
    found: Figures = {
        "inside": eight("genre, artists left out of training", mean, part),
        "foldings": over_foldings(own, part),
        "folk, artists left out": judge_folk(mean, part.track, part.artist, folk=FOLK),
    }
    print(f"folk, artists left out: {found['folk, artists left out']}")
    return found


def eight(title: str, scores: Scores, part: Taggrams) -> Figures:
    """Judge GTZAN's eight classes of the ten, all ten may be answered; intervals over artists."""
    labels, rng = ten_of_gtzan(part.genre), np.random.default_rng(0)
    mean, of_track, tracks = by_song(scores, labels, part.track)
    artist = dict(zip(part.track.tolist(), part.artist.tolist(), strict=True))
    by_artist = np.array([artist[track] for track in tracks])
    found = {
        "segments": report(scores, labels, part.artist, classes=GENRES, rng=rng),
        "tracks": report(mean, of_track, by_artist, classes=GENRES, rng=rng),
    }
    return shown(f"{title} (intervals over artists)", found)


def over_foldings(foldings: list[FloatArray], part: Taggrams) -> dict[str, list[float]]:
    """Return macro-F1 of each folding, by segment and by track."""
    labels = ten_of_gtzan(part.genre)
    found: dict[str, list[float]] = {"segments": [], "tracks": []}
    for scores in foldings:
        mean, of_track, _ = by_song(scores, labels, part.track)
        for kind, values, true in (("segments", scores, labels), ("tracks", mean, of_track)):
            confusion = np.zeros((len(GENRES), len(GENRES)))
            np.add.at(confusion, (true, values.argmax(1)), 1)
            found[kind].append(round(macro_f1(confusion), 4))
    for kind, each in found.items():
        print(f"eight classes, foldings, {kind}: mean {np.mean(each):.3f} {each}")
    return found


def bands(head: Head, heard: Heard) -> Figures:
    """Return how often a segment of unheard music keeps its answer through each band."""
    first, *others = heard.music.items()
    answers = {name: head.scores_of_columns(table.msd.tags) for name, table in (first, *others)}
    kept = {
        name: float((scores.argmax(1) == answers[first[0]].argmax(1)).mean())
        for name, scores in answers.items()
    }
    print(f"answers kept through a band: {kept}")
    return kept


def outside(rows: GenreRows, heard: Heard, head: Head) -> Figures:
    """Judge pieces of other makers: makers left out in turn, and none of them heard."""
    table, names = heard.outside
    labels = np.array([GENRES.index(name) for name in names])
    makers = set(table.corpus.tolist())
    without = rows.rows(~np.isin(rows.group, list(makers)))
    tags = table.msd.tags
    ways = {
        "outside, maker left out": maker_left_out(rows, heard.outside, head),
        "outside, no maker heard": fitted_scores(without, tags, head),
    }
    return {name: places(name, scores, labels, table) for name, scores in ways.items()}


def places(title: str, scores: Scores, labels: Int64Array, table: Table) -> Figures:
    """Return top-1 and top-3 by class and maker, and every piece with its answers."""
    mean, of_track, tracks = by_song(scores, labels, table.track)
    corpus = dict(zip(table.track.tolist(), table.corpus.tolist(), strict=True))
    maker = np.array([corpus[track] for track in tracks])
    place = (mean > mean[np.arange(len(mean)), of_track][:, None]).sum(1)
    found: Figures = {
        "all": shares_of(place, maker),
        "pieces": listed(scores, table.track, quiet=True),
    }
    found["without loops"] = shares_of(place[~is_loop(maker)], maker[~is_loop(maker)])
    for label in np.unique(of_track):
        found[GENRES[label]] = shares_of(place[of_track == label], maker[of_track == label])
    found["makers"] = {
        f"{name} {GENRES[label]}": shares_of(place[own], maker[own])
        for name in np.unique(maker)
        for label in np.unique(of_track[maker == name])
        for own in [(maker == name) & (of_track == label)]
    }
    print(f"\n{title}: pieces, first, among three")
    for name, shares in (found | found["makers"]).items():
        if name not in ("pieces", "makers"):
            print(f"{name:40} {shares}")
    return found


def listed(scores: Scores, track: StrArray, *, quiet: bool = False) -> dict[str, list[Any]]:
    """Return the three best answers to each track, with their mean scores."""
    mean, _, tracks = by_song(scores, np.zeros(len(track), np.int64), track)
    found = {}
    for name, values in zip(tracks.tolist(), mean, strict=True):
        best = np.argsort(-values)[:3]
        found[name] = [f"{GENRES[i]} {values[i]:.2f}" for i in best]
        if not quiet:
            print(f"{name:60} {', '.join(found[name])}")
    return found


def short_clips(data: Path, gtzan: Taggrams, short: Table) -> Figures:
    """Judge GTZAN's ten on clips of 2 to 3 s, no artist or track of them in training."""
    clips = taggrams_of(data, short, parts=("train", "valid"))
    together = concatenate_taggrams([gtzan, clips])
    judged = np.arange(len(together)) >= len(gtzan)
    fold = grouped_folds(together.artist, together.genre, folds=5, seed=0)
    scores = np.zeros((len(clips), len(GTZAN_GENRES)), np.float32)
    for number in np.unique(fold):
        learn, own = together.rows(fold != number), judged & (fold == number)
        scores[fold[judged] == number] = fit_genres(learn).scores(together.tags[own])
    found = report(
        scores, clips.genre, clips.artist, classes=GTZAN_GENRES, rng=np.random.default_rng(0)
    )
    return shown("GTZAN ten, clips of 2 to 3 s, artists left out", {"clips": found})


def on_test(head: Head, test: Taggrams) -> Figures:
    """Judge the eight classes, folk, and what is none of the ten, on the test tracks."""
    part = test.rows(ten_of_gtzan(test.genre) >= 0)
    scores = head.scores_of_columns(part.tags)
    found: Figures = {
        "test": eight("genre, test", scores, part),
        "folk, test": judge_folk(scores, part.track, part.artist, folk=FOLK),
    }
    print(f"folk, test: {found['folk, test']}")
    mean, labels, _ = by_song(scores, ten_of_gtzan(part.genre), part.track)
    right = mean.argmax(1) == labels
    sure = {"right": mean.max(1)[right], "wrong": mean.max(1)[~right]}
    for name in ("disco", "reggae"):
        other = test.rows(np.array(GTZAN_GENRES)[test.genre] == name)
        values, _, _ = by_song(head.scores_of_columns(other.tags), other.genre, other.track)
        counts = Counter(GENRES[answer] for answer in values.argmax(1))
        found[name], sure[name] = dict(counts.most_common()), values.max(1)
        print(f"{name} is called {found[name]}")
    found["confident"] = {
        name: [len(values), round(float((values >= CONFIDENT).mean()), 3)]
        for name, values in sure.items()
    }
    print(f"tracks, share with a mean score of {CONFIDENT} or more: {found['confident']}")
    return found
