"""Graph channels: songs are related by the lists they share and by facts about them.

::

    side information, sound, lists, likes, follows ──facts──▶ triples.parquet
    lists and triples ──material──▶ index arrays ──learner──▶ `SongVectors` of songs
        song2vec   skip-gram on lists and TransE on facts, with shared vectors
        eges       random walks over lists, one weight per song and fact
        graphsage  a song's vector is aggregated from its neighbours in the graph
    one song, a list, a user ──channel──▶ songs, and why
"""
