"""Labelled songs to a head of one's own, with figures that are honest.

::

    LABELS ──songs──▶ a row a segment ──train──▶ logits of heads that did not hear the row
                                      ──calibration──▶ `Head`, and out-of-fold scores to judge

===============  ================================================================
``songs``        folders or tables of labels to features; train and judge on them
``train``        folds, dense layers, early stopping: columns to a head
``calibration``  logits to probabilities that tell the truth
===============  ================================================================

Public::

    songs    LabelledFeatures, evaluate_head, labelled_features, read_labels,
             train_from_labels
    train    HeadRecipe, TrainedHead, train_head
"""
