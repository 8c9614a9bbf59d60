"""User-audio: embed songs by their sound, near the users who like them, new songs included.

::

    log, sound, users ──learn──▶ best state of a tower          held-out artists are left out
        ──channel──▶ embeds histories and sound; saves ``model.json``, weights, card
    any audio ──embed──▶ embeddings.parquet                     in the space of ``users.parquet``
"""
