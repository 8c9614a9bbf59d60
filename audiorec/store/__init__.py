"""``vecs.parquet`` and the files beside it: schema, reading, writing, repair, export.

::

    a finished song ──journal──▶ records in vecs.parquet.run/ ──merge──▶ rows ──commit──▶
         vecs.parquet  scores.parquet  features.parquet  vecs.errors.parquet     all, or none
    parts, stores ──compact──▶ one store
    vecs.parquet ──store──▶ ids, vectors, rows        scores, features ──features──▶ segments
                 ──verify──▶ problems     ──inventory──▶ what it holds
                 ──export, ddl──▶ npz, csv, jsonl, a table of a database

===============  ===================================================================
``schema``       columns and metadata of the four kinds of file
``parquet``      files of the four kinds: checked on opening, written atomically
``store``        ``vecs.parquet`` as a table of songs: ids, vectors, other columns
``features``     ``features.parquet`` and ``scores.parquet``, read by song
``segments``     songs as rows of segments: a model's input
``embeddings``   ``embeddings.parquet`` and ``users.parquet``: one embedding per row
``foreign``      tables of embeddings made by other programs
``names``        fuzzy lookup of a song id
``aliases``      other names of a song: MusicBrainz id, ISRC, path, your own
``records``      an append-only file of rows that survives a kill
``merge``        select a file's rows from earlier output and the records of a run
``commit``       move several finished files into place: all of them, or none
``journal``      the three above joined: a resumable run
``sorted_rows``  merge many files into rows sorted by id, each id once
``compact``      combine many parts, or several stores, into one
``failures``     find the failures that belong to a store
``inventory``    what a store holds, and which files lie beside it
``problems``     checks of one block of rows
``verify``       check every row of a store and of the files beside it
``export``       write a store in the formats of other tools
``ddl``          a store as a table of DuckDB, ClickHouse or Hive
===============  ===================================================================

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
    inventory   inventory, files_beside, kind_of, declared_kind, default_path, songs_lacking,
                USUAL_NAMES
    verify      verify, Verification
    export      export
    ddl         ddl, quoted, quoted_text
"""
