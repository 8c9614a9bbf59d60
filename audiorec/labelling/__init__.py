"""Train a head on your own labelled songs, with out-of-fold evaluation.

::

    LABELS ──songs──▶ one row per segment ──train──▶ out-of-fold logits
                                          ──calibration──▶ `Head`, out-of-fold scores

===============  ===================================================================
``songs``        folders or tables of labels to features; train and evaluate on them
``train``        folds, dense layers, early stopping: columns to a head
``calibration``  logits to calibrated probabilities
===============  ===================================================================

Public::

    songs    LabelledFeatures, evaluate_head, labelled_features, read_labels,
             train_from_labels
    train    HeadRecipe, TrainedHead, train_head
"""
