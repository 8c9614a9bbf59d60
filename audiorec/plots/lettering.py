r"""Prepare text from outside for the fonts of this machine.

    "日本\x1b\u202e 🎵"  ──drawable──▶  "日本\\x1b\\u202e □"

matplotlib ships DejaVu Sans, which covers Latin, Greek, Cyrillic, Hebrew and Arabic. Other scripts
are drawn in fonts from a short list, if installed; characters missing from all of them become a
box.
"""

from functools import cache
from typing import Any

from audiorec.files.visible import visible

OURS = "DejaVu Sans"  # shipped with matplotlib
OTHERS = (
    "Noto Sans CJK JP",
    "Noto Sans",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Sans Hebrew",
    "Noto Sans Arabic",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Segoe UI Symbol",
    "Arial Unicode MS",
)
BOX = "\u25a1"
_UNSEEN = frozenset("\u200c\u200d\ufe0e\ufe0f")  # joiners and variation selectors: no glyph
LONGEST = 60  # characters of a name in a picture


def drawable(text: str, *, longest: int = LONGEST) -> str:
    """Return a text as one drawable line, shortened in the middle if it is too long."""
    shown = "".join(_glyph(c) for c in visible(text))
    if len(shown) <= longest:
        return shown
    head = (longest - 1) * 2 // 3
    return f"{shown[:head]}…{shown[len(shown) - (longest - 1 - head) :]}"


@cache
def font_families() -> tuple[str, ...]:
    """Return the font families for drawing text, matplotlib's own first."""
    from matplotlib.font_manager import fontManager

    there = {entry.name for entry in fontManager.ttflist}
    return (OURS, *(name for name in OTHERS if name in there))


@cache
def _glyph(character: str) -> str:
    if any(font.get_char_index(ord(character)) for font in _fonts()):
        return character
    return "" if character in _UNSEEN else BOX


@cache
def _fonts() -> tuple[Any, ...]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return tuple(get_font(findfont(FontProperties(family=[name]))) for name in font_families())
