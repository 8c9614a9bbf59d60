"""Score series to vectors, to files that keep them, to songs that are alike.

scores (T, H) ──statistics──▶ vector (V,) ──journal──▶ vecs.parquet ──store──▶ similar
"""
