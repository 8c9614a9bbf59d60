"""Choose the weights of the six statistics for `similar`, and show them beside the baselines.

    python benchmarks/eval_similarity.py DATA

DATA is a folder with `gtzan/train_msd_taggram.npz`, `gtzan/test_msd_taggram.npz` and
`gtzan/artists_titles.txt`: tag scores of the fault-filtered GTZAN split, not shipped. A genre
head is trained on the training tracks; their vectors are made of out-of-fold scores, grouped
by artist.
The weights are chosen on the training tracks alone; the test tracks are looked at once, for
the table. Each row: same-genre precision at 1, 5 and 10 with a 95 % bootstrap interval over
queries for P@10, with all songs and with songs of the query's artist left out.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiorec.tagger.head_inputs import logit
from audiorec.tagger.heads_train import HeadRecipe, train_head
from audiorec.tagger.weights import backbone_weights
from audiorec.types import STATISTICS
from audiorec.vectors.similar import DEFAULT_WEIGHTS, Similarity
from audiorec.vectors.statistics import summarize

GENRES = "blues classical country disco hiphop jazz metal pop reggae rock".split()
GRID = (0.0, 0.1, 0.25, 0.5, 1.0)
PLAIN_MEAN = tuple(float(name == "mean") for name in STATISTICS)
EQUAL = (1.0,) * len(STATISTICS)
HOP = 3  # of the published rows, one a second: segments without overlap, as audiorec cuts them

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def artists(path: Path) -> dict[str, str]:
    """Return the artist of each track, by name such as `blues.00000`."""
    found = {}
    for line in path.read_text("utf-8", "replace").splitlines():
        name, *rest = (part.strip() for part in line.split(":::"))
        if rest:
            track = name.rsplit(".", 1)[0]
            found[track] = rest[0].lower() or track
    return found


def load(folder: Path, part: str) -> tuple[npt.NDArray[np.float64], Labels, npt.NDArray[np.str_]]:
    """Return tag logits (n, 50), genre and track of each row, without overlap."""
    with np.load(folder / f"{part}_msd_taggram.npz") as file:
        tracks, labels, tags = file["IDS"], file["Y"], file["X"]
    first = {t: i for i, t in reversed(list(enumerate(tracks.tolist())))}
    keep = np.array([(i - first[t]) % HOP == 0 for i, t in enumerate(tracks.tolist())])
    return logit(tags[keep]), labels[keep], tracks[keep]


def by_track(
    scores: Vectors, labels: Labels, tracks: npt.NDArray[np.str_]
) -> tuple[Vectors, Labels, list[str]]:
    """Summarise the scores of each track."""
    names = list(dict.fromkeys(tracks.tolist()))
    vectors = np.stack([summarize(scores[tracks == name]) for name in names])
    genre = np.array([labels[tracks == name][0] for name in names])
    return vectors, genre, [Path(name).name.rsplit(".", 1)[0] for name in names]


def hits(
    vectors: Vectors,
    genre: Labels,
    artist: npt.NDArray[np.str_],
    weights: tuple[float, ...],
    *,
    filtered: bool,
) -> npt.NDArray[np.float64]:
    """Return per query P@1, P@5 and P@10: shape (n, 3)."""
    space = Similarity(
        vectors.copy(), weights=np.tile(weights, vectors.shape[1] // len(STATISTICS))
    )
    products = (space.units @ space.units.T).astype(np.float64)
    np.fill_diagonal(products, -np.inf)
    if filtered:
        products[artist[:, None] == artist[None, :]] = -np.inf
    order = np.argsort(-products, axis=1, kind="stable")[:, :10]
    same = genre[order] == genre[:, None]
    return np.stack([same[:, :k].mean(axis=1) for k in (1, 5, 10)], axis=1)


def choose(vectors: Vectors, genre: Labels, artist: npt.NDArray[np.str_]) -> tuple[float, ...]:
    """Search the grid, the mean fixed at 1, for the best artist-filtered P@10 in training."""
    others = len(STATISTICS) - 1
    at = STATISTICS.index("mean")
    grid = [(*c[:at], 1.0, *c[at:]) for c in itertools.product(GRID, repeat=others)]
    return max(grid, key=lambda w: hits(vectors, genre, artist, w, filtered=True)[:, 2].mean())


def row(
    name: str,
    weights: tuple[float, ...],
    part: str,
    data: tuple[Vectors, Labels, npt.NDArray[np.str_]],
) -> None:
    """Print one JSON line of the table."""
    rng = np.random.default_rng(0)
    line: dict[str, object] = {
        "bench": "similarity",
        "part": part,
        "space": name,
        "weights": weights,
    }
    for filtered in (False, True):
        found = hits(*data, weights, filtered=filtered)
        drawn = found[rng.integers(0, len(found), (2000, len(found))), 2].mean(axis=1)
        key = "artist_filtered" if filtered else "all"
        line[key] = {
            "p@1,5,10": [round(100 * v, 1) for v in found.mean(axis=0)],
            "p@10_95": [round(100 * float(np.quantile(drawn, q)), 1) for q in (0.025, 0.975)],
        }
    print(json.dumps(line), flush=True)


def main() -> None:
    """Train, choose on the training tracks, print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data / "gtzan"
    artist_of = artists(folder / "artists_titles.txt")

    x, y, tracks = load(folder, "train")
    name_of = [Path(t).name.rsplit(".", 1)[0] for t in tracks.tolist()]
    groups = [artist_of.get(name, name) for name in name_of]
    trained = train_head(
        x,
        y,
        groups,
        task="gtzan",
        classes=GENRES,
        inputs=("msd.tags",),
        backbones={"msd": backbone_weights("msd").sha256},
        recipe=HeadRecipe(hidden=()),
    )
    train = by_track(trained.out_of_fold, y, tracks)
    x_test, y_test, test_tracks = load(folder, "test")
    test = by_track(trained.head.scores_of_columns(x_test), y_test, test_tracks)
    parts = {}
    for part, (vectors, genre, names) in (("train", train), ("test", test)):
        parts[part] = (vectors, genre, np.array([artist_of.get(n, n) for n in names]))
    chosen = choose(*parts["train"])
    for part, data in parts.items():
        row("mean scores alone", PLAIN_MEAN, part, data)
        row("all six, equal", EQUAL, part, data)
        row("default", tuple(DEFAULT_WEIGHTS[name] for name in STATISTICS), part, data)
        row("chosen on train", chosen, part, data)


if __name__ == "__main__":
    main()
