"""Facts in a sentence: numbers with their units, years, keys, languages, as conditions.

    ["under", "three", "minutes"]  ──quantity_at──▶ "duration<=3:00", 3
    ["100", "-", "110", "bpm"]     ──quantity_at──▶ "bpm>=100, bpm<=110", 4
    ["in", "d", "minor"]           ──key_at──▶ "key=D, scale=minor", 3

Each function reads at one place of a sentence's words and returns conditions of
`audiorec.search.filters`, where they end, and a word that tells the same by sound; empty for none.
"""

import re

from audiorec.files.languages import NAMED, language_named
from audiorec.words.vocabulary import Phrase, concept_at, meaning_at

FoundFact = tuple[str, int, str]
NOTHING: FoundFact = ("", 0, "")
EXACT, NEAR = 0.04, 0.08  # of a tempo that is said, and of one that is said to be around
AROUND_S = 30.0
YEARS = range(1900, 2100)
TEMPOS = range(40, 221)  # "around 120" and "between 120 and 130" with no unit are tempi
_STRICT = {"before": "<", "beyond": ">"}
_SCALED = {
    "minutes": ("duration", 60.0), "seconds": ("duration", 1.0), "hours": ("duration", 3600.0),
    "year": ("year", 1.0), "bpm": ("bpm", 1.0),
}  # fmt: skip
_YEARS_OF = {"decade": (0, 9), "early": (0, 4), "mid": (3, 7), "late": (5, 9)}  # after its first


def length_at(words: Phrase, at: int) -> FoundFact:
    """Read "short" or "long", if songs are so: up to 2:30, and from 6:00.

    Examples
    --------
    >>> length_at(tuple("short piano pieces".split()), 0), length_at(("long", "drive"), 0)
    (('duration<=2:30', 1, ''), ('', 0, ''))
    """
    said, stop = meaning_at(words, at, "length")
    if not said or (at and concept_at(words, at - 1)):  # "all night long"
        return NOTHING
    while stop < len(words) and words[stop] != "," and not meaning_at(words, stop, "piece")[0]:
        joint = max(meaning_at(words, stop, role)[1] for role in ("list", "a little"))
        found = concept_at(words, stop)
        if joint == stop and (found is None or found[0].kind == "use"):
            return NOTHING
        stop = joint if joint > stop or found is None else found[1]
    return said, at + 1, ""


def number_at(words: Phrase, at: int) -> tuple[float | None, str, int]:
    """Return a number, the unit that it has in itself, and where it ends.

    Examples
    --------
    >>> number_at(("3.5",), 0), number_at(("3:30",), 0), number_at(("eighties",), 0)
    ((3.5, '', 1), (3.5, 'minutes', 1), (1980.0, 'decade', 1))
    >>> number_at(("ninety", "five"), 0), number_at(tuple("一百二十"), 0)
    ((95.0, '', 2), (120.0, '', 4))
    """
    word = words[at] if at < len(words) else ""
    decade = meaning_at(words, at, "decade")[0] or re.fullmatch(r"((?:19|20)?\d0)'?s", word)
    if decade:
        return _year(float(decade if isinstance(decade, str) else decade[1])), "decade", at + 1
    if clock := re.fullmatch(r"(\d+):(\d\d)", word):
        return int(clock[1]) + int(clock[2]) / 60, "minutes", at + 1
    if re.fullmatch(r"\d+(\.\d+)?", word):
        value, end = float(word), at + 1
    else:
        value, end = _spelled(words, at)
    half, stop = meaning_at(words, end, "half") if end > at else ("", end)
    if word in ("a", "an") and stop == at + 1 and not meaning_at(words, stop, "unit")[0]:
        return None, "", at
    return (value + 0.5 * bool(half) if stop > at else None), "", stop


def _year(decade: float) -> float:
    return decade + (0 if decade >= 100 else 1900 if decade >= 30 else 2000)


