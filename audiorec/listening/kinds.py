"""Guess the kind of a table by its columns: log, side, triples, candidates or targets."""

from pathlib import Path
from typing import Literal, get_args

from audiorec.files.user_files import column_names
from audiorec.listening.events import OLD_NAMES, PLACES
from audiorec.listening.log_blocks import CSV_ENDS
from audiorec.listening.log_files import PARQUET_ENDS

TableKind = Literal["interactions", "side", "triples", "candidates", "targets"]
KINDS: tuple[TableKind, ...] = get_args(TableKind)
FAILURE = "cannot be read"
OF_TARGETS = {"user_id", "song_id"}  # and nothing else, or ``group_id``
OF_LISTS = ("rank", "channel", "similarity")  # at least one of them, and no ``event``


def guess_kind(path: Path) -> TableKind:
    """Guess the kind of a Parquet or CSV table by its columns; the fallback is a log.

    The reader of logs then reports missing columns.

    Raises
    ------
    InputError
        If the file is missing or damaged.

    Examples
    --------
    >>> guess_kind(Path("fixtures/formats/triples-v1.csv"))
    'triples'
    """
    if not path.name.lower().endswith((*CSV_ENDS, *PARQUET_ENDS)):
        return "interactions"
    names = set(column_names(path, FAILURE))
    if names >= {"head", "relation", "tail"}:
        return "triples"
    if "event" in names or "song_id" not in names:
        return "interactions"
    if "user_id" in names:
        if names & set(OF_LISTS):
            return "candidates"
        return "targets" if "group_id" in names or names == OF_TARGETS else "interactions"
    return "interactions" if names & {*PLACES, *OLD_NAMES} else "side"
