"""Recommend songs to one user, querying the channels directly, with reasons in words.

::

    log, store, models, one user ──recommend──▶ `Recommendation`: songs, each with its reasons
                                 ──portrait───▶ shares of genres and artists, long- and short-term
    facts of a log ──reasons──▶ what a reason says ──reason_words──▶ an English phrase
    playlists, one user ──playlists──▶ existing lists, ranked

================  ============================================================
``recommend``     recommend songs to one user
``answers``       result types of `recommend`
``playlists``     rank existing playlists for one user
``portrait``      long- and short-term shares of what a user plays
``reasons``       facts of a log that reasons are worded from
``reason_words``  word a reason as an English phrase
================  ============================================================

Public::

    recommend     Recommender
    answers       Mix, Proposal, Recommendation, SongExplanation
    playlists     ListProposal, ranked_lists
    portrait      PORTRAIT, PortraitRecipe, USUAL, portraits, write_portraits
    reasons       ReasonWriter
    reason_words  reason_phrase
"""
