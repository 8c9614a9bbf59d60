"""Compare spaces of sound: same piece, soundtrack, genre, copies, for parts of unseen packages.

    python -m benchmarks eval_sound MUSIC DATA --cache CACHE

MUSIC is a folder of unpacked packages (`unpack_packages.sh`), DATA the labelled corpora. CACHE
keeps what the networks say: the first call takes an hour of CPU time, the next ones take minutes.
Twelve packages are split into six and six, and each half is judged by projections that were learnt
on the other six and on packages that are never judged; four splits, both ways. Genre is judged on
GTZAN's clips, which nothing learns from.

Spaces: `vector` as `similar` weighs it; `features`, the last layers of both networks, standardised
over what is judged; `blocks`, last layer and pools of `msd`, each standardised by fixed numbers and
of length 1; `pca`, 128 numbers of it; `six`, whitened within pieces, learnt on the other six alone;
`sound`, learnt as the shipped projection is, and by other recipes; `no copies`, without the parts
that were changed.

One JSON line per question and space: the mean, and how far it lies above `features` and `vector`,
with a 95 % interval over what is drawn anew: pieces, soundtracks or clips.
"""

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import numpy.typing as npt
from eval_level import scaling_of
from head_gtzan import artists_of
from sound_data import (
    HALF_MINUTES,
    JUDGED,
    LATER,
    SHORT,
    WHOLE,
    Rows,
    clips,
    judged_pieces,
    once,
    other_pieces,
    read_rows,
    short_pieces,
    spread,
)
from sound_learning import Recipe, embeddings, learn
from standardised import Standardised

from audiorec.audio.tags import read_tags
from audiorec.search.scaling import Scaling
from audiorec.tagger.heads import Head, shipped_heads
from audiorec.tagger.vectors import SoundProjection

Array = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]
SPLITS, DRAWS = 4, 2000
LEAST_PIECES = 4  # of a soundtrack that is judged
COPIES = (LATER, "4 kHz", "mp3 40", "vorbis", "-10 dB")
RECIPES = {
    "shrinkage 1": Recipe(shrinkage=1.0),
    "shrinkage 10": Recipe(shrinkage=10.0),
    "all numbers": Recipe(width=None),
}
ARTISTS = "artist P@5, all three"
BOTH = ("msd.penultimate", "mtt.penultimate")
# What a space makes of the judged rows, and of changed copies of some of them.
Space = Callable[[Rows, Sequence[Rows]], list[Array]]
HUB_NEIGHBOURS = 10


def occurrence_skewness(similar: npt.NDArray[np.float64]) -> float:
    """Return the skewness of the 10-occurrence of a matrix of similarities (n, n): 0 is none."""
    similar = similar.copy()
    np.fill_diagonal(similar, -np.inf)
    nearest = np.argsort(-similar, axis=1, kind="stable")[:, :HUB_NEIGHBOURS]
    counts = np.bincount(nearest.ravel(), minlength=len(similar)).astype(np.float64)
    deviation = counts - counts.mean()
    return float((deviation**3).mean() / max(1e-12, counts.std() ** 3))


def over_the_store(columns: Sequence[str], asked: Scaling | None = None) -> Space:
    """Return the space of columns that are scaled, or standardised over the judged rows."""

    def space(rows: Rows, others: Sequence[Rows]) -> list[Array]:
        values = [np.concatenate([r.said[c] for c in columns], 1) for r in (rows, *others)]
        scaling = asked or Standardised.over(values[0])
        return [scaling.prepare(one).astype(np.float64) for one in values]

    return space


def fixed(sound: SoundProjection) -> Space:
    """Return the space of a projection."""
    return lambda rows, others: [
        sound.project(embeddings(r, sound)).astype(np.float64) for r in (rows, *others)
    ]


