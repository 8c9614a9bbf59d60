"""Channels that read a user's history as a sequence.

===============  ============================================================
``sasrec``       self-attention over past plays → the next play
``youtube_dnn``  plays or likes and a profile → one embedding per user
===============  ============================================================
"""
