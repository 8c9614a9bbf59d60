"""``vecs.parquet`` and the files beside it: schema, reading, writing, repair, export.

::

    a finished song ──journal──▶ parts in vecs.parquet.run/ ──merge──▶ rows ──commit──▶
         vecs.parquet  scores.parquet  features.parquet  vecs.errors.parquet     all, or none
    parts, stores ──compact──▶ one store
    vecs.parquet ──store──▶ ids, vectors, rows        scores, features ──features──▶ segments
                 ──verify──▶ problems     ──inventory──▶ what it holds
                 ──export──▶ npz, csv, jsonl, parquet for old readers
"""
