"""Genre outside GTZAN: pieces of other makers, labelled by their makers' word.

A piece is labelled by the genre tag of its file (*Romantic Classical*, *Death Metal*), by what its
makers call their music (a folder of house loops, a pack of electronic songs), or by what it is
(a Lied, a chorale). Nobody listened to label one. Its maker is the package or the folder: what is
left out as a whole when the piece is judged.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from audiorec.types import Int64Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from head_features import Table

StrArray = npt.NDArray[np.str_]
SAMPLES = 1000  # of the bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Pieces of one genre by one maker.

    Attributes
    ----------
    corpus, genre : str
    marks : tuple of str
        One of them is in a piece's name, after its folder; all pieces are meant if empty.
    loop : bool
        Drums alone for a few bars: told apart in the figures.
    """

    corpus: str
    genre: str
    marks: tuple[str, ...] = ()
    loop: bool = False


MAKERS = (
    Maker(corpus="wesnoth-1.18-music", genre="classical"),
    Maker(corpus="winterreise", genre="classical"),
    Maker(corpus="choir-quartet", genre="classical"),
    Maker(corpus="singularity-music", genre="electronic"),
    Maker(corpus="warzone2100-music", genre="electronic"),
    Maker(corpus="asc-music", genre="electronic"),
    Maker(
        corpus="domino-chain-music",
        genre="electronic",
        marks=("electro", "mechanic", "space", "toxcity"),
    ),
    Maker(corpus="lincity-ng-data", genre="electronic", marks=("01_pronobozo",)),
    Maker(corpus="everything_is_free_cc0", genre="electronic", marks=("_mix",)),
    Maker(corpus="waivops_loops", genre="electronic", marks=("_hse_",), loop=True),
    Maker(corpus="waivops_loops", genre="hiphop", marks=("_hh_trp_",), loop=True),
    Maker(corpus="rap", genre="hiphop", marks=("gpttta_bgm",), loop=True),
    Maker(corpus="supertux-rap", genre="hiphop"),
    Maker(corpus="muldjord", genre="metal"),
    Maker(corpus="obsidian-shell", genre="metal"),
    Maker(corpus="brad-sucks", genre="rock"),
)


def pieces(tables: "list[Table]", makers: "Sequence[Maker]" = MAKERS) -> "tuple[Table, StrArray]":
    """Return the rows of all pieces of some makers, and the genre of each row.

    Parameters
    ----------
    tables : list of Table
        With the corpora of the makers among theirs.
    makers : sequence of Maker
    """
    from head_features import concatenate  # needs PyTorch; the page of the figures does not

    found, genres = [], []
    for table in tables:
        stem = np.array([track.rsplit("/", 1)[1] for track in table.track])
        for maker in makers:
            here = table.corpus == maker.corpus
            if maker.marks:
                here &= np.any([np.char.find(stem, mark) >= 0 for mark in maker.marks], axis=0)
            if here.any():
                found.append(table.rows(here))
                genres.append(np.full(int(here.sum()), maker.genre))
    return concatenate(found), np.concatenate(genres)


def is_loop(corpus: StrArray) -> npt.NDArray[np.bool_]:
    """Return which rows are of drum loops and beats."""
    return np.isin(corpus, [maker.corpus for maker in MAKERS if maker.loop])


def shares_of(place: Int64Array, maker: StrArray) -> dict[str, Any]:
    """Return how many pieces, and the shares with their class first and among three.

    The intervals of all are over makers.
    """
    rng, names = np.random.default_rng(0), np.unique(maker)
    drawn = []
    for _ in range(SAMPLES if len(names) > 1 else 0):
        some = np.concatenate([np.flatnonzero(maker == n) for n in rng.choice(names, len(names))])
        drawn.append([(place[some] < 1).mean(), (place[some] < 3).mean()])
    shares: dict[str, Any] = {
        "pieces": len(place),
        "first": round(float((place < 1).mean()), 3),
        "three": round(float((place < 3).mean()), 3),
    }
    if drawn:
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0).round(3).tolist()
        shares |= {"first_95": [low[0], high[0]], "three_95": [low[1], high[1]]}
    return shares
