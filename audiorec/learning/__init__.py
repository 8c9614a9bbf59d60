"""Training tools shared by all models: training loop, losses, samplers, checkpoints, bundles.

::

    a learner ──fit──▶ its best state        ──checkpoint──▶ resume after a kill
              ──fit_refit──▶ the best number of epochs, then trained on everything
              ──bundle──▶ model/             model.safetensors, model.json, MODEL_CARD.md

======================  ==========================================================================
``fit``                 the training loop: epochs, evaluation, early stopping, resume
``refit``               choose the number of epochs on a validation part, then train on everything
``processes``           data-parallel training in several processes
``launch``              tasks of the training processes, and their messages
``by_torchrun``         start processes on this machine, by torch's elastic agent
``by_ray``              start processes on a Ray cluster, by Ray Train
``dropout``             dropout independent of the number of processes
``row_adam``            Adam for large tables, which updates only the rows in use
``checkpoint``          training state as one file that cannot run code
``loggers``             destinations of training metrics
``seeds``               a separate random generator for every draw
``batches``             batches of sequences of similar length, padded on the right
``losses``              hinge, softmax, sampled softmax, in-batch softmax
``negatives``           negative sampling
``frequency``           sampling frequency of in-batch negatives
``schedule``            learning-rate schedule
``factors``             user embeddings by matrix factorisation, without audio
``next_plays``          plays in order: windows, a validation part, batches
``next_recipe``         settings shared by all next-song models
``next_model``          interface of next-song models
``history_candidates``  songs of the history as candidates for the next song
``next_loss``           sampled softmax of queries and songs in one pass
``next_song``           training of all next-song models
``song_features``       side information of songs as numeric features
``song_table``          song embeddings from ids and side information
``bundle``              a trained model as a folder that cannot run code
``card``                model cards
``memory``              the memory that is free on this machine
``torch_use``           lazy import of torch, limited to one thread
======================  ==========================================================================

Public::

    fit          Fitted, Learner, fit
    refit        Refitted, fit_refit
    processes    ALONE, Processes, join_processes
    launch       LaunchedCall, run_part
    by_torchrun  by_torchrun
    by_ray       by_ray
    loggers      JsonLines, Logger
    seeds        generator
    batches      causal_mask, even_batches, length_buckets, padded
    losses       hinge_loss, in_batch_softmax_loss, sampled_softmax_loss, shared_hits, softmax_loss
    frequency    StreamingFrequency, log_frequency
    bundle       Bundle, check_target, read_bundle, read_kind, texts_as_arrays, texts_of_arrays,
                 write_bundle
    card         Card, Figure
    negatives    NegativeRule
    factors      factorise
"""
