"""Train the version head, judge it on groups and on folders left out, save it."""

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import head_dense
import head_version
import numpy as np
import numpy.typing as npt
from head_augment import aac, low_pass, mp3, telephone
from head_data import ACCOMPANIED, INSTRUMENTAL, OTHER, SAMPLE_RATE, VERSION_CLASSES, VOCAL, Clip
from head_features import Extractor, Table, concatenate
from head_figures import LICENCE, Figures, save, shown
from head_judging import by_track, cell_weights, judge
from head_packages import WEAK
from head_tables import JUDGED_ALONE
from head_version import (
    INPUTS,
    JUDGED,
    Learner,
    Unseen,
    folders_left_out,
    groups_left_out,
    train_version,
    turns,
    usable,
)
from head_voices import FOLDERS, LOOPS
from safetensors.numpy import load_file

from audiorec.evaluation.classification import by_song as mean_scores
from audiorec.evaluation.classification import report
from audiorec.labelling.train import fit_calibration
from audiorec.spec import FeatureSpec
from audiorec.tagger.heads import Head, softmax, training_record
from audiorec.tagger.reading import EVEN
from audiorec.types import Features, Float64Array, FloatArray

INFO = {
    "sources": "MIR-1K (research use), Superpowers (CC0), UrbanSound8K (CC BY-NC), Kitchen20, "
    "CMU ARCTIC, Nonspeech noises, GTZAN (research use), Schubert Winterreise Dataset (CC BY 3.0), "
    "GTSinger, M4Singer, SVCC 2023, MPop600, SVQTD, CSD (CC BY-NC-SA), chanted Torah, jingju "
    "arias, beatbox, rap (research use), Everything Is Free (CC0), songs of Jonathan Coulton "
    "(CC BY-NC), WaivOps loops (CC BY), Debian packages of game music, sounds and speech",
    "licence": LICENCE,
}
DAMAGED_CLIPS = 10  # of each corpus
DAMAGED_S = 12.0  # of each clip
OTHER_MACHINE = 1e-5  # relative difference of features between machines and engines, at most

Scores = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """The tables of the version task: what is learnt from, what is judged, and how.

    Attributes
    ----------
    train : Table
        Everything that may be learnt from: clean, mixes, songs.
    clean : Table
        Segments as they are found, with songs of weak labels.
    elsewhere : Table
        Singing that nothing is learnt from.
    """

    train: Table
    clean: Table
    elsewhere: Table


def version(
    extractor: Extractor, clips: list[Clip], tables: Rows, out: Path, former: Path | None
) -> Figures:
    """Train and judge; write ``head_version.safetensors`` to `out`."""
    train, judged = usable(tables.train), usable(tables.clean)
    train = train.rows(train.corpus != JUDGED_ALONE)
    strong = judged.rows(~np.isin(judged.corpus, WEAK))
    folders = kept(extractor, "folders", train, strong, folders_left_out)
    groups = kept(extractor, "groups", train, judged, groups_left_out)
    rows = strong.rows(folders.rows)
    calibration = calibrate_on([(folders, rows), (groups, judged.rows(groups.rows))])
    head = train_version(train, calibration, extractor.sha256, info=INFO)
    figures = judge_folders(folders, rows, calibration)
    save(head, figures, out)
    scores = np.zeros_like(groups.logits)
    scores[groups.rows] = softmax(groups.logits * calibration[0] + calibration[1])
    figures |= judge_groups(scores, judged)
    if former:
        figures["former"] = judge_former(former, extractor, clips)
    figures |= {
        "no_music": no_music(scores, judged),
        "songs": song_answers(scores, judged),
        "elsewhere": elsewhere_answers(head, tables.elsewhere),
        "degraded": degraded(extractor, clips, train, strong),
        "digits": last_digits(train, strong),
    }
    save(head, figures, out)
    return figures


def kept(
    extractor: Extractor,
    name: str,
    train: Table,
    judged: Table,
    make: Callable[[Table, Table], Unseen],
) -> Unseen:
    """Return logits of what was left out, computed once for the same rows and recipe."""
    learner = Learner(train)
    record = training_record(learner.columns, learner.targets, asdict(learner.recipe))
    code = [inspect.getsource(module) for module in (head_version, head_dense)]
    what = f"{record}{judged.group.tolist()}{code}"
    path = extractor.cache / f"{name}-{hashlib.sha256(what.encode()).hexdigest()[:12]}.npz"
    if not path.exists():
        found = make(train, judged)
        np.savez(path, logits=found.logits, turn=found.turn, rows=found.rows)
    with np.load(path, allow_pickle=False) as file:
        return Unseen(logits=file["logits"], turn=file["turn"], rows=file["rows"])


