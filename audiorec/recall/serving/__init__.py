"""Serve recommendations: fuse the lists of several channels into one list per user.

::

    candidates ──tables──▶ blocks of users ──fuse──▶ one list each ──job──▶ fused.parquet
    log, exposures, side information, store ──exclusions──▶ excluded songs, traits of songs
    candidates and later plays ──tune──▶ weights, points and dials ──tuned──▶ tuned.json
    log, store, models ──one_user──▶ songs for one user, each with a reason in words
    recall.toml ──nightly──▶ models, candidates, fused lists, a report, exposures, a record
    the output of nightly ──export──▶ open tables of candidates, users, songs, samples; SQL
"""
