"""What every training shares: one loop, losses, samplers, checkpoints, and the model's folder.

::

    a learner ──fit──▶ its best state        ──checkpoint──▶ a kill costs nothing
              ──bundle──▶ model/             model.safetensors, model.json, MODEL_CARD.md

==============  ===================================================================
``fit``         the one loop: epochs, judge, early stop, resume
``checkpoint``  the state of a training as one file that cannot run code
``losses``      hinge, softmax, sampled softmax
``negatives``   which songs stand against a liked one
``factors``     who met what → an embedding a user, without audio
``bundle``      a trained model as a folder that cannot run code
``torch_use``   torch, imported late and kept to one thread
==============  ===================================================================

Public::

    fit         Fitted, Learner, fit
    bundle      Bundle, read_bundle, read_kind, texts_as_arrays, texts_of_arrays, write_bundle
    negatives   NegativeRule
    factors     factorise
"""
