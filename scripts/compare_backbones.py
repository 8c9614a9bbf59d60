"""One backbone or two for the version head: all rows, all turns, the difference paired.

    python scripts/compare_backbones.py --data DIR --extra DIR --cache DIR

The folders are those of `train_heads.py`, whose cached features are used; about half an hour.
What the head reads of ``msd``, less of it, the same of ``mtt`` and of both, and a dense layer in
place of a linear map learn from the same rows and are judged on the same: the turns of
`head_version.rotate`, ``tune``, MIR-1K left out whole, and records left out whole. The difference
of macro-F1 (classes of equal size) to the shipped head has an interval over tracks, and one over
corpora, that both are drawn by. Uncalibrated, which changes no segment's answer. For the linear map
and the dense layer also by how much a score moves if the columns differ in their last digits.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from compare_version import DENSE, OF_MTT, POOLS
from head_data import VERSION_CLASSES
from head_features import Extractor, Table, concatenate
from head_version import INPUTS, RECIPE, Recipe, contains, rotate, strange_logits, usable
from head_version_figures import both, last_digits
from train_heads import augmented_table, clean_tables, labelled_clips, quiet_table, sung_tables

from audiorec.evaluation.classification import balanced_macro_f1
from audiorec.tagger.heads import softmax

VARIANTS: tuple[tuple[str, tuple[str, ...], Recipe], ...] = (
    ("all of msd", INPUTS, RECIPE),
    ("all of msd but its max pools", INPUTS[1:], RECIPE),
    ("penultimate of msd", ("msd.penultimate",), RECIPE),
    ("all of msd, 128 units", INPUTS, DENSE),
    ("pools of msd, 128 units", POOLS, DENSE),
    ("all of mtt", OF_MTT, RECIPE),
    ("all of both", (*INPUTS, *OF_MTT), RECIPE),
)
SAMPLES = 1000

IntArray = npt.NDArray[np.int64]


def main() -> None:
    """Print the figures of every variant and its difference to the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("data", "extra", "cache"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    extractor = Extractor(args.cache)
    clips = labelled_clips(args.data, args.extra)
    clean, songs = clean_tables(extractor, clips, args.data)
    sung, _ = sung_tables(extractor, args.extra)
    made = [quiet_table(extractor, clips), augmented_table(extractor, clips, args.data)]
    train = usable(concatenate([clean, *made, songs, sung]))
    train, judged = train.rows(train.corpus != "tune"), usable(clean)
    base: tuple[IntArray, Table] | None = None
    for name, inputs, recipe in VARIANTS:
        answers = turns(name, train, judged, inputs, recipe)
        strangers(name, train, judged, inputs, recipe)
        base = base or answers
        difference(name, answers, base)
        if inputs in (INPUTS, POOLS):
            last_digits(train, judged, inputs=inputs, recipe=recipe)


def turns(
    name: str, train: Table, judged: Table, inputs: tuple[str, ...], recipe: Recipe
) -> tuple[IntArray, Table]:
    """Print the figures of the turns; return answers and the rows that they are of."""
    unseen = rotate(train, judged, inputs=inputs, recipe=recipe)
    rows, scores = judged.rows(unseen.rows), softmax(unseen.logits)
    tune = rows.corpus == "tune"
    for where, part in (("turns", ~tune), ("tune", tune)):
        both(f"{name}, {where}", scores[part], rows.rows(part))
    return scores[~tune].argmax(1), rows.rows(~tune)


def strangers(
    name: str, train: Table, judged: Table, inputs: tuple[str, ...], recipe: Recipe
) -> None:
    """Print what is made of MIR-1K and of records by a head that never heard any of them."""
    rows = judged.rows(judged.corpus == "mir1k")
    heard = train.rows(~contains(train.corpus, ("mir1k",)))
    logits = strange_logits(heard, rows, inputs=inputs, recipe=recipe)
    both(f"{name}, MIR-1K left out", softmax(logits), rows)
    for corpus in ("gtzan", "winterreise"):
        own = train.rows((train.corpus == corpus) & (train.track != "augmented"))
        heard = train.rows(~contains(train.corpus, (corpus,)))
        found = strange_logits(heard, own, inputs=inputs, recipe=recipe).argmax(1)
        for label in np.unique(own.label):
            counts = np.bincount(found[own.label == label], minlength=len(VERSION_CLASSES))
            print(f"{name}, {corpus} left out, {VERSION_CLASSES[label]}: {counts} segments")


def difference(name: str, some: tuple[IntArray, Table], base: tuple[IntArray, Table]) -> None:
    """Print how much more macro-F1 some answers have than others, classes of equal size."""
    rows = base[1]
    for kind, group in (("tracks", rows.track), ("corpora", rows.corpus)):
        _, of_row = np.unique(group, return_inverse=True)
        less, more = (confusions(answers, rows.label, of_row) for answers in (base[0], some[0]))
        size = len(less)
        times = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), SAMPLES)
        drawn = [_gain(np.tensordot(t, less, 1), np.tensordot(t, more, 1)) for t in times]
        low, high = np.percentile(drawn, [2.5, 97.5])
        whole = _gain(less.sum(0), more.sum(0))
        print(f"{name}: {whole:+.3f} [{low:+.3f}, {high:+.3f}] over {kind}", flush=True)


def _gain(less: IntArray, more: IntArray) -> float:
    return balanced_macro_f1(more) - balanced_macro_f1(less)


def confusions(answers: IntArray, labels: IntArray, of_row: IntArray) -> IntArray:
    """Return one confusion matrix a group, (groups, 4, 4)."""
    n = len(VERSION_CLASSES)
    found = np.zeros((of_row.max() + 1, n, n), np.int64)
    np.add.at(found, (of_row, labels, answers), 1)
    return found


if __name__ == "__main__":
    main()
