"""Ways to propose songs that read what a user heard as a sequence.

===============  ============================================================
``youtube_dnn``  liked songs and a profile → one embedding a user
===============  ============================================================
"""
