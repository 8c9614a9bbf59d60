"""Evaluate channels: full ranking on one split, with intervals and paired differences.

::

    plays ──split──▶ `JudgingSplit`: training data, histories, wanted songs
    channels, `JudgingSplit` ──judge, compare──▶ a `Judgement` per channel, paired differences

===========  ==============================================================
``splits``   split plays into training data, histories and wanted songs
``judge``    evaluate channels on a split: measures, intervals, differences
``ranking``  full ranks of wanted songs, block by block
``strata``   recall of rare songs and of users with short histories
``lists``    popularity, evenness and diversity of lists
``cost``     CPU time and peak memory
===========  ==============================================================

Public::

    splits   JudgingSplit, SPLITS, given_split, split
    ranking  Ranked, RankingTask, rank_queries
    judge    Judgement, compare, judge
"""
