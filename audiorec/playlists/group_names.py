"""Name groups of songs: genre and version, then what distinguishes similar groups.

    groups (m,), `GroupProperties`  ──name_groups──▶  ["Jazz, instrumental", "Metal, 80s", …]

A name has the genre of most songs, and the version if it differs from that of the whole library.
Groups that would get the same name each add the word in which they differ most: a backbone tag, a
class of a head, or an artist. All names are unique.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.playlists.m3u8 import BIDI
from audiorec.search.filters import UNKNOWN, mean_scores, name_codes
from audiorec.search.music import HEAD
from audiorec.search.tag_means import stored_tag_means
from audiorec.store.store import VectorStore
from audiorec.types import Float64Array, FloatArray, Int32Array, Int64Array

GENRE = "genre"
HALF = 0.5  # share of the songs from which one genre is the whole name
TOLD = 0.7  # share of the songs from which a version is named, unless it is the library's, too
MOST_NAME = 60  # characters
APART = 0.3  # standard deviations by which a word must distinguish a group
SPELLED = {
    "hiphop": "hip hop",
    "Hip-Hop": "hip hop",
    "vocal": "voices alone",
    "vocal_accompaniment": "sung",
    "rnb": "R&B",
    "chill": "chilled",
    "chillout": "chilled",
}


@dataclass(frozen=True, slots=True)
class GroupProperties:
    """Properties of a store's songs that names are built from.

    Attributes
    ----------
    heads : mapping of str to (tuple of str, ndarray)
        Class labels of each head, and the mean scores (n, C).
    tags : tuple of str
        Backbone tags; empty for a store without `heard_tags`.
    tag_values : ndarray, shape (n, len(tags)), float32
    artists : ndarray, shape (n,), int32
        Artist codes; `UNKNOWN` for none.
    artist_names : sequence of str
        Indexed by artist code.
    """

    heads: Mapping[str, tuple[tuple[str, ...], FloatArray]]
    tags: tuple[str, ...]
    tag_values: FloatArray
    artists: Int32Array
    artist_names: Sequence[str]


def group_properties(store: VectorStore) -> GroupProperties:
    """Read the properties that group names are built from."""
    classes = store.metadata.classes
    means = np.asarray(mean_scores(store), np.float32)
    heads = {}
    for head in dict.fromkeys(name.partition("/")[0] for name in classes):
        columns = [i for i, name in enumerate(classes) if name.startswith(f"{head}/")]
        labels = tuple(classes[i].partition("/")[2] for i in columns)
        heads[head] = labels, means[:, columns]
    tags = stored_tag_means(store)
    codes = name_codes(store, "artist")
    texts = store.column("artist").to_pylist()
    names = [""] * (int(codes.max(initial=-1)) + 1)
    for code, text in zip(codes.tolist(), texts, strict=True):
        if code != UNKNOWN and not names[code]:
            plain = "".join(c for c in " ".join(str(text).split()) if c.isprintable())
            names[code] = BIDI.sub("", plain)
    return GroupProperties(
        heads=heads,
        tags=tags.names if tags is not None else (),
        tag_values=np.nan_to_num(tags.values) if tags is not None else means[:, :0],
        artists=codes,
        artist_names=names,
    )


def name_groups(
    words: GroupProperties,
    groups: Int64Array,
    rows: Int64Array,
    *,
    kept: Mapping[int, str] | None = None,
) -> list[str]:
    """Name every group.

    Parameters
    ----------
    words : GroupProperties
    groups : ndarray, shape (m,), int64
        The group of each song.
    rows : ndarray, shape (m,), int64
        The songs' rows in the store.
    kept : mapping of int to str, optional
        Names to keep, by group.

    Returns
    -------
    names : list of str
        Unique, ignoring case.
    """
    kept = kept or {}
    members = [rows[groups == group] for group in range(int(groups.max()) + 1)]
    bases = {g: _base(words, m, rows) for g, m in enumerate(members) if g not in kept}
    taken = {name.casefold() for name in kept.values()}
    names = dict(kept)
    for base in dict.fromkeys(bases.values()):
        alike = [group for group, other in bases.items() if other == base]
        if len(alike) == 1 and base.casefold() not in taken:
            names[alike[0]] = base
            taken.add(base.casefold())
            continue
        for group in alike:
            others = np.concatenate([members[g] for g in alike if g != group] or [rows])
            names[group] = _set_apart(words, base, members[group], others, taken)
            taken.add(names[group].casefold())
    return [names[group] for group in range(len(members))]


def _base(words: GroupProperties, members: Int64Array, rows: Int64Array) -> str:
    """Return genre and version of a group as a name."""
    parts = []
    if GENRE in words.heads:
        labels, means = words.heads[GENRE]
        shares = np.bincount(means[members].argmax(axis=1), minlength=len(labels)) / len(members)
        order = np.argsort(-shares, kind="stable")
        first = _spelled(labels[order[0]])
        alone = shares[order[0]] >= HALF or len(labels) < 2 or not shares[order[1]]
        parts.append(first if alone else f"{first} and {_spelled(labels[order[1]])}")
    if HEAD in words.heads:
        labels, means = words.heads[HEAD]
        ours, all_of_it = (
            np.bincount(means[some].argmax(axis=1), minlength=len(labels)) / len(some)
            for some in (members, rows)
        )
        best = int(ours.argmax())
        if ours[best] >= TOLD > all_of_it[best]:
            parts.append(_spelled(labels[best]))
    name = ", ".join(parts) or "songs"
    return name[0].upper() + name[1:]


def _set_apart(
    words: GroupProperties,
    base: str,
    members: Int64Array,
    others: Int64Array,
    taken: Collection[str],
) -> str:
    """Return the name extended by what distinguishes a group from similar ones."""
    for word in _contrasts(words, members, others):
        name = f"{base}, {_spelled(word)}"
        if _letters(word) not in _letters(base) and name.casefold() not in taken:
            return name
    counts = Counter(words.artists[members].tolist())
    counts.pop(UNKNOWN, None)
    for artist, count in counts.most_common(3):
        name = f"{base}, around {words.artist_names[artist]}"[:MOST_NAME].strip()
        if count > 1 and name.casefold() not in taken:
            return name
    number = 2
    while f"{base} {number}".casefold() in taken:
        number += 1
    return f"{base} {number}"


def _contrasts(words: GroupProperties, members: Int64Array, others: Int64Array) -> list[str]:
    """Return the words for which a group scores above the others, largest difference first."""
    found: list[tuple[float, str]] = []
    columns = [(words.tags, words.tag_values), *words.heads.values()]
    for labels, values in columns:
        if not labels:
            continue
        both: Float64Array = values[np.concatenate([members, others])].astype(np.float64)
        spread = np.maximum(both.std(axis=0), 1e-6)
        apart = (values[members].mean(axis=0) - values[others].mean(axis=0)) / spread
        found += [(float(a), label) for a, label in zip(apart, labels, strict=True) if a > APART]
    return [label for _, label in sorted(found, key=lambda one: (-round(one[0], 6), one[1]))]


def _letters(text: str) -> str:
    return "".join(c for c in _spelled(text).casefold() if c.isalnum())


def _spelled(label: str) -> str:
    word = SPELLED.get(label, label.replace("_", " "))
    word = BIDI.sub("", "".join(c for c in word if c.isprintable()))[:MOST_NAME]
    return word if word.isupper() or word[:1].isdigit() else word.lower()
