"""What is stated of songs whose kind is known: music or not, genre and family, how often rightly.

    python -m benchmarks eval_stated STORE music|noise|genre [--level 1]

STORE is of songs of one kind; a folder of their ids, by default the first, is the genre that they
are, or the corpus they come from. Of music and noise it counts by folder what is taken for music by
the version head alone, and with what is heavy and what a tag says. Of genres it counts the classes
and the families that are stated, and how many are right, and families by their probability.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from audiorec import open_store
from audiorec.library.library import Library
from audiorec.search.music import HEAD, heavy_of
from audiorec.search.stored_labels import said_genres
from audiorec.tagger.reading import EVEN, NOT_MUSIC, sounds_other
from audiorec.tagger.song_labels import FAMILIES, SongLabels

BINS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)


def as_music(store: Library, folders: list[str]) -> Iterator[dict[str, Any]]:
    """Yield for each folder how many songs the head takes for music, and how many are stated."""
    means = store.metadata.mean_columns(HEAD)
    values = store.read_vectors()[:, list(means.values())]
    other = list(means).index(NOT_MUSIC)
    by_head = (values.argmax(axis=1) != other) | (values[:, other] < EVEN)
    codes, said = said_genres(store)
    named = np.asarray([bool(one) for one in said])[codes]
    stated = ~sounds_other(values, other, heavy_of(store), named)  # length aside
    for folder in sorted(set(folders)):
        own = np.array([one == folder for one in folders])
        yield {
            "folder": folder,
            "songs": int(own.sum()),
            "music by the head": int((by_head & own).sum()),
            "music as stated": int((stated & own).sum()),
        }


def as_genre(store: Library, genres: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what is stated of all songs with one of the genres, then families by probability."""
    head = SongLabels.shipped()  # length aside
    found = head.of(store.read_list("embedding")[1], store.read_list("heard_tags")[1])
    names = (*head.genres, *head.styles)
    known = np.flatnonzero([genre in names for genre in genres])
    values = np.concatenate([found.genre, found.styles], axis=1)[known]
    truth = [genres[row] for row in known]
    clear = found.genre_clear[known] | found.style_clear[known].any(axis=1)
    labels = [head.label(found, int(row)) for row in known]
    said = [one and (one.styles or (one.genre,))[0] for one in labels]
    right = np.array([one == true for one, true in zip(said, truth, strict=True)])
    sums = np.stack(
        [
            values[:, [names.index(n) for n in of if n in names]].sum(axis=1)
            for of in FAMILIES.values()
        ],
        axis=1,
    )
    families = list(FAMILIES.values())
    fits = np.array(
        [true in families[n] for true, n in zip(truth, sums.argmax(axis=1), strict=True)]
    )
    in_family = ~clear & (found.family[known] >= 0)
    for what, rows, good in (("class", clear, right), ("family", in_family, fits)):
        yield {
            "stated": what,
            "songs": int(rows.sum()),
            "of": len(known),
            "right": round(float(good[rows].mean()), 3) if rows.any() else None,
        }
    for low, high in itertools.pairwise(BINS):
        rows = ~clear & (sums.max(axis=1) >= low) & (sums.max(axis=1) < high)
        share = round(float(fits[rows].mean()), 2) if rows.any() else None
        yield {"stated": f"family from {low}", "songs": int(rows.sum()), "right": share}


def main() -> int:
    """Print one line of JSON for each row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("kind", choices=("music", "noise", "genre"))
    parser.add_argument("--level", type=int, default=1)
    given = parser.parse_args()
    store = open_store(given.store)
    folders = [name.split("/")[given.level - 1] for name in store.ids]
    for row in (as_genre if given.kind == "genre" else as_music)(store, folders):
        print(json.dumps(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
