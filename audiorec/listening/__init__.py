"""Listening logs to who likes what, and worlds of made-up listening to try it on.

plays.parquet ──interactions──▶ Interactions ──rule, preferences──▶ Preferences (liked, disliked)
"""