def calibrate_on(unseen: list[tuple[Unseen, Table]]) -> tuple[Float64Array, Float64Array]:
    """Fit one temperature on the folders, left out in each way, the ways weighing the same.

    Folders left out alone would say what a head should trust itself with on kinds of audio that it
    has never met, groups alone what on the kinds it knows. ``tune`` is only judged.
    """
    logits, labels, weights = [], [], []
    for one, rows in unseen:
        fit = np.isin(rows.corpus, JUDGED) & (rows.corpus != JUDGED_ALONE)
        logits.append(one.logits[fit])
        labels.append(rows.label[fit])
        weights.append(cell_weights(rows.corpus[fit], rows.label[fit]))
    return fit_calibration(
        np.concatenate(logits),
        np.concatenate(labels),
        kind="temperature",
        row_weights=np.concatenate(weights),
    )


def judge_groups(scores: Scores, judged: Table) -> Figures:
    """Judge scores of heads that had not heard the group, on folders and on packages."""
    voices = np.isin(judged.corpus, JUDGED)
    packages = ~voices & ~np.isin(judged.corpus, WEAK)
    return {
        "groups": both("version, groups left out, folders", scores[voices], judged.rows(voices)),
        "packages": both(
            "version, groups left out, packages", scores[packages], judged.rows(packages)
        ),
    }


def judge_folders(
    folders: Unseen, rows: Table, calibration: tuple[Float64Array, Float64Array]
) -> Figures:
    """Judge folders left out whole, and the corpora of the first heads by themselves."""
    scores = softmax(folders.logits * calibration[0] + calibration[1])
    print(f"temperature {1 / calibration[0][0]:.3f}", flush=True)
    named = np.isin(rows.corpus, JUDGED)
    new = np.isin(rows.corpus, (*FOLDERS, LOOPS))
    figures = {
        "folders": both("version, whole folders left out", scores[named], rows.rows(named)),
        "old_kinds": as_rows_come(
            "version, corpora of the first heads left out in turn",
            scores[~new & (rows.corpus != JUDGED_ALONE)],
            rows.rows(~new & (rows.corpus != JUDGED_ALONE)),
        ),
        "tune": as_rows_come(
            "version, tune", scores[rows.corpus == JUDGED_ALONE], rows.rows(rows.corpus == "tune")
        ),
    }
    print(judge(scores, rows.label, rows.corpus, rows.group).cell_lines(), flush=True)
    return figures


def both(title: str, scores: Scores, rows: Table) -> Figures:
    """Judge by segment and by track, corpora and classes weighing the same."""
    segments = judge(scores, rows.label, rows.corpus, rows.group)
    tracks = judge(*by_track(scores, rows.label, rows.corpus, rows.group, rows.track))
    for kind, found in (("segments", segments), ("tracks", tracks)):
        print(f"\n{title}, {kind}\n{found.table()}", flush=True)
    print(segments.cell_lines(), flush=True)
    return {"segments": segments.to_dict(), "tracks": tracks.to_dict()}


def as_rows_come(title: str, scores: Scores, rows: Table, *, quiet: bool = False) -> Figures:
    """Judge with every row weighing the same, or every class; intervals over tracks."""
    rng = np.random.default_rng(0)
    name = np.char.add(np.char.add(rows.track, "|"), rows.label.astype(np.str_))
    mean, labels, tracks = mean_scores(scores, rows.label, name)
    found = {
        "segments": report(scores, rows.label, name, classes=VERSION_CLASSES, rng=rng),
        "tracks": report(mean, labels, tracks, classes=VERSION_CLASSES, rng=rng),
    }
    return shown(title, found, quiet=quiet)


def judge_former(path: Path, extractor: Extractor, clips: list[Clip]) -> Figures:
    """Judge an earlier head of the same inputs, which heard tracks as loud as they come."""
    as_it_comes = Extractor(extractor.cache, FeatureSpec(level=None))
    by_corpus = {name: [c for c in clips if c.corpus == name] for name in JUDGED}
    rows = usable(concatenate([as_it_comes.clips(*found) for found in by_corpus.items()]))
    file = load_file(path)
    logits = (rows.columns(INPUTS) - file["mean"]) / file["scale"] @ file["weight_0"]
    z = (logits + file["bias_0"]) * file["calibration_scale"] + file["calibration_bias"]
    return both("version, the former head, some of it learnt from", softmax(z), rows)


def no_music(scores: Scores, judged: Table) -> dict[str, list[int]]:
    """Count the recordings that the rule of `audiorec.search.choice` takes for no music."""
    mean, label, *_ = by_track(scores, judged.label, judged.corpus, judged.group, judged.track)
    taken = (mean[:, OTHER] >= EVEN) & (mean.argmax(1) == OTHER)
    found = {
        name: [int(taken[part].sum()), int(part.sum())]
        for name, part in (("sounds", label == OTHER), ("music and voices", label != OTHER))
    }
    print(f"\ntaken for no music: {found}")
    return found


