"""User-audio: embed songs by their sound, near the users who like them, new songs included.

::

    log, sound, users ──learn──▶ best state of a tower          held-out artists are left out
        ──channel──▶ embeds histories and sound; saves ``model.json``, weights, card
    any audio ──embed──▶ embeddings.parquet                     in the space of ``users.parquet``

===============  ========================================================================
``nearest``      songs and artists that sound like what was just played, untrained
``recipe``       hyper-parameters
``held_out``     which songs are held out, and a log without them
``inputs``       song inputs: vectors, features, or audio decoded to log-mels
``log_mels``     audio → log-mel segments, in disposable workers
``data``         likes and dislikes, divided into a training part and a panel to judge on
``batches``      training pairs and their negatives
``closed_form``  the linear map that initialises a tower
``model``        shape of a tower, and its forward pass in numpy
``tower``        the network in torch: on features, or end to end over a backbone
``trainer``      tower, data, recipe → the best state of the tower
``learn``        the above joined: listening and sound → a trained tower and its users
``channel``      the tower as a recall channel, and its bundle
``embed``        stored sound, audio files, a store's songs → embeddings
``judge``        a model beside baselines, on unheard artists and songs
===============  ========================================================================

Public::

    nearest   NearestArtist, NearestArtistRecipe, NearestAudio, NearestRecipe
    channel   UserAudio
    recipe    UserAudioRecipe
    held_out  Split, artist_groups, assign_parts, write_training_rows
    embed     EmbeddingReport, embed_audio, embed_stored, store_sources
    judge     Evaluation, judge_unheard
"""
