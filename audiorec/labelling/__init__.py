"""Train a head on your own labelled songs, with out-of-fold evaluation.

::

    LABELS ──songs──▶ one row per segment ──train──▶ out-of-fold logits
                                          ──calibration──▶ `Head`, out-of-fold scores
"""