def song_answers(scores: Scores, judged: Table) -> Figures:
    """Count by genre or singer what songs of weak labels are called, each left out."""
    rows = np.isin(judged.corpus, WEAK)
    table, own = judged.rows(rows), scores[rows]
    tracks, of_row = np.unique(table.track, return_inverse=True)
    sums = np.zeros((len(tracks), own.shape[1]))
    np.add.at(sums, of_row, own)
    counts: dict[str, dict[str, int]] = {}
    for track, answer in zip(tracks, sums.argmax(1), strict=True):
        kind = counts.setdefault(track.split("/")[0], dict.fromkeys(VERSION_CLASSES, 0))
        kind[VERSION_CLASSES[answer]] += 1
    print("\nsongs left out: vocal, instrumental, with accompaniment, other")
    for kind, row in counts.items():
        print(f"{kind:28} {list(row.values())}", flush=True)
    return counts


def elsewhere_answers(head: Head, rows: Table) -> Figures:
    """Return the mean scores of singing by people of whom nothing was learnt."""
    scores = head.scores_of_columns(rows.columns(INPUTS))
    found: Figures = {}
    print("\nelsewhere: vocal, instrumental, with accompaniment, other")
    for track in np.unique(rows.track):
        part = rows.track == track
        mean = scores[part].mean(0).astype(float).round(2).tolist()
        label = rows.label[part][0]
        found[track] = {"is": VERSION_CLASSES[label] if label >= 0 else "", "scores": mean}
        print(f"{track:50} {found[track]['is']:20} {mean}", flush=True)
    return found


def degraded(extractor: Extractor, clips: list[Clip], train: Table, judged: Table) -> Figures:
    """Return accuracy on the first turn's folders and singers after what happens to audio."""
    learn, judge_rows = next(turns(train, judged))
    groups = set(judged.group[judge_rows & (judged.corpus != JUDGED_ALONE)])
    sample = [clip for clip in _few(clips) if clip.group in groups]
    changes: dict[str, Callable[[FloatArray], FloatArray]] = {
        "as it is": lambda waveform: waveform,
        "MP3 64 kbit/s": lambda waveform: mp3(waveform, 64),
        "AAC 64 kbit/s": lambda waveform: aac(waveform, 64),
        "4 kHz": lambda waveform: low_pass(waveform, 4000.0),
        "telephone": telephone,
        "-20 dB": lambda waveform: waveform / 10,
        "clipped": lambda waveform: np.clip(waveform * 6, -1, 1).astype(np.float32),
    }
    tables: dict[str, Table] = {}
    for name, change in changes.items():
        table = extractor.clips(
            f"turn-0-{name}".replace(" ", "-").replace("/", "-"),
            sample,
            lambda w, change=change: change(np.array(w[: int(DAMAGED_S * SAMPLE_RATE)])),  # type: ignore[misc]
        )
        tables[name] = usable(table)
    together = concatenate(list(tables.values()))
    answers = softmax(Learner(train).fit(learn).logits(together.columns(INPUTS)))
    ends = np.cumsum([len(table) for table in tables.values()])[:-1]
    found: Figures = {}
    for (name, table), scores in zip(tables.items(), np.split(answers, ends), strict=True):
        judged_rows = judge(scores, table.label, table.corpus, table.group)
        found[name] = judged_rows.to_dict()
        print(f"{name}: macro-F1 {judged_rows.macro_f1}, recall {judged_rows.recall.round(3)}")
    return found


def last_digits(train: Table, judged: Table) -> dict[str, float]:
    """Return by how much scores and answers move if ``msd`` had other last digits."""
    rng = np.random.default_rng(0)

    def other(values: FloatArray) -> FloatArray:
        noise = rng.standard_normal(values.shape, dtype=np.float32)
        return values * (1 + OTHER_MACHINE * noise)

    arrays = (getattr(train.msd, field.name) for field in fields(train.msd))
    moved = replace(train, msd=Features(*(other(values) for values in arrays)))
    every, columns = np.ones(len(train), np.bool_), judged.columns(INPUTS)
    scores, again = (softmax(Learner(t).fit(every).logits(columns)) for t in (train, moved))
    gap = np.abs(scores - again)
    found = {
        "most": float(gap.max()),
        "mean": float(gap.mean()),
        "other_answers": float((scores.argmax(1) != again.argmax(1)).mean()),
    }
    print(f"\nlearnt from columns that differ by {OTHER_MACHINE:.0e}: {found}")
    return found


def _few(clips: list[Clip]) -> list[Clip]:
    """Return some clips of each corpus and class, spread over it; of MIR-1K each singer's."""
    by_kind: dict[tuple[str, int], list[Clip]] = {}
    for clip in clips:
        own = clip.group if clip.label in (VOCAL, ACCOMPANIED) else clip.corpus
        if clip.label < 0 or (clip.corpus == "mir1k" and clip.label == INSTRUMENTAL):
            continue
        by_kind.setdefault((own, clip.label), []).append(clip)
    return [c for found in by_kind.values() for c in found[:: -(-len(found) // DAMAGED_CLIPS)]]
