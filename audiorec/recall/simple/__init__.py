"""Channels without iterative training: the baselines that every trained model has to beat.

::

    `RecallData` ──fit, by counting──▶ channel ──recall──▶ `Candidates`

================  ==========================================================
``popular``       the most played songs, the same list for every user
``replay``        songs that this user comes back to
``rules``         songs that often follow the last songs of the history
``vs_knn``        songs of the past sessions most similar to this one
``item_knn``      songs whose listeners overlap with those of the history's songs
``ease``          item-to-item weights of all songs at once, by ridge regression
``recent_likes``  songs that go with, or sound like, the likes of the last days
``external``      candidates read from a table that any program wrote
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
