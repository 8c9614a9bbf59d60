"""Compare what the version head may read and what it may learn from, on unseen corpora.

    python scripts/compare_version.py --data DIR --extra DIR --cache DIR

The folders are those of `train_heads.py`, whose cached features are used. All variants learn from
the same third of the rows, so that the comparison takes minutes. One line a variant:
macro-F1 with classes of equal size by segment, pooled over every second turn of
`head_version.rotate`, with its interval over tracks; and macro-F1 on ``tune``, with the recall of
its three classes. Uncalibrated, all alike.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from head_features import Extractor, Table, concatenate
from head_packages import WEAK
from head_version import INPUTS, RECIPE, Recipe, rotate, usable
from head_version_figures import both
from train_heads import augmented_table, clean_tables, labelled_clips, quiet_table, sung_tables

from audiorec.labelling.train import HeadRecipe
from audiorec.tagger.heads import softmax

STEP = 2  # every second turn
THIN = 3  # every third row to learn from
OUTPUTS = ("tags", "penultimate", "max_pool", "mean_pool")
POOLS = ("msd.max_pool", "msd.mean_pool")
OF_MTT = tuple(name.replace("msd", "mtt") for name in INPUTS)
# Ends after 15 epochs: the loss in corpora that are known is lowest long after others suffer.
DENSE = HeadRecipe(
    hidden=(128,), dropout=0.3, input_dropout=0.2, label_smoothing=0.1, max_epochs=15
)


def main() -> None:
    """Print one line a variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("data", "extra", "cache"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    extractor = Extractor(args.cache)
    clips = labelled_clips(args.data, args.extra)
    clean, songs = clean_tables(extractor, clips, args.data)
    sung, _ = sung_tables(extractor, args.extra)
    found = usable(concatenate([clean, songs, sung]))
    found = found.rows(found.corpus != "tune")
    quiet = usable(quiet_table(extractor, clips))
    made = usable(augmented_table(extractor, clips, args.data))
    judged = usable(clean)

    def line(
        name: str, train: Table, inputs: tuple[str, ...] = INPUTS, recipe: Recipe = RECIPE
    ) -> None:
        show(name, train, judged, inputs=inputs, recipe=recipe)

    everything = concatenate([found, quiet, made])
    line("shipped", everything)
    line("... without augmentation", concatenate([found, quiet]))
    line("... without quiet rows", concatenate([found, made]))
    line("... without songs", everything.rows(~np.isin(everything.corpus, WEAK)))
    line("... L2 of 0.003", everything, recipe=replace(RECIPE, l2=0.003))
    line("... L2 of 0.3", everything, recipe=replace(RECIPE, l2=0.3))
    line("... 128 units", everything, recipe=DENSE)
    line("... 256 units", everything, recipe=replace(DENSE, hidden=(256,)))
    line("pools of msd", everything, POOLS)
    line("... 128 units", everything, POOLS, DENSE)
    for output in OUTPUTS:
        for names in (("msd",), ("mtt",), ("msd", "mtt")):
            inputs = tuple(f"{name}.{output}" for name in names)
            line(" and ".join(inputs), everything, inputs)
    line("all of mtt", everything, OF_MTT)
    line("all of both", everything, (*INPUTS, *OF_MTT))


def show(
    name: str,
    train: Table,
    judged: Table,
    *,
    inputs: tuple[str, ...],
    recipe: Recipe,
) -> None:
    """Rotate one variant and print its line."""
    thinned = train.rows(np.arange(0, len(train), THIN))
    unseen = rotate(thinned, judged, inputs=inputs, recipe=recipe, step=STEP)
    rows, scores = judged.rows(unseen.rows), softmax(unseen.logits)
    tune = rows.corpus == "tune"
    kinds = []
    for part, figure in ((~tune, "balanced_macro_f1"), (tune, "macro_f1")):
        found = both(name, scores[part], rows.rows(part), quiet=True)["segments"]
        kinds.append(found[figure])
    width = train.columns(inputs).shape[1]
    texts = [f"{k['value']:.3f} [{k['low']:.3f}, {k['high']:.3f}]" for k in kinds]
    recall = np.round([c["recall"] for c in found["classes"].values() if c["rows"]], 2)
    print(f"{name:40} {width:5}  turns {texts[0]}  tune {texts[1]} {recall}", flush=True)


if __name__ == "__main__":
    main()
