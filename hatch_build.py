"""The long description of the package: the README, with links that work outside the repository.

Links and pictures of the README are relative, so that they work in a clone. A package index has no
files beside the page, so they are made absolute when a package is built; the address is that of
`Source` in `pyproject.toml`.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(!?)(\[[^\]]*\])\((?!https?://|#)([^)\s]+)\)")


def with_absolute_links(text: str, source: str) -> str:
    """Return a page whose links lead to the repository, and whose pictures are loaded from it."""

    def absolute(match: re.Match[str]) -> str:
        mark, words, place = match.groups()
        kind = "raw" if mark else "blob"
        return f"{mark}{words}({source}/{kind}/main/{place})"

    return RELATIVE.sub(absolute, text)


class LongDescription(MetadataHookInterface):
    """Fills the field readme of a package's metadata."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the README to the metadata."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": with_absolute_links(text, metadata["urls"]["Source"]),
        }
