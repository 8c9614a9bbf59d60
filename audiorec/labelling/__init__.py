"""Train a head on your own labelled songs, with out-of-fold evaluation.

::

    LABELS ──songs──▶ one row per segment ──train──▶ out-of-fold logits
                                          ──calibration──▶ `Head`, out-of-fold scores
"""

from audiorec.exports import lazy

__getattr__, __dir__ = lazy(__name__)
