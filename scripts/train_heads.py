"""Rebuild the shipped heads and print every figure that their model card quotes.

    python scripts/train_heads.py --data DIR --extra DIR --cache DIR --out DIR

`--data` is the folder with ``version/`` and ``gtzan/``; `--extra` holds unpacked Debian
packages, one folder each, as `head_data.EXTRA_LABELS` names them; `--cache` keeps features
between runs (the first run takes about half an hour on one core, later ones minutes).
Figures go to stdout as text and to ``<out>/head_figures.json``.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from head_augment import codec, low_pass
from head_data import (
    ACCOMPANIED,
    INSTRUMENTAL,
    OTHER,
    VERSION_CLASSES,
    VOCAL,
    Clip,
    gtzan_clips,
    version_clips,
)
from head_features import Extractor, Table, concatenate
from head_genre import (
    GENRES,
    answers,
    electronic_recall,
    genre_rows,
    judge_eight,
    ten_of_gtzan,
    train_genre,
)
from head_gtzan import GTZAN_GENRES, Taggrams, concatenate_taggrams, load_taggrams, taggrams_of
from head_mixing import Sources, augmented
from head_version import (
    INPUTS,
    ROTATION_RECIPE,
    contains,
    rotate,
    song_answers,
    train_version,
    usable,
    with_calibration,
)
from head_yardstick import judge

from audiorec.evaluation.classification import (
    Report,
    by_track,
    expected_calibration_error,
    report,
)
from audiorec.tagger.heads import Head, softmax
from audiorec.types import FloatArray

CHUNKS = 3  # files of augmented rows
PER_CHUNK = [VOCAL] * 3 + [INSTRUMENTAL] * 4 + [ACCOMPANIED] * 5 + [OTHER] * 4
REPEATS = 100  # of PER_CHUNK in a file
AUGMENTATION = "v3"
SOURCES = {
    "version": "MIR-1K (research use), iKala and others only to measure, Superpowers (CC0), "
    "UrbanSound8K (CC BY-NC), Kitchen20, CMU ARCTIC, Nonspeech noises, GTZAN (research use), "
    "Debian packages of game music and speech",
    "genre": "MSD_musicnn tag scores of GTZAN's fault-filtered split (ISC), GTZAN audio "
    "(research use), Debian packages of game music",
}
LICENCE = "Apache-2.0 for the weights; trained on research-use audio, none of it included"

Figures = dict[str, Any]


def main() -> None:
    """Train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("data", "extra", "cache", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)  # sums in one order: the same head on every machine

    extractor = Extractor(args.cache)
    clean, songs = clean_tables(extractor, args.data, args.extra)
    figures: Figures = {"genre": genre(extractor, args.data, clean, songs, args.out)}
    table = concatenate([clean, augmented_table(extractor, args.data, args.extra), songs])
    figures["version"] = version(extractor, args.data, table, clean, args.out)
    (args.out / "head_figures.json").write_text(json.dumps(figures, indent=1, sort_keys=True))


def clean_tables(extractor: Extractor, data: Path, extra: Path) -> tuple[Table, Table]:
    """Return the segments of all clips as they are, and those of GTZAN."""
    by_corpus: dict[str, list[Clip]] = {}
    for clip in version_clips(data, extra):
        by_corpus.setdefault(clip.corpus, []).append(clip)
    tables = [extractor.clips(corpus, clips) for corpus, clips in by_corpus.items()]
    return concatenate(tables), extractor.clips("gtzan", gtzan_clips(data))


def augmented_table(extractor: Extractor, data: Path, extra: Path) -> Table:
    """Return the augmented segments; nothing of ``tune`` goes into them."""
    clips = [clip for clip in version_clips(data, extra) if clip.corpus != "tune"]
    sources = Sources([clip for clip in clips if clip.label >= 0] + gtzan_clips(data))
    labels = PER_CHUNK * REPEATS
    return concatenate(
        [
            extractor.waveforms(
                f"augmented-{chunk}",
                f"{AUGMENTATION}-{chunk}",
                lambda chunk=chunk: augmented(sources, labels, chunk),  # type: ignore[misc]
            )
            for chunk in range(CHUNKS)
        ]
    )


