"""Convert listening histories of services and music servers to a listening log.

::

    export.zip, scrobbles.csv, persist.db
        ──one of the readers──▶ `ImportedEvent` and `RejectedRow`, row by row
        ──songs──▶ the matching song of the store
        ──job──▶ plays.parquet, plays.unmatched.parquet, plays.rejected.parquet, a report

A reader yields every row of its source once, in order: either as an event, or as rejected with a
reason. Memory use depends on the number of different songs and the largest JSON file.
"""
