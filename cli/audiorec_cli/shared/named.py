"""Text for users: escaped, and with the URIs that they gave.

A remote file is read from a local copy; messages about the copy name its URI.
"""

import sys
from typing import Any

from audiorec.files import visible as plain


def visible(text: str) -> str:
    """Return a text as one line without control characters; see `audiorec.files.visible`."""
    return plain.visible(_named(text))


def visible_json(document: Any, *, indent: int | None = None) -> str:
    """Return JSON without control characters; see `audiorec.files.visible`."""
    return _named(plain.visible_json(document, indent=indent))


def _named(text: str) -> str:
    copies = sys.modules.get("audiorec.files.copies")  # not imported: there are no copies
    return text if copies is None else str(copies.with_shown_names(text))