def version(extractor: Extractor, data: Path, table: Table, clean: Table, out: Path) -> Figures:
    """Train the version head, judge it inside and on unseen corpora, save it."""
    train, judged = usable(table), usable(clean)
    train = train.rows(train.corpus != "tune")
    trained = train_version(
        train,
        extractor.sha256,
        info={"sources": SOURCES["version"], "licence": LICENCE},
    )
    as_it_is = (train.track != "augmented") & (train.corpus != "gtzan")
    figures: Figures = {
        "inside": both(
            "version, inside the training corpora",
            trained.out_of_fold[as_it_is],
            train.rows(as_it_is),
        )
    }
    figures["songs"] = gtzan_songs(train, trained.out_of_fold, extractor.sha256)
    unseen = rotate(train, judged, extractor.sha256)
    rows, labels = judged.rows(unseen.rows), judged.label[unseen.rows]
    tune = rows.corpus == "tune"  # every turn judges it, so calibration must not see it
    scores = unseen.calibrated(labels, ~tune)
    raw = softmax(unseen.logits)
    figures["ece_unseen_before"] = expected_calibration_error(raw[~tune], labels[~tune])
    figures["ece_tune_before"] = expected_calibration_error(raw[tune], labels[tune])
    parts = {
        "unseen": ~tune,
        "tune": tune,
        "unseen_with_tune": rows.corpus != "mir1k",
    }
    for name, part in parts.items():
        figures[name] = both(f"version, {name}", scores[part], rows.rows(part))
    figures["per_corpus"] = per_corpus(scores, rows)
    figures["turns"] = per_turn(scores, rows, unseen.turn)
    head = with_calibration(trained.head, unseen, labels, ~tune)
    figures["degraded"] = degraded(extractor, data, head)
    save(head, figures, out)
    return figures


def gtzan_songs(train: Table, out_of_fold: np.ndarray, backbones: dict[str, str]) -> Figures:
    """Return what GTZAN's tracks are called: left out one by one, and left out as a corpus."""
    songs = (train.corpus == "gtzan") & (train.track != "augmented")
    without = train.rows(~contains(train.corpus, ("gtzan",)))
    head = train_version(without, backbones, recipe=ROTATION_RECIPE).head
    table = train.rows(songs)
    found = {
        "track left out": song_answers(out_of_fold[songs], table),
        "corpus left out": song_answers(head.scores_of_columns(table.columns(INPUTS)), table),
    }
    for name, counts in found.items():
        print(f"\nGTZAN tracks, {name}: vocal, instrumental, with accompaniment, other")
        for genre_name, row in counts.items():
            print(f"{genre_name:10} {list(row.values())}", flush=True)
    return found


def per_corpus(scores: np.ndarray, rows: Table) -> Figures:
    """Return for each corpus and class how its segments were answered."""
    found: Figures = {}
    for corpus in np.unique(rows.corpus):
        for label in np.unique(rows.label[rows.corpus == corpus]):
            here = (rows.corpus == corpus) & (rows.label == label)
            share = np.bincount(scores[here].argmax(1), minlength=len(VERSION_CLASSES))
            key = f"{corpus} {VERSION_CLASSES[label]}"
            found[key] = {"segments": int(here.sum()), "answers": (share / here.sum()).round(3)}
            print(f"{key:45} {here.sum():5d} ", found[key]["answers"])
            found[key]["answers"] = found[key]["answers"].tolist()
    return found


def per_turn(scores: np.ndarray, rows: Table, turn: np.ndarray) -> Figures:
    """Return macro-F1 of each turn over held-out corpora and singers, without ``tune``."""
    segment, track = [], []
    for number in np.unique(turn):
        part = (turn == number) & (rows.corpus != "tune")
        found = both(f"turn {number}", scores[part], rows.rows(part), quiet=True)
        segment.append(found["segments"]["macro_f1"]["value"])
        track.append(found["tracks"]["macro_f1"]["value"])
    print(f"mean over turns: macro-F1 {np.mean(segment):.3f} by segment, {np.mean(track):.3f}")
    return {"segments": segment, "tracks": track}


def both(title: str, scores: np.ndarray, rows: Table, *, quiet: bool = False) -> Figures:
    """Judge version scores by segment and by track."""
    rng = np.random.default_rng(0)
    name = np.char.add(np.char.add(rows.track, "|"), rows.label.astype(np.str_))
    mean, labels, tracks = by_track(scores, rows.label, name)
    found = {
        "segments": report(scores, rows.label, name, classes=VERSION_CLASSES, rng=rng),
        "tracks": report(mean, labels, tracks, classes=VERSION_CLASSES, rng=rng),
    }
    return shown(title, found, quiet=quiet)


