"""Ways to propose songs that read what a user heard as a sequence.

===============  ============================================================
``sasrec``       self-attention over what was played → what is played next
``youtube_dnn``  liked songs and a profile → one embedding a user
===============  ============================================================
"""
