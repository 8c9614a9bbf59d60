"""Vertical federated learning: one party has user profiles, the other songs and plays.

::

    partner: profiles, interests, tags ──UserHalf──▶ user vectors; gradients come back
    music:   songs, plays              ──ItemHalf──▶ gradients, clipped and noised
        learner    both in one process, for `recall train`: identical results, bit for bit
    songs ──two_tower | mmoe──▶ a channel; users ──▶ vectors, lists
    exchanged data ──audit──▶ what it leaks    steps ──accounting──▶ epsilon, where one is valid

    plan of each party ──jobs──▶ psi: `Alignment` ──▶ train_parties: both halves, step by step
        UserParty ──Caller──▶ protocol, over TLS: flight ──▶ Desk ──▶ ItemParty
    the partner's rows ──serving──▶ vectors of users
"""

from audiorec.exports import lazy

__getattr__, __dir__ = lazy(__name__)
