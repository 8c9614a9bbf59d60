"""Write version, genre and moods of a store's songs into the tags of their files, and undo it.

::

    store, roots, fields ──job.retag──▶ `Retagging`: the outcome of each song
        wanted: store ──▶ the fields of each song            AUDIOREC_GENRE=jazz
        change: file ──worker──▶ a copy with the fields, verified to hold the same audio
                │ formats: the fields of one file, by mutagen (GPL)
                └ delta: a binary diff that restores the old file from the new one
        undo:   a line is written, then the copy replaces the file
    undo file, roots ──undo_job.restore──▶ `Retagging`: the files restored byte for byte
"""
