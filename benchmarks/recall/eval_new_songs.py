"""Which numbers tell best who will like a new song: by tastes, and by user-audio.

    python -m benchmarks eval_new_songs DATA CLIPS [--splits 20]

DATA holds ``gtzan/`` and ``listening/lastfm2k/``; CLIPS is a store of clips of GTZAN, such as
``audiorec extract DATA/gtzan/audio DATA/genre2/gtzan_actcv --out CLIPS``. Listeners are those of
Last.fm who play the artists of the clips (`lastfm_join`).

In each split a quarter of the artists is new. A *taste* is the mean of a user's songs that are not
new, as in ``cold-start`` and ``nearest-audio``; *user-audio* is its closed form, with users from
what they play of other artists. Both rank a user's new songs among all new ones. One JSON line a
way and kind of numbers: AUC by user, with its interval over users and over splits, and the paired
difference to the vector. The genre scores within the vector have learnt from some of these clips;
the projection of sound has not.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt
from lastfm_gtzan import RIDGE, USERS, interval, over_splits
from lastfm_join import load_join, load_taggrams, read_lastfm, read_titles

from audiorec.evaluation.ranking import auc_per_user, centroids
from audiorec.library.library import Library, open_store
from audiorec.recall.audio.model import factorise, fit_map
from audiorec.types import FloatArray, Pairs, unit

HELD_OUT = 0.25  # of the artists
Numbers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Ranks = Callable[[FloatArray, Bools], FloatArray]  # numbers of songs, which are new: (users, songs)


def numbers_of(store: Library, songs: Numbers) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return for each kind of numbers the songs' units, as compared, and values, as learnt from."""
    found = {by: store.space(by).matrix[songs] for by in ("vector", "sound")}
    _, embedding = store.read_list("embedding")
    _, tags = store.read_list("heard_tags")
    values = {
        "vector": store.vectors[songs],
        "sound": found["sound"],
        "tags and last layer": np.concatenate([tags, embedding[:, :200]], axis=1)[songs],
        "embedding": embedding[songs],
        "tags": tags[songs],
    }
    exact = {name: np.asarray(value, np.float32) for name, value in values.items()}
    return {name: (found.get(name, unit(scaled(v, v))), v) for name, v in exact.items()}


def scaled(values: FloatArray, known: FloatArray) -> FloatArray:
    """Return values standardised as `known` ones are."""
    spread = known.std(axis=0)
    found: FloatArray = (values - known.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return found


def pairs_of(likes: Bools) -> Pairs:
    """Return likes (users, songs) as pairs."""
    user, song = np.nonzero(likes)
    ones = np.ones(len(user), np.float32)
    return Pairs(user.astype(np.int32), song.astype(np.int32), ones, ones.astype(float))


def splits(artist: Numbers, count: int) -> Iterator[Bools]:
    """Yield which songs are new: those of a quarter of the artists."""
    artists = np.unique(artist)
    for seed in range(count):
        order = np.random.default_rng(seed).permutation(artists)
        yield np.isin(artist, order[: round(len(artists) * HELD_OUT)])


def by_taste(units: FloatArray, likes: Bools, new: Bools) -> FloatArray:
    """Rank by the mean of the known songs that a user likes."""
    found: FloatArray = centroids(units, pairs_of(likes & ~new), len(likes)) @ units.T
    return found


def by_user_audio(
    values: FloatArray, likes: Bools, new: Bools, users: FloatArray, artist: Numbers
) -> FloatArray:
    """Rank by the closed form of user-audio."""
    features = scaled(values, values[~new]).astype(np.float32)
    weights = fit_map(users, pairs_of(likes & ~new), features, artist, RIDGE)
    found: FloatArray = users @ unit(features @ weights.T).T
    return found


def judged(near: FloatArray, likes: Bools, new: Bools) -> npt.NDArray[np.float64]:
    """Return the AUC of each user who likes a new song and a known one; NaN for others."""
    liked = likes[:, new]
    asked = liked.any(1) & ~liked.all(1) & likes[:, ~new].any(1)
    found = np.full(len(likes), np.nan)
    found[asked] = auc_per_user(near[asked][:, new], liked[asked], np.ones_like(liked[asked]))
    return found


def report(way: str, found: dict[str, npt.NDArray[np.float64]]) -> None:
    """Print a line for each kind of numbers: (splits, users) of each."""
    for kind, values in found.items():
        line: dict[str, object] = {"way": way, "numbers": kind, "auc": interval(values)}
        line["over_splits"] = over_splits(values)
        if kind != "vector":
            more = values - found["vector"]
            line |= {"minus_vector": interval(more), "of_splits": over_splits(more)}
        print(json.dumps(line), flush=True)


def main() -> None:
    """Join, split, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--splits", type=int, default=20)
    args = parser.parse_args()
    join = load_join(args.data, load_taggrams(args.data))
    users = factorise(join.other, join.n_users, join.n_others, **USERS)
    store, titles = open_store(args.clips), read_titles(args.data)
    names, plays = read_lastfm(args.data / "listening" / "lastfm2k")
    clip = np.array([titles.get(Path(song).stem, "") for song in store.ids])
    artists = sorted(set(clip) & set(names.values()) - {""})
    songs = np.flatnonzero(np.isin(clip, artists))
    artist = np.array([artists.index(name) for name in clip[songs]])
    row = {user: place for place, user in enumerate(sorted({user for user, _ in plays}))}
    liked = np.zeros((join.n_users, len(artists)), np.bool_)
    for user, number in plays:
        if names.get(number) in artists:
            liked[row[user], artists.index(names[number])] = True
    likes = liked[:, artist]
    print(json.dumps({"songs": len(songs), "artists": len(artists), "likes": int(liked.sum())}))
    numbers, every = numbers_of(store, songs), list(splits(artist, args.splits))
    report("taste", {
        kind: np.stack([judged(by_taste(units, likes, new), likes, new) for new in every])
        for kind, (units, _) in numbers.items()
    })  # fmt: skip
    report("user-audio", {
        kind: np.stack([
            judged(by_user_audio(values, likes, new, users, artist), likes, new) for new in every
        ])
        for kind, (_, values) in numbers.items()
    })  # fmt: skip


if __name__ == "__main__":
    main()
