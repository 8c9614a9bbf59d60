"""From which similarity on a new song is liked more often than by chance: the default --minimum.

    python -m benchmarks eval_minimum real DATA CLIPS [--seeds 5]
    python -m benchmarks eval_minimum simulated VECS FEATURES [--users 600] [--splits 3]

DATA holds ``gtzan/`` and ``listening/lastfm2k/``; CLIPS is a store of ``DATA/gtzan/audio``
(`audiorec extract DATA/gtzan/audio --out CLIPS`). VECS and FEATURES are a store and its features
of some hundred real songs, over which worlds are simulated.

Artists are held out, their songs are the new ones. A user is counted who likes a new song and one
that is not. One JSON line a bin of similarity: the share of all pairs in it, the share of all
likes, and the lift, which is how often its pairs are likes over how often all pairs are. The last
line of each question is what the minimum 0 leaves out.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt

from audiorec.evaluation.ranking import centroids
from audiorec.library.library import Library, open_store
from audiorec.search.scaling import By
from audiorec.types import FloatArray, Pairs

EDGES = np.round(np.arange(-10, 11, 2) / 10, 1)
HELD_OUT = 0.25

Pair = tuple[FloatArray, npt.NDArray[np.bool_]]  # similarities, and which of them are likes


def tell(question: str, pairs: Iterable[Pair]) -> None:
    """Print the bins of one question, pooled over its splits."""
    similarity, liked = (np.concatenate(part) for part in zip(*pairs, strict=True))
    base, likes = liked.mean(), liked.sum()

    def line(name: str, inside: npt.NDArray[np.bool_]) -> None:
        found = {
            "question": question,
            "similarity": name,
            "pairs": round(float(inside.mean()), 4),
            "likes": round(float(liked[inside].sum() / likes), 4),
            "lift": round(float(liked[inside].mean() / base), 2) if inside.any() else None,
        }
        print(json.dumps(found), flush=True)

    for low, high in pairwise(EDGES.tolist()):
        line(f"{low} to {high}", (similarity >= low) & (similarity < high + (high == 1)))
    line("below 0", similarity < 0)


def of_users(
    similarity: FloatArray, likes: npt.NDArray[np.bool_], knows: npt.NDArray[np.bool_]
) -> Pair:
    """Return the pairs (U, S) of users who `knows` something and like one of the songs."""
    asked = likes.any(1) & ~likes.all(1) & knows
    return similarity[asked].ravel(), likes[asked].ravel()


def real_clips(data: Path, store: Library, by: By, seeds: int) -> Iterable[Pair]:
    """Compare real clips, by users of Last.fm who play their artists."""
    from lastfm_join import read_lastfm, read_titles

    titles = read_titles(data)
    names, plays = read_lastfm(data / "listening" / "lastfm2k")
    clip = np.array([titles.get(Path(song).stem, "") for song in store.ids])
    artists = sorted(set(clip) & set(names.values()) - {""})
    users = {user: row for row, user in enumerate(sorted({user for user, _ in plays}))}
    liked = np.zeros((len(users), len(artists)), np.bool_)
    for user, number in plays:
        if names.get(number) in artists:
            liked[users[user], artists.index(names[number])] = True
    songs = np.flatnonzero(np.isin(clip, artists))
    artist = np.array([artists.index(name) for name in clip[songs]])
    units = store.space(by, use_index=False).matrix[songs]
    print(json.dumps({"clips": len(songs), "artists": len(artists), "pairs": int(liked.sum())}))
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(artists))
        new = np.isin(artist, order[: round(len(artists) * HELD_OUT)])
        yield by_taste(units, liked[:, artist], new)


def by_taste(units: FloatArray, likes: npt.NDArray[np.bool_], new: npt.NDArray[np.bool_]) -> Pair:
    """Compare new songs with tastes: the mean of the liked songs that are not new."""
    user, song = np.nonzero(likes & ~new)
    ones = np.ones(len(user), np.float32)
    liked = Pairs(user.astype(np.int32), song.astype(np.int32), ones, np.zeros(len(user)))
    tastes = centroids(units, liked, len(likes))
    return of_users(tastes @ units[new].T, likes[:, new], tastes.any(1))


def real(data: Path, clips: Path, seeds: int) -> None:
    """Ask real listening: clips by sound and vector, the larger join by mean tags and embedding."""
    import lastfm_gtzan as judged
    from lastfm_join import load_join, load_taggrams

    from audiorec.recall.audio.model import factorise

    spaces: tuple[By, ...] = ("sound", "vector")
    for by in spaces:
        tell(f"real, by {by}", real_clips(data, open_store(clips), by, seeds))
    taggrams = load_taggrams(data)
    join = load_join(data, taggrams)
    users = factorise(join.other, join.n_users, join.n_others, **judged.USERS)
    splits = judged.outer_splits(join, taggrams, seeds)
    methods = {"real, tastes of mean tags": judged.centroid(), "real, by embedding": None}
    for name, method in methods.items():
        found = []
        for split in splits:
            near = (method or judged.closed_form(users))(split).astype(np.float32)
            songs = split.judged_songs
            knows = join.likes[:, split.learnt].any(1) & users.any(1)
            found.append(of_users(near[:, songs], join.likes[:, join.artist[songs]], knows))
        tell(name, found)


def simulated(vectors: Path, features: Path, users: int, splits: int) -> None:
    """Ask a simulated world, by vector and by embedding."""
    rows: dict[str, list[Pair]] = {"simulated, by vector": [], "simulated, by embedding": []}
    for seed in range(splits):
        with tempfile.TemporaryDirectory() as folder:
            by_vector, by_embedding = one_world(Path(folder), vectors, features, users, seed)
        rows["simulated, by vector"].append(by_vector)
        rows["simulated, by embedding"].append(by_embedding)
    for name, pairs in rows.items():
        tell(name, pairs)


def one_world(
    folder: Path, vectors: Path, features: Path, n_users: int, seed: int
) -> tuple[Pair, Pair]:
    """Simulate, train on the artists that are kept, and compare the others' songs."""
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.reading import to_liked
    from audiorec.listening.rule import to_preferences
    from audiorec.recall.audio.channel import UserAudio
    from audiorec.recall.audio.held_out import artist_groups, assign_parts
    from audiorec.recall.audio.model import UserAudioRecipe
    from audiorec.recall.contract.data import Context, Queries, RecallData, Sound
    from audiorec.simulation.world import INTERACTIONS_FILE, WorldSpec, simulate_world
    from audiorec.store.features import FeatureFile
    from audiorec.types import IdMap

    store = open_store(vectors)
    spec = WorldSpec(users=n_users, days=60, cold_songs=0.0, seed=seed)
    simulate_world(store, folder / "world", spec)
    log = folder / "world" / INTERACTIONS_FILE
    found = to_liked(read_interactions(log))
    context = Context(sound=Sound.of_features(FeatureFile.open(features), store))
    data = RecallData.of_likes(found, context)
    recipe = UserAudioRecipe(
        learn_users=True,
        valid=0.1,
        test=HELD_OUT,
        split_seed=seed,
        max_epochs=8,
        patience=3,
        pairs_per_epoch=10_000,
        max_segments=15,
    )
    channel = UserAudio(recipe).fit(data)
    groups = artist_groups(store.ids, store.column("artist").to_pylist())
    new = assign_parts(store.ids, groups, recipe.split) == 2  # the part that is judged
    of_catalogue = IdMap(store.ids).rows(channel.song_ids)
    known = np.array([row >= 0 and not new[row] for row in of_catalogue])
    people = channel.embed_users(Queries(data.plays.keep(known[data.plays.song])))
    preferences = to_preferences(read_interactions(log))
    liked = preferences.liked
    user = IdMap(data.plays.owner_ids).rows(preferences.user_ids)[liked.user]
    song = IdMap(store.ids).rows(preferences.song_ids)[liked.song]
    likes = np.zeros((len(people), len(store)), np.bool_)
    there = (user >= 0) & (song >= 0)
    likes[user[there], song[there]] = True
    units = store.space("vector", use_index=False).matrix
    songs = channel.song_embeddings()[IdMap(channel.song_ids).rows(store.ids)]
    near = people @ songs[new].T
    by_embedding = of_users(near, likes[:, new], (likes & ~new).any(1))
    return by_taste(units, likes, new), by_embedding


def main() -> None:
    """Print the bins."""
    parser = argparse.ArgumentParser(description=__doc__)
    asked = parser.add_subparsers(required=True, dest="asked")
    of_people = asked.add_parser("real")
    of_people.add_argument("data", type=Path)
    of_people.add_argument("clips", type=Path)
    of_people.add_argument("--seeds", type=int, default=5)
    made_up = asked.add_parser("simulated")
    made_up.add_argument("vectors", type=Path)
    made_up.add_argument("features", type=Path)
    made_up.add_argument("--users", type=int, default=600)
    made_up.add_argument("--splits", type=int, default=3)
    args = parser.parse_args()
    if args.asked == "real":
        real(args.data, args.clips, args.seeds)
    else:
        simulated(args.vectors, args.features, args.users, args.splits)


if __name__ == "__main__":
    main()
