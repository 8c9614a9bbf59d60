"""The version recipe: what is trained on, what is left out, what is measured.

Two ways to leave out. *Groups*: performers, arias, singers, songs and recordings, along folds, so
that every folder is on both sides. *Folders*: whole folders and packages in turn, together with
some of MIR-1K's singers: kinds of audio that were never heard. Nothing is ever learnt from the
set ``tune``. The calibration is that of both: half of folders left out, half of groups.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from head_data import ACCOMPANIED, INSTRUMENTAL, OTHER_CORPORA, VERSION_CLASSES, VOCAL
from head_dense import Dense, DenseRecipe, fit_dense
from head_features import Table
from head_packages import MUSIC, SOUNDS, WEAK
from head_tables import JUDGED_ALONE, without
from head_voices import FOLDERS, LOOPS

from audiorec.labelling.train import class_targets
from audiorec.tagger.heads import Head, training_record
from audiorec.tagger.weights import backbone_weights
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array

INPUTS = ("msd.max_pool", "msd.mean_pool", "msd.penultimate", "msd.tags")
RECIPE = DenseRecipe()
VERSION = ("mir1k", "superpowers", JUDGED_ALONE, *OTHER_CORPORA)  # folders of ``version``
JUDGED = (*VERSION, *FOLDERS)  # what the figures are about; packages are judged beside them
MIN_VOICED = 0.3  # share of a segment; below it the voice's own label does not hold
FOLDS = 6  # along groups
TURNS, VOICE_TURNS = 8, 6  # of leaving corpora and singers out, and folders of voices
MADE = "augmented"  # name of the track of every mix
CORPUS_POWER = 0.1  # 1: every row counts the same; 0: every corpus
MADE_SHARE = 0.25  # of a class's weight; the rest is for audio as it was found
SONG_WEIGHTS = {  # of the rows of records, beside 1 for the rest
    "gtzan": 1.5,  # weak labels, and nearly all finished records with a voice
    "winterreise": 0.4,  # two people with a piano; more of it hides voices with a band
}
VOICE_TAGS = ("female vocalists", "male vocalists", "female vocalist")
VOICE_FACTOR = 0.75  # these tags also fire on soft music without a voice

StrArray = npt.NDArray[np.str_]
Turns = Callable[[Table, Table], Iterator[tuple[BoolArray, BoolArray]]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unseen:
    """Logits of rows of which the head had not heard the group, or the folder.

    `turn` is the fold or the turn of each row, `rows` its place in the table of clean rows.
    """

    logits: Float64Array
    turn: Int64Array
    rows: Int64Array


def usable(table: Table) -> Table:
    """Return the labelled rows; a voice's rows only where it is heard."""
    silent = (table.voiced < MIN_VOICED) & np.isin(table.label, [VOCAL, ACCOMPANIED])
    return table.rows((table.label >= 0) & ~silent)


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
    """Return how sure the backbone's own tags are of a voice, (n,)."""
    names = backbone_weights("msd").tags
    heard: npt.NDArray[np.float32] = table.msd.tags[:, [names.index(t) for t in VOICE_TAGS]].max(1)
    return VOICE_FACTOR * heard


def row_weights(label: Int64Array, corpus: StrArray, made: BoolArray) -> Float64Array:
    """Return weights: every class the same, in it a corpus by a power of its rows.

    Mixes share `MADE_SHARE` of their class, and count by the corpus of their first source.
    """
    weights = np.zeros(len(label))
    for kind in range(len(VERSION_CLASSES)):
        own, mixes = (label == kind) & ~made, (label == kind) & made
        share = MADE_SHARE if own.any() else 1.0
        for rows, part in ((own, 1 - share if mixes.any() else 1.0), (mixes, share)):
            if rows.any():
                weights[rows] = part * _by_corpus(corpus[rows])
    return weights * len(label) / len(VERSION_CLASSES)


def _by_corpus(corpus: StrArray) -> Float64Array:
    """Return weights of sum 1: a corpus counts as a power of its rows; in it every row the same."""
    first = np.char.partition(corpus, "+")[:, 0]
    names, of_row, counts = np.unique(first, return_inverse=True, return_counts=True)
    songs = np.array([SONG_WEIGHTS.get(name, 1.0) for name in names])
    found: Float64Array = (songs * counts ** (CORPUS_POWER - 1.0))[of_row]
    return found / found.sum()


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """A table to learn from, with its columns and targets put together once for many fits."""

    table: Table
    recipe: DenseRecipe = RECIPE
    columns: FloatArray = field(init=False)
    targets: Float64Array = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", self.table.columns(INPUTS).astype(np.float32))
        object.__setattr__(self, "targets", targets(self.table))

    def fit(self, learn: BoolArray) -> Dense:
        """Fit on the rows of a mask, weighted by what these rows are."""
        weights = row_weights(self.table.label[learn], self.table.corpus[learn], self.made[learn])
        return fit_dense(self.columns[learn], self.targets[learn], weights, recipe=self.recipe)

    @property
    def made(self) -> BoolArray:
        """Which rows are mixes."""
        return self.table.track == MADE


