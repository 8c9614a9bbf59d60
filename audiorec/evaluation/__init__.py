"""Evaluation measures with intervals, computed on arrays.

::

    scores (n, C), labels (n,)    ──classification──▶ `Report` ──pictures──▶ one PNG
    similarities (Q, S), likes    ──ranking─────────▶ AUC, precision, recall, NDCG by user
    methods, `Panel`              ──comparison──────▶ `Comparison`, paired by user
    features, likes               ──baselines───────▶ baseline similarities

==================  ================================================================
``classification``  accuracy, F1 and calibration of a classifier, with intervals
``pictures``        confusion matrix and reliability diagram of a report
``ranking``         liked songs against other candidates, per user
``full_rank``       ranks of target songs in the whole catalogue; list statistics
``rank_pictures``   recall channels plotted side by side, with intervals
``comparison``      several ranking methods on the same users
``baselines``       the centroid of the liked songs; popularity of artists
==================  ================================================================

Public::

    classification  Report, Interval, report, by_song
    pictures        draw, require_figure
    rank_pictures   draw_channels, draw_trade_off

Import the modules by name; the package itself imports nothing.
"""
