"""Ask how well `similar` and `playlist` serve several seeds: of two genres, and of one.

    python -m benchmarks eval_seeds STORE [--draws 20] [--k 6 10]

STORE is a ``vecs.parquet`` whose song ids begin with the folder of their genre. For each pair of
genres, and each of `--draws` draws, three songs of each are the seeds. One JSON line for each k and
measure, with the mean of the seeds beside votes: ``either``, the share of the k listed songs that
are of one of the two genres; ``smaller``, that of the genre of which fewer are listed; ``one``, the
share of the genre where six seeds are of one genre. ``more`` is the paired difference, with a
95 % interval over the pairs of genres, or the genres. ``playlist`` is of lists of 20 songs after
the seeds.
"""

import argparse
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiorec.library.library import Library
from audiorec.search.questions import Choice, PlaylistQuestion, SimilarQuestion

SEEDS = 3  # of each genre
LISTED = 20  # songs of a playlist, after the seeds
EVERY = Choice(also=("copies", "non-music"))
Texts = npt.NDArray[np.str_]
Shares = dict[tuple[str, str], float]  # by way and measure


def main() -> None:
    """Draw seeds, list songs, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--k", type=int, nargs="+", default=[6, 10])
    args = parser.parse_args()
    store = Library.open(args.store)
    genres = np.array([song.split("/")[0] for song in store.ids])
    names = np.unique(genres)
    for k in args.k:
        rng = np.random.default_rng(0)
        draws = range(args.draws)
        both = itertools.combinations(names, 2)
        pairs = [_mean(_pair(store, genres, rng, a, b, k) for _ in draws) for a, b in both]
        alone = [_mean(_one(store, genres, rng, a, k) for _ in draws) for a in names]
        _report(f"similar, k = {k}", pairs, rng)
        _report(f"similar, k = {k}, one genre", alone, rng)
    rng = np.random.default_rng(0)
    lists = [_playlist(store, genres, rng, a, b) for a, b in itertools.combinations(names, 2)]
    _report("playlist", lists, rng)


def _pair(
    store: Library, genres: Texts, rng: np.random.Generator, a: str, b: str, k: int
) -> Shares:
    seeds = [store.ids[row] for row in _drawn(genres, rng, a, b)]
    found: Shares = {}
    for mean in (True, False):
        near = store.ask(SimilarQuestion(seeds=seeds, k=k, mean=mean, choice=EVERY, minimum=-1))
        found |= _shares(genres[near.rows], a, b, mean=mean)
    return found


def _one(store: Library, genres: Texts, rng: np.random.Generator, a: str, k: int) -> Shares:
    rows = rng.choice(np.flatnonzero(genres == a), 2 * SEEDS, replace=False)
    seeds = [store.ids[row] for row in rows]
    found: Shares = {}
    for mean in (True, False):
        near = store.ask(SimilarQuestion(seeds=seeds, k=k, mean=mean, choice=EVERY, minimum=-1))
        found[_way(mean=mean), "one"] = float((genres[near.rows] == a).mean())
    return found


def _playlist(store: Library, genres: Texts, rng: np.random.Generator, a: str, b: str) -> Shares:
    rows = _drawn(genres, rng, a, b)
    lengths = np.asarray(store.column("duration_s").to_pylist())
    minutes = (lengths[rows].sum() + LISTED * lengths.mean()) / 60
    found: Shares = {}
    for mean in (True, False):
        seeds = [store.ids[row] for row in rows]
        made = store.ask(PlaylistQuestion(seeds=seeds, minutes=minutes, mean=mean, choice=EVERY))
        rest = made.rows[~np.isin(made.rows, rows)]
        found |= _shares(genres[rest], a, b, mean=mean)
    return found


def _drawn(genres: Texts, rng: np.random.Generator, a: str, b: str) -> npt.NDArray[np.int64]:
    chosen = [rng.choice(np.flatnonzero(genres == n), SEEDS, replace=False) for n in (a, b)]
    return np.concatenate(chosen)


def _shares(listed: Texts, a: str, b: str, *, mean: bool) -> Shares:
    of = [float((listed == name).mean()) for name in (a, b)]
    return {(_way(mean=mean), "either"): sum(of), (_way(mean=mean), "smaller"): min(of)}


def _way(*, mean: bool) -> str:
    return "mean" if mean else "votes"


def _mean(draws: Iterable[Shares]) -> Shares:
    """Return the mean of each share over draws."""
    kept = list(draws)
    return {key: float(np.mean([shares[key] for shares in kept])) for key in kept[0]}


def _report(what: str, rows: Sequence[Shares], rng: np.random.Generator) -> None:
    for measure in dict.fromkeys(name for _way, name in rows[0]):
        mean, votes = (np.array([row[way, measure] for row in rows]) for way in ("mean", "votes"))
        drawn = rng.integers(len(rows), size=(2_000, len(rows)))
        low, high = np.percentile((votes - mean)[drawn].mean(axis=1), (2.5, 97.5))
        line = {"what": what, "measure": measure, "mean": mean.mean(), "votes": votes.mean()}
        line |= {"more": (votes - mean).mean(), "from": low, "to": high}
        print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in line.items()}))


if __name__ == "__main__":
    main()
