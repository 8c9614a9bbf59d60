"""Judge words beside a seed: whether songs are what was asked for, and still near the seed.

    python -m benchmarks eval_wish DATA --work WORK [--weights]

WORK is where `eval_find.py` keeps the clips of GTZAN, their store and the teacher's logits. Each
clip is a seed. *Wanted*: "but jazz" and so on, for each genre that the seed is not of; right are
clips of it. *Compared*: more or less of ten things, among them "calmer"; right are clips of which
the labels' teacher says that they have more of it, or less, than the seed; labels have not learnt
from these clips. One JSON line each for the list without words, with them, and for words alone:
the share of right ones among the first five, with a 95 % bootstrap interval over seeds, and of how
many pairs of clips the five are closer to the seed than (the mean). ``--weights`` prints the same
for other weights; those that ship were chosen by it.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
import numpy.typing as npt
from eval_find import interval
from train_labels import label_names

from audiorec.library.library import Library, open_store
from audiorec.search.questions import SimilarQuestion
from audiorec.words import find

K = 5
GENRES = {
    "hiphop": "hip hop", "metal": "heavy metal", "blues": "blues", "classical": "classical music",
    "country": "country", "disco": "disco", "jazz": "jazz", "pop": "pop", "reggae": "reggae",
    "rock": "rock",
}  # fmt: skip
COMPARED = {
    "calm": "Tender music", "loud": "Heavy metal", "guitar": "Guitar", "drums": "Drum kit",
    "singing": "Singing", "happy": "Happy music", "sad": "Sad music", "piano": "Piano",
    "electronic": "Electronic music", "dancing": "Dance music",
}  # fmt: skip
Right = npt.NDArray[np.bool_]


def questions(
    library: Library, said: npt.NDArray[np.floating]
) -> Iterator[tuple[str, int, str, Right]]:
    """Yield the kind of question, its seed, its words, and which clips are right."""
    genre = np.array([song.split(".")[0] for song in library.ids])
    for seed in range(len(library)):
        for name, words in GENRES.items():
            if name != genre[seed]:
                yield "wanted", seed, f"but {words}", genre == name
        for place, words in enumerate(COMPARED):
            more = said[:, place] > said[seed, place]
            yield "compared", seed, f"more {words}", more
            yield "compared", seed, f"less {words}", ~more


def judged(
    library: Library, said: npt.NDArray[np.floating], *, words: bool = True
) -> dict[str, tuple[list[float], float]]:
    """Return for each kind the share of right clips by seed, and how close they are on average."""
    right: dict[str, dict[int, list[float]]] = {"wanted": {}, "compared": {}}
    close: dict[str, list[float]] = {"wanted": [], "compared": []}
    for kind, seed, text, is_right in questions(library, said):
        found = library.ask(SimilarQuestion(seeds=(seed,), k=K, words=text if words else ""))
        if len(found):
            right[kind].setdefault(seed, []).append(float(is_right[found.rows].mean()))
            close[kind].append(float(found.beside.closer_than.mean()))
    return {
        kind: ([float(np.mean(one)) for one in right[kind].values()], float(np.mean(close[kind])))
        for kind in right
    }


def report(name: str, found: dict[str, tuple[list[float], float]]) -> None:
    """Print a line for each kind of question."""
    for kind, (right, close) in found.items():
        line = {"list": name, "kind": kind, "right": round(float(np.mean(right)), 3)}
        line |= {"interval": interval(right), "closer_than": round(close, 3)}
        print(json.dumps(line), flush=True)


def main() -> None:
    """Ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", action="store_true")
    args = parser.parse_args()
    library, names = open_store(args.work / "gtzan.parquet"), label_names(args.data)
    said = np.load(args.work / "teacher-gtzan.npy")[:, [names.index(n) for n in COMPARED.values()]]
    report("without words", judged(library, said, words=False))
    report("with words", judged(library, said))
    with patch.multiple(find, WANTED=100.0, COMPARED=100.0):
        report("words before all", judged(library, said))
    for wanted, compared in ((0.2, 0.5), (0.4, 0.7), (0.5, 2.0)) if args.weights else ():
        with patch.multiple(find, WANTED=wanted, COMPARED=compared):
            report(f"{wanted}, {compared}", judged(library, said))


if __name__ == "__main__":
    main()
