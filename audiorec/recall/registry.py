"""All channels by name; a family is imported when one of its channels is asked for.

    "vs-knn"        ──channel_class──▶ `audiorec.recall.simple.vs_knn.VsKnn`
    "external:FILE" ──channel_class──▶ `audiorec.recall.simple.external.External` of that table
    model/          ──load_channel───▶ the channel that wrote it

Families are named by strings, so that nothing here imports them: judging and serving know
channels through this table alone.
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
EXTERNAL = "external:"  # and a file of candidates
FORMER = {
    "metric": "user-audio",
    "users_model": "youtube-dnn",
}  # kinds of models of old, and the channel that took their place


def channel_class(name: str) -> type[Channel]:
    """Return a channel by its name; ``external:FILE`` is the channel of a table of candidates.

    Raises
    ------
    InputError
        If there is none of this name; names those that there are.

    Examples
    --------
    >>> channel_class("rules").horizon
    'short'
    """
    if name.startswith(EXTERNAL):
        # A channel class of its own, so that several tables can stand in one comparison.
        external = channel_class("external")
        table = name.removeprefix(EXTERNAL)
        own = {"name": name, "TABLE": table, "__doc__": external.__doc__}
        return type(external.__name__, (external,), own)
    if name not in CHANNELS:
        raise InputError(f"no channel {name!r}; there are: {', '.join(CHANNELS)}")
    module, _, attribute = CHANNELS[name].partition(":")
    found: type[Channel] = getattr(import_module(module), attribute)
    return found


def load_channel(path: str | os.PathLike[str]) -> Channel:
    """Load a trained channel, whichever it is.

    Raises
    ------
    WeightsError
        If the folder is missing, damaged, or holds no channel.
    """
    kind = read_kind(path)
    if kind in FORMER:
        raise WeightsError(
            f"{path}: holds a {kind} model of old; train it anew: audiorec recall train "
            f"{FORMER[kind]} -i LOG --out {path}"
        )
    if not kind.startswith("recall/"):
        raise WeightsError(f"{path}: holds a {kind}, not a channel of recall")
    name = kind.removeprefix("recall/")
    if name not in CHANNELS:
        raise WeightsError(f"{path}: holds a channel {name!r} that this audiorec does not know")
    return channel_class(name).load(path)
