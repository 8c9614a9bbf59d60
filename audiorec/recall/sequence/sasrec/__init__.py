"""SASRec: predict the next play by self-attention over past plays.

::

    plays, songs, profiles ──network──▶ a query at each play      trained by `learning.next_song`
    a history ──forward, in numpy──▶ one query ──channel──▶ songs with the nearest embeddings

===========  ==================================================================
``recipe``   hyper-parameters
``gaps``     the time between two plays as one of a few bins
``network``  the network in torch, for training
``forward``  the same in numpy, for answers
``channel``  the recall channel
===========  ==================================================================

Public::

    channel  Sasrec
    recipe   SasrecRecipe
"""
