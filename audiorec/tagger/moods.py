"""Moods as the backbone's tags have them: which tags are moods, and the columns they go to.

    tags (T, 50) ──mean over segments──▶ tag_happy, tag_sad, ...

They are what a network learnt from words that listeners put on songs, not a measurement of a mood:
hence the columns are called by the tags.
"""

import re
from collections.abc import Iterable

from audiorec.tagger.weights import WEIGHTS, backbone_weights

# Those of the 50 tags that are moods; the others are genres, decades, voices and instruments.
MOODS = ("beautiful", "chillout", "Mellow", "chill", "party", "sexy", "catchy", "sad", "happy")


def mood_columns(backbones: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return the columns of moods: name to backbone and the number of its tag.

    Each tag is the first backbone's that has it; networks that users added have no columns.

    Examples
    --------
    >>> list(mood_columns(["msd"]))[:3], mood_columns(["mtt"])
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
    """Return the column of a tag: ``easy listening`` goes to ``tag_easy_listening``."""
    return "tag_" + re.sub(r"\W+", "_", tag.lower())
