"""Analyse whether people listen longer to new songs that sound like their favourites.

::

    log, vectors ──pairs──▶ (similarity, completion) of each new song
                 ──pearson──▶ r per user, against chance
                 ──sensitive_share──▶ share of sensitive users     ──report──▶ figures, table

===================  ==============================================================
``pairs``            favourites, new songs, and the similarity between them
``pearson``          one correlation per user, shuffled nulls, tests of normality
``sensitive_share``  estimate how many users correlate above chance
``job``              the whole analysis
``report``           figures, a table on disk, a picture
===================  ==============================================================

Public::

    job      CorrelationSpec, Correlations, correlate
    pairs    embedding_units
    report   check_picture, summary, write_correlations, write_picture
"""
