"""Ten SQL queries for a dashboard, and one for similar songs, in the dialects of all databases.

`QUERIES` ──query_file──▶ queries_duckdb.sql, queries_clickhouse.sql, ...
"""

from collections.abc import Sequence
from dataclasses import dataclass

from audiorec.recall.serving.export.schema import ExportTable

DIALECTS = ("duckdb", "clickhouse", "postgres", "spark")
_DOTS = {
    "duckdb": "array_inner_product(a.unit, b.unit)",
    "clickhouse": "dotProduct(a.unit, b.unit)",
    "postgres": "-(a.unit <#> b.unit)",
    "spark": (
        "aggregate(zip_with(a.unit, b.unit, (x, y) -> x * y), CAST(0 AS DOUBLE), (s, x) -> s + x)"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportQuery:
    """A SQL query and the question that it answers."""

    name: str
    question: str
    sql: str


def _query(name: str, question: str, sql: str) -> ExportQuery:
    return ExportQuery(name=name, question=question, sql=sql.strip())


QUERIES = (
    _query(
        "channels",
        "What does each channel stand for, and how much of it is shown?",
        """
SELECT channel, count(*) AS pairs, count(fused_rank) AS shown, avg(popularity) AS mean_popularity
FROM candidates
GROUP BY channel
ORDER BY channel
""",
    ),
    _query(
        "new_songs",
        "How much of what is shown has nobody played yet?",
        """
SELECT channel, avg(CASE WHEN cold THEN 1.0 ELSE 0.0 END) AS share_cold
FROM candidates
WHERE fused_rank IS NOT NULL
GROUP BY channel
ORDER BY channel
""",
    ),
    _query(
        "most_shown",
        "Which songs are shown to most users?",
        """
SELECT c.song_id AS song, max(s.plays) AS song_plays_so_far, count(*) AS users_reached
FROM candidates c JOIN songs s ON s.song_id = c.song_id
WHERE c.fused_rank IS NOT NULL
GROUP BY c.song_id
ORDER BY users_reached DESC, song
LIMIT 20
""",
    ),
    _query(
        "coverage",
        "How much of the catalogue is shown to anybody?",
        """
SELECT count(*) AS songs_in_all,
       sum(CASE WHEN song_id IN (SELECT song_id FROM candidates WHERE fused_rank IS NOT NULL)
           THEN 1 ELSE 0 END) AS songs_shown
FROM songs
""",
    ),
    _query(
        "without_a_list",
        "Who gets nothing, by how much they play?",
        """
SELECT plays, count(*) AS users_without
FROM users
WHERE user_id NOT IN (SELECT user_id FROM candidates WHERE fused_rank IS NOT NULL)
GROUP BY plays
ORDER BY plays
""",
    ),
    _query(
        "agreement",
        "How many channels propose a shown song, and at which ranks?",
        """
SELECT channels, count(*) AS pairs, avg(fused_rank) AS mean_rank
FROM candidates
WHERE fused_rank IS NOT NULL
GROUP BY channels
ORDER BY channels
""",
    ),
    _query(
        "outcome_by_day",
        "How much of what was shown is played to the end, day by day?",
        """
SELECT date_trunc('day', happened_at) AS day, count(*) AS samples,
       avg(CASE WHEN label = 1 THEN 1.0 ELSE 0.0 END) AS positive
FROM samples_ranking
GROUP BY date_trunc('day', happened_at)
ORDER BY day
""",
    ),
    _query(
        "outcome_by_sound",
        "Is what sounds like a user's songs played to the end more often?",
        """
SELECT floor(audio_similarity * 5) AS fifth, count(*) AS samples,
       avg(CASE WHEN label = 1 THEN 1.0 ELSE 0.0 END) AS positive
FROM samples_ranking
WHERE audio_similarity IS NOT NULL
GROUP BY floor(audio_similarity * 5)
ORDER BY fifth
""",
    ),
    _query(
        "genres",
        "Which genres are played to the end, and which are skipped?",
        """
SELECT s.genre AS genre_of_song, count(*) AS samples,
       avg(CASE WHEN r.label = 1 THEN 1.0 ELSE 0.0 END) AS positive
FROM samples_recall r JOIN songs s ON s.song_id = r.song_id
WHERE s.genre IS NOT NULL
GROUP BY s.genre
ORDER BY samples DESC, genre_of_song
LIMIT 20
""",
    ),
    _query(
        "known_artists",
        "How familiar are the artists of what is shown?",
        """
SELECT CASE WHEN artist_affinity IS NULL THEN 'artist not known'
            WHEN artist_affinity = 0 THEN 'new to the user'
            ELSE 'heard before' END AS familiarity,
       count(*) AS pairs, avg(fused_rank) AS mean_rank
FROM candidates
WHERE fused_rank IS NOT NULL
GROUP BY CASE WHEN artist_affinity IS NULL THEN 'artist not known'
              WHEN artist_affinity = 0 THEN 'new to the user'
              ELSE 'heard before' END
ORDER BY familiarity
""",
    ),
)
ALIKE = _query(
    "alike",
    "Which songs sound like the most played one? As audiorec similar --by vector.",
    """
SELECT b.song_id AS song, {dot} AS similarity
FROM songs a CROSS JOIN songs b
WHERE a.song_id = (SELECT song_id FROM songs ORDER BY plays DESC, song_id LIMIT 1)
  AND b.song_id <> a.song_id{known}
ORDER BY similarity DESC, song
LIMIT 10
""",
)


def queries_for(tables: Sequence[ExportTable], dialect: str) -> list[ExportQuery]:
    """Return the queries in a dialect, including `ALIKE` if songs have units."""
    found = list(QUERIES)
    names = {name for table in tables if table.name == "songs" for name in table.names}
    if "unit" in names:
        # In ClickHouse an unknown unit is an empty list, whose dot product would be an error.
        is_empty = dialect == "clickhouse"
        known = " AND notEmpty(b.unit) AND notEmpty(a.unit)" if is_empty else ""
        known = known or " AND b.unit IS NOT NULL AND a.unit IS NOT NULL"
        sql = ALIKE.sql.format(dot=_DOTS[dialect], known=known)
        found.append(ExportQuery(name=ALIKE.name, question=ALIKE.question, sql=sql))
    return found


def query_file(tables: Sequence[ExportTable], dialect: str) -> str:
    """Return all queries as one text, each after a comment with its question."""
    return "\n\n".join(f"-- {q.name}: {q.question}\n{q.sql};" for q in queries_for(tables, dialect))
