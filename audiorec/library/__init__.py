"""The songs of a store as a notebook, a command or a server meets them: one door.

::

    path ──open_store──▶ `Library`: .ids  .vectors (n, V)  library["etude"]  .similar(query, k)
    "etude", vectors=path ──shortcuts──▶ the same, in one call
    store, rows ──readings──▶ what the songs are, in words
    paths ──classify──▶ the same, of files     ──`AudioVectorizer`──▶ (n, V), for scikit-learn
    features.parquet ──`FeatureDataset`──▶ (T, D) of each song, for PyTorch

===============  =====================================================================
``library``      a store that can be searched, and what is made of it
``rows``         one song of a library
``readings``     what the songs of a store are, in words
``known``        which files a store knows as they are now
``classified``   what files are; many readings as a table
``shortcuts``    one question to a store, without opening it first
``score_views``  a score series as text, HTML, a DataFrame, a figure
``vectorizer``   paths of audio files as columns of numbers, for scikit-learn
``dataset``      the songs of a features.parquet, for PyTorch
===============  =====================================================================

Public::

    library     Library, open_store
    rows        SongRow
    readings    readings, each_reading, scores_beside, stored_tags
    known       known_rows
    classified  classify, Readings
    shortcuts   similar, path, playlist, duplicates
    vectorizer  AudioVectorizer
    dataset     FeatureDataset, pad_songs

Import the modules by name; the package itself imports nothing.
"""
