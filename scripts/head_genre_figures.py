"""The genre head and the yardstick: trained, judged, told as figures.

With artists left out, in five foldings; on the test tracks, in one look; and what becomes of
genres that have no label.
"""

from pathlib import Path

import numpy as np
from head_features import Extractor, Table
from head_figures import LICENCE, Figures, save, shown
from head_folk import judge_folk
from head_genre import (
    FOLK,
    GENRES,
    LABELLED,
    MUSIC,
    answers,
    electronic_recall,
    genre_rows,
    judge_eight,
    left_out,
    ten_of_gtzan,
    train_genre,
)
from head_gtzan import GTZAN_GENRES, Taggrams, concatenate_taggrams, load_taggrams, taggrams_of
from head_yardstick import judge

from audiorec.evaluation.classification import by_track, confusion_matrix, macro_f1, report
from audiorec.types import FloatArray

INFO = {
    "sources": "MSD_musicnn tag scores of GTZAN's fault-filtered split (ISC), GTZAN audio "
    "(research use), Debian packages of game music",
    "licence": LICENCE,
}


def genre(extractor: Extractor, data: Path, clean: Table, songs: Table, out: Path) -> Figures:
    """Train the genre head, judge it with artists left out and on the test tracks, save it.

    The test tracks are looked at here, once a run: change nothing for what they say.
    """
    taggrams = load_taggrams(data, "train", phases=3)
    gtzan = concatenate_taggrams([taggrams, taggrams_of(data, songs)])
    test = load_taggrams(data, "test", phases=1)
    figures: Figures = {"yardstick": shown("GTZAN ten, test", judge(gtzan, test, extractor.sha256))}
    music = clean.rows(np.isin(clean.corpus, MUSIC))
    rows = genre_rows(gtzan, music)
    trained = train_genre(rows, extractor.sha256, info=INFO)
    labelled = gtzan.rows(ten_of_gtzan(gtzan.genre) >= 0)
    foldings = [scores[: len(labelled)] for scores in left_out(rows, extractor.sha256)]
    figures["inside"] = inside_genre(foldings[0], labelled)
    figures["foldings"] = over_foldings(foldings, labelled)
    by_segment, track = judge_eight(trained.head, test)
    figures["test"] = shown("genre, test", {"segments": by_segment, "tracks": track})
    eight = test.rows(ten_of_gtzan(test.genre) >= 0)
    unseen = {
        "artists left out": (np.mean(foldings, axis=0), labelled),
        "test": (trained.head.scores_of_columns(eight.tags), eight),
    }
    for name, (scores, part) in unseen.items():
        found = judge_folk(scores, part.track, part.artist, folk=FOLK)
        figures[f"folk, {name}"] = found
        print(f"folk, {name}: {found}")
    for name in ("disco", "reggae"):
        part = test.rows(np.array(GTZAN_GENRES)[test.genre] == name)
        figures[name] = answers(trained.head, part.tags, part.track)
        print(f"{name} is called {figures[name]}")
    figures["electronic"] = electronic_recall(gtzan, music, extractor.sha256)
    print(f"electronic packages left out: {figures['electronic']}")
    save(trained.head, figures, out)
    return figures


def inside_genre(scores: FloatArray, part: Taggrams) -> Figures:
    """Judge out-of-fold scores of the eight labelled classes."""
    labels = ten_of_gtzan(part.genre)
    mean, of_track, tracks = by_track(scores, labels, part.track)
    rng, classes = np.random.default_rng(0), GENRES
    found = {
        "segments": report(scores, labels, part.track, classes=classes, rng=rng),
        "tracks": report(mean, of_track, tracks, classes=classes, rng=rng),
    }
    return shown("genre, artists left out of training", found)


def over_foldings(foldings: list[FloatArray], part: Taggrams) -> dict[str, list[float]]:
    """Return macro-F1 of each folding, by segment and by track."""
    labels = ten_of_gtzan(part.genre)
    found: dict[str, list[float]] = {"segments": [], "tracks": []}
    for scores in foldings:
        mean, of_track, _ = by_track(scores, labels, part.track)
        for kind, values, true in (("segments", scores, labels), ("tracks", mean, of_track)):
            confusion = confusion_matrix(true, values.argmax(1), len(GENRES))
            found[kind].append(round(macro_f1(confusion), 4))
    for kind, each in found.items():
        print(f"{len(LABELLED)} classes, foldings, {kind}: mean {np.mean(each):.3f} {each}")
    return found
