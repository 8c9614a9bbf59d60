"""A library of songs for notebooks, commands and servers.

::

    path ──open_store──▶ `Library`: .ids  .vectors (n, V)  library["etude"]  .similar(query, k)
    "etude", vectors=path ──shortcuts──▶ the same, in one call
    store, rows ──readings──▶ class labels and remarks of the songs
    paths ──classify──▶ the same, for files    ──`AudioVectorizer`──▶ (n, V), for scikit-learn
    features.parquet ──`FeatureDataset`──▶ (T, D) of each song, for PyTorch

==================  ======================================================================
``library``         the main class: search, paths, playlists, labels and maps of one store
``rows``            one song of a library
``readings``        class labels and remarks of a store's songs
``unchanged``       find files that are unchanged since they were extracted
``classify_files``  classify audio files; many readings as a table
``shortcuts``       single calls that open the store themselves
``score_views``     a score series as text, HTML, a DataFrame, a figure
``vectorizer``      a scikit-learn transformer from audio files to numbers
``dataset``         the songs of a features.parquet as a PyTorch dataset
==================  ======================================================================

Public::

    library         Library, open_store
    rows            SongRow
    readings        readings, each_reading, scores_beside, stored_tags
    unchanged       unchanged_rows
    classify_files  classify, Readings
    shortcuts       similar, path, playlist, duplicates
    vectorizer      AudioVectorizer
    dataset         FeatureDataset, pad_songs

Import the modules by name; the package itself imports nothing.
"""
