"""What a title says of its version: live, remaster, edit, instrumental, acoustic, demo.

    "Lithium (Instrumental)"  ──read_title──▶  "lithium", {"instrumental"}

Only what stands in brackets or after a dash counts, since *Live and Let Die* is no concert.
"""

import re
from functools import lru_cache
from pathlib import PurePath
from typing import NamedTuple

from audiorec.types import normalised_name

# The words of each kind, as regular expressions, within a part that is in brackets or after a dash.
MARKERS = {
    "live": r"live(?= ?(?:/|$|at |in |from |on |version|session|recording|take|\d))|unplugged"
    r"|(?:in )?concert|ao vivo|en (?:vivo|directo)",
    "remaster": r"remaster(?:ed|izado)?|remastering",
    "edit": r"(?:radio|single|video|clean|short|album|extended|long|original) ?(?:edit|version|mix)"
    r"|edit|extended",
    "instrumental": r"instrumental|karaoke|backing track|minus one|without vocals?|no vocals?",
    "acoustic": r"acoustic|akustik|acoustique|acústic[ao]|stripped",
    "demo": r"demo|rough mix|outtake|alternate take",
}
FEATURED = r"(?:feat\.?|ft\.?|featuring|with) .+"  # belongs to the artists, not to the version
_MARKED = {
    kind: re.compile(rf"(?:^|[\s\d/])(?:{words})(?![\w'])") for kind, words in MARKERS.items()
}
_FEATURED = re.compile(FEATURED)
_DASH = r"\s[-\u2013\u2014]\s"
_PART = re.compile(rf"[(\[]([^()\[\]]*)[)\]]|{_DASH}\s*([^()\[\]]*?)(?={_DASH}|\s*[(\[]|$)")


class Title(NamedTuple):
    """A title without what names its version or its guests, and the kinds of version it names."""

    plain: str
    kinds: frozenset[str]


@lru_cache(maxsize=1 << 17)
def read_title(text: str | None) -> Title:
    """Return the plain title of a song, and its version.

    Examples
    --------
    >>> read_title("Heroes - 2017 Remaster"), read_title("Live and Let Die")
    (Title(plain='heroes', kinds=frozenset({'remaster'})), \
Title(plain='live and let die', kinds=frozenset()))
    """
    name, kinds = normalised_name(text), set()

    def kept(part: re.Match[str]) -> str:
        words = (part[1] if part[1] is not None else part[2]).strip()
        found = {kind for kind, marked in _MARKED.items() if marked.search(words)}
        kinds.update(found)
        return "" if found or _FEATURED.fullmatch(words) else part[0]

    plain = normalised_name(_PART.sub(kept, name))
    return Title(plain or name, frozenset(kinds))


def title_of(title: str | None, song_id: str) -> Title:
    """Return the title in a song's tags; without one, that of the name of its file."""
    return read_title(title or PurePath(song_id).stem)
