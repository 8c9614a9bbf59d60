"""Channels that need no training, or a closed form: the ones that every model has to beat.

::

    `RecallData` ──fit, by counting──▶ channel ──recall──▶ `Candidates`

================  ==========================================================
``popular``       what everybody plays, the recent more than the old
``replay``        what this user comes back to
``rules``         what is played after the last song
``vs_knn``        what was played in the sessions most like this one
``item_knn``      songs that are played by those who play the songs of the history
``ease``          the same, learnt for all songs together by ridge regression
``recent_likes``  what goes with, or sounds like, what was liked in the last days
``external``      a table of candidates, by whatever made it
================  ==========================================================

Public::

    popular       Popular, PopularRecipe
    replay        Replay, ReplayRecipe
    rules         Rules, RulesRecipe
    vs_knn        VsKnn, VsKnnRecipe
    item_knn      ItemKnn, ItemKnnRecipe
    ease          Ease, EaseRecipe
    recent_likes  RecentLikes, RecentLikesRecipe
    external      External, ExternalRecipe
"""
