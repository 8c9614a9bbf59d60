"""``vecs.parquet`` and the files beside it: schema, reading, writing, repair, export.

::

    a finished song ──journal──▶ records in vecs.parquet.run/ ──merge──▶ rows ──commit──▶
         vecs.parquet  scores.parquet  features.parquet  vecs.errors.parquet     all, or none
    parts, stores ──compact──▶ one store
    vecs.parquet ──store──▶ ids, vectors, rows        scores, features ──features──▶ segments
                 ──verify──▶ problems     ──inventory──▶ what it holds
                 ──export, ddl──▶ npz, csv, jsonl, a table of a database

================  =====================================================================
``schema``        columns and metadata of the four kinds of file
``parquet``       files of the four kinds: opened with distrust, written whole
``store``         ``vecs.parquet`` as a table of songs: ids, vectors, other columns
``features``      ``features.parquet`` and ``scores.parquet``, read by song
``segments``      songs as rows of segments: what a model reads
``embeddings``    ``embeddings.parquet`` and ``users.parquet``: one embedding a row
``foreign``       tables of embeddings that were made elsewhere
``names``         which song a half-remembered id means
``aliases``       other names of a song: MusicBrainz id, ISRC, path, your own
``records``       an append-only file of rows that outlives its writer
``merge``         which rows a file gets from earlier output and the records of a run
``commit``        put several finished files in their places: all of them, or none
``journal``       the three above joined: a run that can be killed and goes on
``sorted_rows``   rows of many files in the order of their ids, each id once
``compact``       many parts, or several stores, become one
``failures``      which failures are a store's
``inventory``     what a store holds, and which files lie beside it
``problems``      what can be wrong with rows, seen in one block of them
``verify``        every row of a store and of the files beside it, checked
``export``        a store in the formats of other tools
``ddl``           a store as a table of DuckDB, ClickHouse or Hive
================  =====================================================================

Public::

    schema      Kind, StoreMetadata, schema_of
    store       VectorStore
    features    FeatureFile, SeriesFile, open_series, last_layers, LAST_LAYERS
    embeddings  EmbeddingTable, write_embeddings
    foreign     read_foreign, to_unit, content_id
    aliases     ALIASES_FILE, AliasKind, resolve, alias_table, write_aliases, add_own_aliases
    records     RecordPart, RECORD_FILES
    journal     Outputs
    failures    errors_path, read_failures
    compact     compact, combine, merge_stores
    inventory   inventory, files_beside, kind_of, kind_said, usual_path,
                songs_lacking, USUAL_NAMES
    verify      verify, Verification
    export      export
    ddl         ddl, quoted, quoted_text
"""
