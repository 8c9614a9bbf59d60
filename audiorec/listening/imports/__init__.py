"""Convert listening histories of services and music servers to a listening log.

::

    export.zip, scrobbles.csv, persist.db
        ──one of the readers──▶ `ImportedEvent` and `RejectedRow`, row by row
        ──songs──▶ the matching song of the store
        ──job──▶ plays.parquet, plays.unmatched.parquet, plays.rejected.parquet, a report

A reader yields every row of its source once, in order: either as an event, or as rejected with a
reason. Memory use depends on the number of different songs, not on the number of rows.

================  ==================================================================
``rows``          the row types that readers yield, and checks shared by all sources
``archives``      the files of an export: single files, in a zip, or in a folder
``json_rows``     stream values of JSON arrays and JSON lines
``databases``     read SQLite files of running servers, read-only
``listenbrainz``  the ListenBrainz export
``lastfm``        Last.fm API pages and the common export formats
``spotify``       Spotify's extended streaming history and account data
``yambda``        the Parquet files of the Yambda data set
``navidrome``     play counts, scrobbles, stars and ratings of Navidrome
``lyrion``        play counts and ratings of Lyrion Music Server
``songs``         match rows to songs of a store by id, path or tags
``job``           run an import: read, match, write, count
================  ==================================================================

Public::

    rows   ImportedEvent, ImportedBlock, RejectedRow, SongRef
    songs  KnownSongs
    job    KINDS, Imported, path_beside, ImportKind, import_history
"""