def groups_left_out(
    train: Table, clean: Table, *, recipe: DenseRecipe = RECIPE, folds: int = FOLDS
) -> Unseen:
    """Leave groups out along folds; a mix is heard only if none of its sources is left out.

    Parameters
    ----------
    train : Table
        All rows that may be learnt from.
    clean : Table
        Rows to judge, each once.
    recipe : DenseRecipe
    folds : int
    """
    fold = folds_of(clean.corpus, clean.group, folds)
    learner, columns, parts = Learner(train, recipe), clean.columns(INPUTS), []
    for number in range(folds):
        rows = np.flatnonzero(fold == number)
        model = learner.fit(without(train.group, tuple(np.unique(clean.group[rows]))))
        parts.append((model.logits(columns[rows]), rows, number))
    return _unseen(parts)


def folds_of(corpus: StrArray, group: StrArray, folds: int) -> Int64Array:
    """Deal the groups of each corpus out to folds, one after another, the largest first.

    So the performers of a small folder are not all left out at once.
    """
    names, first, of_row, counts = np.unique(
        group, return_index=True, return_inverse=True, return_counts=True
    )
    fold = np.zeros(len(names), np.int64)
    for number, name in enumerate(np.unique(corpus)):
        own = np.flatnonzero(corpus[first] == name)
        own = own[np.argsort(-counts[own], kind="stable")]
        fold[own] = (number + np.arange(len(own))) % folds
    return fold[of_row]


def _unseen(parts: list[tuple[Float64Array, Int64Array, int]]) -> Unseen:
    return Unseen(
        logits=np.concatenate([logits for logits, _, _ in parts]),
        turn=np.concatenate([np.full(len(rows), turn) for _, rows, turn in parts]),
        rows=np.concatenate([rows for _, rows, _ in parts]),
    )


def left_out(turn: int) -> tuple[str, ...]:
    """Return the corpora that a turn leaves out: every eighth of music and of sounds, ...

    ... and in the turns after these every sixth folder of voices.
    """
    if turn >= TURNS:
        return (*FOLDERS, LOOPS)[turn - TURNS :: VOICE_TURNS]
    music = ("superpowers", *(corpus.name for corpus in MUSIC))
    sounds = (*OTHER_CORPORA, *(corpus.name for corpus in SOUNDS))
    return music[turn::TURNS] + sounds[turn::TURNS]


def turns(train: Table, clean: Table) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Yield the rows to learn from and the rows to judge, turn by turn.

    The first `TURNS` are those that the first heads were judged by, on the corpora that these
    learnt from; ``tune`` is judged in each of them.
    """
    mir1k = np.unique(clean.group[clean.corpus == "mir1k"])
    for turn in range(TURNS + VOICE_TURNS):
        corpora = left_out(turn)
        singers = tuple(str(name) for name in mir1k[turn::TURNS]) if turn < TURNS else ()
        learn = without(train.corpus, (*corpora, JUDGED_ALONE)) & without(train.group, singers)
        voices = np.isin(clean.group, singers) & np.isin(clean.label, [VOCAL, ACCOMPANIED])
        also = (JUDGED_ALONE,) if turn < TURNS else ()
        yield learn, voices | np.isin(clean.corpus, (*corpora, *also))


def folders_left_out(
    train: Table, clean: Table, ways: Turns = turns, recipe: DenseRecipe = RECIPE
) -> Unseen:
    """Leave folders and singers out in turn; each turn of `turns` judges ``tune`` anew."""
    learner, columns, parts = Learner(train, recipe), clean.columns(INPUTS), []
    for turn, (learn, judge) in enumerate(ways(train, clean)):
        rows = np.flatnonzero(judge)
        parts.append((learner.fit(learn).logits(columns[rows]), rows, turn))
    return _unseen(parts)


def train_version(
    table: Table,
    calibration: tuple[Float64Array, Float64Array],
    backbones: Mapping[str, str],
    *,
    info: Mapping[str, Any] | None = None,
    recipe: DenseRecipe = RECIPE,
) -> Head:
    """Train the version head on labelled rows; its calibration is that of rows left out."""
    learner = Learner(table, recipe)
    model = learner.fit(np.ones(len(table), np.bool_))
    scale, bias = calibration
    return Head(
        task="version",
        classes=VERSION_CLASSES,
        inputs=INPUTS,
        backbones={"msd": backbones["msd"]},
        mean=model.mean,
        scale=model.scale,
        layers=model.layers,
        calibration_scale=scale.astype(np.float32),
        calibration_bias=bias.astype(np.float32),
        info=dict(info or {})
        | training_record(learner.columns, learner.targets, asdict(recipe))
        | {"versions": {"numpy": np.__version__, "torch": torch.__version__}},
    )
