"""SASRec: predict the next play by self-attention over past plays.

::

    plays, songs, profiles ──network──▶ a query at each play      trained by `learning.next_song`
    a history ──forward, in numpy──▶ one query ──channel──▶ songs with the nearest embeddings
"""
