"""Judge user-audio on real listeners: the Last.fm × GTZAN join, artists held out.

    python scripts/heads/lastfm_gtzan.py DATA [--seeds 5] [--first-seed 0] [--by-hash]

DATA holds ``gtzan/`` and ``listening/lastfm2k/`` (listening.tar.xz, unpacked). Five times a
quarter of 80 artists is held out. A user's embedding comes from listening to the 17,000
artists outside the join alone, so it has seen no judged artist and none that is learnt from.
A song is heard by its tag scores and by genre scores of a regression that is learnt, for each
split anew, on tracks of artists that are not held out; of the tracks that it learns from, the
scores are out of fold.

Everything was chosen by four folds of the training artists of each split, without a look at a
held-out one. Prints JSON lines: one a method, with mean AUC by
user over the seeds, the interval over users, the interval over splits (Student's, of the seeds'
means), and the paired difference to user-audio over either.

`lastfm_commands.py` judges the same through the commands.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from head_linear import fit_softmax_regression
from lastfm_join import Join, Taggrams, load_join, load_taggrams
from scipy.stats import t as student

from audiorec.evaluation.ranking import auc_per_user, centroids, fit_projection
from audiorec.learning.fit import fit
from audiorec.recall.audio.data import TrainingData
from audiorec.recall.audio.held_out import Split as Shares
from audiorec.recall.audio.held_out import SplitPart, artist_groups, assign_parts
from audiorec.recall.audio.model import Ridge, TowerSpec, UserAudioRecipe, factorise, fit_map
from audiorec.recall.audio.trainer import Tower, TowerInputs, TowerLearner, embed_songs, quiet_torch
from audiorec.store.features import join_songs
from audiorec.types import FloatArray, Pairs

FIRST = "user-audio"
HELD_OUT = 0.25  # of the artists
STOPPING = 6  # one of so many training artists says when to stop
USERS = {"dimension": 40, "min_users": 5}
RIDGE = Ridge(users=1.0, songs=8.0, balance=0.75)
GENRE_WEIGHT = 2.0  # beside standardised tags
GENRE_L2 = 1 / 130  # of the genre regression: C = 0.3 on about 430 tracks
GENRE_FLOOR = 0.02  # under the logarithm of a genre's score
BOOTSTRAP = 2000
NEAREST = 50  # users, the user included

Numbers = npt.NDArray[np.int64]
Method = Callable[["Split"], npt.NDArray[np.floating]]


class Split:
    """One cut of the artists: what is learnt from, what is judged.

    Parameters
    ----------
    join : Join
    taggrams : Taggrams
    learnt, judged : ndarray of int64
        Numbers of artists; of all that are not `learnt` nothing is known, not even a genre.
    seed : int
    """

    def __init__(
        self, join: Join, taggrams: Taggrams, learnt: Numbers, judged: Numbers, seed: int
    ) -> None:
        self.join, self.seed = join, seed
        self.learnt, self.judged = learnt, judged
        self.songs = np.flatnonzero(np.isin(join.artist, learnt))
        self.judged_songs = np.flatnonzero(np.isin(join.artist, judged))
        hidden = np.setdiff1d(np.arange(len(join.artists)), learnt)
        self.genre = genre_scores(join, taggrams, hidden)

    def liked(self, songs: Numbers) -> Pairs:
        """Return who likes which of some tracks."""
        user, place = np.nonzero(self.join.likes[:, self.join.artist[songs]])
        ones, never = np.ones(len(user), np.float32), np.full(len(user), np.nan)
        return Pairs(user.astype(np.int32), songs[place].astype(np.int32), ones, never)

    def features(self, *, genre: bool = True, shuffle: bool = False) -> list[FloatArray]:
        """Return each track's segments: standardised tags, and genre scores."""
        means = np.stack([tags.mean(0) for tags in self.join.tags])
        mean, scale = means[self.songs].mean(0), means[self.songs].std(0) + 1e-6
        parts = [(tags - mean) / scale for tags in self.join.tags]
        if genre:
            logs = np.log(self.genre + GENRE_FLOOR)
            z = (logs - logs[self.songs].mean(0)) / (logs[self.songs].std(0) + 1e-6)
            block = GENRE_WEIGHT * z
            parts = [
                np.concatenate([p, np.tile(row, (len(p), 1))], 1)
                for p, row in zip(parts, block, strict=True)
            ]
        if shuffle:
            order = np.random.default_rng([self.seed, 5]).permutation(len(parts))
            parts = [parts[i] for i in order]
        return [part.astype(np.float32) for part in parts]


