"""The shipped genre head: eight classes from labels, two from what can honestly be had.

Eight of the ten classes have labelled, artist-separated tag scores (GTZAN). Electronic is
learnt from Debian packages whose music is electronic by their makers' word. Folk has no
labelled audio at all: a labelled segment stands for it in part, by as much as the backbone's
own folk tag says, and unlabelled music where that tag is the strongest of its genre tags.
Whether that finds folk is judged on artists of the eight classes whom others call folk as
well (`head_folk`); nothing is learnt from their names. GTZAN's disco and reggae are outside
the ten and are not trained on; how they are answered is reported.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from head_features import Table
from head_gtzan import GTZAN_GENRES, Taggrams, balanced
from head_linear import LinearHead, LinearRecipe, train_linear
from head_yardstick import GENRE_RECIPE

from audiorec.evaluation.classification import Report, by_track, report
from audiorec.tagger.heads import Head
from audiorec.tagger.weights import backbone_weights
from audiorec.types import FloatArray

GENRES = tuple("blues classical country electronic folk hiphop jazz metal pop rock".split())
LABELLED = tuple(name for name in GENRES if name in GTZAN_GENRES)
ELECTRONIC, FOLK = GENRES.index("electronic"), GENRES.index("folk")
# Packages, or pieces of one, that are electronic music.
ELECTRONIC_PIECES = {
    "singularity-music": (),
    "warzone2100-music": (),
    "asc-music": (),
    "domino-chain-music": ("electro", "mechanic", "space", "toxcity"),
    "lincity-ng-data": ("01_pronobozo_lincity",),
}
# Music without a genre label from which electronic and folk are learnt.
MUSIC = (
    *ELECTRONIC_PIECES,
    "adonthell-music", "blobwars-music", "drascula-music", "fillets-music",
    "fretsonfire-songs-sectoid", "hyperrogue-music", "obsidian-shell", "superpowers",
    "supertux-music", "warmux-music", "wesnoth-1.18-music",
)  # fmt: skip
GENRE_TAGS = (
    "rock", "pop", "alternative", "indie", "electronic", "dance", "jazz", "metal", "soul",
    "folk", "punk", "blues", "hard rock", "ambient", "Hip-Hop", "country", "funk", "electro",
    "heavy metal", "rnb", "House",
)  # fmt: skip
FOLK_TAG = 0.2  # the tag's own sigmoid, from which unlabelled music is learnt from
FOLK_SHARE = 0.6  # of a segment's target at most; its label keeps the rest
FOLK_WEIGHT = 0.4  # of such a segment without a label, against a mean row's 1
SEEDS = range(5)  # of foldings: a figure with artists left out is the mean over them
ELECTRONIC_WEIGHT = 1.0  # of the class, against a labelled class's 1

IntArray = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GenreRows:
    """What the head learns from: tag scores, soft targets, groups, weights."""

    tags: Float64Array
    targets: Float64Array
    group: npt.NDArray[np.str_]
    weight: Float64Array

    def rows(self, keep: npt.NDArray[Any]) -> "GenreRows":
        """Return the rows of a mask or of indices."""
        return GenreRows(
            tags=self.tags[keep],
            targets=self.targets[keep],
            group=self.group[keep],
            weight=self.weight[keep],
        )


def genre_rows(gtzan: Taggrams, music: Table) -> GenreRows:
    """Put labelled, electronic and folk rows together.

    Parameters
    ----------
    gtzan : Taggrams
        Of any genre; disco and reggae are left out.
    music : Table
        Of the corpora of `MUSIC`.
    """
    names = np.array(GTZAN_GENRES)[gtzan.genre]
    gtzan = gtzan.rows(np.isin(names, LABELLED))
    labels = ten_of_gtzan(gtzan.genre)
    labelled = np.eye(len(GENRES))[labels]
    share = np.minimum(folk_tag(gtzan.tags), FOLK_SHARE)
    labelled *= 1 - share[:, None]
    labelled[:, FOLK] += share
    weight = balanced(gtzan.artist, labels)
    per_class = weight.sum() / len(LABELLED)

    tags = music.msd.tags.astype(np.float64)
    electronic = is_electronic(music)
    folksy = is_folk(tags) & ~electronic
    keep = electronic | folksy
    targets = np.zeros((len(music), len(GENRES)))
    targets[electronic, ELECTRONIC] = 1.0
    targets[folksy, FOLK] = FOLK_SHARE
    targets[folksy] += (1 - FOLK_SHARE) / len(GENRES)
    each = 1 / np.sqrt(_counts(music.track))
    weights = np.where(folksy, FOLK_WEIGHT, 0.0)
    weights[electronic] = each[electronic] / each[electronic].sum() * per_class
    weights[electronic] *= ELECTRONIC_WEIGHT
    return GenreRows(
        tags=np.concatenate([gtzan.tags, tags[keep]]),
        targets=np.concatenate([labelled, targets[keep]]),
        group=np.concatenate([gtzan.artist, music.track[keep]]),
        weight=np.concatenate([weight, weights[keep]]),
    )


def train_genre(
    rows: GenreRows,
    backbones: Mapping[str, str],
    *,
    recipe: LinearRecipe = GENRE_RECIPE,
    info: Mapping[str, Any] | None = None,
) -> LinearHead:
    """Train the genre head."""
    return train_linear(
        rows.tags,
        rows.targets,
        rows.group,
        rows.weight,
        task="genre",
        classes=GENRES,
        inputs=("msd.tags",),
        backbones={"msd": backbones["msd"]},
        recipe=recipe,
        info=info,
    )


def left_out(rows: GenreRows, backbones: Mapping[str, str]) -> list[FloatArray]:
    """Return scores of all rows by heads that did not see their group, once a folding."""
    recipes = [replace(GENRE_RECIPE, seed=seed) for seed in SEEDS]
    return [train_genre(rows, backbones, recipe=recipe).out_of_fold for recipe in recipes]


def ten_of_gtzan(genre: IntArray) -> IntArray:
    """Return the index in `GENRES` of GTZAN's genres; -1 for disco and reggae."""
    lookup = [GENRES.index(name) if name in GENRES else -1 for name in GTZAN_GENRES]
    return np.array(lookup, np.int64)[genre]


