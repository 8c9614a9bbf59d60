"""Find the songs that a sentence describes.

    Sentence, Titles, Hearing ──find_songs──▶ `DescribedSongs`: by sound, by title, within the facts
    Sentence, Hearing, seeds ──wished_of──▶ `Wished`: by how much each song has it, and its pull
    Sentence, store ──held──▶ `Admitted`: which songs its facts admit, and of which that is not sure

A term's value is the weighted sum of what it makes one hear, standardised over the library, so that
all terms count alike. What is heard and what is said in titles are two lists, fused by rank.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from audiorec.columns import StoreColumns
from audiorec.errors import InputError
from audiorec.search.bars import shown, word
from audiorec.search.beside import Beside, Wished
from audiorec.search.choice import Chosen, Ranking, non_music_left_out, select
from audiorec.search.filters import BPM, YEAR, Condition, matching, numbers_of
from audiorec.search.questions import FindQuestion
from audiorec.search.searchable import SearchableStore
from audiorec.search.similar import ForPlayers, OpenedSong, SeedSong
from audiorec.search.space import Neighbours
from audiorec.store.schema import LANGUAGE
from audiorec.types import BoolArray, Float64Array, FloatArray, Int64Array
from audiorec.words.clauses import LIKE, Sentence, Term
from audiorec.words.hearing import LARGEST, Hearing, scale_of, standardised
from audiorec.words.strength import fit, together
from audiorec.words.titles import Titles
from audiorec.words.vocabulary import tokens

FOLLOWS = 0.5  # share of what is denied that is forgiven where it follows from what is wanted
SHOWN = 3  # things named as heard for one term
LONGEST = 200  # characters of a sentence in a message
SURE = 0.5  # confidence of a tempo or a key; below it the value is not told from a guess
PLACES = 60  # the larger, the less the first places of the two lists are worth
UNDERSTOOD = 0.25  # what a word counts in titles that is heard as well
CONFIDENCE = {BPM: "bpm_confidence", "key": "key_confidence", "scale": "key_confidence"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """Which songs the facts of a sentence admit, and of which that is not sure: (n,) each."""

    admitted: BoolArray
    unsure: BoolArray
    notes: tuple[str, ...] = ()


def held(store: SearchableStore, sentence: Sentence, titles: Titles) -> Admitted:
    """Judge songs by the facts of a sentence, where their rows are sure, and by their titles.

    A song whose tempo or key has a confidence below one half, or that says no year or language, may
    meet a fact: it comes behind songs that surely do, and is left out where none does, since a list
    of such songs alone answers nothing. A song that is called as the whole sentence is an answer
    too. What is denied needs no such doubt.
    """
    admitted, unsure = np.ones(len(store), np.bool_), np.zeros(len(store), np.bool_)
    notes = []
    for fact in sentence.facts:
        doubtful = np.any([_doubtful(store, one) for way in fact.ways for one in way], axis=0)
        sure = np.any([_meets(store, way) for way in fact.ways], axis=0) & ~doubtful
        admitted &= ~sure if fact.denied else sure | doubtful
        unsure |= doubtful & ~np.bool_(fact.denied)
        if not fact.denied and not sure.any():
            perhaps = int(doubtful.sum())
            tail = f": {perhaps} do not say, or not surely; {_cure(fact.ways)}" if perhaps else ""
            notes.append(f"no song surely meets {fact.name} ({fact.said}){tail}")
    for like in sentence.likes:
        if like.denied:
            admitted[titles.named(like.said)[1]] = False
    for title in sentence.titles:
        if not title.denied:
            admitted &= titles.phrase(title.words)
            continue
        without = np.all([titles.having(one) for one in title.words.split()], axis=0)
        admitted &= ~without
        notes += [] if without.any() else [f"no title says {title.words}"]
    unsure &= ~titles.called(sentence.text)
    sure = admitted & ~unsure
    if unsure.any() and not sure.any():
        if not notes:
            names = ", ".join(fact.name for fact in sentence.facts if not fact.denied)
            notes.append(f"no song surely meets all of {names}")
        admitted = sure
    return Admitted(admitted=admitted, unsure=unsure & admitted, notes=tuple(notes))


def _cure(ways: Sequence[Sequence[Condition]]) -> str:
    """Say what would let songs answer a fact that none of them surely meets."""
    names = {one.name for way in ways for one in way}
    tags = " and ".join(tag for tag in (YEAR, LANGUAGE) if tag in names)
    if tags:
        return f"give the files tags of {tags}, then read them: audiorec extract FOLDER"
    return "without a clear beat or key none can be told"


def _meets(store: SearchableStore, conditions: Sequence[Condition]) -> BoolArray:
    """Return which songs meet conditions; none those of a tag that the store never read."""
    tagged = [one for one in conditions if one.name in (YEAR, LANGUAGE, "genre_tag")]
    if any(one.name not in store.metadata.tags for one in tagged):
        return np.zeros(len(store), np.bool_)
    return matching(store, conditions)


def _doubtful(store: SearchableStore, condition: Condition) -> BoolArray:
    """Return of which songs the row does not surely say whether they meet a condition."""
    name = condition.name
    if condition.operator == "!=" or name not in (*CONFIDENCE, YEAR, LANGUAGE):
        return np.zeros(len(store), np.bool_)
    if name in (YEAR, LANGUAGE):
        if name not in store.metadata.tags:
            return np.ones(len(store), np.bool_)
        empty: BoolArray = store.column(name).is_null().to_numpy(zero_copy_only=False)
        return empty
    if CONFIDENCE[name] not in store.metadata.attributes:
        return np.zeros(len(store), np.bool_)
    return ~(numbers_of(store, CONFIDENCE[name]) >= SURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """A term, and what of it can be heard in the songs of this store."""

    term: Term
    ways: tuple[Mapping[str, float], ...]

    @property
    def heard(self) -> dict[str, float]:
        """All that is heard for it, in whichever way."""
        return {name: weight for way in self.ways for name, weight in way.items()}

    def __str__(self) -> str:
        """Return for example ``no drums: less Drum kit, Drum, Percussion``."""
        names = sorted(self.heard, key=lambda name: -abs(self.heard[name]))
        less = [n for n in names if self.heard[n] < 0 and not self.term.denied]
        first = [f"less {n}" if n in less else n for n in names[:SHOWN]]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"{self.term.name}: {', '.join(first)}{more}"


def understood(sentence: Sentence, hearing: Hearing) -> tuple[Understood, ...]:
    """Return the terms of which something can be heard in this store.

    What one term wants no other denies: in "heavy metal, no screaming" screams are all that is
    denied, though metal is part of what screaming sounds like. Facts may have terms, and songs that
    others should not be like are heard once `Hearing.told`.
    """
    by_facts = (replace(f.term, denied=f.denied) for f in sentence.facts if f.term is not None)
    away = (
        Term(said=one.said, ways=({one.said: 1.0},), denied=True, kind=LIKE)
        for one in sentence.likes
        if one.denied
    )
    result = [(term, _heard(term.ways, hearing)) for term in (*sentence.terms, *by_facts, *away)]
    wanted = {
        (name, weight > 0)
        for term, ways in result
        if not term.denied
        for way in ways
        for name, weight in way.items()
    }
    terms = tuple(
        Understood(term=term, ways=(term.denied and _heard(ways, hearing, wanted)) or ways)
        for term, ways in result
        if ways
    )
    hearing.columns({name for one in terms for name in one.heard})  # of all terms together
    return terms


def _heard(
    ways: Sequence[Mapping[str, float]], hearing: Hearing, but: Collection[tuple[str, bool]] = ()
) -> tuple[Mapping[str, float], ...]:
    """Return what of a term can be heard, but for some labels by the sign of their weight."""
    return tuple(
        kept
        for way in ways
        if (
            kept := {
                name: weight
                for name, weight in way.items()
                if name in hearing and (name, weight > 0) not in but
            }
        )
    )


def values(
    one: Understood, hearing: Hearing, songs: Sequence[OpenedSong] = ()
) -> tuple[FloatArray, FloatArray]:
    """Return by how much each song is what a term says, (n,), of deviation 1, and `songs`, (m,)."""
    totals, others = [], []
    for way in one.ways:
        weights = np.array(list(way.values()))
        totals.append(weights @ np.stack([c.astype(np.float64) for c in hearing.columns(way)]))
        others.append(weights @ np.stack([hearing.of_songs(name, songs) for name in way]))
    total, other = np.max(totals, axis=0), np.max(others, axis=0)
    scale = scale_of(total, hearing.known)
    result = standardised(total, hearing.known, scale)
    return result, standardised(other, np.ones(len(songs), np.bool_), scale)


def scored(terms: Sequence[Understood], hearing: Hearing) -> Float64Array:
    """Return what each term adds to each song's value: (terms, n), float64.

    Wanted terms add their share of 1. What is denied only takes away, from songs that have more of
    it than half of what follows from the wanted: in "metal, no rock" metal stays in place, though
    all metal is rock. If nothing is wanted, the less of it a song has the better.
    """
    raw = np.stack([values(one, hearing)[0] for one in terms]).astype(np.float64)
    denied = np.array([one.term.denied for one in terms])
    weights = np.array([one.term.weight for one in terms])
    shares = weights / max(weights[~denied].sum(), 1.0)
    wanted = shares[~denied] @ raw[~denied] if (~denied).any() else np.zeros(raw.shape[1])
    if denied.all():
        return -raw * weights[:, None] / weights.sum()
    for place in np.flatnonzero(denied):
        raw[place] = -np.maximum(_beyond(raw[place], wanted, hearing), 0.0)
    raw[~denied] *= shares[~denied, None]
    return raw


def _beyond(denied: Float64Array, wanted: Float64Array, hearing: Hearing) -> Float64Array:
    """Return how much more of a denied word songs have than the wanted words predict."""
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
    strengths : tuple of float or None
        How likely each song fits, whatever else the library holds; None where nothing is heard.
    parts : mapping of str to ndarray
        The same for each part of the sentence alone; NaN where nothing is heard.
    said : mapping of int to tuple of str
        For rows that were found by their titles, where its words stand.
    unsure : set of int
        Rows of which a fact is not surely known.
    not_understood : tuple of str
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
        strengths: tuple[float | None, ...],
        parts: Mapping[str, Float64Array],
        said: Mapping[int, tuple[str, ...]],
        unsure: frozenset[int],
        not_understood: tuple[str, ...],
        closer_than: Float64Array,
        chosen: Chosen,
    ) -> None:
        super().__init__(store, *ranking)
        self.question, self.sentence, self.terms, self.wished = question, sentence, terms, wished
        self.parts = parts
        self.strengths, self.said, self.unsure = strengths, said, unsure
        self.not_understood = not_understood
        self._library, self._chosen = store, chosen
        self.beside = Beside(
            store,
            rows=self.rows,
            closer_than=closer_than,
            others=lambda: [None] * len(self),
            wished=wished,
            strengths=tuple(
                shown(one) + "?" * (row in unsure)
                for row, one in zip(self.rows.tolist(), strengths, strict=True)
            ),
            notes=tuple(self._told(row) for row in self.rows.tolist()),
        )

    def _told(self, row: int) -> str:
        return f"in its {', '.join(self.said[row])}" if row in self.said else ""

    @cached_property
    def remarks(self) -> list[str]:
        """What to tell a person about the list, one line each."""
        lines = []
        known = [one for one in self.strengths if one is not None]
        if known and not self.said and not self.fits:
            lines.append("nothing here fits well; nearest:")
        if self.question.why:
            lines += [f"note: {' + '.join(chips)}"] if (chips := self.sentence.chips) else []
            lines += [f"note: understood {one}" for one in self.terms]
        lines += [f"note: {one}" for one in self.wished.notes]
        if len(self) > 1 and not self.terms and not self.said and not self.sentence.likes:
            lines.append("note: these fit equally well; they are in the order of their ids")
        lines += [f"note: `exclude` {one} matches no song" for one in self._chosen.idle]
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

    @property
    def fits(self) -> int:
        """How many of the songs fit at least somewhat."""
        return sum(word(strength) in ("strong", "some") for strength in self.strengths)

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
                "strength": self.strengths[rank - 1],
                "fits": word(self.strengths[rank - 1]) or None,
                "unsure": row in self.unsure,
                "said_in": list(self.said.get(row, ())),
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
            "clauses": list(self.sentence.chips),
            "understood": [
                {"words": one.term.said, "denied": one.term.denied, "heard": one.heard}
                for one in self.terms
            ],
            "conditions": self.sentence.conditions,
            "not_understood": list(self.not_understood),
            "songs": songs,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """What titles say of a sentence.

    Attributes
    ----------
    share : ndarray, shape (n,)
        How much of its words a song's names have, from 0 to 1.
    called : ndarray, shape (n,)
        Whether a song is called as the whole sentence is: such songs come first.
    words : tuple of str
        Words to look for in the names of a song that was found.
    unknown : tuple of str
        Words that no name has, and that are not understood.
    """

    share: Float64Array
    called: BoolArray
    words: tuple[str, ...]
    unknown: tuple[str, ...]
    titles: Titles
    quoted: bool

    def where(self, row: int) -> tuple[str, ...]:
        """Return where a song that was found says any of the words; empty for one that was not."""
        if not self.quoted and self.share[row] == 0:
            return ()
        return tuple(self.titles.where(row, self.words))


def said_in(titles: Titles, sentence: Sentence) -> Said:
    """Look for the words of a sentence in titles: all that are not denied.

    Words that describe a sound are looked for where one of them is all that is said, or beside a
    name: "slow electronic, around 90 bpm" describes songs, and is no title.
    """
    quoted = [part for one in sentence.titles if not one.denied for part in one.words.split()]
    wanted = [term for term in sentence.terms if not (term.denied or term.compared or term.use)]
    described = wanted if sentence.unknown or len(wanted) + bool(sentence.facts) == 1 else []
    weights = {part: UNDERSTOOD for term in described for part in term.said.split() if part != "or"}
    weights |= {part: 1.0 for term in wanted if term.weight < 1 for part in term.said.split()}
    weights |= dict.fromkeys(sentence.unknown, 1.0)
    share, there = titles.matched(weights)
    alone = not (sentence.unknown or any(term.weight < 1 for term in wanted))
    called = titles.called(sentence.text)
    return Said(
        share=np.where(called, 1.0, share * (UNDERSTOOD if alone else 1.0)),
        called=called,
        words=(*quoted, *(tokens(sentence.text) if called.any() else there)),
        unknown=tuple(one for one in sentence.unknown if one not in there),
        titles=titles,
        quoted=bool(quoted),
    )


def find_songs(
    store: SearchableStore,
    question: FindQuestion,
    *,
    hearing: Hearing,
    sentence: Sentence,
    chosen: Chosen,
    said: Said,
    facts: Admitted,
    seeds: Sequence[SeedSong] = (),
    near: Float64Array | None = None,
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
    said, facts : Said, Admitted
        What titles and rows say of it.
    seeds, near : sequence of SeedSong, ndarray of shape (n,), optional
        Songs that the sentence names ("like ..."), and how near the others are to them.

    Raises
    ------
    InputError
        If nothing of the sentence is understood.
    """
    terms, named = understood(sentence, hearing), said.share > 0
    sounds, written = bool(terms) or near is not None, sentence.facts or sentence.titles
    if not (sounds or written or named.any()):
        raise InputError(_nothing_understood(sentence))
    shares = scored(terms, hearing) / LARGEST if terms else np.zeros((0, len(store)))
    total = shares.sum(axis=0)
    if near is not None:
        total = near + _pull(terms, hearing, seeds)
    able = chosen.allowed & (hearing.known | ~np.bool_(sounds))
    allowed = np.flatnonzero(able if sounds or written else able & named)
    last = np.where(said.called, -1, facts.unsure)[allowed]
    order = allowed[_fused(total[allowed], said.share[allowed], last)]
    rows, similarities = select(
        lambda m: (order[:m], total[order[:m]]), question.k, limits=chosen.limits
    )
    below = np.searchsorted(np.sort(total[hearing.known]), similarities)
    found = rows.tolist()
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
            notes=(*remarks_of(sentence, said.unknown), *facts.notes),
        ),
        strengths=strengths_of(terms, hearing, found, said),
        parts={t.term.name: _likely(t, hearing, found) for t in terms if not t.term.compared},
        said={row: where for row in found if (where := said.where(row))},
        unsure=frozenset(row for row in found if facts.unsure[row]),
        not_understood=said.unknown,
        closer_than=below / max(1, hearing.known.sum()) if sounds else np.full(len(rows), np.nan),
        chosen=chosen,
    )


