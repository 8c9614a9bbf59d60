"""Graph channels: songs are related by the lists they share and by facts about them.

::

    side information, sound, lists, likes, follows ──facts──▶ triples.parquet
    lists and triples ──material──▶ index arrays ──learner──▶ `SongVectors` of songs
        song2vec   skip-gram on lists and TransE on facts, with shared vectors
        eges       random walks over lists, one weight per song and fact
        graphsage  a song's vector is aggregated from its neighbours in the graph
    one song, a list, a user ──channel──▶ songs, and why

==================  ==================================================================
``facts``           facts about songs in the hub and the pairwise form; leaks refused
``material``        lists and facts as index arrays; lists held out for early stopping
``recipe``          hyper-parameters of the models
``pairs``           co-occurring songs: the blocks of an epoch
``walks``           random walks from song to song over lists
``tables``          parameter tables in memory, or in files if they are too large
``initialisation``  initial vectors of songs and entities
``skipgram``        the loss over all pairs of a block
``transe``          the loss on facts, and corrupted facts as negatives
``vectors``         Song2vec with TransE in torch, for training
``eges_model``      EGES in torch
``sage_model``      GraphSAGE in torch
``row_adagrad``     the optimiser of embedding tables: one step size per row
``fact_vectors``    vectors of songs without a list, from their facts
``learner``         the training loop of all three models
``song_vectors``    song vectors and similarities in numpy, without torch
``channel``         base class of the three channels
``song2vec``        the channel ``song2vec``
``eges``            the channel ``eges``
``graphsage``       the channel ``graphsage``
``explain``         what two songs have in common
==================  ==================================================================

Public::

    facts    artist_facts, counts_of, follow_facts, joined, list_facts, of_rows, refuse_leaks,
             side_facts, sound_facts, write_triples
    recipe   EgesRecipe, GraphSageRecipe, Song2vecRecipe
    channel  GraphChannel
    explain  NearSong, near_song
"""
