"""Last.fm listeners joined with GTZAN's tracks by the artist's name: a small real data set.

Likes are real: an artist is liked who stands in a listener's list, and with the artist all of
the artist's tracks. Nothing of it may be shipped (both sets are for research).
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiorec.types import FloatArray, Pairs

# What the join must come to, so that figures are of the same data as other people's.
EXPECTED = {"artists": 141, "tracks": 657, "users": 1501, "pairs": 6404}
MIN_LISTENERS = 3  # of an artist that is judged or learnt from

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Join:
    """Users, and the tracks of joined artists that have tag scores.

    Attributes
    ----------
    counts : dict of str to int
        Of the whole join, as in `EXPECTED`.
    n_users : int
        Of Last.fm, joined or not.
    other : Pairs
        Users and artists outside the join: what users' embeddings are made of.
    n_others : int
    tags : list of ndarray, shape (T, 50)
        MSD tag scores of each of the n tracks, a row a second.
    genre : ndarray, shape (n,), str
    tracks : tuple of str, length n
    artist : ndarray, shape (n,), int64
    artists : tuple of str
    likes : ndarray, shape (n_users, len(artists)), bool
    """

    counts: dict[str, int]
    n_users: int
    other: Pairs
    n_others: int
    tags: list[FloatArray]
    genre: npt.NDArray[np.str_]
    tracks: tuple[str, ...]
    artist: Numbers
    artists: tuple[str, ...]
    likes: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Taggrams:
    """All tracks of GTZAN with published tag scores, joined or not.

    Attributes
    ----------
    tags : dict of str to ndarray, shape (T, 50)
        By track, for example ``blues.00012``.
    part : dict of str to str
        ``train`` or ``test`` of the fault-filtered split.
    artist : dict of str to str
        Normalised; a track without a known artist is its own.
    """

    tags: dict[str, FloatArray]
    part: dict[str, str]
    artist: dict[str, str]


def normalise(name: str) -> str:
    """Return an artist's name as it is compared.

    Lower case, no accents, ``&`` is ``and``, no leading ``the``, letters and digits only.

    Examples
    --------
    >>> normalise("The Earth, Wind & Fire"), normalise("Beyoncé")
    ('earthwindandfire', 'beyonce')
    """
    text = unicodedata.normalize("NFKD", name.lower().replace("&", " and "))
    text = "".join(c for c in text if not unicodedata.combining(c)).strip()
    return re.sub(r"[^a-z0-9]", "", text.removeprefix("the "))


def load_taggrams(data: Path) -> Taggrams:
    """Read the published tag scores and whose tracks they are of."""
    titles = read_titles(data)
    tags: dict[str, FloatArray] = {}
    part: dict[str, str] = {}
    for name in ("train", "test"):
        with np.load(data / "gtzan" / f"{name}_msd_taggram.npz", allow_pickle=False) as file:
            rows, ids = file["X"], file["IDS"]
        for track_id in np.unique(ids):
            track = str(track_id).split("/")[1].removesuffix(".au")
            tags[track], part[track] = rows[ids == track_id], name
    artist = {track: titles.get(track, track) for track in tags}
    return Taggrams(tags=tags, part=part, artist=artist)


def load_join(data: Path, taggrams: Taggrams) -> Join:
    """Build the join and check that it is the known one.

    Parameters
    ----------
    data : Path
        Holds ``gtzan/`` and, unpacked, ``listening/lastfm2k/``.
    taggrams : Taggrams

    Raises
    ------
    SystemExit
        If the counts are others than `EXPECTED`.
    """
    titles = read_titles(data)
    names, plays = read_lastfm(data / "listening" / "lastfm2k")
    joined = set(titles.values()) & set(names.values())
    pairs = {(user, names[artist]) for user, artist in plays if names.get(artist) in joined}
    counts = {
        "artists": len(joined),
        "tracks": sum(artist in joined for artist in titles.values()),
        "users": len({user for user, _ in pairs}),
        "pairs": len(pairs),
    }
    if counts != EXPECTED:
        raise SystemExit(f"the join comes to {counts}, expected {EXPECTED}")
    listeners: dict[str, int] = {}
    for _, artist in pairs:
        listeners[artist] = listeners.get(artist, 0) + 1
    tracks = tuple(
        t
        for t in sorted(titles)
        if titles[t] in joined and t in taggrams.tags and listeners[titles[t]] >= MIN_LISTENERS
    )
    artists = tuple(sorted({titles[t] for t in tracks}))
    users = {user: row for row, user in enumerate(sorted({user for user, _ in plays}))}
    likes = np.zeros((len(users), len(artists)), np.bool_)
    for user, artist in pairs:
        if artist in artists:
            likes[users[user], artists.index(artist)] = True
    other, n_others = _other_listening(plays, names, joined, users)
    return Join(
        counts=counts,
        n_users=len(users),
        other=other,
        n_others=n_others,
        tags=[taggrams.tags[t] for t in tracks],
        genre=np.array([t.split(".")[0] for t in tracks]),
        tracks=tracks,
        artist=np.array([artists.index(titles[t]) for t in tracks]),
        artists=artists,
        likes=likes,
    )


def read_titles(data: Path) -> dict[str, str]:
    """Return the normalised artist of each GTZAN track whose artist is known."""
    found = {}
    for line in (data / "gtzan" / "artists_titles.txt").read_text("ascii").splitlines():
        if ":::" in line and not line.startswith("##"):
            file, artist = (part.strip() for part in line.split(":::")[:2])
            if normalise(artist):
                found[file.removesuffix(".wav")] = normalise(artist)
    return found


def read_lastfm(folder: Path) -> tuple[dict[int, str], list[tuple[int, int]]]:
    """Return artists' normalised names by number, and who played whom."""
    names = {}
    for line in (folder / "artists.dat").read_text("utf-8").splitlines()[1:]:
        number, name = line.split("\t")[:2]
        names[int(number)] = normalise(name)
    rows = (folder / "user_artists.dat").read_text("utf-8").splitlines()[1:]
    plays = [(int(u), int(a)) for u, a, _ in (row.split("\t") for row in rows)]
    return names, plays


def _other_listening(
    plays: list[tuple[int, int]],
    names: dict[int, str],
    joined: set[str],
    users: dict[int, int],
) -> tuple[Pairs, int]:
    """Return who played which artist that is not in the join, under no spelling."""
    kept = sorted(
        {(users[u], names[a]) for u, a in plays if names.get(a) and names[a] not in joined}
    )
    items = {name: number for number, name in enumerate(sorted({name for _, name in kept}))}
    user = np.array([u for u, _ in kept], np.int32)
    item = np.array([items[name] for _, name in kept], np.int32)
    ones = np.ones(len(kept), np.float32)
    return Pairs(user, item, ones, np.full(len(kept), np.nan)), len(items)
