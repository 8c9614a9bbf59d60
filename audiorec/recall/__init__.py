"""Recall: find candidate songs for users, and users for songs.

==============  =====================================================================
``contract``    data, the channel interface, candidates and conformance checks
``registry``    all channels by name
``simple``      channels without training: the baselines for every model
``judging``     splits, full-rank evaluation, comparisons
``serving``     fuse the lists of several channels; recommend songs to a user
``audio``       user-audio: embed a song by its sound, near the users who like it
``cold_start``  batch jobs for songs without a play
``interests``   models with several embeddings per user, one per interest
``graph``       song embeddings from shared lists and facts: Song2vec, EGES, GraphSAGE
``federated``   two parties train one model without exchanging rows
``sequence``    models that read a user's play history: youtube-dnn, SASRec
==============  =====================================================================

Families do not import each other.

Public::

    registry  CHANNELS, channel_class, load_channel
"""
