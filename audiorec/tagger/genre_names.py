"""What a file's own genre tag says: any of the ten genres, and styles, by one table.

    "Hip-Hop/Rap"            ──tagged_genre──▶ genres ("hiphop",)
    "Progressive House; 氛围" ──tagged_genre──▶ genres ("electronic",), styles ("house", "ambient")

A tag is split at semicolons, commas and slashes. Of a name that the table lacks, the end counts,
then the beginning: "symphonic metal", "rap français". What is left over is a name of its own, such
as "Zydeco", which stays a text.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

# Each genre and style, and what people write for it; case, spaces, hyphens and accents are ignored.
GENRES = {
    "blues": "blues, 蓝调, 藍調, 布鲁斯, ブルース",
    "classical": """classical, classic music, klassik, clasica, classique, opera, baroque, symphony,
        symphonic, chamber music, orchestral, choral, piano classics, 古典, 交响乐, クラシック""",
    "country": "country, country & western, americana, bluegrass, honky tonk, 乡村, 鄉村",
    "electronic": """electronic, electronica, elektronisch, electronique, electro, edm, dance,
        club dance, trance, drum & bass, dnb, jungle, dubstep, idm, breakbeat, downtempo, chillout,
        trip hop, eurodance, hardstyle, chiptune, 8 bit, synthwave, 电子, 電子, 舞曲""",
    "folk": "folk, folklore, volksmusik, celtic, singer folk, 民谣, 民謠",
    "hiphop": "hip hop, rap, trap, grime, drill, crunk, boom bap, 嘻哈, 说唱, 饒舌, ヒップホップ",
    "jazz": "jazz, swing, bebop, hard bop, big band, dixieland, fusion, 爵士, ジャズ",
    "metal": "metal, metalcore, grindcore, djent, 金属, 重金属, 金屬, メタル",
    "pop": """pop, j pop, jpop, k pop, kpop, c pop, mandopop, cantopop, synthpop, electropop,
        schlager, 流行, 国语, 华语, 粤语, ポップス""",
    "rock": """rock, rock & roll, rocknroll, grunge, shoegaze, britpop, indie, alternative, emo,
        aor, new wave, 摇滚, 搖滾, ロック""",
}
STYLES = {  # the genre that a style is one of, if any, and its names
    "ambient": ("electronic", "ambient, drone, 氛围"),
    "disco": ("", "disco, italo disco, 迪斯科"),
    "funk": ("", "funk, 放克"),
    "house": ("electronic", "house, deep house, 浩室"),
    "latin": (
        "",
        "latin, latino, salsa, bossa nova, samba, cumbia, reggaeton, bachata, tango, 拉丁",
    ),
    "punk": ("rock", "punk, 朋克, 龐克"),
    "reggae": ("", "reggae, dub, dancehall, rocksteady, 雷鬼"),
    "rnb": ("", "r&b, rhythm & blues, contemporary r&b, 节奏布鲁斯, 節奏藍調"),
    "ska": ("", "ska"),
    "soul": ("", "soul, motown, 灵魂"),
    "soundtrack": (
        "",
        """soundtrack, original soundtrack, score, film score, ost, filmmusik, game, video game,
        video game music, anime, bande originale, 原声, 原声带, 影视原声, サウンドトラック""",
    ),
    "techno": ("electronic", "techno, minimal techno, 科技舞曲"),
    "world": ("", "world, world music, ethnic, musiques du monde, 世界音乐"),
}
_BETWEEN = re.compile(r"[;,/|\\\u3001\uff0c\uff1b]")
_AND = re.compile(r"\s*(?:&|\+|\band\b|\b'?n'?\b)\s*")
_WORD = re.compile(r"\w+")
_ENDING = re.compile("(?:音乐|音樂|歌曲|乐|樂)$")


@dataclass(frozen=True, slots=True)
class TaggedGenre:
    """What a genre tag says.

    Attributes
    ----------
    text : str
        The tag as written.
    genres, styles : tuple of str
        Those of `GENRES` and `STYLES` that it names, in its order.
    """

    text: str
    genres: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether it names any of the genres or styles."""
        return bool(self.genres or self.styles)

    def agrees(self, heard: Collection[str], audible: Collection[str]) -> bool | None:
        """Return whether it names one of the labels heard; None if one of the two says nothing.

        `audible` has the styles that could be heard.
        """
        said = {*self.genres, *set(self.styles).intersection(audible)}
        return not said.isdisjoint(heard) if said and heard else None


@lru_cache(maxsize=4_096)
def tagged_genre(text: str | None) -> TaggedGenre | None:
    """Read a genre tag; None without one.

    Examples
    --------
    >>> tagged_genre("R&B/Soul").styles, tagged_genre("Symphonic Black Metal").genres
    (('rnb', 'soul'), ('metal',))
    >>> tagged_genre("Drum and Bass & Jazz").genres, tagged_genre("摇滚乐").genres
    (('electronic', 'jazz'), ('rock',))
    >>> tagged_genre("Zydeco").is_known
    False
    """
    if not text:
        return None
    found = [name for part in _BETWEEN.split(text) for name in _named(part)]
    genres = [name for name in found if name in GENRES]
    genres += [STYLES[name][0] for name in found if name in STYLES and STYLES[name][0]]
    styles = [name for name in found if name in STYLES]
    return TaggedGenre(text, tuple(dict.fromkeys(genres)), tuple(dict.fromkeys(styles)))


def _named(part: str) -> list[str]:
    """Return the genres and styles of one name: by its last words, or by its first ones."""
    words = left = _words(part)
    found: list[str] = []
    while (start := next((n for n in range(len(left)) if "".join(left[n:]) in _TABLE), -1)) >= 0:
        found.insert(0, _TABLE["".join(left[start:])])
        left = left[: start - 1] if start and left[start - 1] == "n" else []
    firsts = ("".join(words[:stop]) for stop in range(len(words) - 1, 0, -1))
    return found or [_TABLE[name] for name in firsts if name in _TABLE][:1]


def _words(name: str) -> list[str]:
    """Return the words of a name, without case and accents; of Chinese, without "music"."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    words = _WORD.findall(_AND.sub(" n ", unicodedata.normalize("NFKC", plain)).replace("_", " "))
    return [_ENDING.sub("", word) or word for word in words]


def _table() -> dict[str, str]:
    names = {**GENRES, **{style: others for style, (_, others) in STYLES.items()}}
    return {
        "".join(_words(other)): name
        for name, others in names.items()
        for other in (name, *others.split(","))
    }


_TABLE = _table()
