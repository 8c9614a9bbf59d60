"""GTZAN's fault-filtered split as tag scores: 443 training tracks, 290 for one look.

The rows are windows of 3 s, about 1 s apart (61 frames); audiorec's segments are 3 s apart.
Every third row is therefore what `audiorec extract` would see, and a track has three such
series, one for each first row. Training uses all three, the test uses the first.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from head_features import Table
from lastfm_join import normalise

GTZAN_GENRES = tuple("blues classical country disco hiphop jazz metal pop reggae rock".split())
ROWS_PER_SEGMENT = 3  # 3 * 61 frames are 2.93 s

StrArray = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Taggrams:
    """Tag scores of series of segments.

    Attributes
    ----------
    tags : ndarray, shape (n, 50), float64
        Of the MSD backbone, probabilities.
    genre : ndarray, shape (n,), int64
        Index into `GTZAN_GENRES`.
    series : ndarray, shape (n,), str
        Track and first row; the rows of a series are in playing order.
    track, artist : ndarray, shape (n,), str
        A track whose artist is not known counts as an artist of its own.
    """

    tags: npt.NDArray[np.float64]
    genre: npt.NDArray[np.int64]
    series: StrArray
    track: StrArray
    artist: StrArray

    def __len__(self) -> int:
        return len(self.genre)

    def rows(self, keep: npt.NDArray[Any]) -> "Taggrams":
        """Return the rows of a mask or of indices."""
        return Taggrams(
            tags=self.tags[keep],
            genre=self.genre[keep],
            series=self.series[keep],
            track=self.track[keep],
            artist=self.artist[keep],
        )


def load_taggrams(data: Path, part: str, *, phases: int) -> Taggrams:
    """Read the published taggrams of ``train`` or ``test``.

    Parameters
    ----------
    data : Path
        The folder with ``gtzan/``.
    part : str
    phases : int
        How many series to make of a track, 1 to 3.
    """
    with np.load(data / "gtzan" / f"{part}_msd_taggram.npz", allow_pickle=False) as file:
        tags, genre, ids = file["X"], file["Y"], file["IDS"]
    track = np.array([name.split("/")[1].removesuffix(".au") for name in ids])
    number = np.zeros(len(track), np.int64)
    for name in np.unique(track):
        rows = np.flatnonzero(track == name)
        number[rows] = np.arange(len(rows))
    phase = number % ROWS_PER_SEGMENT
    series = np.char.add(np.char.add(track, "#"), phase.astype(np.str_))
    return Taggrams(
        tags=tags.astype(np.float64),
        genre=genre.astype(np.int64),
        series=series,
        track=track,
        artist=artists_of(data, track),
    ).rows(phase < phases)


def taggrams_of(data: Path, table: Table, *, parts: tuple[str, ...] = ("valid",)) -> Taggrams:
    """Return the rows of GTZAN audio of some lists of the split in the same form.

    Parameters
    ----------
    data : Path
    table : Table
        Of clips of half a minute, or of the short ones; each corpus makes series of its own.
    parts : tuple of str
        Among ``train`` and ``valid``.
    """
    track = np.array([name.split("/")[1] for name in table.track])
    genre = np.array([GTZAN_GENRES.index(name.split("/")[0]) for name in table.track])
    allowed = {
        line.split("/")[1].strip().removesuffix(".wav")
        for part in parts
        for line in (data / "gtzan" / f"{part}_filtered.txt").read_text().splitlines()
    }
    return Taggrams(
        tags=table.msd.tags.astype(np.float64),
        genre=genre.astype(np.int64),
        series=np.char.add(np.char.add(track, "@"), table.corpus),
        track=track,
        artist=artists_of(data, track),
    ).rows(np.isin(track, list(allowed)))


def concatenate_taggrams(parts: list[Taggrams]) -> Taggrams:
    """Stack taggrams."""
    return Taggrams(
        tags=np.concatenate([part.tags for part in parts]),
        genre=np.concatenate([part.genre for part in parts]),
        series=np.concatenate([part.series for part in parts]),
        track=np.concatenate([part.track for part in parts]),
        artist=np.concatenate([part.artist for part in parts]),
    )


def balanced(artist: StrArray, genre: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return row weights: an artist counts as the root of their rows, every genre the same."""
    _, of_row, counts = np.unique(artist, return_inverse=True, return_counts=True)
    weights: npt.NDArray[np.float64] = 1 / np.sqrt(counts[of_row])
    totals = np.bincount(genre, weights)
    return weights / totals[genre] * len(genre) / np.count_nonzero(totals)


def artists_of(data: Path, track: StrArray) -> StrArray:
    """Return the artist of each track by Sturm's list, or the track where it has none."""
    text = (data / "gtzan" / "artists_titles.txt").read_text("utf-8", errors="replace")
    known = {}
    for line in text.splitlines():
        name, *rest = (part.strip() for part in line.split(":::"))
        if rest and rest[0]:
            known[name.removesuffix(".wav")] = normalise(rest[0])
    return np.array([known.get(name, name) for name in track])
