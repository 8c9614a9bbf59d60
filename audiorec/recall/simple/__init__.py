"""Channels without iterative training: the baselines that every trained model has to beat.

::

    `RecallData` ──fit, by counting──▶ channel ──recall──▶ `Candidates`
"""
