"""Read a sentence: a small grammar of clauses, read once from left to right.

    "calm piano, no drums, for working, under four minutes"
        ──read_sentence──▶ calm + piano + no drums + for working + duration<=4:00

::

    sentence = { clause }
    clause   = "no" { clause } end | "for" { clause } end | fact | like | title | sound | word
    fact     = artist | album | length | tempo | years | key | language | genre tag
    sound    = [ "more" | "less" ] concept { "or" concept }

What follows a denial is denied up to the end of its clause, and a purpose is never denied by what
stands before it: "no vocals for working" are no vocals, for working. A denial within a denial
takes it back. Words that weigh nothing are passed over, and what is left is not understood.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from audiorec.search.filters import parse_conditions
from audiorec.types import normalised_name
from audiorec.words.clauses import (
    Clause,
    Fact,
    Like,
    Names,
    NoNames,
    Sentence,
    Term,
    TitleWords,
)
from audiorec.words.facts import (
    Words,
    key_at,
    language_at,
    number_at,
    phrase_at,
    phrases_of,
    quantity_at,
)
from audiorec.words.vocabulary import (
    Captions,
    Concept,
    key,
    phrases,
    read_tokens,
    shipped_captions,
)

MOST_LETTERS = 1000  # of a sentence; the rest is not read
LONGEST = 6  # words of a phrase
LONGEST_NAME = 10  # words and marks of a name
BY_CAPTIONS = 0.5  # what a word counts that only captions know

_FILLERS = frozenset(
    key(
        """
        a an the some any all of and or to for in on at by with from is are be was were being i we
        you it that this these those there want wanted would will won't can could should like hear
        heard listen listening find show play playing played get give need please me us something
        somebody someone anything everything nothing thing song track tune piece recording
        sound sounding music number very really rather quite too so much most lot lots bit little
        even while my your his her their its our own over under through when where who which whose
        what how as just only alone together kind type sort style way good great best nice perfect
        favourite favorite new people does do did don't has have had having tempo quality high low
        melody rhythm medium moderate steady simple performance audio modern contemporary every day
        today time full outside inside make makes made put goes go going feel feeling feels vibe
        mood between about around after before era work's else also still then into up if let
        instead yet though but like's i'm i'd i'll it's that's let's
        一 个 首 些 的 歌 曲 想 听 要 我 适 合 给 点 有 和 与 在 是 都 可 以 但 而 且 也 太 用 为 了
        来 很 上 里 时 候 那 种 这 段 类 型 请 放 找 之 其 他 能 会 吧 呢 啊 不 过 或 者 还 nor
        """.split()
    )
)
_DENIALS = phrases_of(
    """no; not; without; except; except for; excluding; exclude; minus; never; none; nothing;
    isn't; aren't; wasn't; don't; doesn't; didn't; don't want; cannot; can't; lacking; neither;
    avoid; avoiding; skip; free of; other than; anything but; everything but; apart from;
    没有; 没; 不要; 不是; 不带; 不想要; 不想听; 别; 无; 不; 除了; 非; 避免"""
)
_NOT_DENIALS = phrases_of("not only; no matter; non stop; not just; nothing but; none but; 不仅")
_ENDS = phrases_of(
    ", ; . ; : ; ! ; ? ; but; with; 的; though; yet; instead; 但; 但是; 不过; 而是; 要", ";"
)
_MARKS = frozenset(",.;:!?")
_OPENS = phrases_of(
    "for; to; while; when; during; so; so that; because; 适合; 用来; 用于; 为了; 给; 好让"
)
_USED = phrases_of("时; 用; 听; 的时候; 时候; 时听")  # after what songs are for
_VERBS = phrases_of("and make; and play; and give; and keep; and let; and with; and i; and it")
_MORE = {"more", "更", "再", "多"}
_LESS = {"less", "fewer", "少"}
_A_LITTLE = phrases_of("一点; 一些")  # after what is compared: 慢一点
_NOT_COMPARED = {"dancer", "drummer", "manner", "rapper", "singer", "speaker"}
_OR = {"or", "nor", "或", "或者", "还"}
_LISTED = {*_OR, "and", ",", "和", "者", "是"}  # between names of a list
_BY = phrases_of("by; from; of")
_LIKE = phrases_of(
    "like; similar to; in the style of; in the manner of; sounding like; 像; 类似; 好像"
)
_ALBUM = phrases_of("on; from; from the album; the album; album; on the album; 专辑")
_CALLED = phrases_of("called; named; titled; entitled; with the title; 叫; 名叫")
_TAGGED = phrases_of("tagged; tagged as; genre tag; 标签")
_FLIPPED = {">=": "<=", "<=": ">=", "=": "!="}


def read_sentence(
    text: str,
    names: Names = NoNames(),  # noqa: B008 - frozen
    *,
    captions: Captions | None = None,
) -> Sentence:
    """Read a sentence.

    The longest phrase that the table knows is taken first. Words that only captions know count
    less than those of the table.

    Parameters
    ----------
    text : str
    names : Names
        Artists, titles and albums that it may name.
    captions : Captions, optional
        By default the shipped ones.

    Examples
    --------
    >>> read_sentence("calm piano, no drums for working, under four minutes").chips
    ('calm', 'piano', 'no drums', 'for working', 'duration<=4:00')
    >>> read_sentence("not faster than 120 bpm, jazz or blues").chips
    ('bpm<=120', 'jazz or blues')
    """
    reader = _ClauseReader(text, names, shipped_captions() if captions is None else captions)
    reader.clauses()
    clauses, unknown = [one for one, _ in reader.read], reader.unknown
    if any(isinstance(one, Term) and one.sounds and not one.denied for one in clauses):
        faint = [one for one in clauses if isinstance(one, Term) and one.weight < 1]
        unknown += [one.said for one in faint]  # captions are of music
        clauses = [one for one in clauses if one not in faint]
    return Sentence(text=text, clauses=tuple(clauses), unknown=tuple(dict.fromkeys(unknown)))


@dataclass
class _ClauseReader:
    """Reads clauses; each method that returns a bool has read one, or has not moved."""

    text: str
    names: Names
    captions: Captions
    at: int = 0
    compared: str = ""  # "more" or "less" of the next concept
    read: list[tuple[Clause, tuple[int, int]]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text = unicodedata.normalize("NFKC", self.text[:MOST_LETTERS])
        self.tokens = read_tokens(self.text)
        self.words: Words = [token.word for token in self.tokens]
        self.unknown_to = -1  # where the last word that was not understood ended

    def clauses(self) -> None:
        while self.at < len(self.words):
            self.clause(denied=False)

    def clause(self, *, denied: bool, use: bool = False) -> None:
        """Read one clause, or pass over a word."""
        if (
            self.quoted(denied)
            or self.fact(denied)
            or self.like(denied)
            or self.took(_NOT_DENIALS)
            or self.denial(denied)
            or self.purpose(denied=False)
            or self.comparison(denied)
            or self.concept(denied, use)
            or self.took(_ENDS)
        ):
            return
        self.word(denied)

    def took(self, these: Collection[tuple[str, ...]]) -> bool:
        """Pass over one of some phrases."""
        length = phrase_at(self.words, self.at, these)
        if length and these is _ENDS:
            self.compared = ""
        self.at += length
        return length > 0

    def denial(self, denied: bool) -> bool:
        """Read a denial and all that it denies."""
        found, length = self.known(self.at), phrase_at(self.words, self.at, _DENIALS)
        if found is not None and found[1] > self.at + length:  # 无伴奏: a word of its own
            return False
        if not self.took(_DENIALS):
            return False
        before, began = len(self.read) + len(self.unknown), self.at
        while self.at < len(self.words):
            nothing = len(self.read) + len(self.unknown) == before
            if nothing and self.purpose(denied=not denied):
                break
            is_fact = not nothing and bool(self.read) and isinstance(self.read[-1][0], Fact)
            if is_fact and self.words[self.at] == ",":
                break  # "not faster than 120, jazz or blues": a list of facts is a fact itself
            if self.ends() and not (
                nothing and (self.words[self.at] not in _MARKS or self.at == began)
            ):
                break
            self.clause(denied=not denied)
        return True

    def ends(self) -> bool:
        """Return whether a denial or a purpose ends here: a list goes on to its "or"."""
        word = self.words[self.at]
        if word == "," and self.lists():
            return False
        return any(phrase_at(self.words, self.at, ends) for ends in (_ENDS, _OPENS, _VERBS))

    def lists(self) -> bool:
        """Return whether a list goes on after this comma: "no drums, bass or guitars"."""
        for word in self.words[self.at + 1 :]:
            if word in _OR:
                return True
            if (word,) in _ENDS and word != ",":
                return False
        return False

    def purpose(self, *, denied: bool) -> bool:
        """Read what songs are for."""
        began = self.at
        if not self.took(_OPENS):
            return False
        while self.at < len(self.words) and self.words[self.at] != "to" and self.filler():
            self.at += 1
        concept = self.known(self.at)
        if self.words[began] == "to" and (concept is None or concept[0].kind != "use"):
            self.at = began + 1  # "listen to"
            return True
        while self.at < len(self.words) and not (
            self.ends() or phrase_at(self.words, self.at, _DENIALS)
        ):
            self.clause(denied=denied, use=True)
        return True

    def quoted(self, denied: bool) -> bool:
        """Read a title between quotation marks."""
        if self.words[self.at] != '"':
            return False
        rest = self.words[self.at + 1 :]
        end = self.at + 1 + (rest.index('"') if '"' in rest else len(rest))
        self.title(self.at + 1, end, denied)
        self.at = min(end + 1, len(self.words))
        return True

    def title(self, start: int, end: int, denied: bool) -> None:
        if end > start:
            self.add(TitleWords(words=self.said(start, end), denied=denied), start, end)

    def fact(self, denied: bool) -> bool:
        """Read an artist, an album, a length, a tempo, years, a key, a language or a genre tag."""
        for conditions, end, evidence in (
            quantity_at(self.words, self.at),
            key_at(self.words, self.at, self.text[self.tokens[self.at].start :]),
            language_at(self.words, self.at),
            self.by(denied),
            self.named(_ALBUM, "album", self.names.albums),
            self.tagged(),
        ):
            if conditions:
                self.add_fact(conditions, end, denied, evidence)
                return True
        if length := phrase_at(self.words, self.at, _CALLED):
            start = self.at + length
            end = self.name_at(start, self.names.titles)
            stop = (i for i in range(start, len(self.words)) if self.words[i] in _MARKS)
            self.title(start, end or next(stop, len(self.words)), denied)
            self.at = end or next(stop, len(self.words))
            return True
        return False

    def add_fact(self, conditions: str, end: int, denied: bool, evidence: str) -> None:
        parsed = parse_conditions(conditions)
        if denied and len(parsed) == 1:
            operator = _FLIPPED[parsed[0].operator]
            parsed, denied = (replace(parsed[0], operator=operator),), False  # type: ignore[arg-type]
        concept = phrases().get(key([evidence]))
        term = None if concept is None else self.term(evidence, concept, denied=False)
        written = self.text[self.tokens[self.at].start : self.tokens[end - 1].end]
        fact = Fact(said=written, conditions=", ".join(map(str, parsed)), denied=denied, term=term)
        self.add(fact, self.at, end)
        self.at = end

    def by(self, denied: bool) -> tuple[str, int, str]:
        """Read artists: "by A or B"; a bare name where it is denied, or in Han characters."""
        length = phrase_at(self.words, self.at, _BY)
        start = self.at + length
        end = self.name_at(start, self.names.artists)
        han = end - start > 1 and all(
            "\u3400" <= word <= "\u9fff" for word in self.words[start:end]
        )
        if not end or not (length or ((denied or han) and self.known(start) is None)):
            return "", 0, ""
        found = [self.spelled(start, end)]
        while (after := self.listed(end)) and (last := self.name_at(after, self.names.artists)):
            found.append(self.spelled(after, last))
            end = last
        return f"artist={'|'.join(_quoted(name) for name in found)}", end, ""

    def named(
        self, before: Collection[tuple[str, ...]], column: str, names: Collection[str]
    ) -> tuple[str, int, str]:
        length = phrase_at(self.words, self.at, before)
        end = self.name_at(self.at + length, names) if length else 0
        return (f"{column}={_quoted(self.spelled(self.at + length, end))}" if end else "", end, "")

    def tagged(self) -> tuple[str, int, str]:
        end = self.at + phrase_at(self.words, self.at, _TAGGED) + 1
        if end == self.at + 1 or end > len(self.words):
            return "", 0, ""
        return f"genre_tag={_quoted(f'*{self.words[end - 1]}*')}", end, ""

    def listed(self, at: int) -> int:
        """Return where the next name of a list may begin, 0 for none."""
        end = at
        while end < len(self.words) and (
            self.words[end] in _LISTED or (end > at and (self.words[end],) in _BY)
        ):
            end += 1
        return end if at < end < len(self.words) else 0

    def name_at(self, at: int, names: Collection[str]) -> int:
        """Return where the longest name that begins here ends; 0 if none does."""
        if not names:
            return 0
        for end in range(min(len(self.words), at + LONGEST_NAME), at, -1):
            if normalised_name(self.spelled(at, end)) in names:
                return end
        return 0

    def spelled(self, start: int, end: int) -> str:
        """Return words as they are written in the sentence."""
        return self.text[self.tokens[start].start : self.tokens[end - 1].end]

    def like(self, denied: bool) -> bool:
        """Read an artist or a title of the library, from which to search."""
        if not (length := phrase_at(self.words, self.at, _LIKE)):
            return False
        start = self.at + length
        for names in (self.names.artists, self.names.titles):
            if end := self.name_at(start, names):
                self.add(Like(said=self.spelled(start, end), denied=denied), self.at, end)
                self.at = end
                return True
        return False

    def comparison(self, denied: bool) -> bool:
        """Read "calmer", or "more" or "less" before a concept."""
        word = self.words[self.at]
        if word in _MORE or word in _LESS:
            self.compared = "more" if word in _MORE and self.compared != "less" else "less"
            self.at += 1
            self.took(_A_LITTLE)
            return True
        for base in _bases(word):
            concept = phrases().get(key([base]))
            if concept is not None and concept.heard:
                self.compared = self.compared or "more"
                self.add(self.term(base, concept, denied=denied), self.at, self.at + 1)
                self.at += 1
                return True
        return False

    def known(self, at: int) -> tuple[Concept, int] | None:
        """Return the concept that begins here, the longest first, and where it ends."""
        for end in range(min(len(self.words), at + LONGEST), at, -1):
            concept = phrases().get(key(self.words[at:end]))
            if concept is not None:
                return concept, end
        return None

    def concept(self, denied: bool, use: bool) -> bool:
        """Read a sound that the table knows."""
        found = self.known(self.at)
        if found is None or found[0].kind == "name":
            return False
        (concept, end), start = found, self.at
        self.at = end
        noise = use and concept.kind != "use" and "version.other" in concept.heard
        bare = not concept.heard and not (denied and (end == len(self.words) or self.ends()))
        if noise or bare:  # "for the car", "no music by ..."
            return True
        term = self.term(self.said(start, end), concept, denied=denied)
        if phrase_at(self.words, end, _A_LITTLE):
            self.took(_A_LITTLE)
            term = replace(term, compared=True)
        after = phrase_at(self.words, end, _USED)
        purpose = concept.kind == "use" and (use or after > 0)
        self.add(replace(term, use=purpose), start, end)
        return True

    def term(self, said: str, concept: Concept, *, denied: bool) -> Term:
        compared = bool(self.compared)
        denied = denied != (self.compared == "less")
        self.compared = ""
        return Term(
            said=said,
            ways=(concept.denied if denied else concept.heard,),
            denied=denied,
            sounds=concept.sounds,
            compared=compared,
            kind=concept.kind,
        )

    def add(self, clause: Clause, start: int, end: int) -> None:
        """Add a clause; a wanted sound after "or" joins what stands before it."""
        while isinstance(clause, Term) and self.read and self.joins(clause, start):
            before, (start, _) = self.read.pop()
            said = f"{before.said} or {clause.said}"  # type: ignore[union-attr]
            ways = (*before.ways, *clause.ways)  # type: ignore[union-attr]
            clause = replace(clause, said=said, ways=ways)
        self.read.append((clause, (start, end)))

    def joins(self, term: Term, start: int) -> bool:
        """Return whether a sound is an alternative to the one before it."""
        before, (_, end) = self.read[-1]
        if not isinstance(before, Term):
            return False
        between = [word for word in self.words[end:start] if (word,) in _ENDS or word in _LISTED]
        plain = not (before.denied or before.compared or term.denied or term.compared)
        listed = between == [","] and len(term.ways) > 1 and before.kind == term.kind == ""
        return plain and ((bool(between) and set(between) <= {*_OR, "者", "是"}) or listed)

    def filler(self) -> bool:
        """Return whether the word here weighs nothing."""
        return key([self.words[self.at]])[0] in _FILLERS or self.words[self.at] in _MARKS

    def word(self, denied: bool) -> None:
        """Read a word that the table does not know."""
        at, found = self.at, self.known(self.at)
        name = found is not None and found[0].kind == "name"
        number, _, end_of_number = number_at(self.words, at)
        if number is not None and end_of_number > at + 1:  # of no unit
            name, found = (
                True,
                (Concept(words=(), heard={}, denied={}, sounds=False), end_of_number),
            )
        if not name and (self.filler() or self.words[at] in '"-#'):
            self.at += 1
            return
        for end in (at + 2, at + 1):
            plain = not name and not self.words[at].isdigit()
            if plain and (heard := self.captions.heard(key(self.words[at:end]))):
                self.at = min(end, len(self.words))
                concept = Concept(words=(), heard=heard, denied=heard, sounds=False)
                term = self.term(self.said(at, self.at), concept, denied=denied)
                self.add(replace(term, weight=BY_CAPTIONS), at, self.at)
                return
        self.at = found[1] if found is not None else at + 1
        said = self.said(at, self.at)
        if denied:
            last, _ = self.read[-1] if self.read else (None, None)
            if isinstance(last, TitleWords) and last.denied and self.unknown_to == at:
                said = self.said_after(self.read.pop()[0].words, said)  # type: ignore[union-attr]
            self.read.append((TitleWords(words=said, denied=True), (at, self.at)))
        elif self.unknown_to == at and "\u3400" <= said[0] <= "\u9fff" and self.unknown:
            self.unknown[-1] += said
        else:
            self.unknown.append(said)
        self.unknown_to = self.at

    def said(self, start: int, end: int) -> str:
        """Return words in lower case, Han characters without blanks."""
        return _joined(self.words[start:end])

    def said_after(self, before: str, said: str) -> str:
        return _joined([before, said])


def _quoted(name: str) -> str:
    quoted = name.replace('"', '""')
    return f'"{quoted}"'


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


def _joined(words: Sequence[str]) -> str:
    """Return words as they are written: Han characters without blanks."""
    return re.sub(r"(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff])", "", " ".join(words))
