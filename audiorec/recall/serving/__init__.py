"""Serve recommendations: fuse the lists of several channels into one list per user.

::

    candidates ──tables──▶ blocks of users ──fuse──▶ one list each ──job──▶ fused.parquet
    log, exposures, side information, store ──exclusions──▶ excluded songs, traits of songs
    candidates and later plays ──tune──▶ weights, points and dials ──tuned──▶ tuned.json
    log, store, models, one user ──recommend──▶ songs, each with a reason in words
    recall.toml ──plan, nightly──▶ models, candidates, fused lists, a report, exposures, a record
    the same for one day, or on URIs ──nightly_places──▶ the same
    the output of nightly ──export──▶ open tables of candidates, users, songs, samples; SQL

==================  ================================================================================
``rules``           settings of a fusion, traits of songs, and excluded songs
``exclusions``      read traits and excluded songs from logs, exposures, side information, a store
``tables``          read several tables of candidates in parallel, some users at a time
``candidate_rows``  the candidates of a block of users as arrays
``fuse``            fuse the lists of a block of users: a pure function
``job``             fuse files in constant memory
``parts``           cut a fusion into parts for an engine
``plan``            the settings of the nightly job
``nightly``         the nightly job: resumable, and redoes only what changed
``nightly_inputs``  the inputs of that job, each read at most once
``nightly_places``  inputs and outputs of the nightly job: paths or URIs, all data or one day
``report``          a page about the lists of a run
``standings``       ranks of candidates in all lists as arrays, to evaluate settings quickly
``points``          learn the value of each place in a channel's list from later plays
``tune``            learn the settings of a fusion on validation data
``tuned``           the file of learnt settings
``entries``         products that lists are made for
``recommend``       recommend songs to one user, querying channels directly
``answers``         result types of `recommend`
``playlists``       rank existing playlists for one user
``portrait``        long- and short-term shares of what a user plays
``reasons``         facts of a log that reasons are worded from
``reason_words``    word a reason as an English phrase
``export``          tables for rankers and warehouses: candidates with features, samples, SQL
==================  ================================================================================

Public::

    rules           Exclusions, ExcludedLists, FusionRecipe, KNOTS, Method, SongTraits, by_horizon
    exclusions      excluded_by, traits_of, joined_sequences, read_exposures
    tables          channels_of, user_blocks
    candidate_rows  REPLAY, CandidateRows
    fuse            fuse
    job             FusedReport, fuse_files
    parts           SplitFusion
    plan            NightlyPlan
    nightly         NightlyJob, Step
    nightly_places  Night, open_night
    report          report_of
    standings       Standings
    points          learn_points
    tune            Tried, Tuned, tune
    tuned           TunedFile, read_tuned, settings_of, write_tuned
    entries         ENTRIES, Product
    recommend       Recommender
    answers         Mix, Proposal, Recommendation, SongExplanation
    playlists       ListProposal, ranked_lists
    portrait        PORTRAIT, PortraitRecipe, USUAL, portraits, write_portraits
    reasons         ReasonWriter
    reason_words    reason_phrase
"""
