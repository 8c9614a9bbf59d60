"""Measure what a longer hop between segments costs in accuracy.

    python -m benchmarks eval_hop DATA [--scores scores.parquet]

Genre: the GTZAN recipe's out-of-fold scores of the 443 training tracks (`DATA/gtzan`), artists
apart, no look at the test split. A track is named by its largest mean score, from every
segment (3 s), every second (6 s), and so on; each hop's accuracy and its difference from 3 s,
with a 95 % interval over tracks, paired. Clips of 30 s have five segments at 6 s: whole songs,
with forty, lose less.

Vectors: with the score series of a real library (``extract --scores``), the vector of the
thinned series looks for its own song among the vectors of the full ones (recall@1), and the
ten neighbours of either vector are compared. One JSON line a figure.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from head_gtzan import load_taggrams
from head_yardstick import train_genres

from audiorec.search.scaling import Weighting, fit_units
from audiorec.store.schema import METADATA_KEY, StoreMetadata
from audiorec.tagger.vectors import summarise
from audiorec.tagger.weights import backbone_weights
from audiorec.types import FloatArray

HOPS_S = (3, 6, 9, 12)
SEGMENT_S = 3
DRAWS = 2000
MIN_SEGMENTS = 20  # of the songs whose vectors are compared: a minute
NEIGHBOURS = 10


def genre_hits(data: Path) -> dict[int, npt.NDArray[np.bool_]]:
    """Return which tracks are named right at each hop."""
    tracks = load_taggrams(data, "train", phases=1)
    trained = train_genres(tracks, {"msd": backbone_weights("msd").sha256})
    hits: dict[int, list[bool]] = {hop: [] for hop in HOPS_S}
    for name in np.unique(tracks.series):
        rows = tracks.series == name
        scores, genre = trained.out_of_fold[rows], tracks.genre[rows][0]
        for hop in HOPS_S:
            mean = scores[:: hop // SEGMENT_S].mean(axis=0)
            hits[hop].append(bool(mean.argmax() == genre))
    return {hop: np.array(found) for hop, found in hits.items()}


def interval(values: npt.NDArray[np.float64]) -> list[float]:
    """Return the 95 % bootstrap interval of a mean over tracks."""
    rng = np.random.default_rng(0)
    means = [rng.choice(values, len(values)).mean() for _ in range(DRAWS)]
    return [round(float(q), 4) for q in np.quantile(means, (0.025, 0.975))]


def retrieval(series: list[FloatArray], hop: int, metadata: StoreMetadata) -> dict[str, float]:
    """Return recall@1 of the own song, and the part of ten neighbours that stay."""
    full = np.stack([summarise(s) for s in series])
    thin = np.stack([summarise(s[:: hop // SEGMENT_S]) for s in series])
    scaling, units = fit_units(lambda: [full], len(full), Weighting.of_store(metadata))
    near_full, near_thin = (scaling.prepare(v) @ units.T for v in (full, thin))
    own = near_thin.argmax(axis=1) == np.arange(len(series))
    kept = []
    for i, (a, b) in enumerate(zip(near_full, near_thin, strict=True)):
        a[i] = b[i] = -2.0
        best = [set(np.argsort(-row)[:NEIGHBOURS].tolist()) for row in (a, b)]
        kept.append(len(best[0] & best[1]) / NEIGHBOURS)
    return {"recall_at_1": round(float(own.mean()), 4), "neighbours_kept": round(np.mean(kept), 4)}


def main() -> None:
    """Print one line a hop and question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--scores", type=Path)
    args = parser.parse_args()
    hits = genre_hits(args.data)
    for hop, found in hits.items():
        difference = found.astype(np.float64) - hits[SEGMENT_S]
        line = {"bench": "hop/genre", "hop_s": hop, "tracks": len(found)}
        figures = {"accuracy": round(float(found.mean()), 4)}
        apart = {"difference": round(float(difference.mean()), 4), "interval": interval(difference)}
        print(json.dumps(line | figures | apart), flush=True)
    if args.scores is None:
        return
    column = pq.read_table(args.scores, columns=["scores"]).column("scores")
    songs = [np.stack(row.as_py()).astype(np.float32) for row in column]
    songs = [song for song in songs if len(song) >= MIN_SEGMENTS]
    metadata = StoreMetadata.from_json(pq.read_schema(args.scores).metadata[METADATA_KEY])
    for hop in HOPS_S[1:]:
        line = {"bench": "hop/vectors", "hop_s": hop, "songs": len(songs)}
        print(json.dumps(line | retrieval(songs, hop, metadata)), flush=True)


if __name__ == "__main__":
    main()
