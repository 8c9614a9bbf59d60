"""Modules that several commands share.

===============  ===================================================================
``console``      data on stdout, messages on stderr, tables, exit codes
``table``        tables that fit the terminal
``streams``      standard streams whose errors do not end a command
``pages``        groups, commands and their help pages
``options``      single options
``places``       paths, URIs and days: where commands read and write
``named``        text for users, with the URIs that they gave
``stores``       which store a command reads, and its space of comparison
``seeds``        seed songs: ids, lists of ids, audio files
``known``        named songs: rows of a store, or files to open
``configured``   options set in files and in the environment
``reach``        what each option can do, and which ones a folder's file may set
``heads``        which heads score a song
``m3u8``         a list of songs as a table, JSON or a playlist
``extraction``   options of extract and shards
``listening``    logs, side information and sound as training data
``training``     settings and training of a channel
``progress``     progress display, and Ctrl-C
``observers``    log, metrics textfile and record of a run
``log_check``    the counts of ``listening check``, and how they are printed
``watching``     extract --watch: one batch after another until stopped
``run_summary``  the summary printed after a run
===============  ===================================================================
"""
