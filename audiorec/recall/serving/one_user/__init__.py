"""Recommend songs to one user, querying the channels directly, with reasons in words.

::

    log, store, models, one user ──recommend──▶ `Recommendation`: songs, each with its reasons
                                 ──portrait───▶ shares of genres and artists, long- and short-term
    facts of a log ──reasons──▶ what a reason says ──reason_words──▶ an English phrase
    playlists, one user ──playlists──▶ existing lists, ranked
"""
