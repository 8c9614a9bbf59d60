"""Compare rules for when a song's genre is clear.

    python scripts/heads/compare_clear_rules.py --data DIR --extra DIR --cache DIR

Folders as of `train_song_labels.py`. A rule gives each song a number; a genre is clear from some
number on. ``likeliest`` is the probability of the first genre, which is what is shipped; ``tags``
asks also that the recipe of the vector's head, which hears the tags alone, says the same; and
``neighbours`` that it is the genre of most of the ten nearest songs, at most two of a group, among
those that are learnt from. One JSON line for each: of GTZAN's clips, artists left out, how many of
the first 60 % are right; of pieces outside that are not electronic, makers left out, how many are
clear from the shipped limit on and how many of those are right. A last line compares limits of
each genre, chosen on half of GTZAN's artists, with one limit at which as many songs of the other
half are clear: means over 40 halves.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from head_features import Extractor
from head_genre import GENRES
from head_song_figures import GRID, RIGHT, outside_parts, shares
from head_songs import (
    LeftOut,
    SongRows,
    Songs,
    gtzan_left_out,
    learn_tags,
    makers_left_out,
    temperature_of,
)
from threadpoolctl import threadpool_limits
from train_song_labels import WITH_AUDIO, read

from audiorec.tagger.song_labels import CLEAR_SEGMENTS, CLIP, SongLabels
from audiorec.types import BoolArray, Float64Array, Int64Array

FIRST = 0.6  # of the songs, those with the largest numbers
NEAREST, OF_A_GROUP = 10, 2
HALVES = 40
PRIOR = 8  # answers as right as all must be, which a genre is given beforehand
JUDGED = "not electronic, without drum loops"


def main() -> None:
    """Learn with artists and makers left out, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in ("data", "extra", "cache"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    args = parser.parse_args()
    songs = read(Extractor(args.cache), args.data, args.extra)
    with threadpool_limits(1):
        artists, makers = gtzan_left_out(songs), makers_left_out(songs)
        tags = gtzan_left_out(songs, learn_tags), makers_left_out(songs, learn_tags)
    temperature = temperature_of([makers, artists])
    inside, outside = (said_of(one, temperature) for one in (artists, makers))
    ten = np.isin(artists.rows.corpus, WITH_AUDIO) & (artists.rows.genre < len(GENRES))
    part = outside_parts(makers)[JUDGED]
    for rule in ("likeliest", "tags", "neighbours"):
        pairs = zip((artists, makers), tags, strict=True)
        agree = [agreeing(rule, one, other, songs) for one, other in pairs]
        right, value = right_of(artists, inside)[ten], (inside.max(axis=1) * agree[0])[ten]
        first = np.argsort(-value, kind="stable")[: int(FIRST * len(value))]
        long = agree[1] & (makers.rows.segments >= CLEAR_SEGMENTS)
        limit = SongLabels.shipped().genre_limit
        clear = shares(outside[part], makers.rows.genre[part], limit, long[part])
        inside_right = round(float(right[first].mean()), 3)
        print(json.dumps({"rule": rule, "inside": inside_right, "outside": clear}))
    print(json.dumps(by_genre(artists.rows, inside, right_of(artists, inside), ten)))


def said_of(judged: LeftOut, temperature: float) -> Float64Array:
    """Return the probabilities of the ten genres, (n, 10)."""
    return judged.calibrated(temperature)[:, : len(GENRES)]


def right_of(judged: LeftOut, said: Float64Array) -> BoolArray:
    """Return whose likeliest genre is right."""
    right: BoolArray = said.argmax(axis=1) == judged.rows.genre
    return right


def agreeing(rule: str, judged: LeftOut, by_tags: LeftOut, songs: Songs) -> BoolArray:
    """Return whose likeliest genre the other witness of a rule names too."""
    best = judged.logits[:, : len(GENRES)].argmax(axis=1)
    if rule == "likeliest":
        return np.ones(len(best), np.bool_)
    if rule == "tags":
        same: BoolArray = by_tags.logits[:, : len(GENRES)].argmax(axis=1) == best
        return same
    return of_neighbours(judged.rows, songs.all) == best


def of_neighbours(rows: SongRows, every: SongRows) -> Int64Array:
    """Return the genre of most of the nearest songs of other groups, for each row."""
    known = every.rows(~np.isnan(every.columns[:, 0]))
    centre, scale = known.columns.mean(axis=0), known.columns.std(axis=0) + 1e-6
    near = _units(rows, centre, scale) @ _units(known, centre, scale).T
    near[rows.group[:, None] == known.group[None]] = -np.inf
    found = []
    for order in np.argsort(-near, axis=1, kind="stable"):
        heard: Counter[str] = Counter()
        votes: list[int] = []
        for row in order:
            heard[known.group[row]] += 1
            if heard[known.group[row]] <= OF_A_GROUP:
                votes.append(int(known.genre[row]))
            if len(votes) == NEAREST:
                break
        found.append(np.bincount(votes, minlength=len(GENRES))[: len(GENRES)].argmax())
    return np.array(found, np.int64)


def _units(rows: SongRows, centre: Float64Array, scale: Float64Array) -> Float64Array:
    z = np.nan_to_num(np.clip((rows.columns - centre) / scale, -CLIP, CLIP))
    units: Float64Array = z / np.linalg.norm(z, axis=1, keepdims=True)
    return units


def by_genre(
    rows: SongRows, said: Float64Array, right: BoolArray, part: BoolArray
) -> dict[str, Any]:
    """Compare limits of each genre with one limit, on artists that chose neither."""
    best, value = said.argmax(axis=1), said.max(axis=1)
    rng, groups = np.random.default_rng(0), np.unique(rows.group[part])
    found = []
    for _ in range(HALVES):
        half = np.isin(rows.group, rng.permutation(groups)[: len(groups) // 2])
        genres = range(len(GENRES))
        limits = np.array([limit_of(best == g, value, right, half & part) for g in genres])
        other = np.flatnonzero(part & ~half)
        clear = other[value[other] >= limits[best[other]]]
        as_many = other[np.argsort(-value[other])[: len(clear)]]
        found.append((len(clear) / len(other), right[clear].mean(), right[as_many].mean()))
    clear_share, own, one = np.mean(found, axis=0).round(3).tolist()
    return {"rule": "by genre", "clear": clear_share, "right": own, "right_by_one_limit": one}


def limit_of(of: BoolArray, value: Float64Array, right: BoolArray, part: BoolArray) -> float:
    """Return the lowest limit from which a genre is right often enough."""
    for limit in GRID:
        clear = of & part & (value >= limit)
        if clear.any() and (right[clear].sum() + PRIOR * RIGHT) / (clear.sum() + PRIOR) >= RIGHT:
            return float(limit)
    return 1.01


if __name__ == "__main__":
    main()
