"""Facts in a sentence: numbers with their units, years, keys, languages, as conditions.

    ["under", "three", "minutes"]  ──quantity_at──▶ "duration<=3:00", 3
    ["100", "-", "110", "bpm"]     ──quantity_at──▶ "bpm>=100, bpm<=110", 4
    ["in", "d", "minor"]           ──key_at──▶ "key=D, scale=minor", 3

Each function reads at one place of a sentence's words and returns conditions of
`audiorec.search.filters`, where they end, and a word that tells the same by sound; empty for none.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from audiorec.files.languages import NAMED, language_named
from audiorec.words.vocabulary import tokens

Words = Sequence[str]
FoundFact = tuple[str, int, str]
NOTHING: FoundFact = ("", 0, "")
EXACT, NEAR = 0.04, 0.08  # of a tempo that is said, and of one that is said to be around
AROUND_MINUTES = 0.5
YEARS = range(1900, 2100)
TEMPOS = range(40, 221)  # "around 120" with no unit is a tempo
LONGEST = 5  # words of a phrase


def phrases_of(text: str, between: str = ";") -> frozenset[tuple[str, ...]]:
    """Return phrases, by default separated by semicolons, as words."""
    return frozenset(
        tuple(tokens(one) or one.split()) for one in text.split(between) if one.strip()
    )


def phrase_at(words: Words, at: int, these: Collection[tuple[str, ...]]) -> int:
    """Return the length of the longest of some phrases that begins here; 0 for none."""
    longest = range(min(LONGEST, len(words) - at), 0, -1)
    return next((n for n in longest if tuple(words[at : at + n]) in these), 0)


def _table(**rows: str) -> dict[tuple[str, ...], str]:
    return {phrase: name for name, text in rows.items() for phrase in phrases_of(text)}


_BOUNDS = _table(
    least="""over; above; more than; longer than; faster than; higher than; at least; after; since;
    from at least; 超过; 大于; 至少; 长于; 快于; 高于; 多于""",
    most="""under; below; less than; fewer than; shorter than; slower than; lower than; at most;
    up to; before; until; within; 不到; 少于; 短于; 慢于; 低于; 小于; 最多""",
    near="around; about; roughly; approximately; circa; some; nearly; 大约; 约; 差不多; 大概",
    range="between; from; in; at; 每分钟; 从; 在",
)
_AFTER = _table(
    most="以内; 之内; 以下; 内; 以前; 之前; or less; or shorter; or slower; 前",
    least="以上; 以后; 之后; 以来; or more; or longer; or faster; and up; and later; 后",
    near="左右; 上下; or so",
    range="long; in length",
)
_UNITS = _table(
    bpm="bpm; beats per minute; beats a minute; 拍",
    minutes="minutes; minute; mins; min; 分钟; 分",
    seconds="seconds; second; secs; sec; 秒; 秒钟",
    hours="hours; hour; 小时; 个小时; 钟头",
    decade="年代",
    year="年",
)
_TO = {"-", "to", "and", "到", "至", "or"}
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
).split()
_TENS = "thirty forty fifty sixty seventy eighty ninety".split()
_NUMBERS = {
    **{word: value for value, word in enumerate(_SMALL)},
    **{word: 10 * value for value, word in enumerate(_TENS, start=3)},
}
_HAN = {**{word: value for value, word in enumerate("零一二三四五六七八九")}, "两": 2}
_PLACES = {"十": 10, "百": 100}
_DECADES = {
    "fifties": 1950, "sixties": 1960, "seventies": 1970, "eighties": 1980, "nineties": 1990,
    "noughties": 2000,
}  # fmt: skip
_SECONDS = {"minutes": 60, "seconds": 1, "hours": 3600}


def _phrase(words: Words, at: int, table: Mapping[tuple[str, ...], str]) -> tuple[str, int]:
    """Return what a phrase of a table means, and where it ends."""
    length = phrase_at(words, at, table)
    return (table[tuple(words[at : at + length])] if length else "", at + length)


def number_at(words: Words, at: int) -> tuple[float | None, str, int]:
    """Return a number, the unit that it has in itself, and where it ends.

    Examples
    --------
    >>> number_at(["3.5"], 0), number_at(["3:30"], 0), number_at(["eighties"], 0)
    ((3.5, '', 1), (3.5, 'minutes', 1), (1980.0, 'decade', 1))
    >>> number_at(["ninety", "five"], 0), number_at(list("一百二十"), 0)
    ((95.0, '', 2), (120.0, '', 4))
    """
    word = words[at] if at < len(words) else ""
    if re.fullmatch(r"\d+(\.\d+)?", word):
        return float(word), "", at + 1
    if clock := re.fullmatch(r"(\d+):(\d\d)", word):
        return int(clock[1]) + int(clock[2]) / 60, "minutes", at + 1
    if word in _DECADES or re.fullmatch(r"(?:19|20)?\d0'?s", word):
        said = _DECADES.get(word) or int(word.rstrip("'s"))
        return float(said), "decade", at + 1
    if word in _HAN or word in _PLACES or word == "半":
        return _han_number(words, at)
    if word in ("a", "an", "half"):
        value, end = (0.5 if word == "half" else 1.0), at + 1
        end += word == "half" and words[end : end + 1] in (["a"], ["an"])
        if words[end : end + 1] == ["hundred"]:
            return _hundreds(words, end, value)
        return (value, "", end) if _phrase(words, end, _UNITS)[0] else (None, "", at)
    if word in _NUMBERS:
        return _hundreds(words, at + 1, float(_NUMBERS[word]))
    return None, "", at


def _hundreds(words: Words, at: int, value: float) -> tuple[float, str, int]:
    if words[at : at + 1] == ["hundred"]:
        at, value = at + 1, 100 * value
        at += words[at : at + 1] == ["and"] and words[at + 1 : at + 2] != ["a"]
    while at < len(words) and words[at] in _NUMBERS and value and not value % 10:
        at, value = at + 1, value + _NUMBERS[words[at]]
    if list(words[at : at + 3]) == ["and", "a", "half"]:
        at, value = at + 3, value + 0.5
    return value, "", at


def _han_number(words: Words, at: int) -> tuple[float, str, int]:
    total, digits, end = 0.0, 0, at
    while end < len(words) and (words[end] in _HAN or words[end] in _PLACES):
        if words[end] in _PLACES:
            total, digits = total + (digits or 1) * _PLACES[words[end]], 0
        else:
            digits = 10 * digits + _HAN[words[end]]
        end += 1
    half = end < len(words) and words[end] == "半"
    return total + digits + 0.5 * half, "", end + half


def quantity_at(words: Words, at: int) -> FoundFact:
    """Read a length, a tempo or years that begin here.

    Examples
    --------
    >>> quantity_at("between 100 and 110 bpm".split(), 0)
    ('bpm>=100, bpm<=110', 5, '')
    >>> quantity_at(list("两分钟以内"), 0), quantity_at(["the", "eighties"], 1)
    (('duration<=2:00', 5, ''), ('year>=1980, year<=1989', 2, '1980s'))
    """
    bound, start = _phrase(words, at, _BOUNDS)
    if words[start : start + 1] == ["the"]:
        start += 1
    first, unit, end = number_at(words, start)
    if first is None:
        return NOTHING
    unit, end = (unit, end) if unit else _phrase(words, end, _UNITS)
    if unit in _SECONDS and words[end : end + 1] == ["半"]:
        first, end = first + 0.5, end + 1
        end += words[end : end + 1] == ["钟"]
    last = first
    if end < len(words) and words[end] in _TO:
        after = end + 1 + (words[end + 1 : end + 2] in (["the"], ["从"]))
        second, own, stop = number_at(words, after)
        own, stop = (own, stop) if own or second is None else _phrase(words, stop, _UNITS)
        joined = words[end] not in ("and", "or") or bound == "range" or unit == own == "decade"
        if second is not None and joined and (own or not unit):
            last, unit, end, bound = second, own or unit, stop, ""
    said, stop = _phrase(words, end, _AFTER)
    bound, end = (said if said not in ("", "range") else bound, stop)
    if not unit:
        if first in YEARS and last in YEARS:
            unit = "year"
        elif bound == "near" and first == last and first in TEMPOS:
            unit = "bpm"
        else:
            return NOTHING
    return _written(first, last, unit, bound), end, _evidence(first, last, unit)


def _evidence(first: float, last: float, unit: str) -> str:
    """Return the word of the table that means a decade."""
    return f"{_year(first):.0f}s" if unit == "decade" and first == last else ""


def _year(decade: float) -> float:
    return decade if decade >= 100 else decade + (1900 if decade >= 30 else 2000)


def _written(first: float, last: float, unit: str, bound: str) -> str:
    """Return a quantity as conditions."""
    name, low, high = unit, first, last
    if unit == "decade":
        name, low, high = "year", _year(first), _year(last) + 9
        if bound == "most":
            high = low
    elif unit == "year" and first == last and bound not in ("least", "most"):
        return f"year={first:.0f}"
    elif unit == "bpm" and first == last and bound not in ("least", "most"):
        wide = NEAR if bound == "near" else EXACT
        low, high = first * (1 - wide), first * (1 + wide)
    elif unit in _SECONDS:
        name, low, high = "duration", first * _SECONDS[unit], last * _SECONDS[unit]
        if first == last and bound not in ("least", "most"):
            low, high = max(0, low - 60 * AROUND_MINUTES), high + 60 * AROUND_MINUTES
    least, most = f"{name}>={_value(name, low)}", f"{name}<={_value(name, high)}"
    return {"least": least, "most": most}.get(bound, f"{least}, {most}")


def _value(name: str, value: float) -> str:
    if name != "duration":
        return f"{value:g}"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes}:{seconds:02}"


_HAN_SCALES = {"大": "major", "小": "minor"}
_SCALES = {"major", "minor"}
_BENT = {"#": "#", "sharp": "#", "b": "b", "flat": "b", "升": "#", "降": "b"}


def key_at(words: Words, at: int, written: str) -> FoundFact:
    """Read a key or a scale that begins here; `written` is the sentence from here on.

    Examples
    --------
    >>> key_at("in the key of f sharp major".split(), 0, "in")
    ('key=F#, scale=major', 7, '')
    >>> key_at("in a minor key".split(), 0, "in"), key_at(["a", "minor"], 0, "A minor")
    (('scale=minor', 4, ''), ('key=A, scale=minor', 2, ''))
    """
    start = at + (words[at] == "in")
    start += 4 * (list(words[start : start + 3]) == ["the", "key", "of"]) - (
        list(words[start : start + 3]) == ["the", "key", "of"]
    )
    said = start > at
    article = start + (words[start : start + 1] == ["a"])
    if words[article : article + 1] and words[article] in _SCALES:
        ending = words[article + 1 : article + 2]
        if ending in (["key"], ["keys"]):
            return f"scale={words[article]}", article + 2, ""
        if said and article == start:
            return f"scale={words[article]}", article + 1, ""
    if (
        words[start : start + 1]
        and words[start] in _HAN_SCALES
        and words[start + 1 : start + 2] == ["调"]
    ):
        return f"scale={_HAN_SCALES[words[start]]}", start + 2, ""
    before = _BENT.get(words[start], "") if start < len(words) and words[start] in "升降" else ""
    start += len(before)
    tonic = re.fullmatch(r"([a-g])(b?)", words[start]) if start < len(words) else None
    if tonic is None:
        return NOTHING
    end, bent = start + 1, before or tonic[2]
    if not bent and end < len(words) and words[end] in _BENT:
        end, bent = end + 1, _BENT[words[end]]
    name, scale = f"key={tonic[1].upper()}{bent}", words[end : end + 1]
    if scale and scale[0] in _SCALES and (said or tonic[1] != "a" or written[0] == "A"):
        return f"{name}, scale={scale[0]}", end + 1, ""
    if scale and scale[0] in _HAN_SCALES and words[end + 1 : end + 2] == ["调"]:
        return f"{name}, scale={_HAN_SCALES[scale[0]]}", end + 2, ""
    return (name, end, "") if said and (bent or tonic[1] != "a") else NOTHING


_LANGUAGES = {entry.split()[-1] for entry in NAMED.split(";")}
_HAN_LANGUAGES = {
    "日": "Japanese", "英": "English", "法": "French", "德": "German", "韩": "Korean",
    "俄": "Russian", "西班牙": "Spanish", "意大利": "Italian", "葡萄牙": "Portuguese",
}  # fmt: skip


def _language(words: Words, at: int) -> tuple[str, int]:
    word = words[at] if at < len(words) else ""
    named = "Chinese" if word == "mandarin" else language_named(word) or ""
    if len(word) > 3 and named in _LANGUAGES:
        return named, at + 1
    for end in (at + 1, at + 2, at + 3):
        name = _HAN_LANGUAGES.get("".join(words[at:end]))
        if name and words[end : end + 1] in (["语"], ["文"]):
            return name, end + 1
    return "", at


def language_at(words: Words, at: int) -> FoundFact:
    """Read the language that songs are sung in.

    Examples
    --------
    >>> language_at("in English or French".lower().split(), 0), language_at(list("日语歌"), 0)
    (('language=English|French', 4, ''), ('language=Japanese', 2, '日'))
    """
    start = at + phrase_at(words, at, phrases_of("in; sung in; singing in; 用; 唱"))
    found, end = _language(words, start)
    if not found or (start == at and words[at].isascii()):
        return NOTHING
    names = [found]
    while end < len(words) and words[end] in ("or", "and", "或", "和"):
        found, stop = _language(words, end + 1)
        if not found:
            break
        names, end = [*names, found], stop
    return f"language={'|'.join(names)}", end, words[start] if len(names) == 1 else ""