def genre_scores(join: Join, taggrams: Taggrams, held_out: Numbers) -> npt.NDArray[np.float64]:
    """Return genre scores of the joined tracks, (n, 10), by other artists' tracks.

    Tracks of `held_out` artists are not learnt from; every other track is scored by a
    regression that heard nothing of its artist.
    """
    hidden = {join.artists[i] for i in held_out}
    names = sorted(taggrams.tags)
    means = np.stack([taggrams.tags[t].mean(0) for t in names])
    genres = sorted({t.split(".")[0] for t in names})
    targets = np.eye(len(genres))[[genres.index(t.split(".")[0]) for t in names]]
    artists = np.array([taggrams.artist[t] for t in names])
    known = np.array([a not in hidden for a in artists])
    drawn = np.random.default_rng(0).integers(0, 5, len(unique := np.unique(artists[known])))
    fold_of = dict(zip(unique.tolist(), drawn.tolist(), strict=True))
    folds = np.array([fold_of.get(str(a), -1) for a in artists])
    found = np.zeros((len(names), len(genres)))
    for fold in (-1, 0, 1, 2, 3, 4):
        learn, score = known & (folds != fold), folds == fold
        weights = np.ones(int(learn.sum()))
        model = fit_softmax_regression(means[learn], targets[learn], weights, l2=GENRE_L2)
        if score.any():
            found[score] = model.scores(means[score])
    place = {track: row for row, track in enumerate(names)}
    return found[[place[t] for t in join.tracks]]


def closed_form(users: FloatArray, *, genre: bool = True, shuffle: bool = False) -> Method:
    """Return user-audio in its closed form: the start of every training."""

    def method(split: Split) -> npt.NDArray[np.floating]:
        features = np.stack([f.mean(0) for f in split.features(genre=genre, shuffle=shuffle)])
        weights = fit_map(users, split.liked(split.songs), features, split.join.artist, RIDGE)
        songs = features @ weights.T
        return users @ (songs / np.linalg.norm(songs, axis=1, keepdims=True)).T

    return method


