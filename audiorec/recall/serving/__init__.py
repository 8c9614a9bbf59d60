"""Serve recommendations: fuse the lists of several channels into one list per user.

::

    candidates ──tables──▶ blocks of users ──fuse──▶ one list each ──job──▶ fused.parquet
    log, exposures, side information, store ──exclusions──▶ excluded songs, traits of songs
    candidates and later plays ──tune──▶ weights, points and dials ──tuned──▶ tuned.json
    log, store, models ──one_user──▶ songs for one user, each with a reason in words
    recall.toml ──nightly──▶ models, candidates, fused lists, a report, exposures, a record
    the output of nightly ──export──▶ open tables of candidates, users, songs, samples; SQL

==================  ================================================================================
``rules``           settings of a fusion, traits of songs, and excluded songs
``exclusions``      read traits and excluded songs from logs, exposures, side information, a store
``tables``          read several tables of candidates in parallel, some users at a time
``candidate_rows``  the candidates of a block of users as arrays
``fuse``            fuse the lists of a block of users: a pure function
``everybody``       who has no history gets what: the default list
``job``             fuse files in constant memory
``parts``           cut a fusion into parts for an engine
``standings``       ranks of candidates in all lists as arrays, to evaluate settings quickly
``points``          learn the value of each place in a channel's list from later plays
``tune``            learn the settings of a fusion on validation data
``tuned``           learnt settings and their file
``entries``         products that lists are made for
``one_user``        recommend songs to one user, with reasons
``nightly``         every step of a night, resumable
``export``          tables for rankers and warehouses: candidates with features, samples, SQL
==================  ================================================================================

Public::

    rules           Exclusions, ExcludedLists, FusionRecipe, KNOTS, Method, SongTraits, by_horizon
    exclusions      excluded_by, traits_of, joined_sequences, read_exposures
    tables          channels_of, user_blocks
    candidate_rows  REPLAY, CandidateRows
    fuse            fuse
    everybody       DefaultRule, fill_default
    job             FusedReport, fuse_files
    parts           SplitFusion
    standings       Standings
    points          learn_points
    tune            tune
    tuned           Tried, Tuned, TunedFile, read_tuned, settings_of, write_tuned
    entries         ENTRIES, Product
"""
