"""Neighbours in PostgreSQL: python examples/recipes/pgvector.py STORE | psql DATABASE.

It prints SQL for the extension pgvector (0.5 or later), which has to be installed on the server;
no driver is needed. The last statement asks for the three songs nearest to the first.
"""

import sys

import audiorec

library = audiorec.open_store(sys.argv[1] if len(sys.argv) > 1 else "build/examples/vecs.parquet")
space = library.space()


def text(value: str) -> str:
    """Escape a value as COPY expects it."""
    for sign, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(sign, written)
    return value


print("CREATE EXTENSION IF NOT EXISTS vector;")
print(f"CREATE TABLE songs (song_id text PRIMARY KEY, unit vector({space.matrix.shape[1]}));")
print("COPY songs FROM stdin;")
for row, unit in zip(space.rows, space.matrix, strict=True):
    print(f"{text(library.ids[row])}\t[{','.join(map(str, unit))}]")
print("\\.")
print("CREATE INDEX ON songs USING hnsw (unit vector_cosine_ops);")
first = library.ids[space.rows[0]].replace("'", "''")
asked = f"(SELECT unit FROM songs WHERE song_id = '{first}')"  # noqa: S608 - escaped above
print(f"SELECT song_id FROM songs ORDER BY unit <=> {asked}, song_id LIMIT 3 OFFSET 1;")  # noqa: S608