def trained(users: FloatArray, recipe: UserAudioRecipe, *, pooling: str = "attention") -> Method:
    """Return user-audio, trained by steps until held-out artists gain no more."""

    def method(split: Split) -> npt.NDArray[np.floating]:
        songs = join_songs(list(zip(split.join.tracks, split.features(), strict=True)))
        torch.manual_seed(split.seed)  # the tower begins with weights from chance
        tower = Tower(TowerSpec(inputs=("tags", "genre"), width=60, pooling=pooling))
        order = np.random.default_rng([split.seed, 9]).permutation(split.learnt)
        stopping = order[: len(order) // STOPPING]
        pool = np.flatnonzero(np.isin(split.join.artist, np.setdiff1d(split.learnt, stopping)))
        liked = split.liked(pool)
        weights = None
        if recipe.start == "ridge":
            weights = torch.from_numpy(
                fit_map(users, liked, songs.means(), split.join.artist, RIDGE)
            )
        tower.start_from(torch.zeros(60), torch.ones(60), weights)
        stop_songs = np.flatnonzero(np.isin(split.join.artist, stopping))
        likes = split.join.likes[:, split.join.artist[stop_songs]]
        asked = likes.any(1) & ~likes.all(1)

        def judge(anchors: FloatArray, embedded: FloatArray) -> float:
            nearness = anchors[asked] @ embedded[stop_songs].T
            return float(auc_per_user(nearness, likes[asked], np.ones_like(likes[asked])).mean())

        data = TrainingData(
            songs=songs,
            groups=split.join.artist,
            pool=pool,
            liked=liked,
            disliked=liked.take(np.zeros(0, int)),
            heard=liked,
            anchors=users,
        )
        seeded = replace(recipe, seed=split.seed)
        with quiet_torch(seeded):
            learner = TowerLearner(TowerInputs(tower, data, judge), seeded)
            fit(learner, max_epochs=recipe.max_epochs, patience=recipe.patience, clip=recipe.clip)
        return users @ embed_songs(learner.tower.eval().cpu(), songs).T

    return method


def centroid(*, genre: bool = False) -> Method:
    """Return the nearest centre of what the user likes among the tracks learnt from."""

    def method(split: Split) -> npt.NDArray[np.floating]:
        means = np.stack([f.mean(0) for f in split.features(genre=genre)])
        units = fit_projection(means[split.songs], components=None)(means)
        artists = np.stack([units[split.join.artist == a].mean(0) for a in split.learnt])
        user, place = np.nonzero(split.join.likes[:, split.learnt])
        ones = np.ones(len(user), np.float32)
        liked = Pairs(user.astype(np.int32), place.astype(np.int32), ones, ones.astype(float))
        return centroids(artists, liked, split.join.n_users) @ units.T

    return method


def neighbours_centroid(users: FloatArray) -> Method:
    """Return the centre of what a user and the nearest users like, by tags and genre.

    It knows as much as user-audio: the users' space, the likes learnt from, the sound.
    """
    near = users @ users.T
    nearest = np.argpartition(-near, NEAREST, axis=1)[:, :NEAREST]

    def method(split: Split) -> npt.NDArray[np.floating]:
        means = np.stack([f.mean(0) for f in split.features()])
        units = fit_projection(means[split.songs], components=None)(means)
        artists = np.stack([units[split.join.artist == a].mean(0) for a in split.learnt])
        likes = split.join.likes[:, split.learnt].astype(np.float64)
        centres = likes[nearest].sum(axis=1) @ artists
        lengths = np.linalg.norm(centres, axis=1, keepdims=True)
        return centres / np.where(lengths > 0, lengths, 1) @ units.T

    return method


def popularity(split: Split) -> npt.NDArray[np.floating]:
    """Rank by how many like the artist, held-out artists included: hindsight."""
    likes = split.join.likes.sum(0)[split.join.artist]
    return np.tile(likes.astype(float), (split.join.n_users, 1))


def known_songs(users: FloatArray) -> Method:
    """Return an upper bound: the artist's other listeners are known, but not this user."""

    def method(split: Split) -> npt.NDArray[np.floating]:
        likes = split.join.likes.astype(float)
        fold = np.random.default_rng([split.seed, 4]).integers(0, 5, len(users))
        found = np.zeros(likes.shape)
        for part in range(5):
            own, rest = users[fold == part], users[fold != part].astype(float)
            gram = rest.T @ rest + 0.1 * np.eye(users.shape[1])
            found[fold == part] = own @ np.linalg.solve(gram, rest.T @ likes[fold != part])
        return found[:, split.join.artist]

    return method


def judge(split: Split, similarities: npt.NDArray[np.floating]) -> dict[str, FloatArray]:
    """Return AUC by user, NaN for users who are not judged: plainly, and by popularity.

    A user is judged who likes an artist that is judged and one that is learnt from. All tracks
    of judged artists that the user does not listen to stand against the liked ones, equally
    or by their artist's listeners.
    """
    songs, join = split.judged_songs, split.join
    artist = join.artist[songs]
    liked = join.likes[:, artist]
    asked = liked.any(1) & ~liked.all(1) & join.likes[:, split.learnt].any(1)
    tracks_of = np.bincount(artist, minlength=len(join.artists))
    weights = join.likes.sum(0)[artist] / tracks_of[artist]
    everything = np.ones((int(asked.sum()), len(songs)), np.bool_)
    found = {}
    for name, given in (("auc", None), ("auc_by_popularity", weights)):
        values = np.full(join.n_users, np.nan)
        near = similarities[asked][:, songs]
        values[asked] = auc_per_user(near, liked[asked], everything, weights=given)
        found[name] = values
    return found


def outer_splits(
    join: Join, taggrams: Taggrams, seeds: int, first: int = 0, *, by_hash: bool = False
) -> list[Split]:
    """Hold out a quarter of the artists, once a seed, from seed `first` on.

    By a permutation, or `by_hash` those that `recall train user-audio` holds out.
    """
    held = round(len(join.artists) * HELD_OUT)
    found = []
    for seed in range(first, first + seeds):
        order = np.random.default_rng(seed).permutation(len(join.artists))
        split = (np.sort(order[held:]), np.sort(order[:held]))
        if by_hash:
            groups = artist_groups(join.artists, join.artists)
            hidden = assign_parts(join.artists, groups, Shares(test=HELD_OUT, seed=seed))
            test = hidden == SplitPart.TEST
            split = (np.flatnonzero(~test), np.flatnonzero(test))
        found.append(Split(join, taggrams, *split, seed))
    return found


def methods_of(users: FloatArray) -> dict[str, Method]:
    """Name what is compared; the first is the model in question."""
    soft = UserAudioRecipe(popularity=0.5, patience=3, max_epochs=15, pairs_per_epoch=4000)
    return {
        FIRST: closed_form(users),
        f"{FIRST}, trained on": trained(users, soft),
        f"{FIRST}, trained from chance, softmax": trained(users, replace(soft, start="random")),
        "centroid, mean tags": centroid(),
        "centroid, mean tags and genre": centroid(genre=True),
        "centroid over the 50 nearest users": neighbours_centroid(users),
        "popularity in hindsight": popularity,
        f"{FIRST}, shuffled audio": closed_form(users, shuffle=True),
        "artists known to the user model": known_songs(users),
    }


def interval(per_user: npt.NDArray[np.float64]) -> list[float]:
    """Return mean and interval of (seeds, users) values: whole users are drawn.

    The mean is over seeds of the mean over users, as in the figures of others.
    """
    rng = np.random.default_rng(0)
    judged = np.flatnonzero(np.isfinite(per_user).any(0))
    values = per_user[:, judged]
    drawn = []
    for _ in range(BOOTSTRAP):
        sample = values[:, rng.integers(0, len(judged), len(judged))]
        drawn.append(np.nanmean(sample, axis=1).mean())
    low, high = np.percentile(drawn, [2.5, 97.5])
    return [round(float(v), 4) for v in (np.nanmean(values, axis=1).mean(), low, high)]


def over_splits(per_user: npt.NDArray[np.float64]) -> list[float]:
    """Return mean and interval of (seeds, users) values: Student's, of the seeds' means."""
    means = np.nanmean(per_user, axis=1)
    half = float(student.ppf(0.975, len(means) - 1)) * means.std(ddof=1) / len(means) ** 0.5
    return [round(float(v), 4) for v in (means.mean(), means.mean() - half, means.mean() + half)]


def report(splits: list[Split], methods: dict[str, Method]) -> None:
    """Print one JSON line a method."""
    first: dict[str, npt.NDArray[np.float64]] = {}
    for name, method in methods.items():
        found = [judge(split, method(split)) for split in splits]
        line: dict[str, object] = {"method": name}
        for measure in ("auc", "auc_by_popularity"):
            values = np.stack([f[measure] for f in found])
            first.setdefault(measure, values)
            line[measure] = interval(values)
            if measure == "auc":
                line["auc_over_splits"] = over_splits(values)
                line["by_seed"] = np.nanmean(values, axis=1).round(3).tolist()
            if name != next(iter(methods)):
                ahead = first[measure] - values
                line[f"ahead_{measure}"] = interval(ahead)
                line[f"ahead_{measure}_over_splits"] = over_splits(ahead)
        print(json.dumps(line), flush=True)


def main() -> None:
    """Build the join and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--by-hash", action="store_true", help="artists as commands hold them out")
    args = parser.parse_args()
    taggrams = load_taggrams(args.data)
    join = load_join(args.data, taggrams)
    users = factorise(join.other, join.n_users, join.n_others, **USERS)
    splits = outer_splits(join, taggrams, args.seeds, args.first_seed, by_hash=args.by_hash)
    judged = [int((judge(s, popularity(s))["auc"] >= 0).sum()) for s in splits]
    sizes = {"artists": len(join.artists), "tracks": len(join.tracks), "users_judged": judged}
    print(json.dumps({"join": join.counts, **sizes}))
    report(splits, methods_of(users))


if __name__ == "__main__":
    main()
