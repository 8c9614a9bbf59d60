"""A request and its response, independent of sockets and framework, which keeps tests simple.

`ApiRequest` ──an API's handler, `Snapshot`──▶ `ApiReply`
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from audiorec.errors import InputError
from audiorec.files.json_files import parse_json
from audiorec.web.apis.snapshot import Snapshot

MAX_BODY = 1 << 20  # bytes
JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request.

    Attributes
    ----------
    path : str
    query : mapping of str to list of str
        Decoded parameters, including those of a form if the API accepts forms.
    body : bytes
    media_type : str
        Media type of the body, in lower case, without parameters.
    """

    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    media_type: str = ""

    def text(self, name: str, usual: str = "") -> str:
        """Return the first value of a parameter."""
        return self.query.get(name, [usual])[0]

    def whole(self, name: str, usual: int) -> int:
        """Return a parameter as an integer; `usual` if it is missing or not an integer."""
        text = self.text(name).strip()
        plain = text.removeprefix("-")
        return int(text) if plain.isascii() and plain.isdigit() and len(plain) < 10 else usual

    def document(self) -> dict[str, Any]:
        """Return the body as a JSON object; raise `InputError` if it is anything else."""
        try:
            found = parse_json(self.body, max_bytes=MAX_BODY)
        except (ValueError, RecursionError) as error:
            raise InputError("the body is not JSON") from error
        if not isinstance(found, dict):
            raise InputError("the body must be a JSON object")
        return found


@dataclass(frozen=True, slots=True)
class ApiReply:
    """A response."""

    body: bytes
    status: int = 200
    media_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, document: Any, status: int = 200) -> "ApiReply":
        """Return a JSON response."""
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        return cls(text.encode(), status)


Handler = Callable[[Snapshot, ApiRequest], ApiReply]
