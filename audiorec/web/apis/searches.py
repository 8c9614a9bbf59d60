"""Queries shared by all APIs, independent of protocol: they return rows and similarities.

songs      ──near──────▶ similar songs, nearest first
two songs  ──way───────▶ a path from one to the other, both included
songs      ──long_list─▶ a playlist of songs near them
a sentence ──described─▶ songs that it describes, best first
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from audiorec.errors import InputError
from audiorec.playlists.answers import PlaylistOfSongs
from audiorec.playlists.beside import Beside
from audiorec.search.choice import Chosen
from audiorec.search.questions import (
    Choice,
    FindQuestion,
    PathQuestion,
    PlaylistQuestion,
    SimilarQuestion,
)
from audiorec.search.space import Space
from audiorec.types import Float64Array, Int64Array
from audiorec.web.apis.names import NamedSong
from audiorec.web.apis.snapshot import Snapshot
from audiorec.web.forms import MOST_SONGS
from audiorec.words.find import DescribedSongs

MOST_SEEDS = 200
SAME = 1e-6  # songs with 1 - cosine below this sound the same; there is no path between them


@dataclass(frozen=True, slots=True, eq=False)
class FoundSongs:
    """Songs found in a store, in result order.

    Attributes
    ----------
    rows : ndarray, shape (m,), int64
    similarities : ndarray, shape (m,), float64
        From 0 (unlike) to 1 (the same).
    beside : Beside, optional
        Each song beside its nearest seed, or in a path beside the song before.
    """

    rows: Int64Array
    similarities: Float64Array
    beside: Beside | None = None

    def __len__(self) -> int:
        return len(self.rows)


def near(
    snapshot: Snapshot,
    seeds: Sequence[NamedSong],
    question: SimilarQuestion,
    *,
    chosen: Chosen | None = None,
) -> FoundSongs:
    """Return songs near one song, or near several, which vote; excludes the seeds.

    Parameters
    ----------
    snapshot : Snapshot
    seeds : sequence of NamedSong
    question : SimilarQuestion
        What is asked about them; it gets at most `MOST_SONGS` songs, each of which has a name for
        the caller.
    chosen : Chosen, optional
        A choice already evaluated on the store, instead of the question's; not with words.
    """
    if not seeds:
        raise InputError("no seed: name at least one song")
    library = snapshot.library
    rows = list(dict.fromkeys(seed.row for seed in seeds))[:MOST_SEEDS]
    with snapshot.lock:
        space = library.space("auto")
        known = comparable(space, rows)
    choice = Choice() if chosen else tellable(snapshot, seeds[0], question.choice)
    if not question.words:  # its facts are conditions of the choice
        chosen = chosen or library.chosen(choice)  # may take long
    k = max(1, min(question.k, MOST_SONGS))
    with _reading(snapshot, space):
        found = library.ask(replace(question, seeds=known, k=k, choice=choice), chosen=chosen)
        beside = found.beside
    return FoundSongs(found.rows, np.clip(found.similarities, 0.0, 1.0), beside)


def comparable(space: Space, rows: Sequence[int]) -> Sequence[int]:
    """Return the rows that the space has; all of them if it has none, which it refuses."""
    return [row for row in rows if space.there[row]] or rows


def way(
    snapshot: Snapshot,
    start: NamedSong,
    end: NamedSong,
    count: int,
    *,
    choice: Choice = Choice(),  # noqa: B008 - frozen
) -> FoundSongs:
    """Return a path of at most `count` songs from one song to another, both included.

    Similarities are to the first song. If the two are the same song, or sound the same, there is
    nothing between them.
    """
    if count < 2 and start.row != end.row:
        raise InputError("a path has two ends: count must be at least 2")
    library = snapshot.library
    rows = np.asarray([start.row, end.row], np.int64)
    if start.row == end.row:
        return FoundSongs(rows[:1], np.ones(1))
    with snapshot.lock:
        space = library.space("auto", use_index=False)
        first, last = space.units(rows).astype(np.float64)
    chosen = library.chosen(tellable(snapshot, start, choice))
    steps, beside = min(count, MOST_SONGS, len(library)) - 2, None
    if steps >= 1 and float(first @ last) <= 1 - SAME:
        found = library.ask(PathQuestion(seeds=rows.tolist(), steps=steps), chosen=chosen)
        rows, beside = found.rows, found.beside
    similarities = np.clip(space.units(rows).astype(np.float64) @ first, 0.0, 1.0)
    return FoundSongs(rows, similarities, beside)


def long_list(
    snapshot: Snapshot, seeds: Sequence[NamedSong], question: PlaylistQuestion
) -> PlaylistOfSongs:
    """Return a playlist near some songs."""
    with snapshot.lock:
        snapshot.library.space("auto", use_index=False)  # made once
    choice = tellable(snapshot, seeds[0], question.choice)
    rows = [seed.row for seed in seeds]
    return snapshot.library.ask(replace(question, seeds=rows, choice=choice))


def described(snapshot: Snapshot, question: FindQuestion) -> DescribedSongs:
    """Return songs that a sentence describes; raises `InputError` if none is told."""
    choice = tellable(snapshot, snapshot.names.usual, question.choice)
    k = max(1, min(question.k, MOST_SONGS))
    return snapshot.library.ask(replace(question, k=k, choice=choice))


def as_found(songs: DescribedSongs) -> FoundSongs:
    """Return the songs of a sentence as other answers are served."""
    return FoundSongs(songs.rows, np.clip(songs.similarities, 0.0, 1.0), songs.beside)


def _reading(snapshot: Snapshot, space: Space) -> AbstractContextManager[object]:
    """Return the lock if the search reads the store's file; in-memory searches need none."""
    return nullcontext() if space.index is None else snapshot.lock


def tellable(snapshot: Snapshot, like: NamedSong, choice: Choice) -> Choice:
    """Return a choice that also excludes the songs that the caller has no name for."""
    nameless = snapshot.names.nameless(like)
    if not nameless:
        return choice
    return replace(choice, exclude_ids=nameless | frozenset(choice.exclude_ids))
