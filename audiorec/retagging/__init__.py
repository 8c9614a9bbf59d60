"""Write version, genre and moods of a store's songs into the tags of their files, and undo it.

::

    store, roots, fields ──job.retag──▶ `Retagging`: the outcome of each song
        wanted: store ──▶ the fields of each song            AUDIOREC_GENRE=jazz
        change: file ──worker──▶ a copy with the fields, verified to hold the same audio
                │ formats: the fields of one file, by mutagen (extra ``retag``)
                └ delta: a binary diff that restores the old file from the new one
        undo:   a line is written, then the copy replaces the file
    undo file, roots ──undo_job.undo──▶ `Retagging`: the files restored byte for byte

============  ==========================================================================
``job``       retag the songs of a store below some folders: a dry run, or a write
``wanted``    which fields a song gets, from its scores and its backbone tags
``change``    one file: make the copy beside it, verify it, swap it in
``formats``   read and write the fields of each format; the only module that uses mutagen
``delta``     binary diff: restores an old file from the new one
``undo``      the undo file: lines that survive a kill at any point
``undo_job``  restore files from an undo file
============  ==========================================================================

Public::

    job       retag, described, Retagging, Retagged
    wanted    FIELDS
    formats   WRITABLE
    undo_job  undo

Import the modules by name; the package itself imports nothing.
"""
