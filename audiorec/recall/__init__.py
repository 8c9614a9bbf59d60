"""Recall: find candidate songs for users, and users for songs.

::

    log ──`RecallData`──▶ a channel: `VsKnn`, `SASRec`, ... ──fit, recall──▶ `Candidates`
    channels, `split` of a log ──evaluate, compare──▶ a `Judgement` each
    tables of candidates, one per channel ──fuse_files──▶ one list per user
    a name, or ``module:Class`` ──registry──▶ a channel of ours or of another package

One folder per family of channels, none of which imports another; ``contract`` is what they share,
``judging`` and ``serving`` use them all.
"""

from audiorec.exports import lazy

__getattr__, __dir__ = lazy(__name__)
