"""Extract many songs to a store: list, decode, score, write rows; always resumable.

::

    paths ──catalogue──▶ sources ──plan──▶ new and changed songs
          ──run──▶ worker processes ──pipeline──▶ `Song` (vector, scores, features)
          ──journal──▶ vecs.parquet, vecs.errors.parquet, optional scores and features

    many machines:  manifest ──shards──▶ one part each, by one of `audiorec.runs`
"""
