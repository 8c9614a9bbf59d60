"""Recall: find candidate songs for users, and users for songs.

::

    log ──`RecallData`──▶ a channel: `VSKNN`, `SASRec`, ... ──fit, recall──▶ `Candidates`
    channels, a log ──evaluate──▶ `Judgements`: a `Judgement` each, best first
    tables of candidates, one per channel ──fuse_files──▶ one list per user
    a name, or ``module:Class`` ──registry──▶ a channel of ours or of another package

One folder per family of channels, none of which imports another; ``contract`` is what they share,
``judging`` and ``serving`` use them all.
"""

from typing import TYPE_CHECKING

from audiorec.exports import lazy

if TYPE_CHECKING:
    from audiorec.recall.audio.channel import UserAudio as UserAudio
    from audiorec.recall.audio.model import UserAudioRecipe as UserAudioRecipe
    from audiorec.recall.audio.nearest import NearestArtist as NearestArtist
    from audiorec.recall.audio.nearest import NearestAudio as NearestAudio
    from audiorec.recall.contract.batch_recall import write_candidates as write_candidates
    from audiorec.recall.contract.candidates import Candidates as Candidates
    from audiorec.recall.contract.candidates import ReasonKind as ReasonKind
    from audiorec.recall.contract.candidates import read_candidates as read_candidates
    from audiorec.recall.contract.channel import Channel as Channel
    from audiorec.recall.contract.channel import CountingChannel as CountingChannel
    from audiorec.recall.contract.checks import check_channel as check_channel
    from audiorec.recall.contract.data import Context as Context
    from audiorec.recall.contract.data import Queries as Queries
    from audiorec.recall.contract.data import RecallData as RecallData
    from audiorec.recall.contract.data import Sound as Sound
    from audiorec.recall.contract.space import SharedSpace as SharedSpace
    from audiorec.recall.contract.training import read_context as read_context
    from audiorec.recall.contract.training import train_channel as train_channel
    from audiorec.recall.graph.channel import EGES as EGES
    from audiorec.recall.graph.channel import GraphSAGE as GraphSAGE
    from audiorec.recall.graph.channel import Song2vec as Song2vec
    from audiorec.recall.graph.material import EGESRecipe as EGESRecipe
    from audiorec.recall.graph.material import GraphSAGERecipe as GraphSAGERecipe
    from audiorec.recall.graph.material import Song2vecRecipe as Song2vecRecipe
    from audiorec.recall.interests.channel import MIND as MIND
    from audiorec.recall.interests.channel import ComiRecSA as ComiRecSA
    from audiorec.recall.interests.forward import ComiRecSARecipe as ComiRecSARecipe
    from audiorec.recall.interests.forward import MINDRecipe as MINDRecipe
    from audiorec.recall.judging.compare import Judgements as Judgements
    from audiorec.recall.judging.compare import evaluate as evaluate
    from audiorec.recall.judging.judge import Judgement as Judgement
    from audiorec.recall.judging.splits import JudgingSplit as JudgingSplit
    from audiorec.recall.judging.splits import split as split
    from audiorec.recall.registry import CHANNELS as CHANNELS
    from audiorec.recall.registry import channel_class as channel_class
    from audiorec.recall.registry import known_channel as known_channel
    from audiorec.recall.registry import load_channel as load_channel
    from audiorec.recall.registry import named_by_user as named_by_user
    from audiorec.recall.sequence.sasrec.channel import SASRec as SASRec
    from audiorec.recall.sequence.sasrec.forward import SASRecRecipe as SASRecRecipe
    from audiorec.recall.sequence.youtube_dnn.channel import YouTubeDNN as YouTubeDNN
    from audiorec.recall.sequence.youtube_dnn.model import YouTubeDNNRecipe as YouTubeDNNRecipe
    from audiorec.recall.serving.fuse import fuse as fuse
    from audiorec.recall.serving.lists import fuse_files as fuse_files
    from audiorec.recall.serving.rules import FusionRecipe as FusionRecipe
    from audiorec.recall.simple.als import ALS as ALS
    from audiorec.recall.simple.als import ALSRecipe as ALSRecipe
    from audiorec.recall.simple.counts import Popular as Popular
    from audiorec.recall.simple.counts import PopularRecipe as PopularRecipe
    from audiorec.recall.simple.counts import Replay as Replay
    from audiorec.recall.simple.counts import ReplayRecipe as ReplayRecipe
    from audiorec.recall.simple.counts import Rules as Rules
    from audiorec.recall.simple.counts import RulesRecipe as RulesRecipe
    from audiorec.recall.simple.external import External as External
    from audiorec.recall.simple.external import ExternalRecipe as ExternalRecipe
    from audiorec.recall.simple.knn import EASE as EASE
    from audiorec.recall.simple.knn import VSKNN as VSKNN
    from audiorec.recall.simple.knn import EASERecipe as EASERecipe
    from audiorec.recall.simple.knn import ItemKNN as ItemKNN
    from audiorec.recall.simple.knn import ItemKNNRecipe as ItemKNNRecipe
    from audiorec.recall.simple.knn import VSKNNRecipe as VSKNNRecipe
    from audiorec.recall.simple.recent_likes import RecentLikes as RecentLikes
    from audiorec.recall.simple.recent_likes import RecentLikesRecipe as RecentLikesRecipe

