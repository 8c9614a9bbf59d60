"""Train the version head, judge it on what it has heard and on what it has not, save it."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from head_augment import aac, low_pass, mp3
from head_data import (
    ACCOMPANIED,
    INSTRUMENTAL,
    SAMPLE_RATE,
    VERSION_CLASSES,
    VOCAL,
    Clip,
)
from head_features import Extractor, Table, concatenate
from head_figures import LICENCE, Figures, save, shown
from head_packages import WEAK
from head_version import (
    INPUTS,
    QUIET,
    RECIPE,
    Recipe,
    Unseen,
    contains,
    rotate,
    song_answers,
    strange_logits,
    train_version,
    turns,
    usable,
    with_calibration,
)

from audiorec.evaluation.classification import by_track, expected_calibration_error, report
from audiorec.tagger.heads import Head, softmax
from audiorec.types import Features, FloatArray

INFO = {
    "sources": "MIR-1K (research use), Superpowers (CC0), UrbanSound8K (CC BY-NC), Kitchen20, "
    "CMU ARCTIC, Nonspeech noises, GTZAN (research use), Schubert Winterreise Dataset (CC BY 3.0), "
    "Debian packages of game music, sounds and speech; iKala and others only to measure",
    "licence": LICENCE,
}
DAMAGED_CLIPS = 10  # of each corpus
DAMAGED_S = 12.0  # of each clip
OTHER_MACHINE = 1e-5  # relative difference of features between machines and engines, at most

Scores = npt.NDArray[np.floating]


def version(
    extractor: Extractor,
    clips: list[Clip],
    table: Table,
    clean: Table,
    elsewhere: Table,
    out: Path,
) -> Figures:
    """Train and judge.

    Parameters
    ----------
    extractor : Extractor
    clips : list of Clip
        What `clean` was cut from.
    table, clean : Table
        Everything, and the segments as they are found, without songs of weak labels.
    elsewhere : Table
        Singing that nothing is learnt from.
    out : Path
        Folder for ``head_version.safetensors``.
    """
    train, judged = usable(table), usable(clean)
    train = train.rows(train.corpus != "tune")
    trained = train_version(train, extractor.sha256, info=INFO)
    as_it_is = ~np.isin(train.track, ("augmented", QUIET)) & ~np.isin(train.corpus, WEAK)
    inside = both(
        "version, inside the training corpora",
        trained.out_of_fold[as_it_is],
        train.rows(as_it_is),
    )
    figures: Figures = {
        "inside": inside,
        "songs": songs(train, trained.out_of_fold, clean, trained.head),
        "lieder": lieder(train),
        "elsewhere": elsewhere_answers(trained.head, elsewhere),
        "without_singers": without_singers(train, judged),
        "degraded": degraded(extractor, clips, train, judged),
        "digits": last_digits(train, judged),
    }
    unseen = rotate(train, judged)
    rows, labels = judged.rows(unseen.rows), judged.label[unseen.rows]
    figures |= judge_unseen(unseen, rows, labels)
    head = with_calibration(trained.head, unseen, labels, rows.corpus != "tune")
    save(head, figures, out)
    return figures


def judge_unseen(unseen: Unseen, rows: Table, labels: npt.NDArray[np.int64]) -> Figures:
    """Judge the turns, ``tune``, and both without MIR-1K, whose other singers were heard."""
    tune = rows.corpus == "tune"  # every turn judges it, so calibration must not see it
    scores, raw = unseen.calibrated(labels, ~tune), softmax(unseen.logits)
    parts = {
        "unseen": ~tune,
        "tune": tune,
        "unseen_with_tune": rows.corpus != "mir1k",
    }
    figures: Figures = {}
    for name, part in parts.items():
        figures[name] = both(f"version, {name}", scores[part], rows.rows(part))
        before = expected_calibration_error(raw[part], labels[part])
        figures[f"ece_{name}_before"] = before
        print(f"expected calibration error before calibration: {before:.3f}")
    figures["per_corpus"] = per_corpus(scores, rows)
    figures["turns"] = per_turn(scores, rows, unseen.turn)
    return figures


def both(title: str, scores: Scores, rows: Table, *, quiet: bool = False) -> Figures:
    """Judge version scores by segment and by track."""
    rng = np.random.default_rng(0)
    name = np.char.add(np.char.add(rows.track, "|"), rows.label.astype(np.str_))
    mean, labels, tracks = by_track(scores, rows.label, name)
    found = {
        "segments": report(scores, rows.label, name, classes=VERSION_CLASSES, rng=rng),
        "tracks": report(mean, labels, tracks, classes=VERSION_CLASSES, rng=rng),
    }
    return shown(title, found, quiet=quiet)


def songs(train: Table, out_of_fold: Scores, clean: Table, head: Head) -> Figures:
    """Return what finished songs are called: GTZAN's, left out, and those never trained on."""
    gtzan = (train.corpus == "gtzan") & (train.track != "augmented")
    without = train.rows(~contains(train.corpus, ("gtzan",)))
    table = train.rows(gtzan)
    unlabelled = clean.rows(clean.label < 0)
    found = {
        "GTZAN, track left out": song_answers(out_of_fold[gtzan], table),
        "GTZAN, corpus left out": song_answers(softmax(strange_logits(without, table)), table),
        "songs that nobody trained on": song_answers(
            head.scores_of_columns(unlabelled.columns(INPUTS)), unlabelled
        ),
    }
    for name, counts in found.items():
        print(f"\n{name}: vocal, instrumental, with accompaniment, other")
        for folder, row in counts.items():
            print(f"{folder:28} {list(row.values())}", flush=True)
    return found


