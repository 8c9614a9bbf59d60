"""A request as a door sees it, and its answer: no socket, no framework, so that tests are plain.

`Asked` ──a door's handler, `Snapshot`──▶ `Reply`
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audiorec.errors import InputError
from audiorec.files.json_files import parse_json
from audiorec.web.doors.snapshot import Snapshot

MAX_BODY = 1 << 20  # bytes
JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request.

    Attributes
    ----------
    path : str
    query : mapping of str to list of str
        Parameters, decoded; of a form as well, where a door takes forms.
    body : bytes
    media_type : str
        Of the body, in lower case, without parameters.
    """

    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    media_type: str = ""

    def text(self, name: str, usual: str = "") -> str:
        """Return the first value of a parameter."""
        return self.query.get(name, [usual])[0]

    def whole(self, name: str, usual: int) -> int:
        """Return a parameter as a whole number; what is none counts as missing."""
        text = self.text(name).strip()
        plain = text.removeprefix("-")
        return int(text) if plain.isascii() and plain.isdigit() and len(plain) < 10 else usual

    def document(self) -> dict[str, Any]:
        """Return the body as a JSON object; anything else is an `InputError`."""
        try:
            found = parse_json(self.body, max_bytes=MAX_BODY)
        except (ValueError, RecursionError) as error:
            raise InputError("the body is no JSON") from error
        if not isinstance(found, dict):
            raise InputError("a JSON object is expected")
        return found


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    body: bytes
    status: int = 200
    media_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, document: Any, status: int = 200) -> "Reply":
        """Return an answer of JSON."""
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        return cls(text.encode(), status)


Handler = Callable[[Snapshot, Asked], Reply]
