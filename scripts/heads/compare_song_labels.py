"""Compare ways to learn genre of whole songs, on clips of artists that were left out.

    python scripts/heads/compare_song_labels.py --data DIR --extra DIR --cache DIR

Prints for each way which share of GTZAN's clips of two or three seconds, and of its half minutes,
is right first and among the first two: the table of decision 0058. Options are those of
`train_song_labels.py`; no test track is read.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from head_features import Extractor
from head_genre import GENRES
from head_gtzan import balanced
from head_linear import fit_softmax_regression
from head_song_figures import shares
from head_songs import (
    NONE,
    Learn,
    Logits,
    SongRows,
    Songs,
    gtzan_left_out,
    targets,
    with_embedding,
)
from threadpoolctl import threadpool_limits
from train_song_labels import WITH_AUDIO, read

from audiorec.tagger.features import OUTPUT_WIDTHS
from audiorec.tagger.song_labels import CLIP, EMBEDDING, WIDTH

LAST = np.arange(OUTPUT_WIDTHS["penultimate"])
TAGS = np.arange(EMBEDDING, WIDTH)
WHOLE = tuple(range(WIDTH))
WAYS = {  # columns, L2, whether tracks of tags alone are learnt from, and styles told apart
    "tags alone, L2 0.1": (tuple(TAGS), 0.1, True, True),
    "last layer and tags, L2 0.5": ((*LAST, *TAGS), 0.5, True, True),
    "**embedding and tags, L2 2 (shipped)**": (WHOLE, 2.0, True, True),
    "... clips alone": (WHOLE, 2.0, False, True),
    "... styles are none of the genres": (WHOLE, 2.0, True, False),
    "... L2 0.5": (WHOLE, 0.5, True, True),
    "... L2 8": (WHOLE, 8.0, True, True),
}


def way(columns: Sequence[int], l2: float, listed: bool, styles: bool) -> Learn:
    """Return what learns from some columns of some rows."""

    def learn(rows: SongRows) -> Logits:
        full = with_embedding(rows, rows)
        heard = full if listed else full.rows(full.corpus != "taggrams")
        if not styles:
            heard = replace(heard, genre=np.where(heard.genre < len(GENRES), heard.genre, NONE))
        weights = balanced(heard.group, heard.genre)
        chosen = heard.columns[:, columns]
        model = fit_softmax_regression(chosen, targets(heard), weights, l2=l2, clip=CLIP)
        return lambda others: model.logits(with_embedding(others, rows).columns[:, columns])

    return learn


def compare(songs: Songs) -> None:
    """Print the table."""
    for name, settings in WAYS.items():
        found = gtzan_left_out(songs, way(*settings))
        cells = []
        for corpus in reversed(WITH_AUDIO):
            part = (found.rows.corpus == corpus) & (found.rows.genre < len(GENRES))
            at = shares(found.calibrated(1.0)[part], found.rows.genre[part], limit=1.0)
            cells += [at["first"], at["two"]]
        print(f"| {name} | {' | '.join(f'{cell:.3f}' for cell in cells)} |", flush=True)


def main() -> None:
    """Read and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("data", "extra", "cache"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    args = parser.parse_args()
    songs = read(Extractor(args.cache), args.data, args.extra)
    with threadpool_limits(1):
        compare(songs)


if __name__ == "__main__":
    main()
