"""Evaluate channels: full ranking on one split, with intervals and paired differences.

::

    plays ──split──▶ `JudgingSplit`: training data, histories, wanted songs
    channels, `JudgingSplit` ──evaluate, compare──▶ a `Judgement` per channel, paired differences
"""

from audiorec.exports import lazy

__getattr__, __dir__ = lazy(__name__)
