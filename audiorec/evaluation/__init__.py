"""How often what audiorec computes is right, and how sure one can be: figures on arrays.

::

    scores (n, C), labels (n,)    ──classification──▶ `Report` ──pictures──▶ one PNG
    similarities (Q, S), likes    ──ranking─────────▶ AUC, precision, recall, NDCG by user
    methods, `Panel`              ──comparison──────▶ `Comparison`, paired by user
    features, likes               ──baselines───────▶ what a method has to beat

==================  ================================================================
``classification``  a classifier's figures, their intervals, its calibration
``pictures``        a report drawn: who is taken for whom, and how sure
``ranking``         liked songs before the others, user by user
``full_rank``       wanted songs among all songs, at several k; what lists are like
``rank_pictures``   channels of recall drawn side by side, with intervals
``comparison``      several ways to rank, side by side on the same users
``baselines``       taste as the centre of what was liked; popularity of artists
==================  ================================================================

Public::

    classification  Report, Interval, report, by_track
    pictures        draw, require_figure
    rank_pictures   draw_channels, draw_trade_off

Import the modules by name; the package itself imports nothing.
"""
