"""How good channels are, judged by one judge on one split.

::

    plays ──split──▶ `JudgingSplit`: what to learn from, histories, wanted songs
    channels, `JudgingSplit` ──judge, compare──▶ `Verdicts`: a row a channel, paired differences

===========  ========================================================
``splits``   listening cut into what is learnt from and what is asked for
``judge``    channels on a split: full rank, intervals, differences
``ranking``  where wanted songs stand, block by block
``strata``   recall of rare songs and of users with short histories
``lists``    what lists are like: how popular, how even, how mixed
``cost``     CPU seconds, and the most memory
===========  ========================================================

Public::

    splits   JudgingSplit, SPLITS, given, split
    ranking  Ranked, Ranking, rank_queries
    judge    Judgement, compare, judge
"""
