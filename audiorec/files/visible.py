r"""Escape untrusted text so that it cannot control a terminal or hide characters.

    "a\x1b[2J\u202eb"  ──visible──▶  r"a\x1b[2J\u202eb"

File names, tags, ids, users and column names are untrusted. Escaped in Python notation are control
characters (C0, C1, DEL, including line breaks and tabs), line and paragraph separators,
bidirectional controls, lone surrogates, and everything that a font renders as nothing: zero-width
characters, rare variation selectors, tags, fillers, private and unassigned code points. Letters,
marks and spaces of every script stay unchanged, as do joiners, which Persian titles and emoji
need.
"""

import json
import re
from typing import Any

# Invisible characters that `str.isprintable` accepts (Default_Ignorable_Code_Point).
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0d\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
_JOINERS = frozenset("\u200c\u200d")  # with U+FE0E and U+FE0F, which are printable
# Unicode's other spaces, which `str.isprintable` rejects; Japanese titles contain them.
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
    """Return multi-line text with invisible characters escaped; line breaks and tabs stay."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(c if c in "\n\t" or _is_shown(c) else ascii(c)[1:-1] for c in text)


def visible_json(document: Any, *, indent: int | None = None) -> str:
    r"""Return JSON in which invisible characters are escaped; it parses to the same values.

    Parameters
    ----------
    document : object
        Any JSON value; other objects are written as strings.
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
    # A line break here is layout: json.dumps has escaped those within strings.
    return "".join(c if c == "\n" or _is_shown(c) else json.dumps(c)[1:-1] for c in text)


def _is_shown(c: str) -> bool:
    return (c.isprintable() or c in _SPACES or c in _JOINERS) and not _INVISIBLE.match(c)
