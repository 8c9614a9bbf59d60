"""What a sentence adds to a question with seeds: "similar to this song, but calmer".

    Sentence, Hearing, seeds ──wished_of──▶ `Wished`: by how much each song has it, and its pull

What is compared ("calmer", "more guitar") is measured from the seeds; a song that goes further than
half a deviation gains nothing more, so that the nearest of these come first. All else pulls as it
does in `audiorec.words.find`. Without seeds nothing is compared: "calmer" means calm.

The weights were chosen on GTZAN's clips (``benchmarks/eval_wish.py``, docs/decisions/0060).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from audiorec.playlists.answers import SeedSong
from audiorec.playlists.beside import Wished
from audiorec.types import FloatArray
from audiorec.words.find import (
    Understood,
    remarks_of,
    scored,
    understood,
    values,
)
from audiorec.words.hearing import LARGEST, Hearing
from audiorec.words.sentence import Sentence

WANTED = 0.3  # of a similarity, for a deviation of what is wanted or denied
COMPARED = 1.0  # the same, for a deviation that is missing of what is compared
STEP = 0.5  # deviations that are further enough


def wished_of(
    sentence: Sentence, hearing: Hearing, seeds: Sequence[SeedSong], *, why: bool = False
) -> Wished:
    """Return what a sentence asks of each song, beside some seeds; `why`: and how it was read.

    Raises
    ------
    InputError
        If nothing of the sentence is understood.
    """
    terms = understood(sentence, hearing)
    if not seeds:
        terms = tuple(replace(one, term=replace(one.term, compared=False)) for one in terms)
    by = [_by(one, hearing, seeds) for one in terms]
    pull = np.zeros(len(hearing.known))
    for one, far in zip(terms, by, strict=True):
        if one.term.compared:
            pull += COMPARED * one.term.weight * np.clip(far - STEP, -LARGEST, 0)
    rest = [one for one in terms if not one.term.compared]
    if rest:
        pull += (WANTED if seeds else 1.0) * scored(rest, hearing).sum(axis=0)
    return Wished(
        text=sentence.text,
        names=tuple(one.term.name for one in terms),
        by=np.stack(by).astype(np.float32) if by else np.zeros((0, len(pull)), np.float32),
        pull=np.where(hearing.known, pull, -np.inf).astype(np.float32),
        notes=(*(f"understood {one}" for one in terms if why), *remarks_of(sentence)),
    )


def _by(one: Understood, hearing: Hearing, seeds: Sequence[SeedSong]) -> FloatArray:
    """Return by how much each song has what a term says (n,), more than the seeds if compared."""
    opened = [seed.opened for seed in seeds if seed.opened is not None]
    found, of_opened = values(one, hearing, opened)
    if one.term.compared:
        rows = [seed.row for seed in seeds if seed.row is not None]
        found = found - np.concatenate([found[rows], of_opened]).mean()
    return -found if one.term.denied else found
