"""All channels by name. A family is imported on first use of one of its channels.

    "vs-knn"        ──channel_class──▶ `audiorec.recall.simple.vs_knn.VsKnn`
    "external:FILE" ──channel_class──▶ `audiorec.recall.simple.external.External` of that table
    model/          ──load_channel───▶ the channel that wrote it

Channels are referred to by import strings, so that this module imports no family. Judging and
serving reach channels only through this table.
"""

import os
from importlib import import_module

from audiorec.errors import InputError, WeightsError
from audiorec.learning.bundle import read_kind
from audiorec.recall.contract.channel import Channel

CHANNELS = {
    "popular": "audiorec.recall.simple.popular:Popular",
    "replay": "audiorec.recall.simple.replay:Replay",
    "rules": "audiorec.recall.simple.rules:Rules",
    "vs-knn": "audiorec.recall.simple.vs_knn:VsKnn",
    "item-knn": "audiorec.recall.simple.item_knn:ItemKnn",
    "recent-likes": "audiorec.recall.simple.recent_likes:RecentLikes",
    "ease": "audiorec.recall.simple.ease:Ease",
    "nearest-audio": "audiorec.recall.audio.nearest:NearestAudio",
    "nearest-artist": "audiorec.recall.audio.nearest:NearestArtist",
    "youtube-dnn": "audiorec.recall.sequence.youtube_dnn.channel:YoutubeDnn",
    "sasrec": "audiorec.recall.sequence.sasrec.channel:Sasrec",
    "mind": "audiorec.recall.interests.mind:Mind",
    "comirec-sa": "audiorec.recall.interests.comirec_sa:ComirecSa",
    "song2vec": "audiorec.recall.graph.song2vec:Song2vec",
    "eges": "audiorec.recall.graph.eges:Eges",
    "graphsage": "audiorec.recall.graph.graphsage:GraphSage",
    "user-audio": "audiorec.recall.audio.channel:UserAudio",
    "two-tower": "audiorec.recall.federated.two_tower:TwoTower",
    "mmoe": "audiorec.recall.federated.mmoe:Mmoe",
    "external": "audiorec.recall.simple.external:External",
}
EXTERNAL = "external:"  # prefix of the path of a candidates file
FORMER = {
    "metric": "user-audio",
    "users_model": "youtube-dnn",
}  # kinds of earlier models, and the channel that replaced each


def is_external(name: str) -> bool:
    """Return whether a name stands for a table of candidates, ``external:FILE``."""
    return name.startswith(EXTERNAL)


def channel_class(name: str) -> type[Channel]:
    """Return a channel class by name; ``external:FILE`` reads a table of candidates.

    Raises
    ------
    InputError
        If no channel has this name; the message lists the known ones.

    Examples
    --------
    >>> channel_class("rules").horizon
    'short'
    """
    if is_external(name):
        # A new class for each table, so that several can be compared in one run.
        external = channel_class("external")
        table = name.removeprefix(EXTERNAL)
        own = {"name": name, "TABLE": table, "__doc__": external.__doc__}
        return type(external.__name__, (external,), own)
    if name not in CHANNELS:
        raise InputError(f"unknown channel {name!r}; there are: {', '.join(CHANNELS)}")
    module, _, attribute = CHANNELS[name].partition(":")
    found: type[Channel] = getattr(import_module(module), attribute)
    return found


def load_channel(path: str | os.PathLike[str]) -> Channel:
    """Load a trained channel of any kind from its bundle.

    Raises
    ------
    WeightsError
        If the folder is missing, damaged, or holds no channel.
    """
    kind = read_kind(path)
    if kind in FORMER:
        raise WeightsError(
            f"{path}: a {kind} model of an earlier version; retrain it: audiorec recall train "
            f"{FORMER[kind]} -i LOG --out {path}"
        )
    if not kind.startswith("recall/"):
        raise WeightsError(f"{path}: a {kind} model, not a recall channel")
    name = kind.removeprefix("recall/")
    if name not in CHANNELS:
        raise WeightsError(f"{path}: channel {name!r} is unknown to this version of audiorec")
    return channel_class(name).load(path)
