"""Names of languages: from a file's tags, and from the letters of a text.

"jpn", "ja-JP", "Japanese"  ──language_named──▶  "Japanese"
"夜に駆ける"                ──language_of──▶  the language of its letters, or their script
"""

import re
import unicodedata
from collections import Counter
from functools import cache

LATIN = "Latin script"
# Of scripts that one language has to itself, by the first word of a letter's name.
LANGUAGES: dict[str, str | None] = {
    **dict.fromkeys(("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"), "Japanese"),
    **dict.fromkeys(("CJK", "IDEOGRAPHIC"), "Chinese"),
    "HANGUL": "Korean",
    "MODIFIER": None,  # of any script
    **{name: name.capitalize() for name in ("ARMENIAN", "GEORGIAN", "GREEK", "HEBREW", "THAI")},
}
# ISO 639 codes of two and three letters, then the name.
NAMED = """af afr Afrikaans; am amh Amharic; ar ara Arabic; az aze Azerbaijani; be bel Belarusian;
bg bul Bulgarian; bn ben Bengali; bo bod tib Tibetan; br bre Breton; bs bos Bosnian; ca cat Catalan;
co cos Corsican; cs ces cze Czech; cy cym wel Welsh; da dan Danish; de deu ger Deutsch German;
el ell gre Greek; en eng English; eo epo Esperanto; es spa Español Spanish; et est Estonian;
eu eus baq Basque; fa fas per Persian; fi fin Finnish; fo fao Faroese; fr fra fre Français French;
ga gle Irish; gd gla Gaelic; gl glg Galician; gu guj Gujarati; ha hau Hausa; haw Hawaiian;
he heb Hebrew; hi hin Hindi; hr hrv Croatian; ht hat Haitian; hu hun Hungarian; hy hye arm Armenian;
id ind Indonesian; is isl ice Icelandic; it ita Italiano Italian; ja jpn 日本語 Japanese;
jv jav Javanese; ka kat geo Georgian; kk kaz Kazakh; km khm Khmer; kn kan Kannada; ko kor Korean;
ku kur Kurdish; la lat Latin; lb ltz Luxembourgish; ln lin Lingala; lt lit Lithuanian;
lv lav Latvian; mg mlg Malagasy; mi mri mao Maori; mk mkd mac Macedonian; ml mal Malayalam;
mn mon Mongolian; mr mar Marathi; ms msa may Malay; mt mlt Maltese; my mya bur Burmese;
nl nld dut Dutch; no nor nb nob nn nno Norwegian; oc oci Occitan; pa pan Punjabi; pl pol Polish;
pt por Português Portuguese; ro ron rum Romanian; ru rus Russian; sa san Sanskrit; se sme Sami;
sk slk slo Slovak; sl slv Slovenian; so som Somali; sq sqi alb Albanian; sr srp scc Serbian;
sv swe Swedish; sw swa Swahili; ta tam Tamil; te tel Telugu; th tha Thai; tl tgl fil Tagalog;
tr tur Turkish; uk ukr Ukrainian; ur urd Urdu; uz uzb Uzbek; vi vie Vietnamese; wo wol Wolof;
xh xho Xhosa; yi yid Yiddish; yo yor Yoruba; yue Cantonese; zh zho chi cmn 中文 Chinese;
zu zul Zulu"""
NO_LANGUAGE = frozenset({"", "und", "xxx", "mul", "mis", "zxx", "unknown", "none"})


@cache
def _names() -> dict[str, str]:
    """Return the name of each code, and of each name in lower case."""
    words = [entry.split() for entry in NAMED.split(";")]
    return {word.casefold(): known[-1] for known in words for word in known}


def language_named(text: str | None) -> str | None:
    """Return the English name of a language as a tag says it; None if it says none.

    Of several, the first counts. A language that is not known here is returned as it is written.

    Examples
    --------
    >>> [language_named(text) for text in ("jpn", "en-US", "GERMAN", "engfre", "Marley", "und")]
    ['Japanese', 'English', 'German', 'English', 'Marley', None]
    """
    first = re.split(r"[;,/\0]", text or "")[0].strip()
    word = re.split(r"[-_]", first)[0].casefold()
    if first.casefold() in NO_LANGUAGE or word in NO_LANGUAGE:
        return None
    # Before ID3v2.4, codes of three letters stood side by side.
    codes = {word[at : at + 3] for at in range(0, len(word), 3)}
    several = word[:3] if codes <= _names().keys() else word
    return _names().get(word) or _names().get(several) or first


def language_of(text: str | None) -> str | None:
    """Return the language that a text's letters tell, or else their script; None without letters.

    Latin letters count only where fewer than two others stand, since titles in other scripts are
    often followed by a translation.

    Examples
    --------
    >>> [language_of(title) for title in ("夜に駆ける (Racing into the Night)", "Калинка", "7/8")]
    ['Japanese', 'Cyrillic script', None]
    """
    letters = unicodedata.normalize("NFKC", text or "")
    result = Counter(filter(None, map(_script, letters)))
    others = {name: count for name, count in result.items() if name != LATIN}
    if sum(others.values()) < min(2, result.total()):
        return LATIN
    if "Japanese" in others:  # which is written with Chinese characters, too
        return "Japanese"
    return max(others, key=others.__getitem__, default=None)


@cache
def _script(letter: str) -> str | None:
    """Return the language or the script of a letter; None for any other character."""
    name = unicodedata.name(letter, "").partition(" ")[0]
    if not letter.isalpha() or not name:
        return None
    return LANGUAGES.get(name, f"{name.capitalize()} script")