def lieder(train: Table) -> Figures:
    """Return what a baritone with a piano is called by a head that heard another one, or none."""
    here = (train.corpus == "winterreise") & (train.track != "augmented")
    rows, singers = train.rows(here), np.unique(train.group[here])
    none = strange_logits(train.rows(~contains(train.corpus, ("winterreise",))), rows)
    found: Figures = {}
    print("\nWinterreise, segments: vocal, instrumental, with accompaniment, other")
    for singer in singers:
        own = rows.group == singer
        other = strange_logits(train.rows(train.group != singer), rows.rows(own))
        for name, logits in (("the other singer heard", other), ("no lieder heard", none[own])):
            counts = np.bincount(logits.argmax(1), minlength=len(VERSION_CLASSES)).tolist()
            found[f"{singer}, {name}"] = counts
            print(f"{singer:18} {name:24} {counts}", flush=True)
    return found


def elsewhere_answers(head: Head, rows: Table) -> Figures:
    """Return the mean scores of singing by people of whom nothing was learnt."""
    scores = head.scores_of_columns(rows.columns(INPUTS))
    found: Figures = {}
    print("\nelsewhere: vocal, instrumental, with accompaniment, other")
    for track in np.unique(rows.track):
        part = rows.track == track
        mean = scores[part].mean(0).astype(float).round(2).tolist()
        found[track] = {"is": VERSION_CLASSES[rows.label[part][0]], "scores": mean}
        print(f"{track:50} {found[track]['is']:20} {mean}", flush=True)
    return found


def without_singers(train: Table, judged: Table) -> Figures:
    """Leave MIR-1K out whole: then no recorded voice without a band has been heard."""
    learn = train.rows(~contains(train.corpus, ("mir1k",)))
    rows = judged.rows(judged.corpus == "mir1k")
    scores = softmax(strange_logits(learn, rows))
    return both("version, MIR-1K left out as a corpus", scores, rows)


def per_corpus(scores: Scores, rows: Table) -> Figures:
    """Return for each corpus and class how its segments were answered."""
    found: Figures = {}
    print("\nsegments: vocal, instrumental, with accompaniment, other")
    for corpus in np.unique(rows.corpus):
        for label in np.unique(rows.label[rows.corpus == corpus]):
            here = (rows.corpus == corpus) & (rows.label == label)
            share = np.bincount(scores[here].argmax(1), minlength=len(VERSION_CLASSES))
            key = f"{corpus} {VERSION_CLASSES[label]}"
            found[key] = {"segments": int(here.sum()), "answers": (share / here.sum()).round(3)}
            print(f"{key:45} {here.sum():5d} ", found[key]["answers"])
            found[key]["answers"] = found[key]["answers"].tolist()
    return found


