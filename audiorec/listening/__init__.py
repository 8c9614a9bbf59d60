"""Convert listening logs to preferences, play sequences and song pairs.

::

    plays.parquet, plays.csv ──interactions──▶ `Interactions`
    plays/dt=2026-11-25/, s3://… ──log_files, log_blocks, interactions──▶ the same, day by day
        ──rule, preferences──▶ liked, disliked, heard
        ──history──▶ history before each like        ──baskets──▶ pairs of songs
        ──sequences──▶ `Sequences`: plays in order
    a log larger than memory ──prepare──▶ a folder of buckets ──feed──▶ padded batches
    export.zip, navidrome.db ──imports──▶ plays.parquet, and unmatched and rejected rows
    side.parquet, triples.parquet ──side, triples──▶ side information and facts about songs

================  =======================================================================
``casting``       convert a column to numbers, marking unreadable rows
``events``        an event log in memory, and the problems found while reading it
``days``          parse days, name their folders, compute when they begin
``log_files``     find the files of a log: one file, or a folder of days, local or remote
``log_blocks``    read log files block by block, with schemas that may differ
``day_folders``   outputs in day folders
``interactions``  read and check logs in Parquet and CSV
``rule``          the rule that decides which events make a song liked
``preferences``   events → one verdict for each user and song
``check``         statistics of a log, and of a rule's verdicts
``history``       likes over time: sequences, preceding history, weighted means
``sequences``     plays in order, with repeats
``liked``         sequences of liked, disliked and heard songs, by a rule
``likes``         explicit likes of each user, with times
``follows``       artists that each user follows
``profiles``      demographic tables of users, encoded as numbers
``baskets``       songs that co-occur in sessions and playlists
``filters``       named filters for plays that say nothing about taste
``side``          songs' side information: categories, numbers, dates
``triples``       facts with typed ids, for graphs
``kinds``         guess the kind of a table from its columns
``prepare``       logs larger than memory → sequences in buckets
``spill``         first pass of ``prepare``: checked rows, sorted by bucket
``buckets``       build the sequences of one bucket
``feed``          padded batches of sequences, in memory or prepared
``forget``        remove a user from logs and from files derived from them
``imports``       listening histories of services and music servers → a log
================  =======================================================================

Public::

    days          Days, day_folder, parse_day
    log_files     check_day, select_days, file_fingerprints
    day_folders   day_before, folder_of_day
    interactions  read_interactions, unmatched
    events        EVENTS, Interactions, RowsError
    rule          Clause, Rule, as_time, load_rule
    preferences   to_preferences
    check         count_verdicts, describe, match_songs
    history       Likes, history_spans, histories
    sequences     Sequences, favourites_of, to_sequences
    liked         Liked, to_liked
    likes         likes
    follows       follows
    profiles      Encoder, Profiles, no_profiles, read_profiles
    baskets       song_pairs
    filters       FILTERS, FilterName, PER_USER, count_noise, noise, without_noise
    side          Category, SongSide, fill_missing, describe_side, read_side, side_of_store
    triples       Triples, describe_triples, entities_of_type, read_triples, type_of
    kinds         KINDS, TableKind, guess_kind
    prepare       log_fingerprint, prepare
    spill         PrepareSpec, PreparedBy
    feed          PaddedBatch, is_prepared, padded_batches, read_prepared, split_in_buckets
    forget        Forgotten, KeptKind, forget
"""
