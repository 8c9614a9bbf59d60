"""What every training shares: one loop, losses, samplers, checkpoints, and the model's folder.

::

    a learner ──fit──▶ its best state        ──checkpoint──▶ a kill costs nothing
              ──fit_refit──▶ the best number of epochs, then trained on everything
              ──bundle──▶ model/             model.safetensors, model.json, MODEL_CARD.md

=================  ===================================================================
``fit``            the one loop: epochs, judge, early stop, resume
``refit``          how long, by a validation part; then everything for that long
``processes``      several processes that train one model
``launch``         what each of them runs, and how they are heard of
``by_torchrun``    started on this machine, by torch's elastic agent
``by_ray``         started on a Ray cluster, by Ray Train
``dropout``        drawn by several processes as by one
``row_adam``       Adam for large tables, at the cost of the rows that are reached
``checkpoint``     the state of a training as one file that cannot run code
``loggers``        where the lines of a training go
``seeds``          a generator for every random draw
``batches``        sequences of like length in one batch, padded on the right
``losses``         hinge, softmax, sampled softmax, in-batch softmax
``negatives``      which songs stand against a liked one
``frequency``      how often in-batch negatives turn up
``schedule``       how the learning rate rises and falls
``factors``        who met what → an embedding a user, without audio
``next_plays``     plays in order: windows, a validation part, batches
``next_recipe``    the settings of all models of what is played next
``next_model``     what such a model must do
``next_again``     songs of the history among what may come next
``next_loss``      the sampled softmax of queries and songs in one pass
``next_song``      one learner for all of them
``song_features``  what is known of songs beside their ids, as numbers
``song_table``     one embedding a song, of its id and of that
``bundle``         a trained model as a folder that cannot run code
``card``           the parts that the card of every model has
``torch_use``      torch, imported late and kept to one thread
=================  ===================================================================

Public::

    fit         Fitted, Learner, fit
    refit       Refitted, fit_refit
    processes   ALONE, Processes, joined
    launch      Task, run_part
    by_torchrun  by_torchrun
    by_ray       by_ray
    loggers     JsonLines, Logger
    seeds       generator
    batches     causal_mask, even_batches, length_buckets, padded
    losses      hinge_loss, in_batch_softmax_loss, sampled_softmax_loss, shared_hits,
                softmax_loss
    frequency   StreamingFrequency, log_frequency
    bundle      Bundle, check_target, read_bundle, read_kind, texts_as_arrays, texts_of_arrays,
                write_bundle
    card        Card, Figure
    negatives   NegativeRule
    factors     factorise
"""
