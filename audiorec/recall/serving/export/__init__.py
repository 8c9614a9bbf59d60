"""Export a nightly run for rankers and warehouses: open tables, samples, SQL to load them.

::

    log, candidates, exposures, models ──sources──▶ `OpenSources`
    tables in parallel, some users at a time ──streams──▶ blocks of rows
    block ──pairs, features──▶ candidates with features     ──samples──▶ labelled samples
          ──users────────▶ users                        catalogue ──▶ songs
    all tables ──folder──▶ TABLE/part-00000.parquet, manifest.json;  schema ──sql──▶ sql/*.sql

=============  ======================================================================
``schema``     the single description of every table and column
``sources``    the input files of an export
``streams``    read tables sorted by user in parallel, in constant memory
``exposures``  read exposures, and candidates as they were served
``features``   features of users and songs from earlier events only
``pairs``      merge the lists of all channels into one row per user and song
``samples``    labelled samples from events and exposures
``users``      rows of the table of users
``catalogue``  rows of the table of songs; agreement of a raw cosine with ``similar``
``columns``    convert features and samples to Arrow columns
``blocks``     all rows of a block of users
``folder``     table parts, manifest, and the atomic swap of the folder
``queries``    ten SQL queries for a dashboard
``sql``        CREATE TABLE and load statements in four dialects
``job``        write a whole export: one function
=============  ======================================================================

Public::

    job      ExportRecipe, ExportReport, export_recall
    sources  ExportSources
"""
