"""Evaluate channels: full ranking on one split, with intervals and paired differences.

::

    plays ──split──▶ `JudgingSplit`: training data, histories, wanted songs
    channels, `JudgingSplit` ──evaluate, compare──▶ a `Judgement` per channel, paired differences
"""
