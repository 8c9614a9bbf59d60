"""File access: atomic writes, and reads that validate untrusted input.

::

    a user's list, CSV, Parquet ──user_files──▶ texts, rows, tables; or one `InputError`
    tables of our own ──tables──▶ `TableFile`: columns, row groups; or one `StoreError`
                      ◀─tables── rows, with checksums
    a job that may be killed ──run_folder, blocks──▶ one file, written atomically
    "s3://bucket/song.mp3" ──storage, fetch──▶ a temporary copy on the local disk
    "s3://bucket/plays" ──copies──▶ a cached copy of limited size
"""