def _fused(total: Float64Array, share: Float64Array, last: Int64Array) -> Int64Array:
    """Return the order of songs by two lists, what is heard and what titles say, within `last`.

    Each list gives a song ``1 / (60 + its place)`` (reciprocal rank fusion), titles times the share
    of the words that they have. Equal songs share a place.
    """
    if not share.any():
        return np.lexsort((-total, last))
    order = np.argsort(-total, kind="stable")
    first = np.append(True, np.diff(total[order]) != 0)[: len(order)]
    places = np.empty(len(order), np.int64)
    places[order] = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    kinds = np.unique(share)
    titles = len(kinds) - 1 - np.searchsorted(kinds, share)
    votes = 1 / (PLACES + 1 + places) + share / (PLACES + 1 + titles)
    return np.lexsort((-votes, last))


def strengths_of(
    terms: Sequence[Understood], hearing: Hearing, rows: Sequence[int], said: Said | None = None
) -> tuple[float | None, ...]:
    """Return how likely each of some songs fits: as all clauses together, or its title."""
    clear = [t for t in terms if t.term.weight == 1 and not t.term.compared and t.term.kind != LIKE]
    told = [_likely(one, hearing, rows) for one in clear]
    told = [p for p in told if np.isfinite(p).all()]
    result = together(told) if told else np.full(len(rows), np.nan)
    if said is not None:
        named = np.ones(len(rows)) if said.quoted else said.share[rows]
        result = np.where(named > 0, np.fmax(result, named), result)
    return tuple(None if np.isnan(one) else round(float(one), 4) for one in result)


