"""The version recipe: what is trained on, what is left out, what is measured.

Three tables. *Inside*: folds along singers and recordings, so that every corpus is on both
sides. *Unseen*: corpora of music and of other sounds are left out whole, in turn, together with
some of MIR-1K's singers; and the set ``tune``, of which nothing is ever trained on. This is the
claim. *Without singers*: MIR-1K left out whole, and with it all recorded singing without a band.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from head_data import ACCOMPANIED, INSTRUMENTAL, OTHER_CORPORA, VERSION_CLASSES, VOCAL
from head_features import Table
from head_linear import LinearHead, LinearRecipe, fit_linear, train_linear
from head_packages import MUSIC, SOUNDS, WEAK

from audiorec.labelling.calibration import class_targets, fit_calibration
from audiorec.labelling.train import HeadRecipe, unseen_logits
from audiorec.tagger.heads import Head, softmax
from audiorec.tagger.weights import backbone_weights

INPUTS = ("msd.max_pool", "msd.mean_pool", "msd.penultimate", "msd.tags")
RECIPE = LinearRecipe(l2=0.03, label_smoothing=0.1, folds=3, calibration="temperature")
MIN_VOICED = 0.3  # share of a segment; below it the voice's own label does not hold

QUIET = "quiet"  # name of the track of every row that was turned down
TURNS = 8  # of leaving corpora and singers out
AUGMENTED_SHARE = 0.2  # of a class's weight; the rest is for audio as it was found
SONG_WEIGHTS = {  # of the rows of records, beside 1 for the rest
    "gtzan": 1.5,  # weak labels, and nearly all finished records with a voice
    "winterreise": 0.4,  # two people with a piano; more of it hides voices with a band
}
VOICE_TAGS = {
    "mtt": ("vocal", "female", "male", "singing", "vocals", "woman", "male vocal", "man", "voice",
            "male voice", "female vocal", "female voice"),
    "msd": ("female vocalists", "male vocalists", "female vocalist"),
}  # fmt: skip
MSD_VOICE_FACTOR = 0.75  # its vocal tags also fire on soft music without a voice

BoolArray = npt.NDArray[np.bool_]
Float64Array = npt.NDArray[np.float64]
Recipe = LinearRecipe | HeadRecipe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unseen:
    """Logits of rows whose corpus or singer the head had not heard, over all turns."""

    logits: Float64Array
    turn: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]  # into the table of clean rows

    def calibrated(self, labels: npt.NDArray[np.int64], fit: BoolArray) -> Float64Array:
        """Return scores, each turn calibrated on the `fit` rows of the other turns."""
        scores = np.zeros_like(self.logits)
        for turn in np.unique(self.turn):
            others, own = (self.turn != turn) & fit, self.turn == turn
            scale, bias = calibrate(self.logits[others], labels[others])
            scores[own] = softmax(self.logits[own] * scale + bias)
        return scores


def calibrate(
    logits: Float64Array, labels: npt.NDArray[np.int64]
) -> tuple[Float64Array, Float64Array]:
    """Fit one temperature with every class weighing the same.

    Not a scale and a bias a class: they fit what a few corpora have in common and take two
    points of macro-F1 from the next corpus, for the same calibration error (decision 0021).
    """
    weights = 1.0 / np.bincount(labels, minlength=len(VERSION_CLASSES))[labels]
    return fit_calibration(logits, labels, kind="temperature", row_weights=weights)


def usable(table: Table) -> Table:
    """Return the labelled rows; a voice's rows only where it is heard."""
    silent = (table.voiced < MIN_VOICED) & np.isin(table.label, [VOCAL, ACCOMPANIED])
    return table.rows((table.label >= 0) & ~silent)


def contains(names: npt.NDArray[np.str_], wanted: tuple[str, ...]) -> BoolArray:
    """Return which of the ``+``-joined names hold any of the wanted ones."""
    unique, of_row = np.unique(names, return_inverse=True)
    held = np.array([any(w in name.split("+") for w in wanted) for name in unique])
    return held[of_row]


def targets(table: Table) -> Float64Array:
    """Return (n, 4) probabilities; weak labels give way to what the tags say."""
    found = class_targets(table.label, len(VERSION_CLASSES))
    heard = voice_score(table)
    songs = np.isin(table.corpus, WEAK)
    for label, voiced, certain in (
        (ACCOMPANIED, heard >= 0.15, (0.03, 0.97)),
        (ACCOMPANIED, heard < 0.15, (0.3, 0.7)),
        (INSTRUMENTAL, heard <= 0.08, (0.97, 0.03)),
        (INSTRUMENTAL, heard > 0.08, (0.6, 0.4)),
    ):
        rows = songs & (table.label == label) & voiced
        found[rows] = 0.0
        found[np.ix_(rows, [INSTRUMENTAL, ACCOMPANIED])] = certain
    return found


def voice_score(table: Table) -> npt.NDArray[np.float32]:
    """Return how sure the backbones' own tags are of a voice, (n,)."""
    best = {}
    for name, wanted in VOICE_TAGS.items():
        tags = backbone_weights(name).tags
        best[name] = getattr(table, name).tags[:, [tags.index(tag) for tag in wanted]].max(1)
    return np.maximum(best["mtt"], MSD_VOICE_FACTOR * best["msd"])


