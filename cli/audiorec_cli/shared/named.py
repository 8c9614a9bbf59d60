"""Text for people: visible, and with the names that people gave.

A place elsewhere is read by way of a copy; what is said of the copy is said of its URI.
"""

import sys
from typing import Any

from audiorec.files import visible as plain


def visible(text: str) -> str:
    """Return a text as one visible line; see `audiorec.files.visible`."""
    return plain.visible(_named(text))


def visible_json(document: Any, *, indent: int | None = None) -> str:
    """Return JSON whose texts are visible; see `audiorec.files.visible`."""
    return _named(plain.visible_json(document, indent=indent))


def _named(text: str) -> str:
    copies = sys.modules.get("audiorec.files.copies")  # not loaded: nothing was copied
    return text if copies is None else str(copies.by_their_names(text))