def _spelled(words: Phrase, at: int) -> tuple[float, int]:
    """Return a number in words, such as "one hundred and twenty" or 一百二十."""
    total, part, end = 0.0, 0.0, at
    while end < len(words):
        place, stop = meaning_at(words, end, "place")
        said, after = meaning_at(words, end, "number")
        if place:
            total, part, end = total + (part or 1) * float(place), 0.0, stop
        elif said and "\u3400" <= words[end] <= "\u9fff":
            part, end = (10 * part if end > at else 0) + float(said), after
        elif said and part % 10 == 0 and (end == at or part or total):
            part, end = part + float(said), after
        else:
            break
    return total + part, end


def quantity_at(words: Phrase, at: int) -> FoundFact:
    """Read a length, a tempo or years that begin here.

    Examples
    --------
    >>> quantity_at(tuple("between 100 and 110 bpm".split()), 0)
    ('bpm>=100, bpm<=110', 5, '')
    >>> quantity_at(("before", "1970"), 0), quantity_at(("tempo", "over", "170"), 0)
    (('year<1970', 2, ''), ('bpm>=170', 3, ''))
    >>> quantity_at(("late", "90s"), 0), quantity_at(("90s", "or", "later"), 0)
    (('year>=1995, year<=1999', 2, '1990s'), ('year>=1990', 3, ''))
    >>> quantity_at(tuple("两分钟以内"), 0), quantity_at(("the", "eighties"), 1)
    (('duration<=2:00', 5, ''), ('year>=1980, year<=1989', 2, '1980s'))
    """
    named, at = meaning_at(words, at, "named")  # "tempo 100", "bpm over 170"
    bound, _, usual = (said := meaning_at(words, at, "bound"))[0].partition(" ")
    first, unit, end = _measured(words, said[1])
    if first is None:
        return NOTHING
    last, begun = first, bound
    joint, after = meaning_at(words, end, "to")
    second, own, stop = _measured(words, after) if joint else (None, "", end)
    if second is not None and first in YEARS and second < 100:
        second += first // 100 * 100  # "1975-80"
    apart = joint in ("and", "or") and bound != "range" and not {unit, own} <= {*_YEARS_OF}
    if second is not None and not apart and (own or not unit):
        last, unit, end, bound = second, own or unit, stop, ""
    said = meaning_at(words, end, "after")
    if said[0] and words[said[1] : said[1] + 1] != ("than",):  # "or shorter than two"
        bound, end = (bound if said[0] == "range" else said[0]), said[1]
    if not unit and first in YEARS and last in YEARS:
        unit = "year"
    elif not unit and begun == ("near" if first == last else "range"):
        unit = "bpm" if first in TEMPOS and last in TEMPOS else ""
    unit = unit or named or usual
    when = unit in _YEARS_OF and first == last and bound not in (*_STRICT, "least", "most")
    evidence = f"{first:.0f}s" if when else ""
    whole = unit in ("hours", "minutes", "seconds") and words[end : end + 1] == ("of",)
    if not unit or whole:  # "an hour of jazz" tells no song's length
        return NOTHING
    return _written(first, last, unit, bound), end, evidence


def _measured(words: Phrase, at: int) -> tuple[float | None, str, int]:
    """Return a number, its unit, and where it ends."""
    part, at = meaning_at(words, at + (words[at : at + 1] in (("the",), ("从",))), "part")
    value, unit, end = number_at(words, at)
    if value is None or unit:
        return value, (part or unit) if unit == "decade" else unit, end
    unit, end = meaning_at(words, end, "unit")
    value = _year(value) if unit == "decade" else value
    half, stop = meaning_at(words, end, "half") if unit == "minutes" else ("", end)
    return value + 0.5 * bool(half), unit, stop + (words[stop : stop + 1] == ("钟",))


