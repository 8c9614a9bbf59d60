"""Write what a store knows of its songs into the tags of their files, and take it back.

::

    store, roots, fields ──job.retag──▶ `Retagging`: what became of each song
        wanted: store ──▶ the fields of each song            AUDIOREC_GENRE=jazz
        change: file ──worker──▶ a copy with the fields, proved to hold the same audio
                │ formats: the fields of one file, by mutagen (extra ``retag``)
                └ delta: the old bytes, told by the new ones
        undo:   a line is written, then the copy takes the file's place
    undo file, roots ──undo_job.undo──▶ `Retagging`: the files byte for byte as they were

============  ==========================================================================
``job``       songs of a store below some folders: a dry run, or a write
``wanted``    which fields a song gets, from its scores and its tags of the backbone
``change``    one file: the copy beside it, the proof, the exchange
``formats``   the fields of every format that can be written; the one module with mutagen
``delta``     an old file told by the new one and the few bytes that differ
``undo``      the undo file: lines that outlive a kill at any place
``undo_job``  the files as they were, from the undo file
============  ==========================================================================

Public::

    job       retag, described, Retagging, Retagged
    wanted    FIELDS
    formats   WRITABLE
    undo_job  undo

Import the modules by name; the package itself imports nothing.
"""
