"""Evaluation measures with intervals, computed on arrays.

::

    scores (n, C), labels (n,)    ──classification──▶ `Report`
    similarities (Q, S), likes    ──ranking─────────▶ AUC, precision, recall, NDCG by user
    methods, `Panel`              ──comparison──────▶ `Comparison`, paired by user
    features, likes               ──baselines───────▶ baseline similarities
"""
