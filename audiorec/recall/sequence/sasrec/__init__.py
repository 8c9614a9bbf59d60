"""SASRec: what is played next, by self-attention over what was played.

::

    plays, songs, profiles ──network──▶ a query at each play      `learning.next_song` trains it
    a history ──forward, in numpy──▶ one query ──channel──▶ songs of the nearest embeddings

===========  ==================================================================
``recipe``   how it is built and learns
``gaps``     the time between two plays as one of a few numbers
``network``  the network in torch, for training
``forward``  the same in numpy, for answers
``channel``  the channel of recall
===========  ==================================================================

Public::

    channel  Sasrec
    recipe   SasrecRecipe
"""