def _written(first: float, last: float, unit: str, bound: str) -> str:
    """Return a quantity as conditions."""
    name, scale = _SCALED["year" if unit in _YEARS_OF else unit]
    low, high = first * scale, last * scale
    if unit in _YEARS_OF:
        low += _YEARS_OF[unit][0]
        high += _YEARS_OF[unit][1]
    elif low == high and unit == "bpm" and bound not in ("least", "most"):
        wide = NEAR if bound == "near" else EXACT
        low, high = low * (1 - wide), high * (1 + wide)
    elif low == high and name == "duration" and bound not in ("least", "most"):
        low, high = max(0, low - AROUND_S), high + AROUND_S
    least, most = f"{name}>={_value(name, low)}", f"{name}<={_value(name, high)}"
    if bound in _STRICT:
        return f"{name}{_STRICT[bound]}{_value(name, low if bound == 'before' else high)}"
    both = f"{name}={_value(name, low)}" if low == high else f"{least}, {most}"
    return {"least": least, "most": most}.get(bound, both)


def _value(name: str, value: float) -> str:
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes}:{seconds:02}" if name == "duration" else f"{value:g}"


_KEY = re.compile(
    r"(?P<said>in )?(?:the key of )?(?P<bent>[升降] )?(?P<tonic>[a-g])(?P<flat>b?)(?: (?P<sign>b|#|"
    r"sharp|flat))?(?: (?P<scale>major|minor)| (?P<han>[大小]) 调)?(?= |$)"
)
_SCALE = re.compile(
    r"(?:in )?(?:a )?(major|minor) keys?(?= |$)|in (major|minor)(?= |$)|([大小]) 调"
)
_BENT = {"sharp": "#", "flat": "b", "升 ": "#", "降 ": "b", "大": "major", "小": "minor"}
LONGEST_KEY = 7  # words


def key_at(words: Phrase, at: int, written: str) -> FoundFact:
    """Read a key or a scale that begins here; `written` is the sentence from here on.

    Examples
    --------
    >>> key_at(tuple("in the key of f sharp major".split()), 0, "in")
    ('key=F#, scale=major', 7, '')
    >>> key_at(tuple("in a minor key".split()), 0, "in"), key_at(("a", "minor"), 0, "A minor")
    (('scale=minor', 4, ''), ('key=A, scale=minor', 2, ''))
    """
    text = " ".join(words[at : at + LONGEST_KEY])
    if found := _SCALE.match(text):
        said = next(filter(None, found.groups()))
        return f"scale={_BENT.get(said, said)}", at + found[0].count(" ") + 1, ""
    if not (found := _KEY.match(text)):
        return NOTHING
    sign = found["bent"] or found["sign"] or found["flat"]
    scale = found["scale"] or _BENT.get(found["han"], "")
    article = found["tonic"] == "a" and not sign  # "a minor point", "in a"
    if not (found["said"] and (scale or not article)) and not (
        scale and (not article or found["han"] or written[0] == "A")
    ):
        return NOTHING
    name = f"key={found['tonic'].upper()}{_BENT.get(sign, sign)}"
    return f"{name}, scale={scale}" if scale else name, at + found[0].count(" ") + 1, ""


_LANGUAGES = {entry.split()[-1] for entry in NAMED.split(";")}


def language_at(words: Phrase, at: int, *, bare: bool = False) -> FoundFact:
    """Read the language that songs are sung in; `bare`: with no word before it.

    Examples
    --------
    >>> language_at(("in", "english"), 0), language_at(tuple("日语歌"), 0)
    (('language=English', 2, 'english'), ('language=Japanese', 2, '日语'))
    """
    _, start = meaning_at(words, at, "in")
    found, end = meaning_at(words, start, "language")
    word = words[start] if start < len(words) else ""
    if not found and len(word) > 3 and language_named(word) in _LANGUAGES:
        found, end = language_named(word) or "", start + 1
    sung = words[end : end + 1] in (("song",), ("songs",), ("lyrics",))  # "german songs"
    if not found or (start == at and word.isascii() and not (bare or sung)):
        return NOTHING
    return f"language={found}", end, "".join(words[start:end])