def _likely(one: Understood, hearing: Hearing, rows: Sequence[int]) -> Float64Array:
    """Return how likely each of some songs has a term, or lacks one that is denied."""
    likely = fit(hearing, one.ways, rows, one.term.kind)
    return 1 - likely if one.term.denied else likely


def remarks_of(sentence: Sentence, unknown: Sequence[str]) -> list[str]:
    """Say what became conditions, and what was not understood, one line each."""
    lines = [f"only {condition} ({said})" for said, condition in sentence.conditions.items()]
    words = _begin(", ".join(unknown))
    return [*lines, f"not understood: {words}"] if words else lines


def _begin(words: str) -> str:
    """Return words as a line can show them."""
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."


def _nothing_understood(sentence: Sentence) -> str:
    """Say that a sentence has nothing that can be found."""
    words = _begin(", ".join(sentence.unknown) or sentence.text.strip()) or "(empty)"
    return (
        f"no title has these words, and none describes a sound: {words}; name instruments, genres, "
        'moods, voices, sounds or uses, for example: "calm piano at night, no drums"'
    )


WANTED = 0.3  # of a similarity, for a deviation of what is wanted or denied
COMPARED = 1.0  # the same, for a deviation that is missing of what is compared
STEP = 0.5  # deviations that are further enough


