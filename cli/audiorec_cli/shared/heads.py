"""Which heads score a song: options of commands that open audio."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from audiorec.errors import InputError, MissingFileError
from audiorec.options import loads
from audiorec_cli.shared.options import ADVANCED

HEAD_FILE = "head.safetensors"
OURS = "ours"

HeadOption = Annotated[
    list[str] | None,
    loads(
        metavar="[TASK=]FILE",
        help="Use this head instead of the shipped ones (repeatable): a head file, a folder of "
        "heads, or TASK=ours to keep a shipped head.",
        panel=ADVANCED,
    ),
]
BackboneOption = Annotated[
    str | None,
    loads(
        metavar="NAME",
        help="An added backbone, by name or folder (audiorec backbones).",
        panel=ADVANCED,
    ),
]
StoreHeadOption = Annotated[
    list[str] | None,
    loads(
        metavar="[TASK=]FILE",
        help="Heads of the store, if not the shipped ones: needed to score a file that is not in "
        "the store.",
        panel=ADVANCED,
    ),
]


def chosen_heads(named: Sequence[str] | None) -> tuple[Path, ...]:
    """Return the head files that ``FILE``, ``TASK=FILE`` or ``TASK=ours`` name.

    Empty for the shipped pair. An unknown task is refused, and so is a file whose head has another
    task than the one given.
    """
    return tuple(_head(name) for name in named or ())


def head_file(path: Path) -> Path:
    """Return the head file that a path means: itself, or the one in a folder."""
    return path / HEAD_FILE if path.is_dir() else path


def _head(name: str) -> Path:
    from audiorec.tagger.heads import Head, shipped_head

    task, equals, file = name.partition("=")
    bare = not equals or Path(name).exists()
    if file == OURS and not bare:
        return shipped_head(task)
    path = head_file(Path(name if bare else file))
    if not path.is_file():
        raise MissingFileError(f"{path}: no such head file")
    if not bare and (found := Head.load(path).task) != task:
        raise InputError(f"{path}: is a head for {found!r}, not for {task!r}")
    return path
