"""Convert listening logs to preferences, play sequences and song pairs.

::

    plays.parquet, plays.csv ──interactions──▶ `Interactions`
    plays/dt=2026-11-25/, s3://… ──log_files, log_blocks, interactions──▶ the same, day by day
        ──rule, preferences──▶ liked, disliked, heard
        ──history──▶ history before each like        ──baskets──▶ pairs of songs
        ──sequences──▶ `Sequences`: plays in order
    a log larger than memory ──prepare──▶ a folder of buckets ──feed──▶ sequences
    export.zip, navidrome.db ──imports──▶ plays.parquet, and unmatched and rejected rows
    side.parquet, triples.parquet ──side, triples──▶ side information and facts about songs
"""
