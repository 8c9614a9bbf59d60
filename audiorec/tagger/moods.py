"""The backbone's mood tags and their columns.

    tags (T, 50) ──mean over segments──▶ tag_happy, tag_sad, ...

A network learnt them from listeners' tags; they do not measure a mood. So the columns are named
after the tags.
"""

import re
from collections.abc import Iterable

from audiorec.tagger.weights import WEIGHTS, backbone_weights

# The moods among the 50 tags; the others are genres, decades, voices and instruments.
MOODS = ("beautiful", "chillout", "Mellow", "chill", "party", "sexy", "catchy", "sad", "happy")


def mood_columns(backbones: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return the mood columns: name to backbone and index of its tag.

    Each tag comes from the first backbone that has it; added networks have no columns.

    Examples
    --------
    >>> list(mood_columns(["msd"]))[:3], mood_columns(["mn04"])
    (['tag_beautiful', 'tag_chillout', 'tag_mellow'], {})
    """
    found: dict[str, tuple[str, int]] = {}
    for backbone in (name for name in backbones if name in WEIGHTS):
        tags = backbone_weights(backbone).tags
        for mood in MOODS:
            if mood in tags:
                found.setdefault(tag_column(mood), (backbone, tags.index(mood)))
    return found


def tag_column(tag: str) -> str:
    """Return the column of a tag: ``easy listening`` becomes ``tag_easy_listening``."""
    return "tag_" + re.sub(r"\W+", "_", tag.lower())
