"""Read a sentence: a small grammar of clauses, read once from left to right.

    "calm piano, no drums, for working, under four minutes"
        ──read_sentence──▶ calm + piano + no drums + for working + duration<=4:00

::

    sentence = { clause }
    clause   = "no" { clause } end | { clause } "aside" | "for" { clause } end
             | fact | name | title | sound | word
    fact     = length | tempo | years | key | language | genre tag
    name     = ( "by" artist | "on" album | "like" artist or title or album ) { "or" name }
    sound    = [ "more" | "less" ] concept { "or" concept } [ "than" concept ]

What follows a denial is denied up to the end of its clause or the next denial, but for a length or
a tempo after a sound. A purpose is never denied by what stands before it: "no vocals for working"
are no vocals, for working. A denial right after a denial takes it back. The words of the grammar
stand in ``data/grammar.csv``. Words that weigh nothing are passed over, and what is left is not
understood.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from audiorec.search.filters import Operator, parse_conditions
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
    Ways,
)
from audiorec.words.facts import key_at, language_at, length_at, number_at, quantity_at
from audiorec.words.vocabulary import (
    Captions,
    Concept,
    concept_at,
    key,
    meaning_at,
    phrases,
    read_tokens,
    shipped_captions,
    tokens,
)

MOST_LETTERS = 1000  # of a sentence; the rest is not read
LONGEST_NAME = 10  # words and marks of a name
BY_CAPTIONS = 0.5  # what a word counts that only captions know
_TWO_DECADES = re.compile("([五六七八])([六七八九])十年代")
_MARKS = frozenset(",.;:!?")
_NOT_COMPARED = {"dancer", "drummer", "manner", "rapper", "singer", "speaker"}
_FLIPPED: dict[str, Operator] = {">=": "<=", "<=": ">=", "<": ">=", ">": "<="}


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
    while reader.at < len(reader.words):
        reader.clause(denied=False)
    clauses, unknown = [_turned(one) for one, *_ in reader.read], reader.unknown
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
    read: list[tuple[Clause, int, int]] = field(default_factory=list)  # from word to word
    unknown: list[str] = field(default_factory=list)
    unknown_to: int = -1  # where the last word that was not understood ended
    denied_at: int = -1  # where a denial begins of which nothing is read yet

    def __post_init__(self) -> None:
        text = unicodedata.normalize("NFKC", self.text[:MOST_LETTERS])
        self.text = _TWO_DECADES.sub(r"\1十年代到\2十年代", text)
        self.tokens = read_tokens(self.text)
        self.words = tuple(token.word for token in self.tokens)

    def clause(self, *, denied: bool, use: bool = False) -> None:
        """Read one clause, or pass over a word."""
        if not (
            (not denied and self.excepted())
            or self.quoted(denied)
            or self.fact(denied)
            or self.named(denied)
            or self.took("passed")
            or self.denial(denied)
            or self.purpose(denied=False)
            or self.comparison(denied)
            or self.concept(denied, use)
            or self.end()
        ):
            self.word(denied)

    def took(self, role: str) -> str:
        """Pass over the longest phrase of a role, and return what it means; empty for none."""
        means, self.at = meaning_at(self.words, self.at, role)
        return means

    def means(self, role: str, at: int | None = None) -> str:
        """Return what the phrase of a role here means, without passing over it."""
        return meaning_at(self.words, self.at if at is None else at, role)[0]

    def end(self) -> bool:
        """Pass over what ends a clause: what is compared ends with it."""
        mark = self.words[self.at] in _MARKS
        self.at += mark
        ended = mark or bool(self.took("end"))
        self.compared = "" if ended else self.compared
        return ended

    def excepted(self) -> bool:
        """Read what is denied at its end: 爵士以外, "jazz aside"."""
        for at in range(self.at, len(self.words)):
            if at > self.at and self.means("excepted", at):
                self.deny(denied=True)
                return True
            if any(self.means(role, at) for role in ("end", "deny", "open")):
                return False
        return False

    def denial(self, denied: bool) -> bool:
        """Read a denial and all that it denies."""
        found, (said, began) = self.known(self.at), meaning_at(self.words, self.at, "deny")
        if not said or (found is not None and found[1] > began):  # 无伴奏: a word of its own
            return False
        self.at, self.denied_at = began, self.at
        self.deny(denied=not denied)
        return True

    def deny(self, *, denied: bool) -> None:
        """Read what is denied, up to its end or to the next denial."""
        before, began = len(self.read) + len(self.unknown), self.at
        mild = bool(self.means("degree"))
        while self.at < len(self.words):
            begun = len(self.read) + len(self.unknown) > before
            if not begun and self.purpose(denied=denied):
                break
            fact = begun and bool(self.read) and isinstance(self.read[-1][0], Fact)
            if fact and self.words[self.at] == ",":
                break  # "not faster than 120, jazz or blues": a list of facts is a fact itself
            if begun and (self.ends() or self.means("deny")):
                break
            sound = begun and bool(self.read) and isinstance(self.read[-1][0], Term)
            if sound and mild and not (self.means("or") or self.listed(self.read[-1][2], self.at)):
                break  # "not too loud rock" is rock
            if sound and quantity_at(self.words, self.at)[0].startswith(("bpm", "duration")):
                break  # "without vocals between 120 and 130", "no drums, under three minutes"
            if self.words[self.at] in _MARKS and self.at == began:
                break
            self.clause(denied=denied)

    def ends(self) -> bool:
        """Return whether a denial or a purpose ends here: a list goes on to its "or"."""
        if self.words[self.at] == "," and self.lists():
            return False
        mark = self.words[self.at] in _MARKS
        return mark or any(map(self.means, ("end", "open", "verb")))

    def lists(self) -> bool:
        """Return whether a list goes on after this comma: "no drums, bass or guitars"."""
        rest = range(self.at + 1, len(self.words))
        ors = (at for at in rest if self.means("or", at))
        ends = (
            at
            for at in rest
            if self.means("end", at) or (self.words[at] in _MARKS and self.words[at] != ",")
        )
        return next(ors, len(self.words)) < next(ends, len(self.words))

    def purpose(self, *, denied: bool) -> bool:
        """Read what songs are for."""
        began = self.at
        if not self.took("open"):
            return False
        while self.at < len(self.words) and self.words[self.at] != "to" and self.filler():
            self.at += 1
        concept = self.known(self.at)
        if self.words[began] == "to" and (concept is None or concept[0].kind != "use"):
            self.at = began + 1  # "listen to"
            return True
        while self.at < len(self.words) and not (self.ends() or self.means("deny")):
            self.clause(denied=denied, use=True)
        return True

    def quoted(self, denied: bool) -> bool:
        """Read a title between quotation marks, or after "called"."""
        if self.words[self.at] == '"':
            ends, start = ['"'], self.at + 1
        elif start := meaning_at(self.words, self.at, "called")[1] * bool(self.means("called")):
            ends = [*_MARKS, "by"]
        else:
            return False
        places = range(start, len(self.words))
        end = next((at for at in places if self.words[at] in ends), len(self.words))
        if ends != ['"']:
            end = self.name_at(start, self.names.titles) or end
        if end > start:
            self.add(TitleWords(words=self.said(start, end), denied=denied), start, end)
        self.at = min(end + (ends == ['"']), len(self.words))
        return True

    def fact(self, denied: bool) -> bool:
        """Read a length, a tempo, years, a key, a language or a genre tag."""
        bare, sound = self.follows("language"), self.known(self.at)
        for conditions, end, evidence in (
            quantity_at(self.words, self.at),
            length_at(self.words, self.at),
            key_at(self.words, self.at, self.text[self.tokens[self.at].start :]),
            language_at(self.words, self.at, bare=bare),
            self.tagged(),
        ):
            if conditions and (sound is None or sound[1] <= end):  # 中文流行歌: a sound
                self.add_fact(conditions, end, denied, evidence)
                return True
        return False

    def tagged(self) -> tuple[str, int, str]:
        tagged, at = meaning_at(self.words, self.at, "tagged")
        word = self.words[at] if tagged and at < len(self.words) else ""
        return (f"genre_tag={_quoted(f'*{word}*')}" if word else ""), at + 1, ""

    def add_fact(self, conditions: str, end: int, denied: bool, evidence: str = "") -> None:
        concept = phrases().get(key(tokens(evidence)))
        term = None if concept is None else self.term(evidence, concept, denied=False)
        start = self.denied_at if denied and self.denied_at >= 0 else self.at
        written = self.spelled(start, end)
        ways = (parse_conditions(conditions),)
        fact = Fact(said=written, ways=ways, denied=denied, term=term)
        self.add(fact, self.at, end)
        self.at = end

    def named(self, denied: bool) -> bool:
        """Read an artist, an album, or songs from which to search, after "by", "on" or "like".

        A name needs no such word in a list; an artist none if denied, in Han characters, of several
        words or before "songs".
        """
        for role, columns in (("by", "artist"), ("album", "album"), ("like", "artist title album")):
            _, start = meaning_at(self.words, self.at, role)
            if start == self.at and not self.bare(role, denied):
                continue
            before = self.words[start : start + 1] in (("the",), ('"',))  # "like the Main Theme"
            ends = (
                (one, first, self.name_at(first, getattr(self.names, f"{one}s")))
                for first in range(start, start + 1 + before)
                for one in columns.split()
            )
            column, start, end = next((one for one in ends if one[2]), ("", start, 0))
            if not end:
                continue
            if role == "like":
                less = self.words[self.at] == "than" and self.ends_like()
                like = Like(said=self.spelled(start, end), denied=denied or less)
                self.add(like, self.at, end)
                self.at = end + (self.words[end : end + 1] == ('"',))
            else:
                self.add_fact(f"{column}={_quoted(self.spelled(start, end))}", end, denied)
            return True
        return False

    def bare(self, role: str, denied: bool) -> bool:
        """Return whether a name needs no word before it: in a list, or an artist."""
        if role != "by" or self.follows("like"):
            return role == "like" and self.follows("like")
        two = self.words[self.at : self.at + 2]
        han = len(two) == 2 and all("\u3400" <= word <= "\u9fff" for word in two)
        end = self.name_at(self.at, self.names.artists)
        plain = denied or han or end > self.at + 1 or (end and self.means("piece", end))
        return self.follows("artist") or bool(plain and self.known(self.at) is None)

    def follows(self, what: str) -> bool:
        """Return whether this stands in a list after a fact of a column, or after "like"."""
        if not self.read:
            return False
        last, _, end = self.read[-1]
        columns = [one.name for one in last.ways[0]] if isinstance(last, Fact) else []
        same = columns == [what] or (what == "like" and isinstance(last, Like))
        return same and self.listed(end, self.at)

    def ends_like(self) -> bool:
        """Return whether songs to search from end here: "more like X than Y" is not like Y."""
        return (
            bool(self.read) and isinstance(self.read[-1][0], Like) and self.read[-1][2] == self.at
        )

    def name_at(self, at: int, names: Collection[str]) -> int:
        """Return where the longest name that begins here ends; 0 if none does."""
        ends = range(min(len(self.words), at + LONGEST_NAME), at, -1) if names else ()
        return next((e for e in ends if normalised_name(self.spelled(at, e)) in names), 0)

    def spelled(self, start: int, end: int) -> str:
        """Return words as they are written in the sentence."""
        return self.text[self.tokens[start].start : self.tokens[end - 1].end]

    def comparison(self, denied: bool) -> bool:
        """Read "calmer", or "more" or "less" before a concept, and "than" another after it."""
        last = self.read[-1][0] if self.read else None
        beside = isinstance(last, Term) and last.compared and not self.compared
        if means := self.took("compare") or (beside and self.took("than")):
            self.compared = "less" if "less" in (means, self.compared) else "more"
            self.took("a little")
            return True
        for base, ending in _bases(self.words[self.at]):
            concept = phrases().get(key([base]))
            if concept is not None and concept.heard:
                self.compared = self.compared or "more" * (ending == "er")
                self.add(self.term(base, concept, denied=denied), self.at, self.at + 1)
                self.at += 1
                return True
        return False

    def known(self, at: int) -> tuple[Concept, int] | None:
        """Return the concept that begins here, and where it ends."""
        return concept_at(self.words, at)

    def concept(self, denied: bool, use: bool) -> bool:
        """Read a sound that the table knows."""
        found = self.known(self.at)
        if found is None or found[0].kind == "name":
            return False
        (concept, end), start = found, self.at
        self.at = end
        noise = use and concept.kind != "use" and "version.other" in concept.heard
        bare = not concept.heard and not (denied and (end == len(self.words) or self.ends()))
        if not (noise or bare):  # "for the car", "no music by ..."
            used = use or bool(self.means("used"))
            term = self.term(self.said(start, end), concept, denied=denied)
            if self.took("a little"):
                term = replace(term, compared=True)
            self.add(replace(term, use=concept.kind == "use" and used), start, end)
        return True

    def term(self, said: str, concept: Concept, *, denied: bool) -> Term:
        compared, denied = bool(self.compared), denied != (self.compared == "less")
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
        """Add a clause; an alternative joins what stands before it."""
        self.denied_at = -1
        while self.read and (joined := self.joined(clause, start)) is not None:
            clause, (_, start, _) = joined, self.read.pop()
        self.read.append((clause, start, end))

    def joined(self, clause: Clause, start: int) -> Clause | None:
        """Return a clause with the one before it if they are alternatives, else None."""
        before, _, end = self.read[-1]
        only = self.listed(end, start, "or")
        if isinstance(before, Term) and isinstance(clause, Term):
            plain = not (before.denied or before.compared or clause.denied or clause.compared)
            comma = self.words[end:start] == (",",) and before.kind == clause.kind == ""
            if plain and (only or (comma and len(clause.ways) > 1)):
                said = f"{before.said} or {clause.said}"
                return replace(clause, said=said, ways=(*before.ways, *clause.ways))
        elif isinstance(before, Fact) and isinstance(clause, Fact):
            same = [one.name for one in before.ways[-1]] == [one.name for one in clause.ways[0]]
            values = all(one.operator == "=" for one in (*before.ways[-1], *clause.ways[0]))
            listed = values and self.listed(end, start)
            if same and before.denied == clause.denied and (listed or (only and not clause.denied)):
                said = f"{before.said} or {clause.said}"
                return replace(clause, said=said, ways=_either(before.ways, clause.ways), term=None)
        return None

    def listed(self, start: int, end: int, *roles: str) -> bool:
        """Return whether only words between members of a list stand here, such as "or"."""
        at = start
        while at < end:
            after = max(meaning_at(self.words, at, role)[1] for role in roles or ("or", "list"))
            if after == at and not roles and (self.words[at] == "," or self.means("by", at)):
                after += 1
            if after == at:
                return False
            at = after
        return start < end

    def filler(self) -> bool:
        """Return whether the word at `at` is a filler or a mark, which no song is searched by."""
        return bool(self.means("filler")) or self.words[self.at] in _MARKS

    def word(self, denied: bool) -> None:
        """Read a word that the table does not know."""
        at, found = self.at, self.known(self.at)
        _, _, end = number_at(self.words, at)  # of no unit
        if found is not None:
            end = found[1]
        elif end <= at + 1 and (self.filler() or self.words[at] in '"-#'):
            self.at = max(at + 1, meaning_at(self.words, at, "filler")[1])
            return
        elif end == at and self.by_captions(denied):
            return
        self.at = max(end, at + 1)
        said = self.said(at, self.at)
        last = self.read[-1][0] if self.read else None
        adjacent = self.unknown_to == at
        titled = isinstance(last, TitleWords) and last.denied and adjacent
        if denied and (titled or not said.isdecimal()):
            if titled:
                said = _joined([self.read.pop()[0].words, said])  # type: ignore[union-attr]
            self.read.append((TitleWords(words=said, denied=True), at, self.at))
        elif adjacent and "\u3400" <= said[0] <= "\u9fff" and self.unknown:
            self.unknown[-1] += said
        else:
            self.unknown.append(said)
        self.unknown_to = self.at

    def by_captions(self, denied: bool) -> bool:
        """Read one word or two that only captions know."""
        for end in (self.at + 2, self.at + 1):
            words = self.words[self.at : end]
            if heard := self.captions.heard(key(words)):
                concept = Concept(words=(), heard=heard, denied=heard, sounds=False)
                term = self.term(_joined(words), concept, denied=denied)
                self.add(replace(term, weight=BY_CAPTIONS), self.at, self.at + len(words))
                self.at += len(words)
                return True
        return False

    def said(self, start: int, end: int) -> str:
        """Return words in lower case, Han characters without blanks."""
        return _joined(self.words[start:end])


def _turned(clause: Clause) -> Clause:
    """Return a bound that is denied turned round: not faster than 120 is at most 120."""
    if isinstance(clause, Fact) and clause.denied and len(clause.ways[0]) == 1:
        (one,) = clause.ways[0]
        if one.operator in _FLIPPED:
            turned = replace(one, operator=_FLIPPED[one.operator])
            return replace(clause, ways=((turned,),), denied=False)
    return clause


def _either(first: Ways, second: Ways) -> Ways:
    """Return what meets either: one way where only the values of one condition differ."""
    pairs = list(zip(first[-1], second[0], strict=True))
    differ = [place for place, (a, b) in enumerate(pairs) if a != b]
    if len(differ) > 1 or any(a.operator != "=" for a, _ in pairs):
        return (*first, *second)
    both = [replace(a, values=(*a.values, *b.values)) if a != b else a for a, b in pairs]
    return (*first[:-1], tuple(both))


def _quoted(name: str) -> str:
    quoted = name.replace('"', '""')
    return f'"{quoted}"'


def _bases(word: str) -> Iterator[tuple[str, str]]:
    """Yield what a word may be the comparative or superlative of, and its ending.

    Examples
    --------
    >>> [base for base, _ in _bases("sadder")], [base for base, _ in _bases("heaviest")]
    (['sadd', 'sadde', 'sad'], ['heavi', 'heavie', 'heavy'])
    >>> list(_bases("singer"))
    []
    """
    ending = next((one for one in ("er", "est") if word.endswith(one)), "")
    if ending and len(word) > 4 and word not in _NOT_COMPARED:
        base = word.removesuffix(ending)
        bases = [base, f"{base}e"]
        if base.endswith("i"):
            bases.append(f"{base[:-1]}y")
        elif base[-1] == base[-2]:
            bases.append(base[:-1])
        yield from ((one, ending) for one in bases)


def _joined(words: Sequence[str]) -> str:
    """Return words as they are written: Han characters without blanks."""
    return re.sub(r"(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff])", "", " ".join(words))
