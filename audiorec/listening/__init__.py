"""Listening logs to who likes what, in which order, and what stands together.

::

    plays.parquet, plays.csv ──interactions──▶ `Interactions`
    plays/dt=2026-11-25/, s3://… ──log_files, log_blocks, interactions──▶ the same, day by day
        ──rule, preferences──▶ liked, disliked, heard
        ──history──▶ what came before each like      ──baskets──▶ pairs of song and song
        ──sequences──▶ `Sequences`: plays in their order
    a log larger than memory ──prepare──▶ a folder of buckets ──feed──▶ padded batches
    export.zip, navidrome.db ──imports──▶ plays.parquet, and what did not fit beside it
    side.parquet, triples.parquet ──side, triples──▶ what else is known of songs

================  =================================================================
``casting``       one column of any sensible type → numbers, and what is not one
``events``        what a log is once it has been read, and what was wrong with it
``days``          days as texts, as keys of folders, and when they begin
``log_files``     the files of a log: one, or those of some days, here or elsewhere
``log_blocks``    their rows block by block, whatever schema each file has
``day_folders``   outputs of one day each, side by side
``interactions``  Parquet and CSV, read in blocks with distrust
``rule``          which events make a song liked: a table, not code
``preferences``   events → one verdict a user and song
``check``         what a log holds, and what a rule makes of it, in figures
``history``       likes in time: sequences, what comes before, weighted means
``sequences``     what was played, in its order and with its repeats
``liked``         the same of what is liked, disliked and met, by a rule
``likes``         what each user said to like, and when
``follows``       which artists each user follows
``profiles``      a table of what is known of users, as numbers
``baskets``       which songs stand together in sessions and playlists
``filters``       named filters for listening that says nothing of taste
``side``          songs' side information: categories, numbers, dates
``triples``       facts with typed ids, for graphs
``kinds``         tell the tables of recall apart by their columns
``prepare``       logs larger than memory → sequences in buckets
``spill``         its first pass: checked rows, sorted by bucket
``buckets``       the sequences of one bucket, from its rows alone
``feed``          padded batches of sequences, in memory or prepared
``forget``        remove a person from logs and what was made of them
``imports``       listening histories of services and music servers → a log
================  =================================================================

Public::

    days          Days, day_folder, parse_day
    log_files     check_day, chosen_log, file_prints
    day_folders   day_before, day_there
    interactions  read_interactions, unmatched
    events        EVENTS, Interactions, RowsError
    rule          Clause, Rule, as_time, load_rule
    preferences   to_preferences
    check         count_verdicts, describe, match
    history       Likes, before, histories
    sequences     Sequences, favourites_of, to_sequences
    liked         Liked, to_liked
    likes         likes
    follows       follows
    profiles      Encoder, Profiles, no_profiles, read_profiles
    baskets       song_pairs
    filters       FILTERS, FilterName, PER_USER, count_noise, noise, without_noise
    side          Category, SongSide, completed, describe_side, read_side, side_of_store
    triples       Triples, describe_triples, named, read_triples, type_of
    kinds         KINDS, TableKind, guess_kind
    prepare       log_fingerprint, prepare
    spill         PrepareSpec, PreparedBy
    feed          PaddedBatch, padded_batches, read_prepared, split
    forget        Forgotten, KeptKind, forget
"""