def shown(title: str, reports: dict[str, Report], *, quiet: bool = False) -> Figures:
    """Print reports and return their plain values."""
    for kind, found in reports.items():
        if not quiet:
            print(f"\n{title}, {kind}\n{found.table()}", flush=True)
    return {kind: found.to_dict() for kind, found in reports.items()}


def degraded(extractor: Extractor, data: Path, head: Head) -> Figures:
    """Return accuracy on ``tune`` after what happens to audio in the world."""
    clips = [clip for clip in version_clips(data, None) if clip.corpus == "tune"]
    changes: dict[str, Callable[[FloatArray], FloatArray]] = {
        "as it is": lambda waveform: waveform,
        "MP3": codec,
        "telephone band": lambda waveform: low_pass(waveform, 4000.0),
        "-20 dB": lambda waveform: waveform / 10,
        "clipped": lambda waveform: np.clip(waveform * 6, -1, 1).astype(np.float32),
    }
    found = {}
    for name, change in changes.items():
        table = usable(extractor.clips(f"tune {name}".replace(" ", "-"), clips, change))
        scores = head.scores({"msd": table.msd, "mtt": table.mtt})
        found[name] = float((scores.argmax(1) == table.label).mean())
        print(f"tune, {name}: accuracy {found[name]:.3f}")
    return found


def genre(extractor: Extractor, data: Path, clean: Table, songs: Table, out: Path) -> Figures:
    """Look once at the test tracks with each of two recipes, train the genre head, save it."""
    taggrams = load_taggrams(data, "train", phases=3)
    gtzan = concatenate_taggrams([taggrams, taggrams_of(data, songs)])
    test = load_taggrams(data, "test", phases=1)
    figures: Figures = {"yardstick": shown("GTZAN ten, test", judge(gtzan, test, extractor.sha256))}
    music = clean.rows(
        np.isin(clean.label, [INSTRUMENTAL, -1])
        & (clean.corpus != "tune")
        & (clean.corpus != "mir1k")
    )
    rows = genre_rows(gtzan, music)
    trained = train_genre(
        rows, extractor.sha256, info={"sources": SOURCES["genre"], "licence": LICENCE}
    )
    n = int((ten_of_gtzan(gtzan.genre) >= 0).sum())
    figures["inside"] = inside_genre(trained.out_of_fold[:n], gtzan)
    by_segment, track = judge_eight(trained.head, test)
    figures["test"] = shown("genre, test", {"segments": by_segment, "tracks": track})
    for name in ("disco", "reggae"):
        part = test.rows(np.array(GTZAN_GENRES)[test.genre] == name)
        figures[name] = answers(trained.head, part.tags, part.track)
        print(f"{name} is called {figures[name]}")
    figures["electronic"] = electronic_recall(gtzan, music, extractor.sha256)
    print(f"electronic packages left out: {figures['electronic']}")
    save(trained.head, figures, out)
    return figures


def inside_genre(scores: np.ndarray, gtzan: Taggrams) -> Figures:
    """Judge out-of-fold scores of the eight labelled classes."""
    part = gtzan.rows(ten_of_gtzan(gtzan.genre) >= 0)
    labels = ten_of_gtzan(part.genre)
    mean, of_track, tracks = by_track(scores, labels, part.track)
    rng, classes = np.random.default_rng(0), GENRES
    found = {
        "segments": report(scores, labels, part.track, classes=classes, rng=rng),
        "tracks": report(mean, of_track, tracks, classes=classes, rng=rng),
    }
    return shown("genre, artists left out of training", found)


def save(head: Head, figures: Figures, out: Path) -> None:
    """Write a head with its main figures, which do not change its scores."""
    kept = {
        name: {
            kind: {
                "macro_f1": values["macro_f1"],
                "accuracy": values["accuracy"],
                "ece": values["ece"],
                "rows": values["rows"],
            }
            for kind, values in found.items()
        }
        for name, found in figures.items()
        if isinstance(found, dict) and "segments" in found and isinstance(found["segments"], dict)
    }
    versions = {"soundfile": soundfile.__version__} | head.info["versions"]
    info = dict(head.info) | {"figures": kept, "versions": versions}
    replace(head, info=info).save(out / f"head_{head.task}.safetensors")


if __name__ == "__main__":
    main()
