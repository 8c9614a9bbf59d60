"""Rebuild the shipped heads and print every figure that their model card quotes.

    python scripts/heads/train_heads.py --data DIR --extra DIR --cache DIR --out DIR

`--data` is the folder with ``version/``, ``version2/``, ``genre2/`` and ``gtzan/``; `--extra`
holds unpacked packages, one folder each, as `unpack_packages.sh` leaves them; `--cache` keeps
decoded clips (5 GB), mixes and features between runs; `--former` is an earlier version head to
judge beside the new one. Figures go to stdout as text and to ``<out>/head_figures.json``; of both
tasks and with `--former`, `--out` then holds all that is shipped: two heads and
``narrowing.safetensors`` for ``audiorec/tagger/data``, the figures and the model card
(``heads.md``) for ``docs/model_cards``, and ``genre_outside`` for ``docs/benchmarks``.
`head_card.py` prints the card from the figures again.
"""

import argparse
import json
import resource
from pathlib import Path

import numpy as np
import torch
from genre_outside_page import page, table
from head_card import card
from head_data import gtzan_clips, short_gtzan_clips
from head_features import Extractor, concatenate
from head_figures import Figures
from head_genre_figures import Heard, genre
from head_narrowing import save_narrowing
from head_outside import pieces
from head_tables import (
    clean_table,
    copied_music,
    copies,
    labelled_clips,
    mixes_table,
    song_tables,
)
from head_version_figures import Rows, version

from audiorec.tagger.heads import Head

TASKS = ("version", "genre")
LISTED = "ultrastar_coulton"  # songs whose genre nobody labelled


def main() -> None:
    """Train, measure, save."""
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # sums in one order: the same head on every machine
    extractor = Extractor(args.cache)
    clips = labelled_clips(args.data, args.extra)
    clean = clean_table(extractor, clips)
    songs, sung, elsewhere = song_tables(extractor, args.data, args.extra)
    figures: Figures = {}
    if "genre" in args.tasks:
        heard = Heard(
            clean=clean,
            songs=songs,
            short=clean_table(extractor, short_gtzan_clips(args.data)),
            copied=copies(extractor, "gtzan", gtzan_clips(args.data)),
            music=copied_music(extractor, clips),
            outside=pieces([clean, sung, elsewhere]),
            listed=clean.rows(clean.corpus == LISTED),
        )
        figures["genre"] = genre(extractor, args.data, heard, args.out)
    if "version" in args.tasks:
        known = concatenate([clean, songs, sung])
        mixes = mixes_table(extractor, [*clips, *gtzan_clips(args.data)])
        rows = Rows(train=concatenate([known, mixes]), clean=known, elsewhere=elsewhere)
        figures["version"] = version(extractor, clips, rows, args.out, args.former)
    heads = [args.out / f"head_{task}.safetensors" for task in TASKS]
    if all(path.exists() for path in heads):
        save_narrowing(
            args.out, [Head.load(path) for path in heads], copied_music(extractor, clips)
        )
    (args.out / "head_figures.json").write_text(json.dumps(figures, sort_keys=True) + "\n")
    if set(figures) == set(TASKS) and args.former:
        (args.out / "heads.md").write_text(card(figures))
        (args.out / "genre_outside.md").write_text(page(figures["genre"]))
        (args.out / "genre_outside.csv").write_text(table(figures["genre"]))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"CPU time: {np.round((used.ru_utime + used.ru_stime) / 60, 1)} min")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("data", "extra", "cache", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--former", type=Path)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
