"""Listening histories of services and music servers to the one log that recall reads.

::

    export.zip, scrobbles.csv, persist.db
        ──one of the readers──▶ `Heard` and `SetAside`, row by row
        ──songs──▶ which song of the store each one is
        ──job──▶ plays.parquet, plays.unmatched.parquet, plays.rejected.parquet, a report

A reader yields every row of its source once, in the source's order: as something that was heard,
or set aside with a reason. Memory grows with the number of different songs, not with the rows.

================  =================================================================
``rows``          what a reader yields, and the checks that all sources share
``archives``      the files of an export: plain, in a zip, or in a folder
``json_rows``     JSON arrays and JSON lines, one value at a time
``databases``     SQLite files of running servers, read only
``listenbrainz``  the archive of ListenBrainz
``lastfm``        what Last.fm's API and the usual export tools write
``spotify``       extended streaming history, and the history of account data
``yambda``        the Parquet files of the Yambda data set
``navidrome``     play counts, scrobbles, stars and ratings of Navidrome
``lyrion``        play counts and ratings of Lyrion Music Server
``songs``         which song of a store a row is about: id, path, tags
``job``           a whole import: read, match, write, count
================  =================================================================

Public::

    rows          Heard, HeardBlock, SetAside, SongRef
    songs         KnownSongs
    job           KINDS, Imported, beside, ImportKind, import_history
"""
