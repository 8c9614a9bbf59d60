"""Listening logs to who likes what, in which order, and what stands together.

::

    plays.parquet, plays.csv ──interactions──▶ `Interactions`
        ──rule, preferences──▶ liked, disliked, heard
        ──history──▶ what came before each like      ──baskets──▶ pairs of song and song
        ──sequences──▶ `Sequences`: plays in their order

================  =================================================================
``casting``       one column of any sensible type → numbers, and what is not one
``events``        what a log is once it has been read, and what was wrong with it
``interactions``  Parquet and CSV, read in blocks with distrust
``rule``          which events make a song liked: a table, not code
``preferences``   events → one verdict a user and song
``check``         what a log holds, and what a rule makes of it, in figures
``history``       likes in time: sequences, what comes before, weighted means
``sequences``     what was played, in its order and with its repeats
``baskets``       which songs stand together in sessions and playlists
================  =================================================================

Public::

    interactions  read_interactions, unmatched
    events        EVENTS, Interactions, RowsError
    rule          Clause, Rule, as_time, load_rule
    preferences   to_preferences
    check         count_verdicts, describe, match
    history       Likes, before, histories
    sequences     Sequences, to_sequences
    baskets       song_pairs
"""
