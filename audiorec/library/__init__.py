"""The songs of a store as a notebook, a command or a server meets them: one door.

::

    path ──open_store──▶ `Library`: .ids  .vectors (n, V)  .similar(query, k)
    store, rows ──readings──▶ what the songs are, in words

============  ========================================================
``library``   a store that can be searched, and what is made of it
``readings``  what the songs of a store are, in words
``known``     which files a store knows as they are now
============  ========================================================

Public::

    library    Library, open_store
    readings   readings, each_reading, scores_beside, stored_tags
    known      known_rows

Import the modules by name; the package itself imports nothing.
"""
