"""Evaluate channels: full ranking on one split, with intervals and paired differences.

::

    plays ──split, time_folds──▶ `JudgingSplit`: training data, histories, wanted songs
    channels, splits ──evaluate──▶ `Judgements`: a `Judgement` each, and paired differences
"""
