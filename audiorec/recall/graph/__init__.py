"""The graph: songs by the lists that they share, and by what is known of them.

::

    side information, sound, lists, likes, follows ──facts──▶ triples.parquet
    lists and triples ──material──▶ numbers ──learner──▶ `Places` of songs
        song2vec   skip-gram of the lists, TransE of the facts, one table for both
        eges       walks over lists, a weight for each fact of a song
        graphsage  a song is what its neighbours in the graph are
    one song, a list, a user ──channel──▶ songs, and why

===============  ================================================================
``facts``        facts about songs in the hub and the pairwise form; leaks refused
``material``     lists and facts in numbers; the part that says when to stop
``recipe``       everything but the data that decides what a model becomes
``pairs``        which songs stand together: blocks of an epoch
``walks``        walks from song to song over lists
``tables``       rows in memory, or in files where they are larger than that
``first``        where things begin
``skipgram``     the loss of all pairs of a block
``transe``       the loss of the facts, and false ones to hold them against
``vectors``      Song2vec with TransE in torch, for training
``eges_model``   EGES in torch
``sage_model``   GraphSAGE in torch
``row_adagrad``  the optimiser of tables of rows: one step size a row
``placing``      where a song of no list lies, by what is known of it
``learner``      the one training of the three
``places``       where songs lie, in numpy: answers without torch
``channel``      what the three channels share
``song2vec``     the channel ``song2vec``
``eges``         the channel ``eges``
``graphsage``    the channel ``graphsage``
``why``          what two songs have in common
===============  ================================================================

Public::

    facts    artist_facts, counts_of, follow_facts, joined, list_facts, of_rows,
             refuse_leaks, side_facts, sound_facts, write_triples
    recipe   EgesRecipe, GraphSageRecipe, Song2vecRecipe
    channel  GraphChannel
    why      NearSong, near_song
"""
