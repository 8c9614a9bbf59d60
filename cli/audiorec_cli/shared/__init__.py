"""Modules that several commands share.

================  ==================================================================
``declared``      what a command declares: its options, and the classes of options
``pages``         groups, commands and their help pages
``configured``    options set in files and in the environment
``moved``         old commands and options, and what replaces them
``places``        paths, URIs and days: where commands read and write
``inputs``        which store a command reads, and whether a file is of the right kind
``options``       single options
``settings``      options of the form NAME=VALUE
``jobs``          jobs and their records, logs, metrics and summaries
``progress``      progress display, and Ctrl-C
``console``       data on stdout, messages on stderr, exit codes, broken streams
``table``         tables that fit the terminal
``song_lists``    a list of songs as a table, JSON or a playlist
``heads``         which heads score a song
``extraction``    options of extract and shards
``watching``      extract --watch: one batch after another until stopped
``listening``     logs, side information and sound as training data
``engines``       where blocks of users are processed
``training``      settings and training of a channel, in one process or several
``pictures``      file, size and resolution of a picture
================  ==================================================================
"""