def wished_of(
    sentence: Sentence,
    hearing: Hearing,
    seeds: Sequence[SeedSong],
    *,
    facts: Admitted | None = None,
    why: bool = False,
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
    if not (terms or sentence.facts or sentence.titles or sentence.likes):
        raise InputError(_nothing_understood(sentence))
    if not seeds:
        terms = tuple(replace(one, term=replace(one.term, compared=False)) for one in terms)
    by = [_by(one, hearing, seeds) for one in terms]
    pull = _pull(terms, hearing, seeds)
    if facts is not None:
        pull -= facts.unsure
    chips = " + ".join(sentence.chips)
    return Wished(
        text=sentence.text,
        names=tuple(one.term.name for one in terms),
        by=np.stack(by).astype(np.float32) if by else np.zeros((0, len(pull)), np.float32),
        pull=np.where(hearing.known, pull, -np.inf).astype(np.float32),
        notes=(
            *((chips, *(f"understood {one}" for one in terms)) if why else ()),
            *remarks_of(sentence, sentence.unknown),
            *(facts.notes if facts is not None else ()),
        ),
        strengths=lambda rows: strengths_of(terms, hearing, rows),
    )


def _pull(terms: Sequence[Understood], hearing: Hearing, seeds: Sequence[SeedSong]) -> Float64Array:
    """Return what terms add to each song's similarity to some seeds: (n,)."""
    pull = np.zeros(len(hearing.known))
    for one in terms:
        if one.term.compared:
            far = _by(one, hearing, seeds)
            pull += COMPARED * one.term.weight * np.clip(far - STEP, -LARGEST, 0)
    rest = [one for one in terms if not one.term.compared]
    if rest:
        pull += (WANTED if seeds else 1.0) * scored(rest, hearing).sum(axis=0)
    return pull


def _by(one: Understood, hearing: Hearing, seeds: Sequence[SeedSong]) -> FloatArray:
    """Return by how much each song has what a term says (n,), more than the seeds if compared."""
    opened = [seed.opened for seed in seeds if seed.opened is not None]
    result, of_opened = values(one, hearing, opened)
    if one.term.compared:
        rows = [seed.row for seed in seeds if seed.row is not None]
        result = result - np.concatenate([result[rows], of_opened]).mean()
    return -result if one.term.denied else result