def folk_tag(tags: Float64Array) -> Float64Array:
    """Return the backbone's own folk tag."""
    return tags[:, backbone_weights("msd").tags.index("folk")]


def is_folk(tags: Float64Array) -> npt.NDArray[np.bool_]:
    """Return where folk is the strongest genre tag and not weak."""
    names = backbone_weights("msd").tags
    columns = [names.index(name) for name in GENRE_TAGS]
    folk = folk_tag(tags)
    found: npt.NDArray[np.bool_] = (tags[:, columns].max(1) == folk) & (folk >= FOLK_TAG)
    return found


def is_electronic(music: Table) -> npt.NDArray[np.bool_]:
    """Return which rows are of a piece that is electronic music."""
    found = np.zeros(len(music), np.bool_)
    for package, pieces in ELECTRONIC_PIECES.items():
        stem = np.array([track.rsplit("/", 1)[1] for track in music.track])
        found |= (music.corpus == package) & (np.isin(stem, pieces) if pieces else True)
    return found


def judge_eight(head: Head, test: Taggrams) -> tuple[Report, Report]:
    """Judge the eight labelled classes, by segment and by track; all ten may be answered."""
    test = test.rows(ten_of_gtzan(test.genre) >= 0)
    labels = ten_of_gtzan(test.genre)
    scores = head.scores_of_columns(test.tags)
    rng = np.random.default_rng(0)
    mean, of_track, tracks = by_track(scores, labels, test.track)
    return (
        report(scores, labels, test.track, classes=GENRES, rng=rng),
        report(mean, of_track, tracks, classes=GENRES, rng=rng),
    )


def answers(head: Head, tags: Float64Array, track: npt.NDArray[np.str_]) -> dict[str, int]:
    """Count what tracks without a label in the ten are called."""
    scores = head.scores_of_columns(tags)
    mean, _, _ = by_track(scores, np.zeros(len(track), np.int64), track)
    return dict(Counter(GENRES[answer] for answer in mean.argmax(1)).most_common())


def electronic_recall(
    gtzan: Taggrams, music: Table, backbones: Mapping[str, str]
) -> dict[str, tuple[float, int]]:
    """Leave each electronic package out in turn: share of its tracks called electronic."""
    electronic, found = is_electronic(music), {}
    for package in ELECTRONIC_PIECES:
        rows = genre_rows(gtzan, music.rows(music.corpus != package))
        head = train_genre(rows, backbones).head
        held = music.rows((music.corpus == package) & electronic)
        counts = answers(head, held.msd.tags.astype(np.float64), held.track)
        total = sum(counts.values())
        found[package] = (counts.get("electronic", 0) / total, total)
    return found


def _counts(values: npt.NDArray[np.str_]) -> IntArray:
    _, of_row, counts = np.unique(values, return_inverse=True, return_counts=True)
    return counts[of_row].astype(np.int64)
