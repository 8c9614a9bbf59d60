"""What several commands share.

===============  ===================================================================
``console``      data on stdout, remarks on stderr, tables, exit codes
``table``        a table for a person: it fits the terminal
``streams``      standard streams that cannot end a command
``pages``        groups, commands and their help pages
``options``      options that stand alone
``places``       paths, URIs and days: what commands read and write where
``named``        text for people, with the names that they gave
``stores``       which store is read, and what its songs are compared by
``seeds``        songs to start from
``known``        songs that are named: rows of a store, or files to be opened
``configured``   options that stand in files and in the environment
``reach``        what each option can do, and so what a folder's file may set
``choosing``     which songs may come, and how many of one kind
``heads``        heads in place of ours
``m3u8``         a list as a table, JSON or a playlist
``extraction``   how songs are extracted: options of extract and shards
``listened``     plays of a log, and how their songs sound
``training``     how a user-audio model is fitted; the training of a channel
``progress``     how far a command is, and Ctrl-C
``observers``    a run's log, metrics textfile and record
``log_check``    what ``listening check`` counts, and how it prints that
``watching``     extract --watch: batches, one after the other, until it is stopped
``run_summary``  what a person is told after a run
===============  ===================================================================
"""