def per_turn(scores: Scores, rows: Table, turn: npt.NDArray[np.int64]) -> Figures:
    """Return macro-F1 of each turn over held-out corpora and singers, without ``tune``."""
    found: Figures = {"segments": [], "tracks": []}
    for number in np.unique(turn):
        part = (turn == number) & (rows.corpus != "tune")
        judged = both(f"turn {number}", scores[part], rows.rows(part), quiet=True)
        for kind, values in found.items():
            values.append(judged[kind]["macro_f1"]["value"])
    for kind, values in found.items():
        print(f"macro-F1 by {kind}: {min(values):.3f}-{np.mean(values):.3f}-{max(values):.3f}")
    return found


def degraded(extractor: Extractor, clips: list[Clip], train: Table, judged: Table) -> Figures:
    """Return accuracy on the first turn's corpora and singers after what happens to audio."""
    learn, judge = next(turns(train, judged))
    groups = set(judged.group[judge & (judged.corpus != "tune")])
    sample = [clip for clip in _few(clips) if clip.group in groups and clip.label >= 0]
    changes: dict[str, Callable[[FloatArray], FloatArray]] = {
        "as it is": lambda waveform: waveform,
        "MP3 128 kbit/s": lambda waveform: mp3(waveform, 128),
        "MP3 64 kbit/s": lambda waveform: mp3(waveform, 64),
        "AAC 128 kbit/s": lambda waveform: aac(waveform, 128),
        "AAC 64 kbit/s": lambda waveform: aac(waveform, 64),
        "telephone band": lambda waveform: low_pass(waveform, 4000.0),
        "-20 dB": lambda waveform: waveform / 10,
        "clipped": lambda waveform: np.clip(waveform * 6, -1, 1).astype(np.float32),
    }
    tables: dict[str, Table] = {}
    for name, change in changes.items():
        table = extractor.clips(
            f"turn-0-{name}".replace(" ", "-").replace("/", "-"),
            sample,
            lambda waveform, change=change: change(waveform[: int(DAMAGED_S * SAMPLE_RATE)]),  # type: ignore[misc]
        )
        table = usable(table)
        tables[name] = table.rows(np.isin(table.group, list(groups)))
    together = concatenate(list(tables.values()))
    scores = np.split(
        softmax(strange_logits(train.rows(learn), together)),
        np.cumsum([len(table) for table in tables.values()])[:-1],
    )
    found: Figures = {}
    for (name, table), answers in zip(tables.items(), scores, strict=True):
        found[name] = both(name, answers, table, quiet=True)["segments"]
        recall = [round(c["recall"] or 0, 3) for c in found[name]["classes"].values()]
        print(f"{name}: accuracy {found[name]['accuracy']['value']:.3f}, recall {recall}")
    return found


def last_digits(
    train: Table, judged: Table, *, inputs: tuple[str, ...] = INPUTS, recipe: Recipe = RECIPE
) -> float:
    """Return by how much a score moves, at most, if ``msd`` had other last digits."""
    rng = np.random.default_rng(0)

    def other(values: FloatArray) -> FloatArray:
        noise = rng.standard_normal(values.shape, dtype=np.float32)
        return values * (1 + OTHER_MACHINE * noise)

    arrays = (getattr(train.msd, field.name) for field in fields(train.msd))
    moved = replace(train, msd=Features(*(other(values) for values in arrays)))
    scores, again = (
        softmax(strange_logits(learn, judged, inputs=inputs, recipe=recipe))
        for learn in (train, moved)
    )
    most = float(np.abs(scores - again).max())
    print(f"\nlearnt from columns that differ by {OTHER_MACHINE:.0e}: scores by {most:.1e} at most")
    return most


def _few(clips: list[Clip]) -> list[Clip]:
    """Return some clips of each corpus and class, spread over it; of MIR-1K each singer's."""
    by_kind: dict[tuple[str, int], list[Clip]] = {}
    for clip in clips:
        own = clip.group if clip.label in (VOCAL, ACCOMPANIED) else clip.corpus
        if clip.corpus == "mir1k" and clip.label == INSTRUMENTAL:
            continue
        by_kind.setdefault((own, clip.label), []).append(clip)
    return [c for found in by_kind.values() for c in found[:: -(-len(found) // DAMAGED_CLIPS)]]
