"""Users by profile, and songs: learnt by one business, or by two that keep their rows.

::

    keys ──▶ alignment: which users both have ──▶ exchange: vectors of them, once ──▶ one_way
                                                  split: two towers, trained together, before that
        partner: Caller ──▶ link: protocol over TLS ──▶ Desk ──▶ Host: music

    plan of each party ──jobs──▶ align, train ──▶ a channel on each side
    the music side's songs ──release──▶ with noise, within the budget of the ledger
    vectors ──audit──▶ what they reveal
"""
