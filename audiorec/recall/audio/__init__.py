"""The metric model: a song's audio lies near the users who like it, whoever has heard it yet.

::

    log, songs, users ──data──▶ pairs, a judge      artists that are held out are never learnt from
        ──trainer──▶ tower in its best state         ``learning.fit`` is the loop
        ──job──────▶ model/                          ``model.json``, weights, card
    any audio ──embed──▶ embeddings.parquet          comparable with ``users.parquet``

===============  ===================================================================
``nearest``      songs and artists that sound like what was just played, untrained
``recipe``       everything but the data that decides what a model becomes
``held_out``     which songs a model never hears, and a log without them
``data``         log, catalogue and users → what is learnt from, and who judges
``inputs``       songs as stored features, or as audio decoded to log-mels
``log_mels``     audio → log-mel segments, in disposable workers
``batches``      which pairs are learnt from, and what stands against them
``closed_form``  the linear map that a tower starts from
``tower``        the network in torch: on features, or end to end over a backbone
``trainer``      tower, data, recipe → the tower in its best state
``model``        the same arithmetic in numpy, and the model's folder
``job``          the above joined: files → a model's folder
``embed``        features, audio files, a store's songs → embeddings
``channel``      the tower as a channel of recall: histories become users, sound becomes songs
``judge``        a model beside baselines, on artists and songs that it never heard
===============  ===================================================================

Public::

    nearest    NearestArtist, NearestArtistRecipe, NearestAudio, NearestRecipe
    job        train_metric
    recipe     MetricRecipe, TrainingOptions
    held_out   Split, artist_groups, assign_parts, write_known
    data       TrainingSongs
    inputs     FeatureSongs, LogMelSongs
    model      MetricModel
    embed      EmbeddingReport, embed_audio, embed_features, store_sources
    judge      EvaluationFiles, evaluate_metric
"""
