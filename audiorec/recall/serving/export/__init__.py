"""What a ranker and a warehouse get of a nightly run: open tables, samples, SQL that loads them.

::

    log, candidates, exposures, models ──sources──▶ `Opened`
    users side by side, some at a time ──streams──▶ blocks of rows
    block ──pairs, past──▶ candidates with features     ──samples──▶ what became of them
          ──people───────▶ users                        catalogue ──▶ songs
    all of it ──folder──▶ TABLE/part-00000.parquet, manifest.json;  schema ──sql──▶ sql/*.sql

=============  ====================================================================
``schema``     every table and column, described once
``sources``    the files that an export reads
``streams``    tables in the order of users, read side by side in flat memory
``exposures``  what was shown, and how it stood when it was served
``past``       features of users and songs, without a look ahead
``pairs``      lists of channels as one row a user and song
``samples``    labels, and the rules that make them
``people``     rows of users
``catalogue``  rows of songs; how often a raw cosine agrees with ``similar``
``columns``    numbers of rows as columns of Arrow
``blocks``     all rows of some users
``folder``     parts, manifest, and the swap at the end
``queries``    ten questions of a dashboard
``sql``        CREATE TABLE and how to load it, in four dialects
``job``        all of it: one function
``night``      the same as a step of the nightly job
=============  ====================================================================

Public::

    job        ExportRecipe, ExportReport, export_recall
    sources    ExportSources
"""
