"""Training tools shared by all models: training loop, losses, samplers, checkpoints, bundles.

::

    a learner ──fit──▶ its best state        ──checkpoint──▶ resume after a kill
              ──fit_refit──▶ the best number of epochs, then trained on everything
              ──bundle──▶ model/             model.safetensors, model.json, MODEL_CARD.md
"""
