"""Ways to propose songs that give a user several embeddings, one an interest.

::

    plays, songs, profiles ──routing | pooling──▶ K interests at each play
                                                     `learning.next_song` trains them
    a history ──forward, in numpy──▶ interests, weights
        ──channel──▶ nearest songs of each ──aggregate──▶ one list; which interest brought what

==============  ===============================================================
``recipe``      how the models are built, learn, and answer
``draws``       normal numbers that follow from a seed alone
``network``     what both networks share, in torch
``routing``     MIND: songs are routed to interests
``pooling``     ComiRec-SA: an interest is a mean of songs by its own attention
``forward``     both in numpy, for answers
``aggregate``   the lists of several interests as one
``channel``     what both channels share
``mind``        the channel of MIND
``comirec_sa``  the channel of ComiRec-SA
==============  ===============================================================

Public::

    channel     SeveralInterests
    comirec_sa  ComirecSa
    mind        Mind
    recipe      ComirecSaRecipe, MindRecipe
"""
