"""Read a sentence: what is wanted, what is denied, facts, and words that say nothing of sound.

    "calm piano, no drums, under four minutes"
        ──read_sentence──▶ terms [calm, piano, not drums], conditions [duration<=4:00]
    "slow songs by Miles Davis, under four minutes"
        ──facts_of──▶ "slow songs , , " and [artist="Miles Davis", duration<=4:00]
    data/words.csv  ──concepts──▶ `Concept`: words, what is heard, what a "no" before it means
    "Calm piano, 钢琴"  ──tokens──▶ ["calm", "piano", ",", "钢", "琴"]

Facts (tempo, key, length, artist) become conditions of `audiorec.search.filters`.
"""

import csv
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from safetensors import SafetensorError, safe_open

from audiorec.errors import WeightsError
from audiorec.tagger.weights import read_checked
from audiorec.types import FloatArray, Int64Array, normalised_name
from audiorec.words.labels import words_data

TABLE = "words.csv"
CAPTIONS = "captions.safetensors"
CAPTIONS_SHA256 = "b56bbb3e8d1d4415912e68ba246b9a4b625def45f11687892d8ddf865d9c228a"
CAPTIONS_KEY = "audiorec_captions"
Phrase = tuple[str, ...]

# Marks that end a clause are tokens; of Han characters each is one.
_TOKEN = re.compile(r"[^\W_\u3400-\u9fff]+(?:['&][^\W_\u3400-\u9fff]+)*|[\u3400-\u9fff]|[,.;:!?、]")
_WEIGHT = re.compile(r"(.*\S)\s+(-?\d*\.?\d+)")
_KEPT = {"news", "keys", "always", "perhaps", "yes", "gas", "bus"}  # not plurals


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case, without accents; marks are words of their own.

    Examples
    --------
    >>> tokens("Hip-Hop, café 钢琴!")
    ['hip', 'hop', ',', 'cafe', '钢', '琴', '!']
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = "".join(c for c in plain if not unicodedata.combining(c))
    return _TOKEN.findall(bare.replace("\u2019", "'").replace("。", "."))


def stem(word: str) -> str:
    """Return a word without the ending of its plural.

    Examples
    --------
    >>> stem("drums"), stem("melodies"), stem("bass"), stem("news")
    ('drum', 'melody', 'bass', 'news')
    """
    if len(word) < 4 or word in _KEPT or word.endswith(("ss", "us", "is")):
        return word
    return f"{word[:-3]}y" if word.endswith("ies") else word.removesuffix("s")


def key(words: Iterable[str]) -> Phrase:
    """Return how a phrase is looked up."""
    return tuple(map(stem, words))


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """One row of the table.

    Attributes
    ----------
    words : tuple of str
        How it is called; the first is its name.
    heard : mapping of str to float
        What a song with it has, and how much each counts.
    denied : mapping of str to float
        What a song without it lacks.
    sounds : bool
        Whether what is not music may be meant.
    """

    words: tuple[str, ...]
    heard: Mapping[str, float]
    denied: Mapping[str, float]
    sounds: bool


@cache
def concepts() -> tuple[Concept, ...]:
    """Return the rows of the shipped table.

    A row has the words of one concept, separated by semicolons, and what is to be heard in a song:
    labels of `audiorec.words.labels`, tags (``tag.rock``), classes (``genre.jazz``,
    ``version.vocal``), ``version.voiced`` (with a voice), ``bpm`` and ``loud``, each with a weight,
    by default 1. The column ``denied`` has what "no" denies if that is something else. The column
    ``sounds`` says whether speech, noise and jingles may be what is meant.
    """
    text = read_checked(words_data() / TABLE)[0].decode()
    return tuple(
        Concept(
            words=tuple(word.strip() for word in row["words"].split(";")),
            heard=_weights(row["heard"]),
            denied=_weights(row["denied"])
            or {name: weight for name, weight in _weights(row["heard"]).items() if weight > 0},
            sounds=row["sounds"] == "yes",
        )
        for row in csv.DictReader(text.splitlines())
    )


@cache
def phrases() -> dict[Phrase, Concept]:
    """Return the concept of each phrase of the table."""
    return {key(tokens(word)): concept for concept in concepts() for word in concept.words}


def _weights(text: str) -> dict[str, float]:
    weights = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        weighted = _WEIGHT.fullmatch(part)
        name, weight = weighted.groups() if weighted else (part, "1")
        weights[name] = float(weight)
    return weights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Captions:
    """What captions say of words.

    Attributes
    ----------
    places : mapping of tuple of str to int
        The row of each word or pair of words.
    labels : tuple of str, length L
    which : ndarray, shape (n, m), int64
        For each phrase the places of m labels.
    weights : ndarray, shape (n, m), float32
        What each of them counts; 0 for none.
    """

    places: Mapping[Phrase, int]
    labels: tuple[str, ...]
    which: Int64Array
    weights: FloatArray

    def heard(self, phrase: Phrase) -> dict[str, float]:
        """Return what a phrase makes one hear; empty if no caption has it."""
        place = self.places.get(phrase)
        if place is None:
            return {}
        pairs = zip(self.which[place].tolist(), self.weights[place].tolist(), strict=True)
        return {self.labels[label]: weight for label, weight in pairs if weight}