# The names above once more, for the import on first use.
HOMES = {
    "audiorec.recall.audio.channel": ("UserAudio",),
    "audiorec.recall.audio.model": ("UserAudioRecipe",),
    "audiorec.recall.audio.nearest": ("NearestArtist", "NearestAudio"),
    "audiorec.recall.contract.batch_recall": ("write_candidates",),
    "audiorec.recall.contract.candidates": ("Candidates", "ReasonKind", "read_candidates"),
    "audiorec.recall.contract.channel": ("Channel", "CountingChannel"),
    "audiorec.recall.contract.checks": ("check_channel",),
    "audiorec.recall.contract.data": ("Context", "Queries", "RecallData", "Sound"),
    "audiorec.recall.contract.space": ("SharedSpace",),
    "audiorec.recall.contract.training": ("read_context", "train_channel"),
    "audiorec.recall.graph.channel": ("EGES", "GraphSAGE", "Song2vec"),
    "audiorec.recall.graph.material": ("EGESRecipe", "GraphSAGERecipe", "Song2vecRecipe"),
    "audiorec.recall.interests.channel": ("MIND", "ComiRecSA"),
    "audiorec.recall.interests.forward": ("ComiRecSARecipe", "MINDRecipe"),
    "audiorec.recall.judging.compare": ("Judgements", "evaluate"),
    "audiorec.recall.judging.judge": ("Judgement",),
    "audiorec.recall.judging.splits": ("JudgingSplit", "split"),
    "audiorec.recall.registry": (
        "CHANNELS",
        "channel_class",
        "known_channel",
        "load_channel",
        "named_by_user",
    ),
    "audiorec.recall.sequence.sasrec.channel": ("SASRec",),
    "audiorec.recall.sequence.sasrec.forward": ("SASRecRecipe",),
    "audiorec.recall.sequence.youtube_dnn.channel": ("YouTubeDNN",),
    "audiorec.recall.sequence.youtube_dnn.model": ("YouTubeDNNRecipe",),
    "audiorec.recall.serving.fuse": ("fuse",),
    "audiorec.recall.serving.lists": ("fuse_files",),
    "audiorec.recall.serving.rules": ("FusionRecipe",),
    "audiorec.recall.simple.als": ("ALS", "ALSRecipe"),
    "audiorec.recall.simple.counts": (
        "Popular",
        "PopularRecipe",
        "Replay",
        "ReplayRecipe",
        "Rules",
        "RulesRecipe",
    ),
    "audiorec.recall.simple.external": ("External", "ExternalRecipe"),
    "audiorec.recall.simple.knn": (
        "EASE",
        "VSKNN",
        "EASERecipe",
        "ItemKNN",
        "ItemKNNRecipe",
        "VSKNNRecipe",
    ),
    "audiorec.recall.simple.recent_likes": ("RecentLikes", "RecentLikesRecipe"),
}

__getattr__, __dir__ = lazy(__name__, HOMES)
