"""Analyse whether people listen longer to new songs that sound like their favourites.

::

    log, vectors ──pairs──▶ (similarity, completion) of each new song
                 ──pearson──▶ r per user, against chance     ──report──▶ figures, table
"""
