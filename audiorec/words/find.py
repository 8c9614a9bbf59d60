"""Find the songs that a sentence describes.

    Sentence, Hearing ──scored──▶ (terms, n): shares ──find_songs──▶ `DescribedSongs`
    Sentence, Hearing, seeds ──wished_of──▶ `Wished`: by how much each song has it, and its pull

A term's value is the weighted sum of what it makes one hear, standardised over the library, so that
all terms count alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from audiorec.columns import StoreColumns
from audiorec.errors import InputError
from audiorec.search.beside import Beside, Wished
from audiorec.search.choice import Chosen, Ranking, non_music_left_out, select
from audiorec.search.questions import FindQuestion
from audiorec.search.searchable import SearchableStore
from audiorec.search.similar import ForPlayers, OpenedSong, SeedSong
from audiorec.search.space import Neighbours
from audiorec.types import Float64Array, FloatArray
from audiorec.words.hearing import LARGEST, Hearing, scale_of, standardised
from audiorec.words.sentence import Sentence, Term

FOLLOWS = 0.5  # share of what is denied that is forgiven where it follows from what is wanted
SHOWN = 3  # things named as heard for one term
LONGEST = 200  # characters of a sentence in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """A term, and what of it can be heard in the songs of this store."""

    term: Term
    heard: Mapping[str, float]

    def __str__(self) -> str:
        """Return for example ``no drums: less Drum kit, Drum, Percussion``."""
        names = sorted(self.heard, key=lambda name: -abs(self.heard[name]))
        first = [n if self.heard[n] > 0 else f"less {n}" for n in names[:SHOWN]]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"{self.term.name}: {', '.join(first)}{more}"


def understood(sentence: Sentence, hearing: Hearing) -> tuple[Understood, ...]:
    """Return the terms of which something can be heard in this store.

    Raises
    ------
    InputError
        If there is none, and the sentence has no condition either.
    """
    result = (
        Understood(term=term, heard={n: w for n, w in term.heard.items() if n in hearing})
        for term in sentence.terms
    )
    terms = tuple(one for one in result if one.heard)
    if not terms and not sentence.conditions:
        raise InputError(_nothing_understood(sentence))
    hearing.columns({name for one in terms for name in one.heard})  # of all terms together
    return terms


def values(
    one: Understood, hearing: Hearing, songs: Sequence[OpenedSong] = ()
) -> tuple[FloatArray, FloatArray]:
    """Return by how much each song is what a term says, (n,), of deviation 1, and `songs`, (m,)."""
    total, other = np.zeros(len(hearing.known)), np.zeros(len(songs))
    for (name, weight), column in zip(one.heard.items(), hearing.columns(one.heard), strict=True):
        total += weight * column.astype(np.float64)
        other += weight * hearing.of_songs(name, songs)
    scale = scale_of(total, hearing.known)
    result = standardised(total, hearing.known, scale)
    return result, standardised(other, np.ones(len(songs), np.bool_), scale)


def scored(terms: Sequence[Understood], hearing: Hearing) -> Float64Array:
    """Return what each term adds to each song's value: (terms, n), float64.

    Wanted terms add their share of 1. What is denied only takes away, from songs that have more of
    it than half of what follows from the wanted: in "metal, no rock" metal stays in place, though
    all metal is rock.
    """
    raw = np.stack([values(one, hearing)[0] for one in terms]).astype(np.float64)
    denied = np.array([one.term.denied for one in terms])
    weights = np.array([one.term.weight for one in terms])
    shares = weights / max(weights[~denied].sum(), 1.0)
    wanted = shares[~denied] @ raw[~denied] if (~denied).any() else np.zeros(raw.shape[1])
    for place in np.flatnonzero(denied):
        raw[place] = -np.maximum(_beyond(raw[place], wanted, hearing), 0.0)
    raw[~denied] *= shares[~denied, None]
    return raw


def _beyond(denied: Float64Array, wanted: Float64Array, hearing: Hearing) -> Float64Array:
    """Return how much more of what is denied songs have than follows from what is wanted."""
    there = hearing.known
    square = float(wanted[there] @ wanted[there])
    slope = max(0.0, float(denied[there] @ wanted[there]) / square) if square else 0.0
    return standardised(denied - FOLLOWS * slope * wanted, there).astype(np.float64)


class DescribedSongs(Neighbours, ForPlayers):
    """The songs that a sentence describes, best first, and how it was understood.

    Attributes
    ----------
    question : FindQuestion
    sentence : Sentence
    terms : tuple of Understood
    wished : Wished
        What each term adds to each song's similarity, which is at most 1: four deviations above the
        library's mean in all that is wanted.
    beside : Beside
        Each song, with the share of the library's songs that the sentence describes less.
    """

    def __init__(
        self,
        store: SearchableStore,
        question: FindQuestion,
        ranking: Ranking,
        *,
        sentence: Sentence,
        terms: tuple[Understood, ...],
        wished: Wished,
        closer_than: Float64Array,
        chosen: Chosen,
    ) -> None:
        super().__init__(store, *ranking)
        self.question, self.sentence, self.terms, self.wished = question, sentence, terms, wished
        self._library, self._chosen = store, chosen
        self.beside = Beside(
            store,
            rows=self.rows,
            closer_than=closer_than,
            others=lambda: [None] * len(self),
            wished=wished,
        )

    @cached_property
    def remarks(self) -> list[str]:
        """What to tell a person about the list, one line each."""
        lines = [f"note: understood {one}" for one in self.terms] if self.question.why else []
        lines += [f"note: {one}" for one in self.wished.notes]
        lines += [f"note: --exclude {one} matches no song" for one in self._chosen.idle]
        if self._chosen.unmet:
            lines.append(f"note: {self._chosen.unmet}")
        if unheard := int(np.isinf(self.wished.pull).sum()):
            have = "songs have" if unheard > 1 else "song has"
            lines.append(
                f"note: {unheard} {have} no embedding and cannot be found; add it: audiorec "
                f"extract FOLDER --overwrite --out {self._library.path}"
            )
        if self._chosen.not_music:
            lines.append(non_music_left_out(self._chosen.not_music))
        if said := self._library.copies_left_out(self.rows.tolist(), self.question.choice):
            lines.append(said)
        if len(self) < self.question.k:
            many = "song" if len(self) == 1 else "songs"
            lines.append(
                f"{len(self)} {many} instead of {self.question.k}: the store has no more eligible "
                "songs"
            )
        return lines

    def entries(self) -> list[dict[str, Any]]:
        """Return the columns of the songs to play, in order."""
        return self.songs

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as a document of JSON values; with reasons if they were asked for."""
        fields = ("uri", "artist", "title", "album", "duration_s", "status")
        songs = [
            {
                "rank": rank,
                StoreColumns.ID: n.song_id,
                "similarity": round(n.similarity, 6),
                "closer_than": self.beside.shares[rank - 1],
                **{f: n.row.get(f) for f in fields},
                "copies": self._library.copies_of(row),
                **({"why": self.wished.fields(row)} if self.question.why else {}),
            }
            for rank, (row, n) in enumerate(zip(self.rows.tolist(), self, strict=True), start=1)
        ]
        return {
            "schema": "audiorec/find/1",
            "query": self.question.text,
            "by": "words",
            "vectors": str(self._library.path),
            "extractor_id": self._library.metadata.extractor_id,
            "understood": [
                {"words": one.term.said, "denied": one.term.denied, "heard": dict(one.heard)}
                for one in self.terms
            ],
            "conditions": dict(self.sentence.conditions),
            "not_understood": list(self.sentence.unknown),
            "songs": songs,
        }


