"""Read a sentence: what is wanted, what is denied, facts, and words that say nothing of sound.

    "calm piano, no drums, under four minutes"
        ──read_sentence──▶ terms [calm, piano, not drums], conditions [duration<=4:00]

The longest phrase that the table knows is taken first. A denial ("no", "without", "not", 没有)
reaches to the end of its clause, and over "or" beyond a comma. Words that only captions know count
less than those of the table. Facts become conditions of `audiorec.search.filters`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from audiorec.words.facts import facts_of
from audiorec.words.vocabulary import (
    Captions,
    Concept,
    key,
    phrases,
    shipped_captions,
    tokens,
)

MOST_LETTERS = 1000  # of a sentence; the rest is not read
LONGEST = 6  # words of a phrase
BY_CAPTIONS = 0.5  # what a word counts that only captions know

_FILLERS = key(
    """
    a an the some any of and or to for in on at by from is are be was i we you it that this
    these those want wanted would like hear listen find show play please give me us
    something somebody someone anything everything song track tune piece record sound
    sounding very really too much most lot lots bit little even while my your his her their its
    over under through when where who which whose what how as so just only alone together
    kind type style good great best nice perfect favourite favorite new with there people
    can could should will does do did has have had tempo quality melody rhythm medium
    moderate steady simple recording performance audio modern contemporary every day today
    full outside inside played plays playing made make makes put goes go feel feeling vibe
    mood
    一 个 首 些 的 歌 曲 想 听 要 我 适 合 给 点 有 和 与 在 是
    很 来 用 了 上 里 时 候 那 种 这
    """.split()
)
_DENIALS = {
    *("no not without except excluding minus never nor isn't aren't don't doesn't "
      "cannot lacking neither".split()),
    *(("free", "of"), ("other", "than"), ("anything", "but")),
    *((*said,) for said in ("没有", "没", "不要", "不是", "不带", "别", "无", "不", "除了", "非")),
}  # fmt: skip
_MORE = {"more", "更", "再", "多"}
_LESS = {"less", "fewer", "少"}
_A_LITTLE = {("一", "点"), ("一", "些")}  # after what is compared: 慢一点
_NOT_COMPARED = {"dancer", "drummer", "manner", "rapper", "singer", "speaker"}
_NOT_DENIALS = {("not", "only"), ("no", "matter"), ("non", "stop"), ("not", "just")}
_ENDS = {",", ".", ";", ":", "!", "?", "、", "but", "with", "的", "though", "yet", "instead"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One thing that a sentence asks for.

    Attributes
    ----------
    said : str
        The words of the sentence.
    heard : mapping of str to float
        What a song with it has.
    denied : bool
        Whether songs with it are to be avoided.
    sounds : bool
        Whether what is not music may be meant.
    weight : float
        How much it counts beside other terms.
    compared : bool
        Whether it asks for more of it, or less, than something else has.
    """

    said: str
    heard: Mapping[str, float]
    denied: bool = False
    sounds: bool = False
    weight: float = 1.0
    compared: bool = False

    @property
    def name(self) -> str:
        """For example ``drums``, ``no drums``, ``more calm`` or ``less guitar``."""
        before = ("more ", "less ") if self.compared else ("", "no ")
        return f"{before[self.denied]}{self.said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence that was read.

    Attributes
    ----------
    text : str
    terms : tuple of Term
    conditions : mapping of str to str
        For words of the sentence a condition that songs must meet.
    unknown : tuple of str
        Words that were not understood.
    """

    text: str
    terms: tuple[Term, ...]
    conditions: Mapping[str, str]
    unknown: tuple[str, ...]

    @property
    def sounds(self) -> bool:
        """Whether what is not music may be meant."""
        return any(term.sounds and not term.denied for term in self.terms)


def read_sentence(
    text: str, artists: Collection[str] = (), *, captions: Captions | None = None
) -> Sentence:
    """Read a sentence.

    Parameters
    ----------
    text : str
    artists : collection of str
        Names that "by ..." may name, as `audiorec.types.normalised_name` writes them.
    captions : Captions, optional
        By default the shipped ones.

    Examples
    --------
    >>> read = read_sentence("calm piano, no drums, under four minutes")
    >>> [(term.said, term.denied) for term in read.terms]
    [('calm', False), ('piano', False), ('drums', True)]
    >>> read.conditions
    {'under four minutes': 'duration<=4:00'}
    """
    rest, conditions = facts_of(text[:MOST_LETTERS], artists)
    words = tokens(rest)
    reader = _SentenceReader(words, shipped_captions() if captions is None else captions)
    reader.read()
    terms, unknown = reader.terms, reader.unknown
    if any(term.sounds and not term.denied for term in terms):  # captions are of music
        unknown = [*unknown, *(term.said for term in terms if term.weight < 1)]
        terms = [term for term in terms if term.weight == 1]
    return Sentence(
        text=text,
        terms=tuple(terms),
        conditions=conditions,
        unknown=tuple(dict.fromkeys(unknown)),
    )


class _SentenceReader:
    """Reads words from left to right."""

    def __init__(self, words: list[str], captions: Captions) -> None:
        self.words, self.captions = words, captions
        self.terms: list[Term] = []
        self.unknown: list[str] = []
        self.denying = False
        self.compared = ""  # "more" or "less" of the next concept
        self.read_to = -1  # where the last concept ended

    def read(self) -> None:
        at = 0
        while at < len(self.words):
            at += self._comparison(at) or self._concept(at) or self._denial(at) or self._word(at)

    def _comparison(self, at: int) -> int:
        """Read "calmer", or "more" or "less" before a concept; return how many words it takes."""
        word = self.words[at]
        if word in _MORE or word in _LESS:
            self.compared = "more" if word in _MORE and self.compared != "less" else "less"
            return 1
        if at == self.read_to and tuple(self.words[at : at + 2]) in _A_LITTLE:
            self.terms[-1] = replace(self.terms[-1], compared=True)
            return 2
        for base in _bases(word):
            concept = phrases().get(key([base]))
            if concept is not None:
                self.compared = self.compared or "more"
                self.terms.append(self._term([base], concept))
                return 1
        return 0

    def _phrases(self, at: int) -> Iterator[list[str]]:
        """Yield the phrases that begin here, the longest first."""
        for length in range(min(LONGEST, len(self.words) - at), 0, -1):
            yield self.words[at : at + length]

    def _concept(self, at: int) -> int:
        """Add the concept that begins here; return how many words it takes."""
        for said in self._phrases(at):
            concept = phrases().get(key(said))
            if concept is not None:
                self.terms.append(self._term(said, concept))
                self.read_to = at + len(said)
                return len(said)
        return 0

    def _term(self, said: list[str], concept: Concept) -> Term:
        compared, denied = bool(self.compared), self.denying or self.compared == "less"
        self.compared = ""
        return Term(
            said=_joined(said),
            heard=concept.denied if denied else concept.heard,
            denied=denied,
            sounds=concept.sounds,
            compared=compared,
        )

    def _denial(self, at: int) -> int:
        """Begin or end a denial; return how many words say so."""
        for said in self._phrases(at):
            if tuple(said) in _NOT_DENIALS:
                return len(said)
            if tuple(said) in _DENIALS or (len(said) == 1 and said[0] in _DENIALS):
                self.denying = True
                return len(said)
        if self.words[at] in _ENDS:
            self.compared = ""
            self.denying = self.denying and self.words[at] == "," and self._or_follows(at)
            return 1
        return 0

    def _or_follows(self, at: int) -> bool:
        """Return whether a list of denied things goes on: "no drums, bass or guitars"."""
        for word in self.words[at + 1 :]:
            if word in ("or", "nor"):
                return True
            if word in _ENDS and word != ",":
                return False
        return False

    def _word(self, at: int) -> int:
        """Read a word that the table does not know."""
        word = self.words[at]
        known = key([word])
        if known[0] in _FILLERS:
            return 1
        pair = key(self.words[at : at + 2])
        for phrase, length in ((pair, 2), (known, 1)):
            if heard := self.captions.heard(phrase):
                said = _joined(self.words[at : at + length])
                concept = Concept(words=(said,), heard=heard, denied=heard, sounds=False)
                self.terms.append(replace(self._term([said], concept), weight=BY_CAPTIONS))
                return length
        self.unknown.append(word)
        return 1


def _bases(word: str) -> Iterator[str]:
    """Yield what a word may be the comparative of.

    Examples
    --------
    >>> list(_bases("sadder")), list(_bases("heavier")), list(_bases("singer"))
    (['sadd', 'sadde', 'sad'], ['heavi', 'heavie', 'heavy'], [])
    """
    if len(word) > 4 and word.endswith("er") and word not in _NOT_COMPARED:
        yield from (word[:-2], word[:-1])
        if word.endswith("ier"):
            yield f"{word[:-3]}y"
        elif word[-3] == word[-4]:
            yield word[:-3]


def _joined(words: list[str]) -> str:
    """Return words as they are written: Han characters without blanks."""
    return re.sub(r"(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff])", "", " ".join(words))
