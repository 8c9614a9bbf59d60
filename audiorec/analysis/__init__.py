"""Whether people listen longer to new songs that sound like their favourites.

::

    log, vectors ──pairs──▶ (similarity, completion) of each new song
                 ──pearson──▶ r a user, against chance
                 ──sensitive_share──▶ how many listen by ear     ──report──▶ figures, table

===================  ==============================================================
``pairs``            favourites, new songs, and how alike they sound
``pearson``          one correlation a user, shuffled ones, tests of normality
``sensitive_share``  how many users have a correlation above chance
``job``              the above joined
``report``           figures, a table on disk, a picture
===================  ==============================================================

Public::

    job      CorrelationSpec, Correlations, correlate
    pairs    embedding_units
    report   check_picture, summary, write_correlations, write_picture
"""
