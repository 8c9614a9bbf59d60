"""The heads that come with audiorec: what a song is scored with unless others are named.

``scripts/train_heads.py`` makes them; their model card is ``docs/model_cards/heads.md``.
"""

from importlib.resources import files
from pathlib import Path

from audiorec.errors import InputError
from audiorec.tagger.heads import Head, Heads

SHIPPED_TASKS = ("version", "genre")


def shipped_head(task: str) -> Path:
    """Return the path of a shipped head.

    Raises
    ------
    InputError
        If no head of that task is shipped.
    """
    if task not in SHIPPED_TASKS:
        raise InputError(f"audiorec has no head for {task!r}, only for {', '.join(SHIPPED_TASKS)}")
    return Path(str(files("audiorec.tagger") / "data" / f"head_{task}.safetensors"))


def shipped_heads() -> tuple[Path, ...]:
    """Return the paths of the shipped heads in the order of their scores."""
    return tuple(shipped_head(task) for task in SHIPPED_TASKS)


def default_heads() -> Heads:
    """Return the shipped heads: version (4 classes), then genre (10 classes).

    Raises
    ------
    WeightsError
        If a shipped file is missing or damaged.
    """
    return Heads([Head.load(path) for path in shipped_heads()])
