"""What each option can do, and which options the settings file of a folder may set.

A settings file in the current folder counts only after ``audiorec config trust``, and then only for
options that select things or name inputs. It never sets an option that

* writes a file, or makes one grow,
* deletes or starts afresh,
* loads a model or a head,
* opens the network, or exposes a folder to it,
* lifts a limit that protects against hostile files.

So a trusted folder that is later changed, by its owner or anyone else, cannot turn a command that
reads into one that acts. Values that name another machine (``s3://...``) are refused for every
option. An option in no table is refused too, and a test fails: a new option is classified here.
"""

from enum import StrEnum


class Reach(StrEnum):
    """What an option can do; the value completes a message: "it writes"."""

    CHOOSES = "chooses"
    READS = "names what is read"
    WRITES = "writes"
    DELETES = "deletes"
    LOADS = "loads a model"
    CONNECTS = "opens the network"
    UNGUARDS = "lifts a limit"


FROM_A_FOLDER = frozenset({Reach.CHOOSES, Reach.READS})
_BY_NAME = {
    Reach.CHOOSES: """
        absolute allow-failures also artist-gap buckets by cold-share columns curve
        days device diversity dry-run engine entry epochs every exclude explain facts
        field format gamma guard-formulas held-out hidden hop include
        input job jobs json k keep keep-heard kind last likes max-per-album
        max-per-artist max-problems minimum minutes near on-duplicate only piece-songs
        portrait processes projection quiet retry-failed seed set settle size split
        steps strict table tags task user users vector-only watch weights what why wide""",
    Reach.READS: """
        allowed artists candidates embeddings errors exposures favourites features
        files files-from folder from fused histories id-from import interactions less-like
        lists manifest new-to profiles scores side songs source targets test-histories
        triples tuned vectors""",
    Reach.WRITES: """
        add beside cache config day keep-mtime log-json m3u8 metrics-textfile out
        pictures plot replace report save-undo undo work-dir write""",
    Reach.DELETES: "overwrite prune regroup upgrade",
    Reach.LOADS: "backbone head models other-config recall spec",
    Reach.CONNECTS: """
        address host host-name no-open no-page port root runner token token-file yes""",
    Reach.UNGUARDS: """
        epsilon follow-links max-duration max-failures memory-limit partial rate reading
        seconds timeout""",
}
# Options with another meaning in one command.
_IN_COMMAND = {
    ("extract", "scores"): Reach.WRITES,
    ("extract", "features"): Reach.WRITES,
    ("extract", "errors"): Reach.WRITES,
    ("shards one", "scores"): Reach.WRITES,
    ("shards one", "features"): Reach.WRITES,
    ("shards all", "scores"): Reach.WRITES,
    ("shards all", "features"): Reach.WRITES,
    ("store merge", "beside"): Reach.READS,
    ("store verify", "beside"): Reach.READS,
}
_REACH = {name: reach for reach, names in _BY_NAME.items() for name in names.split()}


def reach_of(command: str, option: str) -> Reach | None:
    """Return what an option of a command can do, None if it is not classified.

    Examples
    --------
    >>> str(reach_of("extract", "features")), str(reach_of("similar", "features"))
    ('writes', 'names what is read')
    """
    return _IN_COMMAND.get((command, option), _REACH.get(option))


def named_options() -> frozenset[str]:
    """Return every classified option."""
    return frozenset(_REACH) | {option for _, option in _IN_COMMAND}


def refusal(command: str, option: str, value: object) -> str:
    """Return why the file of a folder may not set an option; empty if it may."""
    reach = reach_of(command, option)
    if reach not in FROM_A_FOLDER:
        return f"it {reach or 'is not known to be harmless'}"
    values = value if isinstance(value, (list, tuple)) else (value,)
    if any("://" in str(one) for one in values):
        return f"it {Reach.CONNECTS}"
    return ""
