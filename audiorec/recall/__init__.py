"""Ways to propose songs: which songs for whom, and for whom which songs.

==============  =====================================================================
``contract``    what all families share: data, the channel, candidates, checks
``registry``    all channels by name
``simple``      channels that need no training: what every model has to beat
``judging``     splits, full-rank runs of channels, comparisons
``serving``     the lists of channels become one; songs for one user
``audio``       user-audio: a song's sound lies near the users who like it
``cold_start``  batch jobs for songs that nobody has heard yet
``interests``   models that give a user several embeddings, one an interest
``graph``       songs by the lists they share and by facts: Song2vec, EGES, GraphSAGE
``federated``   two businesses train one model, and show each other no row
``sequence``    models that read what a user heard: the user model
==============  =====================================================================

Families do not import each other.

Public::

    registry  CHANNELS, channel_class, load_channel
"""
