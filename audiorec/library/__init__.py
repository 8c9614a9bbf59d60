"""The songs of a store as a notebook, a command or a server meets them: one door.

::

    path ──open_store──▶ `Library`: .ids  .vectors (n, V)  .similar(query, k)

===========  =========================================================
``library``  a store that can be searched, and what is made of it
===========  =========================================================

Public::

    library    Library, open_store

Import the modules by name; the package itself imports nothing.
"""