@cache
def shipped_captions() -> Captions:
    """Return the shipped weights, their checksum verified.

    Raises
    ------
    WeightsError
        If the file is missing or damaged.
    """
    path = words_data() / CAPTIONS
    read_checked(path, sha256=CAPTIONS_SHA256)
    try:
        with safe_open(str(path), framework="numpy") as file:
            about = json.loads((file.metadata() or {})[CAPTIONS_KEY])
            weights = file.get_tensor("weights").astype(np.float32)
            which = file.get_tensor("which").astype(np.int64)
        rows = {tuple(said.split()): index for index, said in enumerate(about["phrases"])}
        labels = tuple(about["labels"])
        return Captions(places=rows, labels=labels, which=which, weights=weights)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: damaged: {error!r}") from error


TOLERANCE = 0.04  # of a tempo
_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve".split(),
    "一 二 三 四 五 六 七 八 九 十".split(),
)
_COUNT = rf"(?P<n>\d+(?:\.\d+)?|{'|'.join(_NUMBERS[0])}|[{''.join(_NUMBERS[1])}])"
_LEAST = r"over|above|more than|longer than|faster than|at least|超过|大于|至少"
_MOST = r"under|below|less than|shorter than|slower than|at most|up to|不到|少于|短于|最多|不超过"
_BPM = r"(?P<bpm>\d{2,3})\s*(?:bpm|beats per minute)"
_TONIC = r"(?P<tonic>[a-g](?:[#b♯♭]|[\s-](?:sharp|flat))?)"
_HAN_SCALES = {"大调": "major", "小调": "minor"}
_RULES: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (rf"(?:(?P<least>{_LEAST})|(?P<most>{_MOST}))\s*{_BPM}", lambda m: f"bpm{_sign(m)}{m['bpm']}"),
    (rf"(?:at\s+)?{_BPM}", lambda m: _tempo(int(m["bpm"]))),
    (
        rf"(?:(?P<least>{_LEAST})|(?P<most>{_MOST}))\s*(?:a\s+)?{_COUNT}\s*(?:minutes?|mins?|分钟)",
        lambda m: f"duration{_sign(m)}{_clock(m['n'])}",
    ),
    (
        rf"{_COUNT}\s*分钟以(?:(?P<most>[内下])|(?P<least>上))",
        lambda m: f"duration{_sign(m)}{_clock(m['n'])}",
    ),
    (
        rf"\bin\s+(?:the\s+key\s+of\s+)?{_TONIC}[\s-](?P<scale>major|minor)\b(?!\s+key)",
        lambda m: f"key={_tonic(m['tonic'])}, scale={m['scale'].lower()}",
    ),
    (
        rf"{_TONIC}\s*(?P<scale>大调|小调)",
        lambda m: f"key={_tonic(m['tonic'])}, scale={_HAN_SCALES[m['scale']]}",
    ),
    (
        r"\bin\s+(?:a\s+)?(?P<scale>major|minor)(?:\s+key)?\b",
        lambda m: f"scale={m['scale'].lower()}",
    ),
)
_BY = re.compile(r"\bby\s+([^,;]+)", re.IGNORECASE)


def facts_of(text: str, artists: Collection[str]) -> tuple[str, dict[str, str]]:
    """Take the facts out of a sentence.

    Parameters
    ----------
    text : str
    artists : collection of str
        Names that "by ..." may name, as `normalised_name` writes them.

    Returns
    -------
    rest : str
        The sentence without its facts.
    conditions : dict of str to str
        For the words of each fact a condition.
    """
    facts: dict[str, str] = {}
    rest = text
    for pattern, condition in _RULES:
        for match in re.finditer(pattern, rest, re.IGNORECASE):
            facts[match[0].strip()] = condition(match)
        rest = re.sub(pattern, " , ", rest, flags=re.IGNORECASE)
    for match in _BY.finditer(rest):
        name = _artist(match[1], artists)
        if name:
            quoted = name.replace('"', '""')
            facts[f"by {name}"] = f'artist="{quoted}"'
            rest = rest.replace(f"{match[0][: match.start(1) - match.start()]}{name}", " , ")
    return rest, facts


def _artist(text: str, artists: Collection[str]) -> str:
    """Return the longest beginning of a text that is an artist; empty if there is none."""
    words = text.split()
    for count in range(len(words), 0, -1):
        name = " ".join(words[:count])
        if normalised_name(name) in artists:
            return name
    return ""


def _sign(match: re.Match[str]) -> str:
    return ">=" if match.groupdict().get("least") else "<="


def _tempo(bpm: int) -> str:
    return f"bpm>={bpm * (1 - TOLERANCE):g}, bpm<={bpm * (1 + TOLERANCE):g}"


def _clock(count: str) -> str:
    for names in _NUMBERS:
        if count.lower() in names:
            return f"{names.index(count.lower()) + 1}:00"
    minutes, seconds = divmod(round(60 * float(count)), 60)
    return f"{minutes}:{seconds:02}"


def _tonic(said: str) -> str:
    plain = re.sub(r"[\s-]sharp", "#", re.sub(r"[\s-]flat", "b", said.lower()))
    return plain[0].upper() + plain[1:]


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

    The longest phrase that the table knows is taken first. A denial ("no", "without", "not", 没有)
    reaches to the end of its clause, and over "or" beyond a comma. Words that only captions know
    count less than those of the table.

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