def find_songs(
    store: SearchableStore,
    question: FindQuestion,
    *,
    hearing: Hearing,
    sentence: Sentence,
    chosen: Chosen,
) -> DescribedSongs:
    """Return the songs that a sentence describes.

    Parameters
    ----------
    store : SearchableStore
    question : FindQuestion
    hearing : Hearing
        Of this store.
    sentence : Sentence
        The question's text, read.
    chosen : Chosen
        The eligible songs and the limits.

    Raises
    ------
    InputError
        If nothing of the sentence is understood.
    """
    terms = understood(sentence, hearing)
    shares = scored(terms, hearing) / LARGEST if terms else np.zeros((0, len(store)))
    total = shares.sum(axis=0)
    allowed = np.flatnonzero(chosen.allowed & hearing.known)

    def best(m: int) -> Ranking:
        order = allowed[np.lexsort((allowed, -total[allowed]))[:m]]
        return order, total[order]

    rows, similarities = select(best, question.k, limits=chosen.limits)
    below = np.searchsorted(np.sort(total[hearing.known]), similarities)
    return DescribedSongs(
        store,
        question,
        (rows, similarities),
        sentence=sentence,
        terms=terms,
        wished=Wished(
            text=sentence.text,
            names=tuple(one.term.name for one in terms),
            by=shares.astype(np.float32),
            pull=np.where(hearing.known, total, -np.inf).astype(np.float32),
            notes=tuple(remarks_of(sentence)),
        ),
        closer_than=below / hearing.known.sum() if terms else np.full(len(rows), np.nan),
        chosen=chosen,
    )


def remarks_of(sentence: Sentence) -> list[str]:
    """Say what became conditions, and what was not understood, one line each."""
    lines = [f"only {condition} ({said})" for said, condition in sentence.conditions.items()]
    unknown = _begin(", ".join(sentence.unknown))
    return [*lines, f"not understood: {unknown}"] if unknown else lines


def _begin(words: str) -> str:
    """Return words as a line can show them."""
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."


def _nothing_understood(sentence: Sentence) -> str:
    """Say that a sentence has nothing that sound tells."""
    words = _begin(", ".join(sentence.unknown) or sentence.text.strip()) or "(empty)"
    return (
        f"no word of this sentence describes a sound: {words}; name instruments, "
        'genres, moods, voices, sounds or uses, for example: "calm piano at night, no drums"'
    )


WANTED = 0.3  # of a similarity, for a deviation of what is wanted or denied
COMPARED = 1.0  # the same, for a deviation that is missing of what is compared
STEP = 0.5  # deviations that are further enough


def wished_of(
    sentence: Sentence, hearing: Hearing, seeds: Sequence[SeedSong], *, why: bool = False
) -> Wished:
    """Return what a sentence asks of each song, beside some seeds; `why`: and how it was read.

    What is compared ("calmer", "more guitar") is measured from the seeds; a song that goes further
    than half a deviation gains nothing more, so that the nearest of these come first. All else
    pulls as it does in a sentence alone. Without seeds nothing is compared: "calmer" means calm.
    The weights were chosen on GTZAN's clips (``benchmarks/words/eval_wish.py``,
    docs/decisions/0060).

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
    result, of_opened = values(one, hearing, opened)
    if one.term.compared:
        rows = [seed.row for seed in seeds if seed.row is not None]
        result = result - np.concatenate([result[rows], of_opened]).mean()
    return -result if one.term.denied else result