def spaces(six: Rows, others: Rows, changed: Rows, short: Rows) -> dict[str, Space]:
    """Return every space, learnt on some packages."""
    every, corpora = six.joined(others), [*np.unique(six.corpus), *np.unique(others.corpus)]
    copies = changed.take(np.isin(changed.corpus, corpora))
    own = copies.take(np.isin(copies.corpus, six.corpus))
    return {
        "vector": over_the_store(["msd.vector"], scaling_of(list(map(Head.load, shipped_heads())))),
        "features": over_the_store(BOTH),
        "msd": over_the_store(BOTH[:1]),
        "blocks": fixed(learn(every, [], short, Recipe(shrinkage=None, width=None))),
        "pca": fixed(learn(every, [], short, Recipe(shrinkage=None))),
        "six": fixed(learn(six, [own])),
        "no copies": fixed(learn(every, [], short)),
        **{
            f"sound, {name}": fixed(learn(every, [copies], short, recipe))
            for name, recipe in RECIPES.items()
        },
        "sound": fixed(learn(every, [copies], short)),
    }


def nearest_is_the_piece(units: Array, rows: Rows) -> Array:
    """Return of each part whether its nearest is of the same piece; NaN where there is no other."""
    similar = units @ units.T
    np.fill_diagonal(similar, -np.inf)
    _, number, counts = np.unique(rows.piece, return_inverse=True, return_counts=True)
    hit = (rows.piece[similar.argmax(axis=1)] == rows.piece).astype(np.float64)
    return np.where(counts[number] > 1, hit, np.nan)


def of_the_group(units: Array, own: Names, group: Names, k: int = 10) -> Array:
    """Return the share of the k nearest that are of the same group, what has one `own` left out.

    NaN for groups of fewer than `LEAST_PIECES` different `own`.
    """
    similar = units @ units.T
    similar[own[:, None] == own[None, :]] = -np.inf
    nearest = np.argsort(-similar, axis=1, kind="stable")[:, :k]
    share = (group[nearest] == group[:, None]).mean(axis=1)
    pairs = np.unique(np.stack([group, own]), axis=1)[0]
    wide = {name for name in np.unique(pairs) if (pairs == name).sum() >= LEAST_PIECES}
    return np.where([name in wide for name in group], share, np.nan)


def found_again(units: Array, copies: Array, rows: Rows, copied: Rows) -> Array:
    """Return of each copy of a first part whether its nearest is the part that it was made of."""
    _, first = np.unique(rows.piece, return_index=True)
    places = dict(zip(rows.piece[first], first, strict=True))
    right = np.array([places[piece] for piece in copied.piece])
    return ((copies @ units.T).argmax(axis=1) == right).astype(np.float64)


