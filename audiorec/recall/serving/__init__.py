"""From the lists of channels to one list a user.

::

    candidates ──tables──▶ blocks of users ──fuse──▶ one list each ──job──▶ fused.parquet
    log, exposures, side information, store ──known──▶ what is closed to whom, what songs share
    candidates and what came next ──tune──▶ weights, points and dials ──tuned──▶ tuned.json
    log, store, models, one user ──recommend──▶ songs, each with a reason in words
    recall.toml ──plan, nightly──▶ models, candidates, fused lists, a report, exposures, a record
    the same for one day, or on URIs ──night_places──▶ the same
    what nightly wrote ──export──▶ open tables of candidates, users, songs, samples; SQL

=============  ==================================================================
``rules``      settings of a fusion, and what it asks of songs and users
``known``      the same, from logs, exposures, side information and a store
``tables``     tables of candidates side by side, some users at a time
``blocks``     the rows of some users as arrays
``fuse``       the lists of some users become one each: a pure function
``job``        files in, one file out, in flat memory
``shares``     a fusion cut into parts for an engine: which rows, and what is closed to whom
``plan``       what the nightly job is to do, from a settings file
``nightly``    all of it in one job that is resumed, and does only what changed
``nightly_inputs``  what that job reads, each file at most once
``night_places``  its places: paths or URIs, everything or one day
``report``     what a run served, as a page
``standings``  where candidates stand in all lists, so that many settings are tried fast
``points``     what a place in a channel's list is worth, learnt from what came next
``tune``       settings of a fusion, learnt on validation
``tuned``      what was learnt, as a file
``entries``    products that lists are made for
``recommend``  songs for one user, by channels that are asked at once
``answers``    what a user is told
``playlists``  playlists that people made, ranked for one user
``portrait``   what users listen to, long and short, in shares
``told``       what a log says of songs and users, for reasons
``words``      a reason as a person reads it
``export``     tables for rankers and warehouses: candidates with features, samples, SQL
=============  ==================================================================

Public::

    rules      Closed, ClosedLists, FusionRecipe, KNOTS, Method, SongTraits, by_horizon
    known      closed_by, facts_of, joined, read_exposures
    tables     channels_of, user_blocks
    blocks     REPLAY, Rows
    fuse       fuse
    job        FusedReport, fuse_files
    shares     Fusion
    plan       NightlyPlan
    nightly    NightlyJob, Step
    night_places  Night, open_night
    report     report_of
    standings  Standings
    points     learn_points
    tune       Tried, Tuned, tune
    tuned      TunedFile, read_tuned, settings_of, write_tuned
    entries    ENTRIES, Product
    recommend  Recommender
    answers    Mix, Proposal, Recommendation, Story
    playlists  ListProposal, ranked_lists
    portrait   PORTRAIT, PortraitRecipe, USUAL, portraits, write_portraits
    told       Teller
    words      in_words
"""
