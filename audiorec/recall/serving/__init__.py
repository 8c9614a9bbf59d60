"""From the lists of channels to one list a user.

::

    candidates ──tables──▶ blocks of users ──fuse──▶ one list each ──job──▶ fused.parquet
    log, exposures, side information, store ──known──▶ what is closed to whom, what songs share
    log, store, models, one user ──recommend──▶ songs, each with a reason in words
    what nightly wrote ──export──▶ open tables of candidates, users, songs, samples; SQL
    recall.toml ──nightly──▶ models, candidates, fused lists, exposures, a record of the run

=============  ==================================================================
``rules``      settings of a fusion, and what it asks of songs and users
``known``      the same, from logs, exposures, side information and a store
``tables``     tables of candidates side by side, some users at a time
``fuse``       the lists of some users become one each: a pure function
``job``        files in, one file out, in flat memory
``nightly``    all of it in one job that is resumed, and does only what changed
``tune``       weights of a fusion, learnt on validation
``recommend``  songs for one user, by channels that are asked at once
``portrait``   what users listen to, long and short, in shares
``words``      a reason as a person reads it
``export``     tables for rankers and warehouses: candidates with features, samples, SQL
=============  ==================================================================

Public::

    rules      Closed, ClosedLists, FusionRecipe, Method, SongTraits
    known      closed_by, facts_of, joined, read_exposures
    tables     user_blocks
    fuse       fuse
    job        FusedReport, fuse_files
    nightly    NightlyJob, NightlyPlan, Step
    tune       Tried, Tuned, tune
    recommend  ENTRIES, Product, Proposal, Recommendation, Recommender
    portrait   PORTRAIT, PortraitRecipe, portraits, write_portraits
    words      in_words
"""
