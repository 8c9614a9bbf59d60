"""HTTP APIs of ``audiorec serve``, one for each protocol that clients speak.

::

    vecs.parquet and files beside it ──`Editions`──▶ `Snapshot`: songs, names, artists, lists
    request ──`Gate`──`ApiServer`: size, token──▶ audiomuse, subsonic, own ──▶ questions
"""
