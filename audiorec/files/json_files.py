"""Read JSON within limits, and protect it with a digest of its content.

    {"rows": 5}  ──sealed──▶  {"rows": 5, "content_sha256": "…"}  ──unsealed──▶  {"rows": 5}

The digest is the sha256 of all other keys in the object, serialised with sorted keys and no
spaces. An object without a digest is accepted, since older versions wrote none.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGEST = "content_sha256"


def parse_json(text: str | bytes, *, max_bytes: int) -> Any:
    """Parse a JSON text.

    Raises a one-line `ValueError` if it is too long, not JSON, nested too deeply, or contains NaN,
    infinity, or a number of thousands of digits.
    """
    if len(text) > max_bytes:
        raise ValueError(f"longer than {max_bytes} bytes")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with the digest of its content added."""
    return {**content, DIGEST: _digest(content)}


def unsealed(content: Any) -> dict[str, Any]:
    """Verify an object's digest, if it has one, and return the object without it.

    Raises `ValueError` if it is not an object, or its content does not match the digest.
    """
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    found = {key: value for key, value in content.items() if key != DIGEST}
    if DIGEST in content and content[DIGEST] != _digest(found):
        raise ValueError(f"damaged or changed: its content does not match {DIGEST}")
    # A key one character away from the digest's name is that name, damaged.
    if any(map(_is_nearly_digest, found)):
        raise ValueError(f"damaged: the name of its {DIGEST} is misspelt")
    return found


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _is_nearly_digest(key: str) -> bool:
    wrong = sum(a != b for a, b in zip(key, DIGEST, strict=False))
    return wrong + abs(len(key) - len(DIGEST)) <= 1


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