class Answers:
    """Values by question, space and row, over the splits; printed with paired intervals."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        self._groups: dict[str, dict[str, str]] = defaultdict(dict)

    def add(
        self, question: str, space: str, values: Array, keys: Sequence[str], groups: Sequence[str]
    ) -> None:
        """Add a value for each row; rows are told apart by `keys` and drawn anew by `groups`."""
        for key, group, value in zip(keys, groups, values, strict=True):
            if np.isfinite(value):
                self._values[question][space][key].append(float(value))
                self._groups[question][key] = group

    def lines(self) -> Iterator[Mapping[str, object]]:
        """Yield one line per question and space."""
        for question, by_space in self._values.items():
            keys = sorted(next(iter(by_space.values())))
            groups = np.array([self._groups[question][key] for key in keys])
            means = {
                name: np.array([np.mean(found[key]) for key in keys])
                for name, found in by_space.items()
            }
            for name, values in means.items():
                line = {"question": question, "space": name, "rows": len(keys)}
                line |= {"groups": len(np.unique(groups)), "mean": interval(values, groups)}
                for base in ("features", "vector"):
                    line[f"more_than_{base}"] = interval(values - means[base], groups)
                yield line


def interval(values: Array, groups: Names) -> list[float]:
    """Return lower bound, mean and upper bound, groups drawn anew."""
    _, number = np.unique(groups, return_inverse=True)
    counts, sums = np.bincount(number), np.bincount(number, values)
    drawn = np.random.default_rng(0).integers(0, len(counts), (DRAWS, len(counts)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return [round(float(value), 3) for value in (low, values.mean(), high)]


def halves() -> Iterator[Names]:
    """Yield six packages that are judged, both ways of each split."""
    rng = np.random.default_rng(0)
    for _ in range(SPLITS):
        order = rng.permutation(JUDGED)
        yield order[:6]
        yield order[6:]


def judge_parts(answers: Answers, space: str, units: list[Array], sets: list[Rows]) -> float:
    """Add what the parts of six packages answer; return the skewness of the 10-occurrence."""
    rows, *copied = sets
    part = [f"{piece}:{i}" for piece, i in zip(rows.piece, rows.part, strict=True)]
    same = nearest_is_the_piece(units[0], rows)
    answers.add("same piece", space, same, part, rows.piece)
    track = of_the_group(units[0], rows.piece, rows.corpus)
    answers.add("soundtrack P@10", space, track, part, rows.corpus)
    for change, copies, made in zip(COPIES, units[1:], copied, strict=True):
        hit = found_again(units[0], copies, rows, made)
        answers.add(f"copy: {change}", space, hit, made.piece, made.piece)
    return occurrence_skewness(units[0] @ units[0].T)


def judge_songs(answers: Answers, name: str, space: Space, songs: Rows, artist: Names) -> None:
    """Add what whole songs of six packages answer: same album, same artist among the nearest."""
    album = of_the_group(space(songs, [])[0], songs.piece, songs.corpus, 5)
    answers.add("album P@5, whole songs", name, album, songs.piece, songs.corpus)
    named = artist != ""
    some = songs.take(named)
    found = of_the_group(space(some, [])[0], some.piece, artist[named], 5)
    for question in ("artist P@5, whole songs", ARTISTS):
        answers.add(question, name, found, some.piece, artist[named])


def judge_clips(answers: Answers, name: str, space: Space, rows: Rows, artist: Names) -> None:
    """Add what clips answer: same genre among the ten nearest, same artist among the five."""
    genre = np.array([piece.split("/")[1] for piece in rows.piece])
    for corpus in (HALF_MINUTES, SHORT):
        which = rows.corpus == corpus
        units, own, by = space(rows.take(which), [])[0], rows.piece[which], artist[which]
        same = of_the_group(units, own, genre[which])
        answers.add(f"genre P@10, {corpus}", name, same, own, own)
        found = of_the_group(units, own, by, 5)
        for question in (f"artist P@5, {corpus}", ARTISTS):
            answers.add(question, name, found, own, by)


def main() -> None:
    """Read, learn, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("music", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    args = parser.parse_args()
    pieces, others = judged_pieces(args.music), other_pieces(args.music, args.data)
    both = ("msd", "mtt")
    rows = read_rows(pieces, "as it is", args.cache, both)
    copied = [read_rows(once(pieces), change, args.cache, both) for change in COPIES]
    whole = read_rows(spread(pieces), WHOLE, args.cache, both)
    tagged = {p.name: read_tags(p.path).artist or "" for p in pieces}
    genre = read_rows(clips(args.data), WHOLE, args.cache, both)
    artist = artists_of(args.data, np.array([p.rpartition("/")[2] for p in genre.piece]))
    learnt = read_rows(others, "as it is", args.cache)
    short = read_rows(short_pieces(args.data), "as it is", args.cache)
    changed = read_rows(once([*pieces, *others]), "at random", args.cache)
    answers, hubs = Answers(), defaultdict(list)
    for judged in halves():
        held = np.isin(rows.corpus, judged)
        made = spaces(rows.take(~held), learnt, changed, short)
        sets = [r.take(np.isin(r.corpus, judged)) for r in (rows, *copied)]
        songs = whole.take(np.isin(whole.corpus, judged))
        for name, space in made.items():
            hubs[name].append(judge_parts(answers, name, space(sets[0], sets[1:]), sets))
            judge_songs(answers, name, space, songs, np.array([tagged[p] for p in songs.piece]))
            judge_clips(answers, name, space, genre, artist)
    for line in answers.lines():
        print(json.dumps(line), flush=True)
    for name, values in hubs.items():
        line = {"question": "hubs", "space": name, "mean": round(float(np.mean(values)), 2)}
        print(json.dumps(line | {"largest": round(max(values), 2)}))


if __name__ == "__main__":
    main()
