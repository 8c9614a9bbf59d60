"""How a run goes about its work: none of it changes a vector."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from audiorec.runs.workers import Limits


class Policy(StrEnum):
    """What to do with the output that is there already."""

    EXTEND = "extend"  # keep its rows, add what is new
    OVERWRITE = "overwrite"  # begin anew


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run goes about its work; none of it changes a vector.

    Attributes
    ----------
    jobs : int
        Worker processes, each of one thread; 0 for one per processor.
    policy : Policy
    retry_failed : bool
        Try again what failed before, changed or not.
    prune : bool
        Drop songs whose file is gone; not those below a place that cannot be seen.
    roots : tuple of str
        Folders that were searched, as absolute paths in printable form. With `prune`, rows
        below one without a single song stay: its disk may not be mounted.
    by_content : bool
        Give a song whose audio is known already the vector of that audio. Without it every
        song is decoded, and the rows do not depend on which songs came before.
    limits : Limits
        Time and memory of one song.
    max_failures : int or float or None
        Stop after this many failures; a float is a part of the songs to do. None stops
        only when the first fifty songs all fail.
    at : datetime or None
        What ``extracted_at`` and ``failed_at`` say; by default the time of each song.
    scratch : path or None
        Where songs from object stores lie while they are in use; the system's temporary
        folder by default.
    handler : str or None
        ``package.module:function`` that makes what a worker process runs, in place of
        `audiorec.extraction.pipeline.song_handler`, with the same arguments.
    feature_outputs : tuple of str or None
        Backbone outputs of a features file, if one is written; None for
        `audiorec.extraction.pipeline.FEATURE_OUTPUTS`.
    """

    jobs: int = 0
    policy: Policy = Policy.EXTEND
    retry_failed: bool = False
    prune: bool = False
    roots: tuple[str, ...] = ()
    by_content: bool = True
    limits: Limits = field(default_factory=Limits)
    max_failures: int | float | None = None
    at: datetime | None = None
    scratch: Path | None = None
    handler: str | None = None
    feature_outputs: tuple[str, ...] | None = None
