"""Channels that represent a user by several embeddings, one per interest.

::

    plays, songs, profiles ──routing | pooling──▶ K interests at each play
                                                     `learning.next_song` trains them
    a history ──forward, in numpy──▶ interests, weights
        ──channel──▶ nearest songs of each ──aggregate──▶ one list, with the interest of each song
"""
