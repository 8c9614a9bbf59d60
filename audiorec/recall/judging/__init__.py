"""How good channels are, judged by one judge on one split.

::

    plays ──split──▶ `Split`: what to learn from, histories, wanted songs
    channels, `Split` ──judge, compare──▶ `Verdicts`: a row a channel, paired differences

==========  =========================================================
``splits``  listening cut into what is learnt from and what is asked for
``judge``   channels on a split: full rank, intervals, differences
==========  =========================================================

Public::

    splits  Split, SPLITS, given, split
    judge   Verdict, compare, judge
"""
