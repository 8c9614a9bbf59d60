"""Facts in a sentence: tempo, key, length and artist, as conditions of `audiorec.search.filters`.

"slow songs by Miles Davis, under four minutes"
    ──facts_of──▶ "slow songs , , " and [artist="Miles Davis", duration<=4:00]
"""

import re
from collections.abc import Callable, Collection

from audiorec.types import normalised_name

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
    found: dict[str, str] = {}
    rest = text
    for pattern, condition in _RULES:
        for match in re.finditer(pattern, rest, re.IGNORECASE):
            found[match[0].strip()] = condition(match)
        rest = re.sub(pattern, " , ", rest, flags=re.IGNORECASE)
    for match in _BY.finditer(rest):
        name = _artist(match[1], artists)
        if name:
            quoted = name.replace('"', '""')
            found[f"by {name}"] = f'artist="{quoted}"'
            rest = rest.replace(f"{match[0][: match.start(1) - match.start()]}{name}", " , ")
    return rest, found


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
