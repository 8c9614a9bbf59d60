"""Channels that represent a user by several embeddings, one per interest.

::

    plays, songs, profiles ──routing | pooling──▶ K interests at each play
                                                     `learning.next_song` trains them
    a history ──forward, in numpy──▶ interests, weights
        ──channel──▶ nearest songs of each ──aggregate──▶ one list, with the interest of each song

==============  ===============================================================
``recipe``      hyper-parameters of training and of answers
``draws``       reproducible normal numbers that depend on a seed alone
``network``     base class of both networks, in torch
``routing``     MIND: dynamic routing of songs to interests
``pooling``     ComiRec-SA: each interest is an attention-weighted mean of songs
``forward``     both models in numpy, for answers
``aggregate``   merging the lists of several interests into one
``channel``     base class of both channels
``mind``        the channel of MIND
``comirec_sa``  the channel of ComiRec-SA
==============  ===============================================================

Public::

    channel     SeveralInterests
    comirec_sa  ComirecSa
    mind        Mind
    recipe      ComirecSaRecipe, MindRecipe
"""