def row_weights(table: Table) -> Float64Array:
    """Return weights: every class the same, in it a corpus by the root of its rows.

    Augmented rows share `AUGMENTED_SHARE` of their class, each the same: there are as many kinds
    of them as pairs of corpora.
    """
    weights, augmented = np.zeros(len(table)), table.track == "augmented"
    for label in range(len(VERSION_CLASSES)):
        own, made = (table.label == label) & ~augmented, (table.label == label) & augmented
        share = AUGMENTED_SHARE if own.any() else 1.0
        corpora = table.corpus[own]
        names, of_row, counts = np.unique(corpora, return_inverse=True, return_counts=True)
        songs = np.array([SONG_WEIGHTS.get(corpus, 1.0) for corpus in names])
        found = (songs / np.sqrt(counts))[of_row]
        weights[own] = found / found.sum() * (1 - share if made.any() else 1.0)
        weights[made] = share / max(made.sum(), 1)
    return weights * len(table) / len(VERSION_CLASSES)


def train_version(
    table: Table,
    backbones: Mapping[str, str],
    *,
    info: Mapping[str, Any] | None = None,
) -> LinearHead:
    """Train the version head on labelled rows."""
    return train_linear(
        table.columns(INPUTS),
        targets(table),
        np.array([group.split("+")[0] for group in table.group]),
        row_weights(table),
        task="version",
        classes=VERSION_CLASSES,
        inputs=INPUTS,
        backbones={"msd": backbones["msd"]},
        recipe=RECIPE,
        info=info,
    )


def strange_logits(
    train: Table, rows: Table, *, inputs: tuple[str, ...] = INPUTS, recipe: Recipe = RECIPE
) -> Float64Array:
    """Return what a head that learnt from `train` alone says of rows, (n, 4), uncalibrated."""
    learnt = train.columns(inputs), targets(train), row_weights(train)
    if isinstance(recipe, LinearRecipe):
        return fit_linear(*learnt, recipe=recipe).logits(rows.columns(inputs))
    return unseen_logits(*learnt, rows.columns(inputs), recipe=recipe)


def rotate(
    train: Table,
    clean: Table,
    *,
    inputs: tuple[str, ...] = INPUTS,
    recipe: Recipe = RECIPE,
    step: int = 1,
) -> Unseen:
    """Leave corpora and singers out in turn and keep the logits of what was left out.

    Parameters
    ----------
    train : Table
        All rows that may be learnt from: clean, augmented, GTZAN.
    clean : Table
        Rows to judge, ``tune`` among them; each turn judges ``tune`` anew.
    inputs : tuple of str
    recipe : LinearRecipe or HeadRecipe
    step : int
        Every which turn.
    """
    parts: list[tuple[Float64Array, npt.NDArray[np.int64], int]] = []
    for turn, (learn, judge) in enumerate(turns(train, clean)):
        if turn % step:
            continue
        rows = np.flatnonzero(judge)
        heard, judged = train.rows(learn), clean.rows(rows)
        parts.append((strange_logits(heard, judged, inputs=inputs, recipe=recipe), rows, turn))
    return Unseen(
        logits=np.concatenate([logits for logits, _, _ in parts]),
        turn=np.concatenate([np.full(len(rows), turn) for _, rows, turn in parts]),
        rows=np.concatenate([rows for _, rows, _ in parts]),
    )


def left_out(turn: int) -> tuple[str, ...]:
    """Return the corpora of music and of sounds that one turn leaves out: every eighth of each."""
    music = ("superpowers", *(corpus.name for corpus in MUSIC))
    sounds = (*OTHER_CORPORA, *(corpus.name for corpus in SOUNDS))
    return music[turn::TURNS] + sounds[turn::TURNS]


def turns(train: Table, clean: Table) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Yield the rows to learn from and the rows to judge, turn by turn."""
    mir1k = np.unique(clean.group[clean.corpus == "mir1k"])
    for turn in range(TURNS):
        corpora = left_out(turn)
        singers = tuple(str(name) for name in mir1k[turn::TURNS])
        learn = ~contains(train.corpus, (*corpora, "tune")) & ~contains(train.group, singers)
        voices = np.isin(clean.group, singers) & np.isin(clean.label, [VOCAL, ACCOMPANIED])
        yield learn, voices | np.isin(clean.corpus, (*corpora, "tune"))


def song_answers(scores: npt.NDArray[np.floating], songs: Table) -> dict[str, dict[str, int]]:
    """Count by genre what GTZAN's tracks are called; weak labels, so no accuracy."""
    tracks, of_row = np.unique(songs.track, return_inverse=True)
    sums = np.zeros((len(tracks), scores.shape[1]))
    np.add.at(sums, of_row, scores)
    counts: dict[str, dict[str, int]] = {}
    for track, answer in zip(tracks, sums.argmax(1), strict=True):
        genre = counts.setdefault(track.split("/")[0], dict.fromkeys(VERSION_CLASSES, 0))
        genre[VERSION_CLASSES[answer]] += 1
    return counts


def with_calibration(
    head: Head, unseen: Unseen, labels: npt.NDArray[np.int64], fit: BoolArray
) -> Head:
    """Return the head with the calibration that suits the `fit` rows of all turns."""
    scale, bias = calibrate(unseen.logits[fit], labels[fit])
    return replace(
        head,
        calibration_scale=scale.astype(np.float32),
        calibration_bias=bias.astype(np.float32),
    )
