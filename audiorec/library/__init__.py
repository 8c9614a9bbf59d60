"""A library of songs for notebooks, commands and servers.

::

    path ──open_store──▶ `Library`: .ids  .vectors (n, V)  library["etude"]  .similar(query, k)
    "etude", vectors=path ──shortcuts──▶ the same, in one call
    store, rows ──readings──▶ class labels and remarks of the songs
    paths ──classify──▶ the same, for files    ──`AudioVectorizer`──▶ (n, V), for scikit-learn
    features.parquet ──`FeatureDataset`──▶ (T, D) of each song, for PyTorch
"""
