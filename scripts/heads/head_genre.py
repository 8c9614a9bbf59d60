"""The shipped genre head: eight classes from GTZAN's labels, and pieces of other makers.

Eight of the ten classes have labelled, artist-separated tag scores (GTZAN). Electronic, and more
of classical, metal and hip hop, is learnt from pieces whose makers say what they are
(`head_outside`). Folk has no labelled audio at all: a labelled segment stands for it in part, by
as much as the backbone's own folk tag says, and unlabelled music where that tag is the strongest
of its genre tags. Whether that finds folk is judged on artists of the eight classes whom others
call folk as well (`head_folk`); nothing is learnt from their names. GTZAN's disco and reggae are
outside the ten and are not trained on; how they are answered is reported.

What a narrow band takes from a record must not move its genre: copies through a narrow band are
learnt from beside the records themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from head_features import Table
from head_gtzan import GTZAN_GENRES, Taggrams, balanced, concatenate_taggrams
from head_linear import LinearHead, LinearRecipe, fit_linear, train_linear
from head_outside import MAKERS
from head_yardstick import GENRE_RECIPE

from audiorec.tagger.heads import Head, softmax
from audiorec.tagger.weights import backbone_weights
from audiorec.types import Float64Array, FloatArray, Int64Array

GENRES = tuple("blues classical country electronic folk hiphop jazz metal pop rock".split())
LABELLED = tuple(name for name in GENRES if name in GTZAN_GENRES)
ELECTRONIC, FOLK = GENRES.index("electronic"), GENRES.index("folk")
# Music without a genre label from which folk is learnt.
UNLABELLED_MUSIC = (
    "adonthell-music", "blobwars-music", "drascula-music", "fillets-music",
    "fretsonfire-songs-sectoid", "hyperrogue-music", "superpowers", "supertux-music",
    "warmux-music",
)  # fmt: skip
GENRE_TAGS = (
    "rock", "pop", "alternative", "indie", "electronic", "dance", "jazz", "metal", "soul",
    "folk", "punk", "blues", "hard rock", "ambient", "Hip-Hop", "country", "funk", "electro",
    "heavy metal", "rnb", "House",
)  # fmt: skip
FOLK_TAG = 0.2  # the tag's own sigmoid, from which unlabelled music is learnt from
FOLK_SHARE = 0.6  # of a segment's target at most; its label keeps the rest
FOLK_WEIGHT = 0.4  # of such a segment without a label, against a mean row's 1
SEEDS = range(3)  # of foldings: a figure with artists left out is the mean over them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GenreRows:
    """What the head learns from: tag scores, soft targets, groups, weights.

    `label` is the index in `GENRES`, or -1 where there is none; `as_found` marks GTZAN's rows
    that are no copies.
    """

    tags: Float64Array
    targets: Float64Array
    group: npt.NDArray[np.str_]
    weight: Float64Array
    label: Int64Array
    as_found: npt.NDArray[np.bool_]

    def rows(self, keep: npt.NDArray[Any]) -> "GenreRows":
        """Return the rows of a mask or of indices."""
        return GenreRows(**{name: getattr(self, name)[keep] for name in self.__slots__})


def genre_rows(
    gtzan: Taggrams,
    copied: Taggrams | None,
    outside: tuple[Table, npt.NDArray[np.str_]] | None,
    music: Table,
) -> GenreRows:
    """Put labelled rows of GTZAN, their copies, other makers' pieces and folk together.

    Parameters
    ----------
    gtzan, copied : Taggrams
        Of any genre; disco and reggae are left out.
    outside : Table and ndarray of str
        Rows of other makers, and their genres.
    music : Table
        Without labels; of the corpora of `UNLABELLED_MUSIC` folk is learnt.
    """
    parts = [gtzan] if copied is None else [gtzan, copied]
    found = concatenate_taggrams(parts)
    ten = ten_of_gtzan(found.genre)
    keep = ten >= 0
    tags, label, group = found.tags[keep], ten[keep], found.artist[keep]
    as_found = (np.arange(len(found)) < len(gtzan))[keep]
    if outside is not None:
        table, names = outside
        tags = np.concatenate([tags, table.msd.tags.astype(np.float64)])
        label = np.concatenate([label, [GENRES.index(name) for name in names]]).astype(np.int64)
        group = np.concatenate([group, table.corpus])
        as_found = np.concatenate([as_found, np.zeros(len(table), np.bool_)])
    targets = np.eye(len(GENRES))[label]
    share = np.minimum(folk_tag(tags), FOLK_SHARE)
    targets *= 1 - share[:, None]
    targets[:, FOLK] += share
    labelled = GenreRows(
        tags=tags,
        targets=targets,
        group=group,
        weight=balanced(group, label),
        label=label,
        as_found=as_found,
    )
    return _joined(labelled, _folk_rows(music))


def _folk_rows(music: Table) -> GenreRows:
    """Return unlabelled segments that the backbone calls folk before anything else."""
    tags = music.msd.tags.astype(np.float64)
    folksy = is_folk(tags) & np.isin(music.corpus, UNLABELLED_MUSIC)
    n = int(folksy.sum())
    targets = np.full((n, len(GENRES)), (1 - FOLK_SHARE) / len(GENRES))
    targets[:, FOLK] += FOLK_SHARE
    return GenreRows(
        tags=tags[folksy],
        targets=targets,
        group=music.track[folksy],
        weight=np.full(n, FOLK_WEIGHT),
        label=np.full(n, -1),
        as_found=np.zeros(n, np.bool_),
    )


def _joined(first: GenreRows, second: GenreRows) -> GenreRows:
    return GenreRows(
        **{
            name: np.concatenate([getattr(first, name), getattr(second, name)])
            for name in GenreRows.__slots__
        }
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


def maker_left_out(
    rows: GenreRows,
    outside: tuple[Table, npt.NDArray[np.str_]],
    head: Head,
) -> FloatArray:
    """Return scores of other makers' rows by heads that heard nothing of the maker.

    Their calibration is that of `head`, which heard all.
    """
    table, _ = outside
    scores = np.zeros((len(table), len(GENRES)), np.float32)
    for corpus in dict.fromkeys(maker.corpus for maker in MAKERS):
        own = table.corpus == corpus
        others = rows.rows(rows.group != corpus)
        scores[own] = fitted_scores(others, table.msd.tags[own], head)
    return scores


def fitted_scores(rows: GenreRows, tags: npt.NDArray[np.floating], head: Head) -> FloatArray:
    """Return scores of tags by a fit on some rows, calibrated as a head is."""
    model = fit_linear(rows.tags, rows.targets, rows.weight, recipe=GENRE_RECIPE)
    logits = model.logits(tags) * head.calibration_scale + head.calibration_bias
    return softmax(logits).astype(np.float32)


def ten_of_gtzan(genre: Int64Array) -> Int64Array:
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
