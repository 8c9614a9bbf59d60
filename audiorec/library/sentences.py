"""Answer a sentence about a library: its facts, its titles, the songs that it names, its sounds.

store, FindQuestion ──found──▶ `DescribedSongs`
text ──read_in──▶ `Sentence` ──liked──▶ rows of "like ARTIST"
              ──chosen_by──▶ `Chosen`: the songs that facts admit
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from audiorec.library.seeds import read_seeds
from audiorec.search.choice import Chosen
from audiorec.search.questions import Also, Choice, FindQuestion
from audiorec.search.searchable import SearchableStore
from audiorec.search.similar import SeedSong
from audiorec.search.space import mean_direction
from audiorec.types import Float64Array
from audiorec.words.clauses import Like, Sentence
from audiorec.words.find import Admitted, DescribedSongs, find_songs, held, said_in
from audiorec.words.hearing import Hearing
from audiorec.words.sentence import read_sentence
from audiorec.words.titles import Titles

MOST_LIKED = 20  # songs of an artist that stand for all


def read_in(library: SearchableStore, text: str, titles: Titles, hearing: Hearing) -> Sentence:
    """Read a sentence, and hear how near all songs are to those that they should not be like."""
    sentence = read_sentence(text, titles)
    for one in sentence.likes:
        if one.denied and one.said not in hearing:
            hearing.tell(one.said, _near(library, _rows(titles, [one]))[1])
    return sentence


def liked(titles: Titles, sentence: Sentence | None) -> list[int]:
    """Return the rows of the songs that a sentence says others should be like."""
    likes = () if sentence is None else sentence.likes
    return _rows(titles, [one for one in likes if not one.denied])


def _rows(titles: Titles, likes: Sequence[Like]) -> list[int]:
    return [row for one in likes for row in titles.named(one.said)[1]][:MOST_LIKED]


def _near(library: SearchableStore, rows: Sequence[int]) -> tuple[list[SeedSong], Float64Array]:
    """Return some songs as seeds, and how near all are to their mean: (n,)."""
    space = library.space("auto")
    seeds = read_seeds(library, space, rows)
    units, there = space.units_by_row()
    mean = mean_direction(np.stack([seed.unit for seed in seeds]))
    return seeds, np.where(there, units @ mean, -1.0)


def chosen_by(
    store: SearchableStore, choice: Choice, sentence: Sentence | None, facts: Admitted | None
) -> Chosen:
    """Apply a choice, and the facts of a sentence; sounds are eligible if it names any."""
    if sentence is None or facts is None:
        return store.chosen(choice)
    also: Collection[Also] = [*choice.also, "non-music"] if sentence.sounds else choice.also
    chosen = store.chosen(replace(choice, also=also), facts.admitted)
    if facts.unsure.any() and not (chosen.allowed & ~facts.unsure).any():
        # The songs that surely answer are not eligible: those in doubt would follow behind nothing.
        return replace(chosen, allowed=chosen.allowed & ~facts.unsure)
    return chosen


def found(
    library: SearchableStore, question: FindQuestion, titles: Titles, hearing: Hearing
) -> DescribedSongs:
    """Return the songs that a sentence describes: by sound and by title, within its facts."""
    sentence = read_in(library, question.text, titles, hearing)
    facts, named = held(library, sentence, titles), liked(titles, sentence)
    excluded = {*question.choice.exclude_ids, *(library.ids[row] for row in named)}
    seeds, near = _near(library, named) if named else ([], None)
    return find_songs(
        library,
        question,
        hearing=hearing,
        sentence=sentence,
        chosen=chosen_by(library, replace(question.choice, exclude_ids=excluded), sentence, facts),
        said=said_in(titles, sentence),
        facts=facts,
        seeds=seeds,
        near=near,
    )
