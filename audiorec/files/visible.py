r"""Show text from outside: a name may not steer a terminal or hide what it is.

    "a\x1b[2J\u202eb"  ──visible──▶  r"a\x1b[2J\u202eb"

Names of files, tags, ids, users and columns come from anyone. Escaped, as Python writes them,
are control characters (C0, C1, DEL, line breaks and tabs included), line and paragraph
separators, bidirectional controls, lone surrogates, and everything that a font shows as
nothing: zero-width characters, rare variation selectors, tags, fillers, private and unassigned
code points. Letters, marks and spaces of every script stay as they are, with what joins them:
Persian titles and emoji would not be themselves without it.
"""

import json
import re
from typing import Any

# What `str.isprintable` lets pass although it shows as nothing (Default_Ignorable_Code_Point).
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0d\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
_JOINERS = frozenset("\u200c\u200d")  # with U+FE0E and U+FE0F, which are printable
# Unicode's other spaces, which `str.isprintable` does not let pass: Japanese titles have them.
_SPACES = frozenset(
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"
    "\u205f\u3000"
)


def visible(text: str) -> str:
    r"""Return `text` as one line without control, bidirectional and invisible characters.

    Examples
    --------
    >>> print(visible("two\nlines\x1b[31m, \u202egpj.mp3, caf\udce9"))
    two\nlines\x1b[31m, \u202egpj.mp3, caf\udce9
    >>> print(visible("Björk – Jóga, 日本, ❤️"))
    Björk – Jóga, 日本, ❤️
    """
    if text.isprintable() and (text.isascii() or not _INVISIBLE.search(text)):
        return text
    return "".join(c if _is_shown(c) else ascii(c)[1:-1] for c in text)


def visible_lines(text: str) -> str:
    """Return text of several lines, each made visible; tabs stay as well."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(c if c in "\n\t" or _is_shown(c) else ascii(c)[1:-1] for c in text)


def visible_json(document: Any, *, indent: int | None = None) -> str:
    r"""Return JSON whose texts are visible, and parse to what they were.

    Parameters
    ----------
    document : object
        Whatever JSON can hold; other values are written as texts.
    indent : int, optional
        As for `json.dumps`.

    Raises
    ------
    ValueError
        If a number is not finite.

    Examples
    --------
    >>> print(visible_json({"song": "\x9b2J\u202e\U000e0041"}))
    {"song": "\u009b2J\u202e\udb40\udc41"}
    """
    text = json.dumps(document, ensure_ascii=False, indent=indent, default=str, allow_nan=False)
    if text.isprintable() and text.isascii():
        return text
    # A line break is one of the layout: json.dumps has escaped those inside of texts.
    return "".join(c if c == "\n" or _is_shown(c) else json.dumps(c)[1:-1] for c in text)


def _is_shown(c: str) -> bool:
    return (c.isprintable() or c in _SPACES or c in _JOINERS) and not _INVISIBLE.match(c)
