"""Modules that several commands share.

================  ==================================================================
``declared``      what a command declares: its options, and the classes of options
``pages``         groups, commands and their help pages
``configured``    options set in files and in the environment
``places``        paths, URIs and days: where commands read and write
``inputs``        which store a command reads, and whether a file is of the right kind
``options``       options that several commands share: single ones, NAME=VALUE, heads, engines
``jobs``          jobs and their records, logs, metrics and summaries
``progress``      progress display, and Ctrl-C
``console``       data and tables on stdout, messages on stderr, exit codes
``song_lists``    a list of songs as a table, JSON or a playlist
``extraction``    options of extract and shards, and --watch
``listening``     logs, side information and sound as training data
``training``      settings and training of a channel, in one process or several
``pictures``      file, size and resolution of a picture
================  ==================================================================
"""
